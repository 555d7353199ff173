"""Entries of the outbox: adding them, what is kept of them, and what a person does with them."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from ..errors import OutboxError
from ..i18n import _
from ..message import Priority
from .entry import Entry
from .letter import Letter
from .pacing import open_lane
from .parts import delete_with_parts, keep_parts, parts_of
from .rows import PRIORITIES, entry_of, found, moment, note, put
from .schema import ENTRIES, SCHEMA, VERSION, check_version
from .statements import Statement
from .states import Cause, State, moved

__all__ = ["New", "add", "change", "letter", "purge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """A message to be added. Times in seconds since 1970."""

    letter: Letter
    account: str
    fallback: Sequence[str] | None
    key: str | None
    message_id: str
    subject: str
    recipients: Sequence[str]
    priority: Priority
    not_before: float | None
    expires: float | None

    @property
    def fingerprint(self) -> str:
        """Of everything that makes it another message than one with the same key."""
        return f"{self.account.lower()} {self.letter.fingerprint}"

    def entry(self, number: int, now: float, due: float) -> Entry:
        """What it is once it was added then, by this number."""
        return Entry(
            id=number,
            state=State.QUEUED,
            account=self.account,
            message_id=self.message_id,
            subject=self.subject,
            recipients=tuple(self.recipients),
            size=self.letter.size,
            created=moment(now),
            due=moment(due),
            key=self.key,
            fallback=None if self.fallback is None else tuple(self.fallback),
            priority=self.priority,
            expires=None if self.expires is None else moment(self.expires),
            changed=moment(now),
        )


def add(connection: Connection, new: New, now: float, *, lane_known: bool = False) -> tuple[Entry, bool]:
    """Add it; the entry, and whether it is a new one: the same key and content give the one that is there.

    ``lane_known``: whether the row of its account is certainly there. Raises ``OutboxError`` where the key
    stands for another content.
    """
    due = max(now, new.not_before or 0.0)
    row = {
        "key": new.key,
        "fingerprint": new.fingerprint,
        "account": new.account,
        "fallback": None if new.fallback is None else _json(list(new.fallback)),
        "state": State.QUEUED.value,
        "priority": PRIORITIES.index(new.priority),
        "message_id": new.message_id,
        "subject": new.subject,
        "recipients": _json(list(new.recipients)),
        "only": None,
        "size": new.letter.size,
        "document": new.letter.document,
        "created": now,
        "due": due,
        "not_before": new.not_before,
        "expires": new.expires,
        "changed": now,
        **_FRESH,
    }
    if (number := _ADD.insert(connection, row)) is None:
        check_version(connection)
        return _same(connection, new), False
    keep_parts(connection, number, new.letter.parts)
    if not lane_known:
        open_lane(connection, new.account)
    return new.entry(number, now, due), True


def _same(connection: Connection, new: New) -> Entry:
    row = connection.execute(select(ENTRIES).where(ENTRIES.c.key == new.key)).one()
    if row.fingerprint != new.fingerprint:
        raise OutboxError(
            _("The key {key!r} stands for another message already: number {id}.").format(
                key=new.key, id=row.id
            ),
            code="outbox-key-conflict",
            hint=_("Give another key. To see the other: oauth-mailer outbox show {id}").format(id=row.id),
        )
    return entry_of(row._mapping)


def letter(connection: Connection, number: int) -> tuple[Letter, tuple[str, ...] | None]:
    """This entry's message as it is kept, and the recipients who are left, if not all are."""
    columns = (ENTRIES.c.document, ENTRIES.c.fingerprint, ENTRIES.c.only)
    found = connection.execute(select(*columns).where(ENTRIES.c.id == number)).one()
    only = None if found.only is None else tuple(json.loads(found.only))
    said = found.fingerprint.rpartition(" ")[2]
    return Letter(bytes(found.document), parts_of(connection, number), said), only


def change(
    connection: Connection, number: int, cause: Cause, now: float, *, who: str = "", code: str = ""
) -> Entry:
    """Move this entry as a person, or a policy of theirs, wants it.

    Raises ``OutboxError`` where there is no such entry or no such way from where it is.
    """
    check_version(connection)
    row = found(connection, number, lock=True)
    before = entry_of(row._mapping)
    state = moved(before.state, cause, number)
    values: dict[str, Any] = {"state": state, "changed": now, "code": code, "text": "", "worker": ""}
    if cause is Cause.RETRY:
        values |= {"due": now, "not_before": None}
        if before.state is State.SENT:
            if not before.refused:
                raise OutboxError(
                    _("Message {id} was sent to everybody already.").format(id=number),
                    code="outbox-sent",
                    hint=_("To send it once more, add it as a new message."),
                )
            values |= {"only": _json(list(before.refused)), "refused": "{}"}
        if row.expires is not None and row.expires <= now:
            values["expires"] = None
    put(connection, number, values)
    note(connection, number, now, state, worker=who, code=code)
    return entry_of({**row._mapping, **values})


def purge(connection: Connection, states: Collection[State], before: float, limit: int = 500) -> int:
    """Delete at most so many entries in one of these states since before then; how many they were."""
    if not states or not set(states) <= {State.SENT, State.REJECTED, State.UNKNOWN, State.CANCELLED}:
        raise ValueError("only what is settled can be purged")
    check_version(connection)
    old = (
        select(ENTRIES.c.id)
        .where(ENTRIES.c.state.in_([state.value for state in states]), ENTRIES.c.changed < before)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    numbers = [row.id for row in connection.execute(old)]
    if numbers:
        return delete_with_parts(connection, numbers)
    return 0


_ENCODER = json.JSONEncoder(ensure_ascii=False)


def _json(value: object) -> str:
    return _ENCODER.encode(value)


_FRESH = {
    "attempts": 0,
    "settled": 0,
    "worker": "",
    "beat": 0,
    "lease": 0.0,
    "span": 0.0,
    "sent_as": "",
    "transport": "",
    "remote_id": "",
    "code": "",
    "text": "",
    "refused": "{}",
}

_COLUMNS = [column for column in ENTRIES.c if column.name != "id"]
_GIVEN = (
    select(*(bindparam(column.name, type_=column.type) for column in _COLUMNS))
    # Another program may have brought the tables up to date meanwhile: then nothing is added.
    .select_from(SCHEMA)
    .where(SCHEMA.c.version.between(1, VERSION))
)
_NAMES = [column.name for column in _COLUMNS]
_ADD = Statement(
    sqlite.insert(ENTRIES).from_select(_NAMES, _GIVEN).on_conflict_do_nothing(),
    postgresql=(
        postgresql.insert(ENTRIES)
        .from_select(_NAMES, _GIVEN)
        .on_conflict_do_nothing()
        .returning(ENTRIES.c.id)
    ),
)
