"""A private PostgreSQL, reached by a socket in a folder of its own: a real server that keeps what it says.

It knows nothing of the host's own clusters, syncs each commit to the disk as it does by default, and ends by
itself.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import require_program
from .server_log import PATIENCE, SYSTEM_PATH, ServerLog

__all__ = ["PostgreSQL", "postgresql"]

LIFE = 1800  # seconds after which the server ends, should nobody stop it
PACKAGE = "postgresql"
PORT = 5432  # part of the socket's name only
SUPERUSER = "postgres"
_CLUSTERS = "/usr/lib/postgresql"  # Debian keeps the programs of each version apart


@dataclass
class PostgreSQL:
    """The running server. ``folder``: where its socket is."""

    folder: Path
    log: ServerLog
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def url(self, name: str = SUPERUSER) -> str:
        """Where this database is."""
        return f"postgresql://{SUPERUSER}@/{name}?host={self.folder}&port={PORT}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of an empty database that is dropped afterwards, whoever still uses it."""
        name = f"test_{next(self._numbers)}"
        self._command(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            self._command(f"DROP DATABASE {name} WITH (FORCE)")

    def _command(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """Run it; a skip that says what to install where it is not there."""
    programs = _programs()
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="om-pg-", dir=_short_folder()))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        owner = _owner(folder)
        data = str(folder / "data")
        subprocess.run(
            # What is not synced here is of no test's interest.
            [programs["initdb"], "-D", data, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            capture_output=True,
            timeout=PATIENCE * 4,
            cwd=folder,
            env={**SYSTEM_PATH, "LC_ALL": "C"},
            **owner,
        )
        settings = {"listen_addresses": "", "unix_socket_directories": str(folder), "port": PORT}
        command = [programs["postgres"], "-D", data]
        command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        if (timeout := shutil.which("timeout")) is not None:
            command = [timeout, "--signal=INT", str(LIFE), *command]
        # SIGINT is its quick end: it does not wait until everybody has parted.
        log = ServerLog(command, end=signal.SIGINT, cwd=folder, **owner)
        stack.callback(log.stop)
        log.wait_for("ready to accept connections")
        yield PostgreSQL(folder, log)


def _programs() -> dict[str, str]:
    found = sorted(Path(_CLUSTERS).glob("*/bin"), key=lambda path: float(path.parent.name))
    path = os.pathsep.join(str(one) for one in reversed(found))
    return {name: require_program(name, PACKAGE, path) for name in ("initdb", "postgres")}


def _owner(folder: Path) -> dict[str, Any]:
    """It refuses to run as root: then it runs as the user that its package made."""
    if os.name != "posix" or os.geteuid() != 0:
        return {}
    shutil.chown(folder, SUPERUSER, SUPERUSER)
    return {"user": SUPERUSER, "group": SUPERUSER, "extra_groups": ()}


def _short_folder() -> str:
    """The path of a socket has at most 107 octets."""
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) <= 60 or os.name != "posix" else "/tmp"
