"""What the sandbox accepted, and how often it was asked."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

__all__ = ["Inbox", "Received"]

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


class Inbox:
    """Messages and counts; for use from several threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._messages: list[Received] = []
        self._counts: Counter[str] = Counter()

    def add(self, message: Received) -> None:
        """Keep a message that was accepted."""
        with self._changed:
            self._messages.append(message)
            self._counts[f"{message.route}.accepted"] += 1
            self._changed.notify_all()

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
        """Forget messages and counts."""
        with self._changed:
            self._messages.clear()
            self._counts.clear()
