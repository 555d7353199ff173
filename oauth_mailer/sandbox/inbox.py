"""What the sandbox accepted, what it refused, and how often it was asked."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

__all__ = ["Event", "Inbox", "Received", "Server"]

Server = Literal["gmail", "token", "consent", "smtp"]

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_BCC = re.compile(rb"^bcc[ \t]*:.*(?:\r?\n[ \t].*)*\r?\n?", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One message that the sandbox took charge of.

    ``route``: by which way it came; ``account``: who was logged in; ``sender``: the envelope's (for Gmail:
    the account); ``recipients``: in the order given, each once; ``data``: the exact octets; ``at``: when, in
    UTC; ``id``: what the sender was told.
    """

    route: Literal["gmail", "smtp"]
    account: str
    sender: str
    recipients: tuple[str, ...]
    data: bytes = field(repr=False)
    at: datetime
    id: str

    @property
    def delivered(self) -> bytes:
        """The octets as recipients would see them: Gmail takes the Bcc header away, SMTP changes nothing."""
        if self.route == "smtp":
            return self.data
        end = _HEAD_END.search(self.data)
        head = self.data[: end.start() + 2] if end else self.data
        return _BCC.sub(b"", head) + self.data[len(head) :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that the sandbox accepted or refused.

    ``what``: the message, login, token, consent or command that it is about; ``text``: what was answered,
    empty where nothing was; ``step``: the step of the plan that did it, if one did; ``message``: what was
    accepted, where it is one; ``at``: when, in UTC.
    """

    server: Server
    what: str
    accepted: bool
    text: str = ""
    step: str = ""
    account: str = ""
    message: Received | None = None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Inbox:
    """Messages, events and counts; for use from several threads. ``watch`` is called with each event."""

    def __init__(self, watch: Callable[[Event], None] | None = None) -> None:
        self._changed = threading.Condition()
        self._messages: list[Received] = []
        self._events: list[Event] = []
        self._counts: Counter[str] = Counter()
        self._watch = watch
        self._listeners: list[Callable[[Event | None], None]] = []

    def listen(self, hear: Callable[[Event | None], None]) -> Callable[[], None]:
        """Have ``hear`` called with each event, and with None once all is forgotten; returns what ends it.

        It is called in the thread in which that happens.
        """
        with self._changed:
            self._listeners.append(hear)

        def end() -> None:
            with self._changed:
                self._listeners.remove(hear)

        return end

    def add(self, message: Received, *, text: str = "", step: str = "") -> None:
        """Keep a message that was accepted. ``text``: the answer; ``step``: of the plan, as in ``Event``."""
        with self._changed:
            self._messages.append(message)
            self._counts[f"{message.route}.accepted"] += 1
            self._changed.notify_all()
        self.note(
            Event(
                server=message.route,
                what="message",
                accepted=True,
                text=text,
                step=step,
                account=message.account,
                message=message,
                at=message.at,
            )
        )

    def note(self, event: Event) -> None:
        """Keep what was accepted or refused."""
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()
        self._tell(event)

    def count(self, event: str) -> None:
        """Note that something happened once more."""
        with self._changed:
            self._counts[event] += 1
            self._changed.notify_all()

    @property
    def messages(self) -> list[Received]:
        """What was accepted so far, oldest first."""
        with self._changed:
            return list(self._messages)

    @property
    def events(self) -> list[Event]:
        """What was accepted and refused so far, oldest first."""
        with self._changed:
            return list(self._events)

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each event happened so far; 0 for what never did."""
        with self._changed:
            return self._counts.copy()

    def wait_for(self, count: int, timeout: float) -> list[Received]:
        """The messages, as soon as there are so many. Raises ``TimeoutError`` after ``timeout`` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._messages) >= count, timeout):
                raise TimeoutError(f"{len(self._messages)} of {count} messages came within {timeout} s")
            return list(self._messages)

    def wait_for_event(self, event: str, count: int, timeout: float) -> None:
        """Wait until an event happened so often. Raises ``TimeoutError`` after ``timeout`` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._counts[event] >= count, timeout):
                raise TimeoutError(f"{event}: {self._counts[event]} of {count} within {timeout} s")

    def clear(self) -> None:
        """Forget messages, events and counts."""
        with self._changed:
            self._messages.clear()
            self._events.clear()
            self._counts.clear()
        self._tell(None)

    def _tell(self, event: Event | None) -> None:
        if self._watch is not None and event is not None:
            self._watch(event)
        with self._changed:
            listeners = list(self._listeners)
        for hear in listeners:
            hear(event)
