"""A private Redis, reached by a socket in a folder of its own: a broker that can fail and come back empty.

It knows nothing of the host's own, keeps nothing on disk, and ends by itself.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from . import require_program
from .server_log import ServerLog

__all__ = ["Redis", "redis"]

LIFE = 1800  # seconds after which the server ends, should nobody stop it
PACKAGE = "redis-server"


class Redis:
    """The server, which can be stopped and started. ``socket``: where it is."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "redis.sock"
        self._folder = folder
        self._program = require_program("redis-server", PACKAGE)
        self._log: ServerLog | None = None

    @property
    def url(self) -> str:
        """As Celery wants it."""
        return f"redis+socket://{self.socket}"

    def start(self) -> None:
        command = [self._program, "--port", "0", "--unixsocket", str(self.socket), "--save", ""]
        if (timeout := shutil.which("timeout")) is not None:
            command = [timeout, str(LIFE), *command]
        self._log = ServerLog(command, cwd=self._folder)
        self._log.wait_for("ready to accept connections")

    def stop(self) -> None:
        """End it, with all that was in it."""
        if self._log is not None:
            self._log.stop()
        self._log = None


@contextmanager
def redis() -> Iterator[Redis]:
    """Run it; a skip that says what to install where it is not there."""
    with ExitStack() as stack:
        # The path of a socket has at most 107 octets.
        parent = tempfile.gettempdir() if len(os.fsencode(tempfile.gettempdir())) <= 60 else "/tmp"
        folder = Path(tempfile.mkdtemp(prefix="om-redis-", dir=parent))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        server = Redis(folder)
        stack.callback(server.stop)
        server.start()
        yield server
