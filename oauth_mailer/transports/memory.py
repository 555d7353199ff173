"""Keeps messages in memory: for the tests of programs that send mail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from ..accounts import Account
from ..auth import Credential
from ..errors import SendError
from ..message import Envelope
from ..mime import Content
from ..values import dataclass
from . import Acceptance

__all__ = ["Delivery", "MemoryTransport"]


def open(account: Account, credential: Callable[[], Credential], timeout: float) -> MemoryTransport:  # noqa: A001
    """The transport of an account with ``transport = "memory"``."""
    return MemoryTransport()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as it was accepted: its envelope and its octets, CRLF line ends and all."""

    envelope: Envelope
    data: bytes


class MemoryTransport:
    """Accepts every message and keeps it in ``sent``.

    ``script``: what becomes of the messages in turn: an error to raise, or None to accept; once it has run
    out, all are accepted. An ``OutcomeUnknown`` in it is raised after the message was kept, since the point
    of that verdict is that the message may have arrived.
    """

    name = "memory"

    def __init__(self, script: Iterable[SendError | None] = ()) -> None:
        self.sent: list[Delivery] = []
        self._script = iter(tuple(script))
        self._lock = threading.Lock()

    def send(self, envelope: Envelope, content: Content) -> Acceptance:
        """Send; see ``Transport.send``."""
        delivery = Delivery(envelope, b"".join(content.blocks()))
        with self._lock:
            failure = next(self._script, None)
            if failure is None or failure.verdict == "unknown":
                self.sent.append(delivery)
            if failure is not None:
                raise failure
            return Acceptance(remote_id=f"memory-{len(self.sent)}")

    def close(self) -> None:
        """Nothing is held open."""
