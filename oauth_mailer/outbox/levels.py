"""How full the outbox is, for gauges that are read every few seconds: what settled long ago costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, literal_column, select

from .rows import PRIORITIES
from .schema import ENTRIES, LANES, QUEUED
from .states import State

if TYPE_CHECKING:
    from .outbox import Outbox

__all__ = ["MOST", "OPEN", "Levels", "levels"]

OPEN = (State.QUEUED, State.SENDING, State.REJECTED, State.UNKNOWN)
"""The states of what is not done with: what was sent or cancelled is not counted."""

MOST = 100_000
"""Entries of a state that are counted at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """``entries``: how many are in each state of ``OPEN``, up to ``MOST``; ``late``: by account, for how many
    seconds the entry has been due that waits longest, 0 where none is; ``paused``: by account, why it waits
    for a person, empty where it does not; ``last_sent``: when one was sent last, in seconds since 1970."""

    entries: Mapping[State, int]
    late: Mapping[str, float]
    paused: Mapping[str, str]
    last_sent: float | None


def levels(outbox: Outbox) -> Levels:
    """The levels now; each is found by an index. Raises ``OutboxError``."""
    now = outbox._database.clock.now()
    with outbox._database.reading() as connection:
        lanes = connection.execute(select(LANES.c.account, LANES.c.paused)).all()
        return Levels(
            entries={state: _count(connection, state) for state in OPEN},
            late={lane.account: _late(connection, lane.account, now) for lane in lanes},
            paused={lane.account: lane.paused for lane in lanes},
            last_sent=connection.execute(_LAST_SENT).scalar_one_or_none(),
        )


def _count(connection: Connection, state: State) -> int:
    some = select(ENTRIES.c.id).where(ENTRIES.c.state == state.value).limit(MOST)
    found: int = connection.execute(select(func.count()).select_from(some.subquery())).scalar_one()
    return found


def _late(connection: Connection, account: str, now: float) -> float:
    # One priority at a time: so the index leads to the very row.
    waiting = select(ENTRIES.c.due).where(QUEUED, ENTRIES.c.account == account)
    found = [
        connection.execute(
            waiting.where(ENTRIES.c.priority == priority).order_by(ENTRIES.c.due).limit(1)
        ).scalar_one_or_none()
        for priority in range(_PRIORITIES)
    ]
    return max([now - due for due in found if due is not None and due <= now], default=0.0)


_PRIORITIES = len(PRIORITIES)
_LAST_SENT = (
    select(ENTRIES.c.changed)
    .where(ENTRIES.c.state == literal_column("'sent'"))
    .order_by(ENTRIES.c.changed.desc())
    .limit(1)
)
