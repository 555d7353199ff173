"""Signs of life that cannot be seen: nobody is taken for dead, and nothing fails."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oauth_mailer.outbox.signs import WorkerLock, dead, forget, is_dead


@contextmanager
def nobody() -> Iterator[None]:
    """Root may read everything, so the block runs as another user."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def worker(home: Path) -> Iterator[str]:
    """One that ended without saying so."""
    lock = WorkerLock(home)
    lock.close(orderly=False)
    assert is_dead(lock.name, home)
    yield lock.name
    (home / "workers").chmod(stat.S_IRWXU)


@pytest.mark.skipif(os.name != "posix", reason="needs a folder that its user may not read")
def test_what_is_in_the_folder_of_another_user_is_left_alone(worker: str, home: Path) -> None:
    (home / "workers").chmod(0)
    with nobody():
        assert not is_dead(worker, home)
        assert not dead(home)
        forget([worker], home)
        WorkerLock(home).close(orderly=True)


def test_a_worker_whose_name_no_file_can_have_is_not_taken_for_dead(worker: str, home: Path) -> None:
    assert not is_dead(worker + "0" * 300, home)
