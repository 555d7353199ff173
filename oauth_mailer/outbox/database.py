"""The database of the outbox: SQLite or PostgreSQL, one code path.

What is committed is on disk: SQLite syncs its log at each commit, PostgreSQL too unless its administrator
chose otherwise, which is overruled here.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    create_engine,
    event,
    func,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from ..errors import ConfigError
from ..i18n import _
from .clock import Clock
from .schema import prepare
from .trouble import outbox_error

__all__ = ["Database", "told"]

_WAIT = 30.0  # seconds for a lock that another process holds


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
        self.url = _parsed(url, home)
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
                engine = _engine(self.url)
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


@contextmanager
def told(database: Database) -> Iterator[None]:
    """The border to SQLAlchemy: its errors become ours, without the statement and its values."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, UnicodeDecodeError, OSError) as error:
        raise outbox_error(error, database.shown) from error


def _parsed(url: str, home: Path) -> URL:
    if not url:
        return URL.create("sqlite", database=str(home / "outbox.db"))
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, ValueError) as error:
        raise _wrong_url() from error
    if backend == "postgresql":
        if "@" in f"{parsed.host}{parsed.database}":  # what follows the first one may be of the password
            raise _wrong_url(_("Write %40 for each @ in the password."))
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise _wrong_url()
    if not re.fullmatch(r"\d+(\.\d+)?", str(parsed.query.get("timeout", "0"))) or {*parsed.query} - {
        "timeout"
    }:
        raise _wrong_url(_("After the file, only ?timeout=SECONDS is known."))
    return parsed


def _wrong_url(hint: str = "") -> ConfigError:
    return ConfigError(
        _("OAUTH_MAILER_OUTBOX_URL names no database that the outbox can be kept in."),
        code="outbox-url",
        hint=hint or _("Write sqlite:////folder/outbox.db or postgresql://user@host/database."),
    )


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        _make_private(Path(url.database or ""))
        wait = float(str(url.query.get("timeout", _WAIT)))
        engine = create_engine(url, connect_args={"timeout": wait}, hide_parameters=True, pool_timeout=_WAIT)
        event.listen(engine, "connect", partial(_prepare_sqlite, wait=wait))
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        engine = create_engine(
            url,
            hide_parameters=True,
            pool_pre_ping=True,
            pool_timeout=_WAIT,
            # A pooler in between (PgBouncer) may give the next transaction another session of the server's.
            connect_args={"prepare_threshold": None},
            # Whoever waited for the row of an account must then see what was counted meanwhile.
            isolation_level="READ COMMITTED",
        )
    except (ImportError, NoSuchModuleError) as error:
        raise ConfigError(
            _("Keeping the outbox in PostgreSQL needs a driver that is not installed."),
            code="extra-missing",
            hint=_("Run: pip install 'oauth-mailer[postgresql]'"),
        ) from error
    event.listen(engine, "connect", _prepare_postgresql)
    return engine


def _make_private(path: Path) -> None:
    """Make the file so that only its owner may read it; SQLite gives its logs the same mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _prepare_sqlite(connection: Any, _record: object, *, wait: float) -> None:
    try:
        _set_up_sqlite(connection, wait)
    except BaseException:
        connection.close()
        raise


def _set_up_sqlite(connection: Any, wait: float) -> None:
    connection.isolation_level = None  # transactions begin where we say
    cursor = connection.cursor()
    _keep_a_log(cursor, time.monotonic() + wait)
    for pragma in (
        "synchronous = FULL",  # a commit is on disk when it returns
        "fullfsync = ON",  # on macOS, past the cache of the drive too
        "checkpoint_fullfsync = ON",
        "foreign_keys = ON",
        "secure_delete = ON",  # what is purged is gone
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _keep_a_log(cursor: Any, end: float) -> None:
    """Where two programs make the file at one moment, SQLite does not wait for the lock that this takes."""
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # The lock is taken at once: a transaction that first reads and then has to wait would fail instead.
    reads = connection.get_execution_options().get("reads_only")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _prepare_postgresql(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false) "
            "WHERE current_setting('synchronous_commit') = 'off'"
        )
        # A program that stands still in a transaction has the locks that all others need.
        cursor.execute(
            "SELECT set_config('idle_in_transaction_session_timeout', '60s', false) "
            "WHERE current_setting('idle_in_transaction_session_timeout') = '0'"
        )
    connection.commit()
