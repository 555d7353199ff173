"""The way to either database: how its address is read, and what each connection to it is told first."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from ..errors import ConfigError
from ..i18n import _

__all__ = ["engine_of", "parsed"]

_WAIT = 30.0  # seconds for a lock that another process holds


def parsed(url: str, home: Path) -> URL:
    """The address in its full form; of an empty one, ``outbox.db`` in ``home``. Raises ``ConfigError``."""
    if not url:
        return URL.create("sqlite", database=str(home / "outbox.db"))
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, ValueError) as error:
        raise _wrong_url() from error
    if backend in ("postgresql", "postgres"):  # hosters and PostgreSQL's own programs write either
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


def engine_of(url: URL) -> Engine:
    """What makes connections there. A file is made if there is none. Raises ``ConfigError``, ``OSError``."""
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
            connect_args={"prepare_threshold": None, **_verified(url)},
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


def _verified(url: URL) -> dict[str, str]:
    """What makes libpq verify a server elsewhere, unless the user named how: by itself it asks for nothing.

    PostgreSQL's documentation, 32.1.2 and 32.19: ``sslmode``, ``sslrootcert``, and where they are also said.
    """
    said = url.query.keys() | {name for name in ("sslmode", "service") if f"PG{name.upper()}" in os.environ}
    hosts = url.query.get("host") or url.host or os.environ.get("PGHOST", "")
    names = ",".join((hosts,) if isinstance(hosts, str) else hosts).split(",")
    if {"sslmode", "service"} & said or all(map(_is_here, names)):
        return {}
    folder = Path(os.environ.get("APPDATA", "")) / "postgresql" if os.name == "nt" else Path("~/.postgresql")
    own = folder.expanduser() / "root.crt"  # where libpq itself looks for one
    if "sslrootcert" in said or "PGSSLROOTCERT" in os.environ or own.exists():
        return {"sslmode": "verify-full"}
    return {"sslmode": "verify-full", "sslrootcert": os.environ.get("SSL_CERT_FILE") or "system"}


def _is_here(host: str) -> bool:
    """Whether it is this machine: a socket, or an address that leads nowhere else."""
    if not host or host.startswith(("/", "@")):
        return True
    if host.count(":") == 1:  # with its port
        host = host.partition(":")[0]
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


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
    driver: Any = connection.connection.driver_connection
    driver.execute("BEGIN" if reads else "BEGIN IMMEDIATE")


def _prepare_postgresql(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false) "
            "WHERE current_setting('synchronous_commit') = 'off'"
        )
        # A program that stands still in a transaction has the locks that all others need. A pooler, which
        # gives another number than the session's, would have it set for other programs too.
        cursor.execute(
            "SELECT set_config('idle_in_transaction_session_timeout', '60s', false) "
            "WHERE current_setting('idle_in_transaction_session_timeout') = '0' AND pg_backend_pid() = %s",
            (connection.info.backend_pid,),
        )
    connection.commit()
