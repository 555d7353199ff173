"""Looking at the outbox: what is in it, and what happened there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select

from ..errors import OutboxError
from .entry import Entry, Record, Stats
from .rows import SHOWN, entry_of, found, moment
from .schema import ENTRIES, HISTORY, LANES, QUEUED
from .states import State

__all__ = ["Which", "by_key", "find", "history", "stats"]

_CHUNK = 200


def by_key(connection: Connection, key: str) -> Entry | None:
    """The entry with this key, if there is one."""
    row = connection.execute(select(*SHOWN).where(ENTRIES.c.key == key)).one_or_none()
    return None if row is None else entry_of(row._mapping)


class Which(NamedTuple):
    """Those in one of these ``states``, of this ``account``, whose key begins so; empty: whichever."""

    states: Collection[State] = ()
    account: str = ""
    key_prefix: str = ""


def find(
    reading: Callable[[], AbstractContextManager[Connection]],
    which: Which | None = None,
    after: int = 0,
    newest: int = 0,
    on_damaged: Callable[[int, OutboxError], None] | None = None,
) -> Iterator[Entry]:
    """Entries in the order of their numbers, those above ``after``; read a few at a time.

    ``reading``: begins a transaction, one for each few: whoever looks at them may take their time;
    ``newest``: only so many, those with the highest numbers; 0 for all; ``on_damaged``: told of one that
    cannot be read.
    """
    few, many = _wanted(which or Which())
    if newest:
        last = select(ENTRIES.c.id).where(ENTRIES.c.id > after, *few)
        first = last.order_by(ENTRIES.c.id.desc()).offset(newest - 1).limit(1)
        with reading() as connection:
            number = connection.execute(first).scalar_one_or_none()
        after = after if number is None else number - 1
    wanted = few
    while True:
        query = select(*SHOWN).where(ENTRIES.c.id > after, *wanted).order_by(ENTRIES.c.id).limit(_CHUNK)
        with reading() as connection:
            rows = connection.execute(query).all()
        for row in rows:
            try:
                entry = entry_of(row._mapping)
            except OutboxError as error:
                if on_damaged is None:
                    raise
                on_damaged(row.id, error)
            else:
                yield entry
        if len(rows) < _CHUNK:
            return
        after, wanted = rows[-1].id, many


def _wanted(which: Which) -> tuple[list[ColumnElement[bool]], list[ColumnElement[bool]]]:
    """The same condition twice: found at once where few match, and where many do.

    By the index of the states, all that match would be sorted anew for each portion; without it, the table is
    read through once.
    """
    whose = [func.lower(ENTRIES.c.account) == which.account.lower()] if which.account else []
    whose += _begins(which.key_prefix)
    if not which.states:
        return whose, whose
    names = [state.value for state in which.states]
    return [ENTRIES.c.state.in_(names), *whose], [ENTRIES.c.state.concat("").in_(names), *whose]


def _begins(key_prefix: str) -> list[ColumnElement[bool]]:
    """A range, which the index of the keys serves."""
    return [ENTRIES.c.key >= key_prefix, ENTRIES.c.key < key_prefix + "\U0010ffff"] if key_prefix else []


def history(connection: Connection, number: int) -> tuple[Record, ...]:
    """All that happened to this entry, in order. Raises ``OutboxError`` where there is none."""
    began = Record(at=moment(found(connection, number).created), state=State.QUEUED)
    rows = connection.execute(select(HISTORY).where(HISTORY.c.entry == number).order_by(HISTORY.c.id))
    return (
        began,
        *(
            Record(
                at=moment(row.at),
                state=State(row.state),
                worker=row.worker,
                account=row.account,
                transport=row.transport,
                verdict=row.verdict,
                code=row.code,
                text=row.text,
            )
            for row in rows
        ),
    )


def stats(connection: Connection, now: float, key_prefix: str = "") -> Stats:
    """The outbox at a glance."""
    counted = select(ENTRIES.c.state, func.count()).where(*_begins(key_prefix)).group_by(ENTRIES.c.state)
    counts = {State(state): count for state, count in connection.execute(counted)}
    due = select(func.count(), func.min(ENTRIES.c.due)).where(QUEUED, ENTRIES.c.due <= now)
    ready, oldest = connection.execute(due).one()
    following = select(func.min(ENTRIES.c.due)).where(QUEUED, ENTRIES.c.due > now)
    next_due = connection.execute(following).scalar_one_or_none()
    held = connection.execute(select(LANES).where(LANES.c.paused != "")).all()
    waiting = (
        select(ENTRIES.c.account, func.count().label("messages")).where(QUEUED).group_by(ENTRIES.c.account)
    )
    return Stats(
        counts={state: counts.get(state, 0) for state in State},
        due=ready,
        oldest=None if oldest is None else moment(oldest),
        next_due=None if next_due is None else moment(next_due),
        paused={row.account: row.paused for row in held},
        hints={row.account: row.hint for row in held},
        waiting={row.account: row.messages for row in connection.execute(waiting)},
    )
