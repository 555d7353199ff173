from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oauth_mailer.sandbox import Sandbox
from oauth_mailer.stores.memory import MemoryStore
from tests.cli.conftest import client, google, google_host
from tests.cli.google_login import everything, log_in, send
from tests.support import google_login
from tests.support.outbox_fixtures import place, postgresql_database, postgresql_schema, sqlite_place

__all__ = [
    "client",
    "google",
    "google_host",
    "place",
    "postgresql_database",
    "postgresql_schema",
    "sqlite_place",
]


@pytest.fixture
def logged_in(google: Sandbox, tmp_path: Path, home: Path) -> Iterator[None]:
    """An account that is set up; whatever the test does, it is as it was, and still sends."""
    assert log_in(google, tmp_path).code == 0
    before = everything(home)
    yield
    assert everything(home) == before
    google.clear()
    assert send().code == 0
    assert len(google.messages) == 1


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def set_up(google: Sandbox, tmp_path: Path, store: MemoryStore, home: Path) -> Iterator[Sandbox]:
    """The same for the library: ``me@gmail.com``, its secrets in ``store``."""
    google_login.log_in(google, tmp_path, store)
    before = dict(store._secrets), (home / "config.toml").read_bytes()
    yield google
    assert (dict(store._secrets), (home / "config.toml").read_bytes()) == before
    google_login.send(store)
    assert len(google.messages) == 1
