"""What can be known of a message in the outbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ..message import Priority
from .states import State

__all__ = ["Entry", "Event", "Record", "Stats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A message in the outbox, as it was when it was looked at. Times are in UTC.

    ``id``: its number; ``key``: the idempotency key it was added with, or None; ``message_id``: its
    Message-ID; ``recipients``: whom it goes to; ``size``: octets that are kept of it; ``due``: when it may be
    tried next; ``attempts``: how often it was begun; ``code``, ``text``: why it is where it is, where that is
    no success; ``refused``: the reason for each recipient that was refused while others were accepted;
    ``account``, ``transport``, ``remote_id``: by what it was sent, once it was.
    """

    id: int
    state: State
    account: str
    message_id: str
    subject: str
    recipients: tuple[str, ...]
    size: int
    created: datetime
    due: datetime
    key: str | None = None
    fallback: tuple[str, ...] | None = None
    priority: Priority = "normal"
    expires: datetime | None = None
    attempts: int = 0
    worker: str = ""
    changed: datetime | None = None
    sent_as: str = ""
    transport: str = ""
    remote_id: str = ""
    code: str = ""
    text: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.id} {self.state} {self.message_id}" + (f" ({self.code})" if self.code else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line of an entry's history: where it went, when, and why.

    ``worker``: who did it; ``verdict``: ``sent``, ``not_sent`` or ``unknown`` of a try by one route, empty
    for other moves.
    """

    at: datetime
    state: State
    worker: str = ""
    account: str = ""
    transport: str = ""
    verdict: str = ""
    code: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """While the outbox runs, an entry was ``sent``, ``rejected``, ``unknown``, or ``queued`` for later."""

    state: State
    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """The outbox at a glance.

    ``counts``: entries by state; ``due``: how many may be tried now; ``oldest``: when the oldest of these
    became due; ``next_due``: when the next of the others does; ``paused``: why an account's messages wait for
    a person, by account; ``hints``: what that person may do; ``waiting``: how many are queued, by account.
    """

    counts: Mapping[State, int]
    due: int
    oldest: datetime | None
    next_due: datetime | None
    paused: Mapping[str, str]
    hints: Mapping[str, str] = field(default_factory=dict)
    waiting: Mapping[str, int] = field(default_factory=dict)
