"""What can be wrong with the database, as rows of data: SQLite's and PostgreSQL's errors become ours."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection

from ..errors import OutboxError
from ..i18n import N_, _, system_text

__all__ = ["outbox_error"]


@dataclass(frozen=True, slots=True)
class _Trouble:
    """``code``: for scripts; ``reason``: empty where the database has its own words; ``hint``: what to do."""

    code: str
    reason: str
    hint: str


_LOCKED = _Trouble(
    "outbox-locked",
    N_("another program holds its lock"),
    N_("Try again when the other program is done; an open sqlite3 shell may be one."),
)
_READ_ONLY = _Trouble(
    "outbox-readonly",
    N_("it cannot be written"),
    N_("Make the file and its folder writable, or set OAUTH_MAILER_OUTBOX_URL."),
)
_FULL = _Trouble(
    "outbox-full",
    N_("the disk is full"),
    N_("Make room on the disk, or set OAUTH_MAILER_OUTBOX_URL."),
)
_DISK = _Trouble(
    "outbox-disk",
    N_("the disk failed, or is full"),
    N_("Make room on the disk and look at the system's log, or set OAUTH_MAILER_OUTBOX_URL."),
)
_UNREADABLE = _Trouble(
    "outbox-unreadable",
    N_("the file cannot be opened"),
    N_("Check the path in OAUTH_MAILER_OUTBOX_URL or OAUTH_MAILER_HOME."),
)
_RECOVER = N_(
    "Stop all workers, move the file away, and save what can be read: sqlite3 FILE .recover | sqlite3 NEW"
)
_DAMAGED = _Trouble("outbox-corrupt", N_("the file is damaged"), _RECOVER)
_OTHER_FILE = _Trouble("outbox-corrupt", N_("the file is no SQLite database"), _RECOVER)
_SERVER = N_("Check that the database runs and lets you in: {url}")
_FAILED = _Trouble("outbox-failed", "", _SERVER)
_UNREACHABLE = _Trouble("outbox-unreachable", "", _SERVER)
_UNVERIFIED = _Trouble(
    "outbox-tls",
    "",
    N_(
        "Add the authority of its certificate: ?sslmode=verify-full&sslrootcert=FILE. "
        "Only in a network where nobody else can read or answer: ?sslmode=disable"
    ),
)
_BUSY_SERVER = _Trouble("outbox-server", "", _SERVER)

_SQLITE = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: _DISK,
    sqlite3.SQLITE_CANTOPEN: _UNREADABLE,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _OTHER_FILE,
}

_SYSTEM = {
    errno.EACCES: _READ_ONLY,
    errno.EPERM: _READ_ONLY,
    errno.EROFS: _READ_ONLY,
    errno.ENOSPC: _FULL,
    errno.EIO: _DISK,
}


def outbox_error(error: Exception, place: str) -> OutboxError:
    """Our error for this one of SQLAlchemy, of a driver or of the system, without statements and values.

    ``place``: where the outbox is, safe to print.
    """
    found: Any = error.orig if isinstance(error, DBAPIError) else error
    trouble, words = _found(found)
    if trouble is _UNREADABLE and Path(place).is_file() and not os.access(Path(place).parent, os.W_OK):
        trouble = _READ_ONLY  # SQLite keeps its log beside it
    return OutboxError(
        _("The outbox {place} failed: {reason}.").format(place=place, reason=_(trouble.reason) or words),
        code=trouble.code,
        hint=_(trouble.hint).format(url=place),
    )


def _found(found: Any) -> tuple[_Trouble, str]:
    """The row, and the database's own words: the first line, since PostgreSQL shows rows in the next one."""
    words = (str(found).splitlines() or [""])[0].rstrip(".") or type(found).__name__
    if isinstance(found, sqlite3.Error):
        if words.startswith("Could not decode"):  # a text that is none any more
            return _DAMAGED, words
        return _SQLITE.get((getattr(found, "sqlite_errorcode", None) or 0) & 0xFF, _FAILED), words
    if isinstance(found, UnicodeDecodeError):  # as SQLite quotes what it finds
        return _DAMAGED, words
    if isinstance(found, OSError):
        trouble = _SYSTEM.get(found.errno or 0, _UNREADABLE)
        return _Trouble(trouble.code, "", trouble.hint), system_text(found.strerror) or words
    if isinstance(found, NoConnection):
        return _LOCKED, words
    state = getattr(found, "sqlstate", None) or ""
    if state.startswith("53"):  # disk_full, out_of_memory, too_many_connections
        return _BUSY_SERVER, words
    if state == "25006":
        return _READ_ONLY, words
    if not state and re.search("does not support SSL|certificate|sslrootcert", words):
        return _UNVERIFIED, words
    return (_FAILED if state else _UNREACHABLE), words
