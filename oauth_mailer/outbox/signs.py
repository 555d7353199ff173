"""Signs of life of the workers.

A worker holds the lock of a file of its own for as long as it lives; the system lets go of it when the
process ends, in whichever way. So on the same machine a death is seen at once, whatever the clocks say. A
worker elsewhere, or one that stalls, is watched: it renews a number in the database, and one that does not do
so for as long as a lease lasts is given up.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import secrets
import time
from collections.abc import Hashable, Iterable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from .. import private_file

__all__ = ["Watch", "WorkerLock", "dead", "forget", "is_dead"]

_log = logging.getLogger(__name__)


class WorkerLock:
    """The lock of one worker, held until it is closed or its process ends.

    ``home``: the folder of the outbox. A folder that cannot be written costs only that others need a lease's
    time to see that this worker died.
    """

    def __init__(self, home: Path) -> None:
        self.name = f"{_machine()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._lock: FileLock | None = None
        try:
            _folder(home).mkdir(mode=0o700, parents=True, exist_ok=True)
            path = _path(home, self.name)
            lock = FileLock(path, timeout=1, mode=0o600, thread_local=False)
            lock.acquire()
            while not path.exists():  # who looks for the dead took the new file for one of theirs
                lock.release()
                lock.acquire()
            self._lock = lock
        except OSError as error:
            _log.debug("no lock for worker %s (%s)", self.name, type(error).__name__)

    def close(self, *, orderly: bool) -> None:
        """Let go. ``orderly``: nothing is left that others must find."""
        if self._lock is not None:
            path = Path(self._lock.lock_file)
            self._lock.release()
            if orderly:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            self._lock = None


def is_dead(worker: str, home: Path) -> bool:
    """Whether the worker of this name is certainly no more. False: it lives, or nobody here can tell."""
    path = _path(home, worker)
    if not worker.startswith(f"{_machine()}-"):
        return False
    with suppress(OSError):  # TimeoutError, and another user's folder, too
        if path.exists():
            # Not by FileLock, which may delete the file (before 4.0): others must find the dead one, too.
            with private_file.held(path, -1):
                return True
    return False


def dead(home: Path) -> set[str]:
    """The names of all of this machine's workers that are no more and have left a file."""
    names: list[str] = []
    with suppress(OSError):  # another user's folder
        names += (path.name.removesuffix(".lock") for path in _folder(home).glob(f"{_machine()}-*.lock"))
    return {name for name in names if is_dead(name, home)}


def forget(workers: Iterable[str], home: Path) -> None:
    """Delete the files of these workers, of whom nothing is left that others must find."""
    for worker in workers:
        path = _path(home, worker)
        with suppress(Timeout, OSError), FileLock(path, timeout=0, mode=0o600):
            if os.name == "posix":  # while it is held: so no new worker takes it for its own meanwhile
                path.unlink(missing_ok=True)
        if os.name != "posix":
            with suppress(OSError):
                path.unlink(missing_ok=True)


class Watch:
    """Finds what did not change for a time, by a clock that never jumps."""

    def __init__(self) -> None:
        self._seen: dict[Hashable, tuple[object, float]] = {}

    def stands_still(self, what: Hashable, value: object, span: float) -> bool:
        """Whether this value of it was the same each time that it was shown, for so many seconds."""
        now = time.monotonic()
        known = self._seen.get(what)
        if known is None or known[0] != value:
            self._seen[what] = (value, now)
            return False
        return now - known[1] >= span

    def keep(self, these: set[Hashable]) -> None:
        """Forget all others."""
        self._seen = {what: seen for what, seen in self._seen.items() if what in these}


def _machine() -> str:
    return re.sub(r"[^A-Za-z0-9.]", "_", platform.node())[:60] or "machine"


def _folder(home: Path) -> Path:
    return home / "workers"


def _path(home: Path, worker: str) -> Path:
    return _folder(home) / f"{worker}.lock"
