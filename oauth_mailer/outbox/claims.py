"""Claims: who is sending what, and what became of it.

A claim is committed before an octet of the message leaves. Its fencing token is the number of the attempt: a
result counts for the entry only while no later attempt has begun.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from ..errors import OutboxError
from ..i18n import _
from . import pacing
from .entry import Entry
from .rows import PRIORITIES, SHOWN, entry, entry_of, note, put
from .schema import ENTRIES, LANES, QUEUED, SCHEMA, SENDING, check_version
from .statements import Statement
from .states import Cause, State, moved

__all__ = ["Claim", "Suspect", "claim", "expire", "ready", "renew", "suspects", "turn_back"]

_log = logging.getLogger(__name__)

_PROBE = 60.0
"""Seconds in which nobody else tries an account that did not work the last time."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An entry that is this worker's to send, once. ``attempt`` is the fencing token; ``counted``: whether it
    counts towards limits of the account."""

    entry: Entry
    attempt: int
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Suspect:
    """A claim of another worker: ``beat`` changes for as long as that worker lives."""

    id: int
    attempt: int
    worker: str
    beat: int
    span: float
    lapsed: bool


def claim(
    connection: Connection,
    accounts: Sequence[str],
    worker: str,
    now: float,
    *,
    lease: float,
    number: int | None = None,
    expired: list[Entry] | None = None,
) -> tuple[Claim | None, float | None]:
    """Take the next entry that may be sent by one of these accounts; else when there may be one, if ever.

    ``lease``: seconds without a sign of life after which the worker is given up; ``number``: only this entry;
    ``expired``: gets the entries that are found to have expired, and are rejected here.
    """
    check_version(connection)
    soonest = math.inf
    for account in accounts:
        lane = pacing.lane(connection, account)
        if lane is None:  # nothing was ever added for it
            continue
        limits = pacing.limits(connection, account)
        ready = pacing.ready_at(connection, lane, limits, now)
        if ready > now:
            if _next_due(connection, account) < math.inf:
                soonest = min(soonest, ready)
            continue
        while (row := _next(connection, account, now, number)) is not None:
            if _damaged(connection, row, now):
                continue
            if not _expired(connection, row, now):
                break
            if expired is not None:
                expired.append(entry(connection, row.id))
        if row is None:
            soonest = min(soonest, _next_due(connection, account))
            continue
        if lane.failures or lane.paused:
            pacing.hold_up(connection, account, now + _PROBE)
        return _taken(connection, row, worker, now, lease=lease, counted=bool(limits)), None
    return None, None if math.isinf(soonest) else soonest


_WAITING = QUEUED & (ENTRIES.c.account == bindparam("account"))
# One priority at a time: so the index leads to the very row, however many are not due yet.
_OF_PRIORITY = _WAITING & (ENTRIES.c.priority == bindparam("priority"))
_NEXT = Statement(
    select(*SHOWN)
    .where(_OF_PRIORITY, ENTRIES.c.due <= bindparam("now"))
    .order_by(ENTRIES.c.due, ENTRIES.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_THIS = Statement(
    select(*SHOWN)
    .where(_WAITING, ENTRIES.c.id == bindparam("number"), ENTRIES.c.due <= bindparam("now"))
    .with_for_update(skip_locked=True)
)
_FIRST_DUE = Statement(select(ENTRIES.c.due).where(_OF_PRIORITY).order_by(ENTRIES.c.due).limit(1))
_PRIORITIES = range(len(PRIORITIES))


def _next(connection: Connection, account: str, now: float, number: int | None) -> Any:
    """The next entry of this account that is due, locked; what another worker has is passed over."""
    given = {"account": account, "now": now}
    if number is not None:
        return _THIS.run(connection, {**given, "number": number}).one_or_none()
    found = (_NEXT.run(connection, {**given, "priority": one}).one_or_none() for one in _PRIORITIES)
    return next((row for row in found if row is not None), None)


def ready(connection: Connection, accounts: Sequence[str], now: float, limit: int) -> tuple[int, ...]:
    """The numbers of the entries that could be claimed now, an entry of each account in turn."""
    check_version(connection)
    found = []
    for lane in connection.execute(select(LANES).where(LANES.c.account.in_(accounts))).all():
        room = min(limit, pacing.room(connection, lane, now))
        due = (
            select(ENTRIES.c.id)
            .where(QUEUED, ENTRIES.c.account == lane.account, ENTRIES.c.due <= now)
            .order_by(ENTRIES.c.priority, ENTRIES.c.due, ENTRIES.c.id)
            .limit(room)
        )
        found.append(connection.execute(due).scalars().all() if room else [])
    in_turn = chain.from_iterable(zip_longest(*found))
    return tuple(number for number in in_turn if number is not None)[:limit]


def _next_due(connection: Connection, account: str) -> float:
    given = ({"account": account, "priority": one} for one in _PRIORITIES)
    found = (_FIRST_DUE.run(connection, one).scalar_one_or_none() for one in given)
    return min((due for due in found if due is not None), default=math.inf)


def _taken(
    connection: Connection, row: Any, worker: str, now: float, *, lease: float, counted: bool
) -> Claim:
    values = {
        "state": moved(State.QUEUED, Cause.CLAIM, row.id),
        "attempts": row.attempts + 1,
        "worker": worker,
        "beat": 0,
        "lease": now + lease,
        "span": lease,
        "changed": now,
    }
    put(connection, row.id, values)
    if counted:
        pacing.note_use(connection, row.account, row.id, row.attempts + 1, now)
    note(connection, row.id, now, State.SENDING, worker=worker, account=row.account)
    return Claim(entry_of({**row._mapping, **values}), row.attempts + 1, counted)


def _damaged(connection: Connection, row: Any, now: float) -> bool:
    """Whether the row cannot be read: it is rejected then, and holds up none of those behind it."""
    try:
        entry_of(row._mapping)
    except OutboxError as error:
        state = moved(State.QUEUED, Cause.REJECTED, row.id)
        put(connection, row.id, {"state": state, "code": error.code, "text": error.message, "changed": now})
        note(connection, row.id, now, state, code=error.code, text=error.message)
        _log.error("entry %s cannot be read, and is not sent: %s", row.id, error.message)
        return True
    return False


def _expired(connection: Connection, row: Any, now: float) -> bool:
    if row.expires is None or row.expires > now:
        return False
    said = _("It was not sent in the time in which it was worth sending.")
    state = moved(State.QUEUED, Cause.EXPIRED, row.id)
    put(connection, row.id, {"state": state, "code": "expired", "text": said, "changed": now})
    note(connection, row.id, now, state, code="expired", text=said)
    return True


def expire(connection: Connection, now: float) -> list[Entry]:
    """Reject what was not sent in time, also where its account waits."""
    found = (
        select(*SHOWN).where(QUEUED, ENTRIES.c.expires <= now).limit(500).with_for_update(skip_locked=True)
    )
    return [
        entry(connection, row.id)
        for row in connection.execute(found).all()
        if not _damaged(connection, row, now) and _expired(connection, row, now)
    ]


def renew(
    connection: Connection, claims: Sequence[tuple[int, int]], worker: str, now: float
) -> set[tuple[int, int]]:
    """Give a sign of life for these entries and attempts; those that are still this worker's."""
    return {
        (number, attempt)
        for number, attempt in claims
        if connection.execute(
            update(ENTRIES)
            .where(
                ENTRIES.c.id == number,
                ENTRIES.c.attempts == attempt,
                ENTRIES.c.worker == worker,
                SENDING,
            )
            .values(beat=ENTRIES.c.beat + 1, lease=now + ENTRIES.c.span)
        ).rowcount
    }


def suspects(connection: Connection, now: float) -> list[Suspect]:
    """All that is on its way, by whichever worker; ``lapsed`` by the clock, which alone proves nothing."""
    rows = connection.execute(
        select(
            ENTRIES.c.id,
            ENTRIES.c.attempts,
            ENTRIES.c.worker,
            ENTRIES.c.beat,
            ENTRIES.c.span,
            ENTRIES.c.lease,
        ).where(SENDING)
    )
    return [
        # A lease that ends later than one can is from before the clock was set back.
        Suspect(row.id, row.attempts, row.worker, row.beat, row.span, not now <= row.lease <= now + row.span)
        for row in rows
    ]


def senders(connection: Connection) -> set[str]:
    """The workers that have claims; those that are being committed at this moment are waited for."""
    connection.execute(select(LANES.c.account).order_by(LANES.c.account).with_for_update()).all()
    return set(connection.execute(select(ENTRIES.c.worker).where(SENDING)).scalars())


def turn_back(connection: Connection, now: float) -> bool:
    """After the clock was set back: what waits by our own decision waits no longer for that."""
    check_version(connection)
    seen = connection.execute(select(SCHEMA.c.seen).with_for_update()).scalar_one()
    if seen - now <= _PROBE:
        if now - seen > _PROBE:
            connection.execute(update(SCHEMA).values(seen=now))
        return False
    back = seen - now
    ours = (ENTRIES.c.not_before.is_(None)) | (ENTRIES.c.due != ENTRIES.c.not_before)
    connection.execute(
        update(ENTRIES).where(QUEUED, ENTRIES.c.due > now, ours).values(due=ENTRIES.c.due - back)
    )
    pacing.turn_back(connection, now, back)
    connection.execute(update(SCHEMA).values(seen=now))
    return True
