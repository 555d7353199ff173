"""Rows of the outbox: how an entry is read, written and noted in its history."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from ..errors import MessageError, OutboxError
from ..i18n import _
from ..message import Priority
from .entry import Entry
from .letter import damaged
from .schema import ENTRIES, HISTORY
from .statements import Statement
from .states import State

__all__ = [
    "PRIORITIES",
    "SHOWN",
    "check",
    "end",
    "entry",
    "entry_of",
    "found",
    "locked",
    "moment",
    "note",
    "put",
    "seconds",
]

PRIORITIES: tuple[Priority, ...] = ("high", "normal", "low")

SHOWN = [column for column in ENTRIES.c if column.name not in ("document", "fingerprint")]
"""The columns that make an ``Entry``, and those that its moves depend on."""

_LAST_NUMBER = 2**63 - 1  # that a database takes for one

_LONGEST_KEY = 500
"""Characters: an index of PostgreSQL takes no more than 2,700 octets."""

# Made once: what is said many times a second is not put together anew each time.
_NOTE = Statement(insert(HISTORY), columns=[one.name for one in HISTORY.c if one.name != "id"])
_GET = select(*SHOWN).where(ENTRIES.c.id == bindparam("number"))
_GET_LOCKED = Statement(_GET.with_for_update())


@cache
def _change(columns: tuple[str, ...]) -> Statement:
    return Statement(update(ENTRIES).where(ENTRIES.c.id == bindparam("number")), columns=columns)


def entry(connection: Connection, number: int) -> Entry:
    """The entry of this number. Raises ``OutboxError`` where there is none."""
    return entry_of(found(connection, number)._mapping)


def put(connection: Connection, number: int, values: Mapping[str, Any]) -> None:
    """Write these columns of an entry."""
    _change(tuple(values)).run(connection, {"number": number, **values})


def found(connection: Connection, number: int, *, lock: bool = False) -> Any:
    """The row of this entry. Raises ``OutboxError`` where there is none."""
    row = None
    if 0 < number <= _LAST_NUMBER:
        row = (
            locked(connection, number) if lock else connection.execute(_GET, {"number": number}).one_or_none()
        )
    if row is None:
        raise OutboxError(
            _("There is no message {id} in the outbox.").format(id=number),
            code="outbox-no-entry",
            hint=_("Run: oauth-mailer outbox list"),
        )
    return row


def locked(connection: Connection, number: int) -> Any:
    """The row of this entry, locked until the transaction ends; None where there is none."""
    return _GET_LOCKED.run(connection, {"number": number}).one_or_none()


def entry_of(row: Mapping[Any, Any]) -> Entry:
    """The entry of this row. Raises ``OutboxError`` for what no version has written."""
    try:
        return _entry(row)
    except (ValueError, LookupError, TypeError) as error:
        raise damaged(error) from error


def _entry(row: Mapping[Any, Any]) -> Entry:
    return Entry(
        id=row["id"],
        state=State(row["state"]),
        account=row["account"],
        message_id=row["message_id"],
        subject=row["subject"],
        recipients=tuple(json.loads(row["only"] or row["recipients"])),
        size=row["size"],
        created=moment(row["created"]),
        due=moment(row["due"]),
        key=row["key"],
        fallback=None if row["fallback"] is None else tuple(json.loads(row["fallback"])),
        priority=PRIORITIES[row["priority"]],
        expires=None if row["expires"] is None else moment(row["expires"]),
        attempts=row["attempts"],
        worker=row["worker"],
        changed=moment(row["changed"]),
        sent_as=row["sent_as"],
        transport=row["transport"],
        remote_id=row["remote_id"],
        code=row["code"],
        text=row["text"],
        refused=json.loads(row["refused"]),
    )


def moment(seconds: float) -> datetime:
    """The time that is kept as seconds since 1970; as near to it as the calendar goes."""
    return _BEGIN + timedelta(seconds=min(max(seconds, _FIRST), _LAST))


_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = -62_135_596_800.0, 253_402_300_799.0


def seconds(moment: datetime) -> float:
    """The same the other way round. Raises ``MessageError`` for a time without a zone."""
    if moment.tzinfo is None:
        raise MessageError(
            _("The time {moment} has no time zone.").format(moment=moment),
            code="time-zone",
            hint=_("Give it one: datetime.now(UTC) + timedelta(hours=1), or moment.astimezone()."),
        )
    return moment.timestamp()


def end(expires: datetime | timedelta | None, begin: float) -> float | None:
    """The same for a time, or a span that begins then. Raises ``MessageError`` for a time without a zone."""
    if isinstance(expires, timedelta):
        return begin + expires.total_seconds()
    return None if expires is None else seconds(expires)


def check(key: str | None, priority: str | None = None) -> None:
    """Raise ``MessageError`` for a key that no database could keep, or a priority that there is not."""
    if key is not None and re.search("[\0\ud800-\udfff]", key):
        raise MessageError(
            _("The key {key!r} contains what is no character of a text.").format(key=key[:80]),
            code="key",
            hint=_("Make it of letters and digits."),
        )
    if key is not None and len(key) > _LONGEST_KEY:
        raise MessageError(
            _("The key {key!r} is longer than {most} characters.").format(
                key=key[:40] + "\u2026", most=_LONGEST_KEY
            ),
            code="key",
            hint=_("Make it of letters and digits."),
        )
    if priority not in (None, *PRIORITIES):
        raise MessageError(
            _("{value!r} is no priority.").format(value=priority),
            code="priority",
            hint=_("Use high, normal or low."),
        )


def note(
    connection: Connection,
    number: int,
    now: float,
    state: State,
    *,
    worker: str = "",
    account: str = "",
    transport: str = "",
    verdict: str = "",
    code: str = "",
    text: str = "",
) -> None:
    """Write a line into the history."""
    line = {
        "entry": number,
        "at": now,
        "state": state,
        "worker": worker,
        "account": account,
        "transport": transport,
        "verdict": verdict,
        "code": code,
        "text": text.replace("\0", ""),
    }
    _NOTE.run(connection, line)
