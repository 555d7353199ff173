"""What a message in the outbox may be, and every way from one state to another: the only such table.

    queued ─claim─► sending ─► sent | rejected | unknown
       ▲               │
       └────later──────┘

A worker that died or stalled leaves its message *unknown*: only a person, or a policy that the user named,
lets that be sent again. Whatever the worker says later is taken as the truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from ..errors import OutboxError
from ..i18n import _

__all__ = ["FINAL", "MOVES", "Cause", "State", "moved"]


class State(StrEnum):
    """Where a message of the outbox is."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"


class Cause(StrEnum):
    """What moves a message."""

    CLAIM = "claim"  # a worker takes it: recorded before any octet leaves
    SENT = "sent"  # the provider took charge of it
    LATER = "later"  # it is certain that it was not sent, and it may be tried again
    REJECTED = "rejected"  # it was refused for good, or cannot be sent as it is
    UNKNOWN = "unknown"  # it may have been sent
    EXPIRED = "expired"  # it was not sent in the time that it was worth sending
    CANCEL = "cancel"  # a person no longer wants it sent
    RETRY = "retry"  # a person, or a policy that the user named, wants it tried again


FINAL = frozenset({State.SENT, State.REJECTED, State.UNKNOWN, State.CANCELLED})
"""Where a message stays unless a person moves it, or a late result arrives."""

MOVES: Mapping[tuple[State, Cause], State] = {
    (State.QUEUED, Cause.CLAIM): State.SENDING,
    (State.QUEUED, Cause.EXPIRED): State.REJECTED,
    (State.QUEUED, Cause.CANCEL): State.CANCELLED,
    (State.QUEUED, Cause.RETRY): State.QUEUED,  # now, in place of later
    (State.SENDING, Cause.SENT): State.SENT,
    (State.SENDING, Cause.LATER): State.QUEUED,
    (State.SENDING, Cause.REJECTED): State.REJECTED,
    (State.SENDING, Cause.UNKNOWN): State.UNKNOWN,
    # A person decides.
    (State.UNKNOWN, Cause.RETRY): State.QUEUED,
    (State.UNKNOWN, Cause.CANCEL): State.CANCELLED,
    (State.REJECTED, Cause.RETRY): State.QUEUED,
    (State.CANCELLED, Cause.RETRY): State.QUEUED,
    (State.SENT, Cause.RETRY): State.QUEUED,  # to the recipients who were refused, if there are any
    # The result of a worker that was given up already.
    (State.UNKNOWN, Cause.SENT): State.SENT,
    (State.UNKNOWN, Cause.LATER): State.QUEUED,
    (State.UNKNOWN, Cause.REJECTED): State.REJECTED,
    (State.UNKNOWN, Cause.UNKNOWN): State.UNKNOWN,
    (State.QUEUED, Cause.SENT): State.SENT,
    (State.QUEUED, Cause.LATER): State.QUEUED,
    (State.QUEUED, Cause.REJECTED): State.REJECTED,
    (State.QUEUED, Cause.UNKNOWN): State.UNKNOWN,
    (State.CANCELLED, Cause.SENT): State.SENT,
    (State.CANCELLED, Cause.LATER): State.CANCELLED,
    (State.CANCELLED, Cause.REJECTED): State.CANCELLED,
    (State.CANCELLED, Cause.UNKNOWN): State.CANCELLED,
    (State.REJECTED, Cause.SENT): State.SENT,  # it expired after a person had queued it again
    (State.REJECTED, Cause.LATER): State.REJECTED,
    (State.REJECTED, Cause.REJECTED): State.REJECTED,
    (State.REJECTED, Cause.UNKNOWN): State.UNKNOWN,
    # The same, where another attempt turned out to have been sent.
    (State.SENT, Cause.SENT): State.SENT,
    (State.SENT, Cause.LATER): State.SENT,
    (State.SENT, Cause.REJECTED): State.SENT,
    (State.SENT, Cause.UNKNOWN): State.SENT,
}


def moved(state: State, cause: Cause, entry: int) -> State:
    """The state that this leads to. Raises ``OutboxError`` for a move that there is not."""
    try:
        return MOVES[state, cause]
    except KeyError:
        pass
    if cause is Cause.RETRY:
        message = _("Message {id} of the outbox cannot be tried again: {reason}.")
    elif cause is Cause.CANCEL:
        message = _("Message {id} of the outbox cannot be cancelled: {reason}.")
    else:
        message = _("Message {id} of the outbox cannot be moved: {reason}.")
    raise OutboxError(
        message.format(id=entry, reason=_standing(state)),
        code="outbox-move",
        hint=_("Run: oauth-mailer outbox show {id}").format(id=entry),
    )


def _standing(state: State) -> str:
    return {
        State.QUEUED: _("it is queued"),
        State.SENDING: _("it is being sent"),
        State.SENT: _("it is sent"),
        State.REJECTED: _("it is rejected"),
        State.UNKNOWN: _("it may have been sent"),
        State.CANCELLED: _("it is cancelled"),
    }[state]
