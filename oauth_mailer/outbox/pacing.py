"""When an account may send next: limits by time span, failures in a row, and what waits for a person.

All of it stands in the database, so that it holds across all workers. Who relies on an account's row holds
its lock.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, func, insert, select, update

from .schema import ENTRIES, LANES, LIMITS, QUEUED, USAGE
from .statements import Statement

__all__ = [
    "LANE_LONGEST",
    "conflict_free",
    "counted_for",
    "entry_pause",
    "failed",
    "forget_uses",
    "give_back",
    "got_through",
    "hold_up",
    "lane",
    "limits",
    "note_use",
    "open_lane",
    "open_missing",
    "pause",
    "ready_at",
    "resume",
    "room",
    "set_limits",
]

_LONGEST = 3600.0
"""Seconds between two tries of a message, or two looks at a paused account, at most."""

LANE_LONGEST = 300.0
"""Seconds between two tries by an account that does not get through, at most."""

_MANY = 1_000_000


def entry_pause(attempts: int, retry_after: float | None) -> float:
    """Seconds until a message that was begun so often is tried again: full jitter over a doubling time.

    ``retry_after``: not before so many seconds.
    """
    spread = random.uniform(0, min(_LONGEST, 5.0 * 2.0 ** min(attempts, 20)))  # noqa: S311 - no secret
    return (retry_after or 0.0) + spread


def conflict_free(connection: Connection, table: Any) -> Any:
    """An insert that does nothing where the row is there, which both databases can do and SQL cannot."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table).on_conflict_do_nothing()
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table).on_conflict_do_nothing()


def open_lane(connection: Connection, account: str) -> None:
    """Make the row of this account, if there is none."""
    if _KNOWN.run(connection, {"account": account}).first() is None:
        connection.execute(conflict_free(connection, LANES), {"account": account})


def open_missing(connection: Connection) -> None:
    """Make the rows of all accounts that messages wait for and that have none."""
    missing = select(ENTRIES.c.account).where(QUEUED, ENTRIES.c.account.not_in(select(LANES.c.account)))
    for account in connection.execute(missing.distinct()).scalars().all():
        open_lane(connection, account)


def set_limits(connection: Connection, account: str, wanted: Mapping[int, int]) -> None:
    """So many messages at most, by the seconds of the span that this counts for."""
    if limits(connection, account) == dict(wanted):
        return
    connection.execute(delete(LIMITS).where(LIMITS.c.account == account))
    for seconds, messages in wanted.items():
        row = {"account": account, "seconds": seconds, "messages": messages}
        connection.execute(conflict_free(connection, LIMITS), row)


_KNOWN = Statement(select(LANES.c.account).where(LANES.c.account == bindparam("account")))
_LANE = Statement(select(LANES).where(LANES.c.account == bindparam("account")).with_for_update())
_LIMITS = Statement(
    select(LIMITS.c.seconds, LIMITS.c.messages).where(LIMITS.c.account == bindparam("account"))
)
_USE = Statement(insert(USAGE), columns=[one.name for one in USAGE.c])
_NTH_LAST = Statement(
    select(USAGE.c.at)
    .where(USAGE.c.account == bindparam("account"))
    .order_by(USAGE.c.at.desc())
    .offset(bindparam("before"))
    .limit(1)
)


def lane(connection: Connection, account: str) -> Any:
    """The row of this account, locked until the transaction ends."""
    return _LANE.run(connection, {"account": account}).one_or_none()


def limits(connection: Connection, account: str) -> dict[int, int]:
    """How many messages the account may send, by the seconds of the span that this counts for."""
    return {row.seconds: row.messages for row in _LIMITS.run(connection, {"account": account})}


def ready_at(connection: Connection, row: Any, limits: Mapping[int, int], now: float) -> float:
    """When the account of this row may send next; in the past if it may now."""
    ready = float(row.ready)
    for seconds, messages in limits.items():
        # The oldest of the last so many tries: when it leaves the span, there is room for one more.
        given = {"account": row.account, "before": messages - 1}
        oldest = _NTH_LAST.run(connection, given).scalar_one_or_none()
        if oldest is not None:
            # What stands in the future was written before the clock was set back: counted as of now.
            ready = max(ready, min(oldest, now) + seconds)
    return ready


def room(connection: Connection, row: Any, now: float) -> int:
    """How many messages the account of this row may begin now."""
    spans = limits(connection, row.account)
    if ready_at(connection, row, spans, now) > now:
        return 0
    if row.failures or row.paused:  # one that tries whether it works again
        return 1
    left = [_MANY]
    for seconds, messages in spans.items():
        used = select(func.count()).where(USAGE.c.account == row.account, USAGE.c.at > now - seconds)
        left.append(messages - connection.execute(used).scalar_one())
    return max(min(left), 0)


def note_use(connection: Connection, account: str, entry: int, attempt: int, now: float) -> None:
    """A try begins."""
    _USE.run(connection, {"account": account, "entry": entry, "attempt": attempt, "at": now})


def give_back(connection: Connection, entry: int, attempt: int) -> None:
    """It is certain that this try did not send anything."""
    connection.execute(delete(USAGE).where(USAGE.c.entry == entry, USAGE.c.attempt == attempt))


def counted_for(connection: Connection, account: str, entry: int, attempt: int, now: float) -> None:
    """It went out by this account, a fallback of the one it began with."""
    give_back(connection, entry, attempt)
    if limits(connection, account):
        note_use(connection, account, entry, attempt, now)


def forget_uses(connection: Connection, now: float) -> None:
    """Delete what no longer counts towards any limit."""
    longest = connection.execute(select(func.max(LIMITS.c.seconds))).scalar_one_or_none() or 0
    connection.execute(delete(USAGE).where(USAGE.c.at < now - longest))


def hold_up(connection: Connection, account: str, until: float) -> None:
    """Let nobody begin by this account before then."""
    connection.execute(update(LANES).where(LANES.c.account == account).values(ready=until))


def failed(
    connection: Connection,
    account: str,
    now: float,
    retry_after: float | None,
    longest: float = LANE_LONGEST,
) -> None:
    """A try did not get through: the next one waits, longer for each failure in a row.

    ``retry_after``: seconds, where the provider says that the account, not the message, has to wait;
    ``longest``: so many seconds at most, else.
    """
    row = lane(connection, account)
    failures = row.failures + 1
    spread = random.uniform(0, min(longest, 0.5 * 2.0 ** min(failures, 20)))  # noqa: S311 - no secret
    connection.execute(
        update(LANES)
        .where(LANES.c.account == account)
        .values(failures=failures, ready=now + max(spread, retry_after or 0.0))
    )


def pause(
    connection: Connection,
    account: str,
    *,
    why: str,
    hint: str,
    mark: str,
    now: float,
    retry_after: float | None,
) -> None:
    """Wait for a person. It is looked again each hour, in case they acted where nobody could see it."""
    connection.execute(
        update(LANES)
        .where(LANES.c.account == account)
        .values(paused=why, hint=hint, mark=mark, ready=now + max(_LONGEST, retry_after or 0.0))
    )


_GOT_THROUGH = Statement(
    update(LANES)
    .where(LANES.c.account == bindparam("through"), (LANES.c.failures > 0) | (LANES.c.paused != ""))
    .values(failures=0, paused="", hint="", mark="", ready=0.0)
)


def got_through(connection: Connection, account: str) -> None:
    """The account works."""
    _GOT_THROUGH.run(connection, {"through": account})


def resume(connection: Connection, account: str) -> None:
    """A person acted: try one message at once. What comes of it says how long the others wait."""
    one_try = case((LANES.c.failures > 0, LANES.c.failures), else_=1)
    connection.execute(
        update(LANES)
        .where(LANES.c.account == account, LANES.c.paused != "")
        .values(failures=one_try, paused="", hint="", mark="", ready=0.0)
    )


def turn_back(connection: Connection, now: float, back: float) -> None:
    """The clock was set back by so many seconds."""
    connection.execute(update(LANES).where(LANES.c.ready > now).values(ready=LANES.c.ready - back))
    connection.execute(update(USAGE).where(USAGE.c.at > now).values(at=USAGE.c.at - back))
