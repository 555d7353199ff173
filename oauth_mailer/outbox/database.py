"""The database of the outbox: SQLite or PostgreSQL, one code path.

What is committed is on disk: SQLite syncs its log at each commit, PostgreSQL too unless its administrator
chose otherwise, which is overruled here.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from .clock import Clock
from .connecting import engine_of, parsed
from .schema import prepare
from .trouble import outbox_error

__all__ = ["Database", "told"]


class Database:
    """Connections to the outbox, made when first needed and never shared with a forked child.

    Those that are idle are closed before a fork: SQLite knows the locks of its process by heart, so a child
    would take its parent's for its own, and what it commits could be lost. Those in use it cannot close: do
    not fork while another thread has a transaction open.

    ``url``: ``sqlite:///FILE`` or ``postgresql://USER@HOST/NAME``; empty for ``outbox.db`` in ``home``. How
    many seconds are waited for the lock of a file may stand there as ``?timeout=SECONDS``. Raises
    ``ConfigError`` for any other.
    """

    def __init__(self, url: str, home: Path) -> None:
        self.url = parsed(url, home)
        self.kind = self.url.get_backend_name()
        # Read before a transaction, never within: the server's takes a connection of its own, of which there
        # may be none while others wait here with one each.
        self.clock = Clock(self._server_time, every=30.0) if self.kind == "postgresql" else Clock()
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._process = 0
        _all_databases().add(self)

    def __repr__(self) -> str:
        return f"Database({self.shown})"

    @property
    def shown(self) -> str:
        """Where it is, without anything secret: a password may stand behind the question mark too."""
        if self.kind == "sqlite":
            return str(self.url.database)
        return self.url.set(drivername=self.kind, query={}).render_as_string()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that writes; what is raised in the block rolls it back and stays as it is.

        Raises ``OutboxError`` where it cannot begin or be committed.
        """
        with told(self):
            connection = self._ready().connect()
        with connection:
            with told(self):
                transaction = connection.begin()
            with transaction:
                yield connection
                with told(self):
                    transaction.commit()

    @contextmanager
    def writing(self, connection: Connection | None = None) -> Iterator[Connection]:
        """A transaction that writes, all of whose errors are ours.

        ``connection``: one of a caller, whose transaction it then is. Raises ``OutboxError``.
        """
        if connection is None:
            with told(self), self.begin() as own:
                yield own
            return
        with told(self):
            if self._engine is None:
                prepare(connection)
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads. Raises ``OutboxError``."""
        with told(self), self._ready().connect() as connection:
            yield connection.execution_options(reads_only=True)

    def close(self) -> None:
        """Close what is open; the database may be used again afterwards."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose(close=self._process == os.getpid())
            self._engine = None

    def before_fork(self) -> None:
        """Nothing is opened until ``after_fork``, in the parent or in the child."""
        self._lock.acquire()
        if self._engine is not None and self.kind == "sqlite":
            self._engine.dispose(close=self._process == os.getpid())

    def after_fork(self) -> None:
        """In the parent and in the child."""
        self._lock.release()

    def _ready(self) -> Engine:
        with self._lock:
            if self._engine is None or self._process != os.getpid():
                if self._engine is not None:
                    self._engine.dispose(close=False)  # the parent's connections are the parent's to close
                engine = engine_of(self.url)
                try:
                    with engine.begin() as connection:
                        prepare(connection)
                except BaseException:
                    engine.dispose()
                    raise
                self._engine, self._process = engine, os.getpid()
            return self._engine

    def _server_time(self) -> float:
        with self.reading() as connection:
            moment: Any = connection.execute(
                select(func.extract("epoch", func.clock_timestamp()))
            ).scalar_one()
        return float(moment)


@cache
def _all_databases() -> weakref.WeakSet[Database]:
    databases: weakref.WeakSet[Database] = weakref.WeakSet()
    held: list[Database] = []

    def before() -> None:
        for database in list(databases):
            database.before_fork()
            held.append(database)

    def after() -> None:
        while held:
            held.pop().after_fork()

    if hasattr(os, "register_at_fork"):  # where there is no fork, nothing is to be done
        os.register_at_fork(before=before, after_in_parent=after, after_in_child=after)
    return databases


class told:  # noqa: N801 - said as a word: with told(database)
    """The border to SQLAlchemy: its errors become ours, without the statement and its values."""

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> None:
        """Nothing is done yet."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, (SQLAlchemyError, sqlite3.Error, UnicodeDecodeError, OSError)):
            raise outbox_error(error, self._database.shown) from error
