"""Real workers of Celery, in processes of their own, and what they say."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .celery_app import VARIABLE
from .server_log import PATIENCE, ServerLog

__all__ = ["CeleryWorker", "celery_worker"]

_QUICK = ("--loglevel", "INFO", "--without-gossip", "--without-mingle", "--without-heartbeat")
_ROOT = Path(__file__).parent.parent.parent


class CeleryWorker:
    """One such worker. ``log``: what it and its children say."""

    def __init__(self, pool: str, *options: str, **settings: object) -> None:
        app = f"{__package__}.celery_app"
        self.log = ServerLog(
            [sys.executable, "-m", "celery", "-A", app, "worker", "--pool", pool, *_QUICK, *options],
            cwd=_ROOT,
            env={**os.environ, VARIABLE: json.dumps(settings), "PYTHONUNBUFFERED": "1"},
        )

    def ready(self) -> None:
        self.log.wait_for(r" ready\.$")

    def told(self, state: str, number: int) -> None:
        """Until it has told this of this entry."""
        self.log.wait_for(rf"EVENT {state} {number}$")

    def events(self) -> Iterator[tuple[str, int]]:
        """All that it has told until now."""
        for line in self.log.lines:
            if found := re.search(r"EVENT (\w+) (\d+)$", line):
                yield found[1], int(found[2])

    def terminate(self) -> None:
        """Ask it to end, as systemd does."""
        self.log.program.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Until it has ended; its exit code."""
        return self.log.program.wait(PATIENCE)

    def kill(self) -> None:
        """SIGKILL for it and all its children."""
        with suppress(ProcessLookupError):
            os.killpg(self.log.program.pid, signal.SIGKILL)
        self.log.stop()


@contextmanager
def celery_worker(pool: str, *options: str, **settings: object) -> Iterator[CeleryWorker]:
    """A worker that takes tasks, and does not outlive the block."""
    worker = CeleryWorker(pool, *options, **settings)
    try:
        worker.ready()
        yield worker
    finally:
        worker.kill()
