"""The two databases of an outbox, and how they can be made to stand still in the midst of a transaction.

What stops them is in the database itself: a trigger that does not come to its end.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from .outbox_processes import until

HISTORY = "oauth_mailer_history"
ENTRIES = "oauth_mailer_entries"
USES = "oauth_mailer_uses"


class Halt(Protocol):
    """A place where a transaction stands still."""

    def wait(self) -> None:
        """Until a transaction is there."""

    def go_on(self) -> None:
        """Let it go on, if there is anybody left; nobody stops there any more."""


class SqliteDatabase:
    """A file that is made already. ``url``: None, as the outbox's own default."""

    kind = "sqlite"
    at_commit = False  # nothing can stop it there but the operating system
    url: str | None = None

    def __init__(self, home: Path) -> None:
        self._path = home / "outbox.db"

    @contextmanager
    def halt(self, table: str, when: str, *, at_commit: bool = False) -> Iterator[Halt]:
        """Whoever inserts such a row (``when``: of NEW) stands still after it."""
        assert not at_commit
        with closing(self._connect(60)) as connection:
            connection.execute(
                "CREATE VIEW endless AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
                "SELECT max(x) AS x FROM n"
            )
            connection.execute(
                f"CREATE TRIGGER halt AFTER INSERT ON {table} WHEN {when} BEGIN SELECT x FROM endless; END"
            )
            yield _SqliteHalt(self, connection)

    @contextmanager
    def hold(self, _table: str) -> Iterator[None]:
        """Nobody else writes to this table meanwhile."""
        with closing(self._connect(60)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def locked(self) -> bool:
        """Whether somebody holds the lock, for longer than most steps take that come to their end."""
        with closing(self._connect(0.3)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            connection.execute("ROLLBACK")
        return False

    def close(self) -> None:
        """Nothing is open."""

    def _connect(self, timeout: float) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=timeout, isolation_level=None)


class _SqliteHalt:
    def __init__(self, database: SqliteDatabase, connection: sqlite3.Connection) -> None:
        self._database = database
        self._connection = connection

    def wait(self) -> None:
        locked = self._database.locked
        until(lambda: locked() and locked(), "a transaction that stands still")

    def go_on(self) -> None:
        self._connection.execute("DROP TRIGGER halt")  # the dead one's lock is gone with it
        self._connection.execute("DROP VIEW endless")


class PostgresqlDatabase:
    """An empty database of a server of the tests' own."""

    kind = "postgresql"
    at_commit = True

    def __init__(self, url: str) -> None:
        self.url = url
        self._looks: Any = None

    @contextmanager
    def halt(self, table: str, when: str, *, at_commit: bool = False) -> Iterator[Halt]:
        """As above; with ``at_commit``, in the midst of the commit after it."""
        with closing(self._connect()) as connection:
            connection.execute("SELECT pg_advisory_lock(1)")
            connection.execute(
                "CREATE FUNCTION halt() RETURNS trigger LANGUAGE plpgsql AS "
                "'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END'"
            )
            kind, deferred = ("CONSTRAINT ", "DEFERRABLE INITIALLY DEFERRED ") if at_commit else ("", "")
            connection.execute(
                f"CREATE {kind}TRIGGER halt AFTER INSERT ON {table} {deferred}"
                f"FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION halt()"
            )
            yield _PostgresqlHalt(self, connection, table)

    @contextmanager
    def hold(self, table: str, mode: str = "EXCLUSIVE") -> Iterator[None]:
        """As above; with the mode ``ACCESS EXCLUSIVE``, nobody reads it either."""
        with closing(self._connect()) as connection:
            connection.execute("BEGIN")
            connection.execute(f"LOCK TABLE {table} IN {mode} MODE")
            yield
            connection.execute("ROLLBACK")

    def locked(self) -> bool:
        """Whether somebody waits for a lock."""
        return self.waiting() > 0

    def waiting(self) -> int:
        """How many wait for a lock."""
        if self._looks is None:
            self._looks = self._connect()
        found = self._looks.execute("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted").fetchone()
        return int(found[0])

    def close(self) -> None:
        if self._looks is not None:
            self._looks.close()

    def _connect(self) -> Any:
        import psycopg

        return psycopg.connect(self.url, autocommit=True)


class _PostgresqlHalt:
    def __init__(self, database: PostgresqlDatabase, connection: Any, table: str) -> None:
        self._database = database
        self._connection = connection
        self._table = table

    def wait(self) -> None:
        until(self._database.locked, "a transaction that stands still")

    def go_on(self) -> None:
        self._connection.execute("SELECT pg_advisory_unlock(1)")
        self._connection.execute(f"DROP TRIGGER halt ON {self._table}")  # waits for who is there
        self._connection.execute("DROP FUNCTION halt()")


OutboxDatabase = SqliteDatabase | PostgresqlDatabase
