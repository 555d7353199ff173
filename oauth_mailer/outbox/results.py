"""What became of a claim, written down: the entry, its history, its account's row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, select

from ..errors import Attempt
from ..i18n import _
from ..routes import Receipt
from . import pacing
from .claims import Claim, Suspect
from .entry import Entry
from .rows import entry, entry_of, locked, note, put
from .schema import ENTRIES, HISTORY, SENDING
from .states import Cause, State, moved

__all__ = ["Outcome", "lapse", "settle"]

_RESENDS = 3
"""How often what may have been sent is sent again where the user's policy is to do so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a claim.

    ``cause``: one of SENT, LATER, REJECTED, UNKNOWN; ``attempts``: what each route answered; ``pause``: how
    long the entry waits, in seconds; ``lane``: what that says of the account: it works (True), it did not get
    through (False), or nothing (None); ``lane_pause``: seconds that the account waits in any case, and
    ``lane_longest`` at most else;
    ``paused``: why the account waits for a person, with what they may do (``hint``) and what changes then
    (``mark``).
    """

    cause: Cause
    attempts: Sequence[Attempt] = ()
    receipt: Receipt | None = None
    code: str = ""
    text: str = ""
    pause: float = 0.0
    lane: bool | None = None
    lane_pause: float | None = None
    lane_longest: float = pacing.LANE_LONGEST
    paused: str = ""
    hint: str = ""
    mark: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)


def settle(
    connection: Connection,
    claimed: Claim,
    outcome: Outcome,
    worker: str,
    now: float,
    *,
    resends: bool = False,
) -> Entry:
    """Write down what became of a claim, also of one that was given up meanwhile; the entry as it is then.

    ``resends``: the user's policy for what may have been sent. Doing it twice changes nothing: the answer to
    the first commit may have been lost.
    """
    number, attempt = claimed.entry.id, claimed.attempt
    row = locked(connection, number)
    if row is None:  # purged, after somebody had cancelled it
        return claimed.entry
    if row.settled == attempt:
        return entry_of(row._mapping)
    current = row.attempts == attempt
    state = _state(row, outcome.cause, current=current)
    _note_attempts(connection, number, outcome, now, worker=worker, state=state)
    _count(connection, claimed, outcome, now)
    _note_lane(connection, claimed.entry.account, outcome, now)
    if not current and outcome.receipt is None:
        return entry_of(row._mapping)
    if current or state is not State(row.state):
        values = _settled(row, state, attempt, outcome, now)
    else:
        values = _sent(outcome)
    put(connection, number, values)
    if resends and state is State.UNKNOWN:
        resend(connection, number, now, now + outcome.pause, worker)
        return entry(connection, number)
    return entry_of({**row._mapping, **values})


def _state(row: Any, cause: Cause, *, current: bool) -> State:
    """Where the entry is now that an attempt, the ``current`` one or an earlier one, came to this."""
    state = State(row.state)
    if current:
        # An attempt that was given up turned out to have been sent: then nothing is left to be done.
        return moved(state, Cause.SENT if row.sent_as and row.only is None else cause, row.id)
    if cause is Cause.SENT and state is not State.SENDING and row.only is None:
        return moved(state, cause, row.id)
    return state


def _settled(row: Any, state: State, attempt: int, outcome: Outcome, now: float) -> dict[str, Any]:
    values: dict[str, Any] = {
        "state": state,
        "settled": max(row.settled, attempt),
        "changed": now,
        "worker": "",
        "code": outcome.code,
        "text": outcome.text.replace("\0", ""),
    }
    if state is State.SENT and outcome.cause is not Cause.SENT:
        values |= {"code": "", "text": ""}
    if state is State.QUEUED and row.state != State.QUEUED:  # what a person queued stays due as they said
        values["due"] = now + outcome.pause
    if outcome.refused:
        values["refused"] = _json(outcome.refused)
    return values | _sent(outcome)


def _sent(outcome: Outcome) -> dict[str, Any]:
    """By what it went out, and to whom not: those who were refused earlier may have it now."""
    if outcome.receipt is None:
        return {}
    return {
        "sent_as": outcome.receipt.account,
        "transport": outcome.receipt.transport,
        "remote_id": outcome.receipt.remote_id,
        "refused": _json(outcome.refused),
    }


def _json(refused: Mapping[str, str]) -> str:
    return json.dumps(dict(refused), ensure_ascii=False)


def _note_attempts(
    connection: Connection, number: int, outcome: Outcome, now: float, *, worker: str, state: State
) -> None:
    """A line for each route that was tried; the last one says where the entry is now."""
    for attempt in outcome.attempts or (None,):
        last = attempt is None or attempt is outcome.attempts[-1]
        note(
            connection,
            number,
            now,
            state if last else State.SENDING,
            worker=worker,
            account=attempt.account if attempt else "",
            transport=attempt.transport if attempt else "",
            verdict=attempt.verdict if attempt else "",
            code=attempt.code if attempt else outcome.code,
            text=attempt.text if attempt else outcome.text,
        )


def _count(connection: Connection, claimed: Claim, outcome: Outcome, now: float) -> None:
    number, attempt = claimed.entry.id, claimed.attempt
    if outcome.receipt is not None and outcome.receipt.account != claimed.entry.account:
        pacing.counted_for(connection, outcome.receipt.account, number, attempt, now)
    elif claimed.counted and outcome.cause in (Cause.LATER, Cause.REJECTED):
        pacing.give_back(connection, number, attempt)


def _note_lane(connection: Connection, account: str, outcome: Outcome, now: float) -> None:
    if outcome.paused:
        pacing.pause(
            connection,
            account,
            why=outcome.paused,
            hint=outcome.hint,
            mark=outcome.mark,
            now=now,
            retry_after=outcome.lane_pause,
        )
    elif outcome.lane is True:
        pacing.got_through(connection, account)
    elif outcome.lane is False:
        pacing.failed(connection, account, now, outcome.lane_pause, outcome.lane_longest)


def lapse(connection: Connection, suspect: Suspect, now: float, *, by: str, resends: bool) -> Entry | None:
    """Give this claim up, if it is still the same: what it sent is unknown. ``resends``: as above.

    ``by``: who does it; a worker that ends without waiting does it itself.
    """
    same = (
        select(ENTRIES.c.id)
        .where(
            ENTRIES.c.id == suspect.id,
            SENDING,
            ENTRIES.c.attempts == suspect.attempt,
            ENTRIES.c.worker == suspect.worker,
        )
        .with_for_update(skip_locked=True)
    )
    if by != suspect.worker:
        same = same.where(ENTRIES.c.beat == suspect.beat)
    if connection.execute(same).one_or_none() is None:
        return None
    if by == suspect.worker:
        code, said = "interrupted", _("Stopped while it was being sent.")
    else:
        code = "worker-lost"
        said = _(
            "The worker {worker} ended or stalled while it was sending: the message may have been sent."
        ).format(worker=suspect.worker)
    state = moved(State.SENDING, Cause.UNKNOWN, suspect.id)
    put(
        connection,
        suspect.id,
        {"state": state, "code": code, "text": said, "changed": now, "worker": ""},
    )
    note(connection, suspect.id, now, state, worker=by, verdict="unknown", code=code, text=said)
    if resends:
        resend(connection, suspect.id, now, now, by)
    return entry(connection, suspect.id)


def resend(connection: Connection, number: int, now: float, due: float, by: str) -> None:
    """Queue what may have been sent, because the user said so; not for ever: each time may deliver it."""
    before = select(func.count()).where(HISTORY.c.entry == number, HISTORY.c.code == "resend-policy")
    if connection.execute(before).scalar_one() >= _RESENDS:
        return
    state = moved(State.UNKNOWN, Cause.RETRY, number)
    put(connection, number, {"state": state, "due": due, "not_before": None, "changed": now})
    note(connection, number, now, state, worker=by, code="resend-policy")
