"""Files that only their owner may read, each changed by one process at a time and replaced as a whole."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["held", "locked", "read", "replace"]

_T = TypeVar("_T")

LOCK_TIMEOUT = 10.0
"""Seconds to wait for another process that changes the same file: a change takes milliseconds."""


@contextmanager
def locked(path: Path, *, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
    """Hold the lock of this file against other threads and processes; its folder is made if need be.

    ``timeout``: seconds. Raises ``OSError``, which ``TimeoutError`` is one of.
    """
    from filelock import FileLock

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(path.with_name(f"{path.name}.lock"), timeout=timeout, mode=0o600):
        yield


@contextmanager
def held(path: Path | str, timeout: float) -> Iterator[None]:
    """Hold this file itself, which is made if its folder is there, against other processes.

    As ``locked``, without what its library costs where a program starts, sends one mail and ends.
    ``timeout``: seconds. Raises ``OSError``, which ``TimeoutError`` is one of.
    """
    end, process = time.monotonic() + timeout, os.getpid()
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        while not _taken(handle):
            if time.monotonic() > end:
                raise TimeoutError
            time.sleep(0.02)
        try:
            yield
        finally:
            if os.getpid() == process:  # a forked child shares the lock, which is its parent's to let go of
                _let_go(handle)
    finally:
        os.close(handle)


if sys.platform == "win32":
    import msvcrt

    def _taken(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _let_go(handle: int) -> None:
        os.lseek(handle, 0, os.SEEK_SET)  # where it was taken
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _taken(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _let_go(handle: int) -> None:
        # Closing is not enough: a child that was forked off meanwhile has the file open too.
        fcntl.flock(handle, fcntl.LOCK_UN)


def replace(path: Path, content: bytes) -> None:
    """Write the file so that, whatever happens, either the old content or the new is there whole.

    On POSIX systems its mode is 0600 from birth. Raises ``OSError``; the old file is then untouched.
    """
    import tempfile  # with all that it brings, which no send needs
    from pathlib import Path

    # A link (a configuration kept with dotfiles) stays a link: its target is replaced.
    path = Path(os.path.realpath(path))
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _patiently(lambda: Path(name).replace(path))
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    if os.name == "posix":  # elsewhere a folder cannot be opened; there the rename is journalled
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read(path: Path | str) -> bytes:
    """The whole content, the old or the new, while others replace the file. Raises ``OSError``."""
    return _patiently(lambda: _content(path))


def _content(path: Path | str) -> bytes:
    with io.FileIO(path) as file:
        return file.readall()


def _patiently(work: Callable[[], _T]) -> _T:
    # Windows refuses while somebody else, a virus scanner too, has the file open: for moments only.
    for _left in range(50 if sys.platform == "win32" else 0):
        with suppress(PermissionError):
            return work()
        time.sleep(0.02)
    return work()
