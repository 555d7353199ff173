"""What becomes of each try, told to whoever wants to know: a record of ``logging`` each, and observers.

The records are on the logger ``oauth_mailer.attempts``, at the level INFO, with the fields of ``FIELDS``.
They hold no secret, no subject and no text; of the recipients only how many they are, unless
``show_recipients`` asks for more. Where nobody listens, a try costs a look at a clock more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from .errors import MailerError, Verdict
from .logs import Log
from .values import dataclass, field

if TYPE_CHECKING:
    from asyncio import Future

__all__ = ["FIELDS", "Observer", "Tried", "observe", "show_recipients"]

FIELDS = (
    *("event", "message_id", "account", "transport", "verdict", "code", "attempt"),
    *("bytes", "recipients", "refused", "duration", "to"),
)
"""The fields of a record: attributes of the ``LogRecord``, each documented in docs/monitoring.md."""

_log = Log("oauth_mailer.attempts")
_notes = Log(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One try by one route, and what became of it.

    ``attempt``: its number within the send, from 1; ``verdict`` and ``code``: as in an ``Attempt``, of one
    that was broken off too (``interrupted``); ``size``: octets of the finished message, 0 where it was not
    finished; ``addresses``: the recipients; ``refused``: how many of them were, while others were accepted;
    ``duration``: seconds.
    """

    message_id: str
    attempt: int
    account: str
    transport: str
    verdict: Verdict
    code: str
    size: int
    addresses: tuple[str, ...] = field(repr=False)
    refused: int
    duration: float

    def __str__(self) -> str:
        became = f"{self.verdict} ({self.code})" if self.code else self.verdict
        return (
            f"{self.message_id} by {self.account} ({self.transport}): {became};"
            f" {self.size} octets to {len(self.addresses)} in {self.duration:.3f} s"
        )


class Observer:
    """Is told of each send and try, in the thread that sends. Override what is wanted; the rest does nothing.

    What it raises is logged and changes nothing of what is sent.
    """

    def send_begins(self, message_id: str, carried: Mapping[str, str]) -> Any:
        """``carried``: what ``carry`` gave, if the message waited in an outbox. Gives what is ``begun``."""

    def send_ends(self, begun: Any, error: BaseException | None) -> None:
        """``begun``: what ``send_begins`` gave; ``error``: what the send raises."""

    def attempt_begins(self, account: str, transport: str) -> Any:
        """Before a try by one route. Gives what is ``begun``."""

    def attempt_ends(self, begun: Any, tried: Tried) -> None:
        """``begun``: what ``attempt_begins`` gave."""

    def carry(self) -> Mapping[str, str]:
        """What is to be kept with a message that is added to an outbox now, for the send; nothing private."""
        return {}


_observers: tuple[Observer, ...] = ()
_changing = threading.Lock()
_CARRIED: ContextVar[Mapping[str, str]] = ContextVar("_CARRIED")


def observe(observer: Observer) -> Callable[[], None]:
    """Tell this observer of all sends of this process from now on; gives what ends that."""
    global _observers  # noqa: PLW0603 - replaced as a whole, so that a send sees one or the other
    with _changing:
        _observers = (*_observers, observer)

    def end() -> None:
        global _observers  # noqa: PLW0603
        with _changing:
            _observers = tuple(one for one in _observers if one is not observer)

    return end


def carried() -> dict[str, str]:
    """What the observers want kept with a message that is added to an outbox."""
    kept: dict[str, str] = {}
    for observer in _observers:
        kept |= _told(_carry, observer) or {}
    return kept


def _carry(observer: Observer) -> dict[str, str]:
    given = {str(name): str(text) for name, text in observer.carry().items()}
    "".join((*given, *given.values())).encode()  # what cannot be written down is the observer's fault
    return given


def observed() -> bool:
    """Whether somebody would read what was carried."""
    return bool(_observers)


@contextmanager
def carrying(context: Mapping[str, str]) -> Iterator[None]:
    """What is sent in the block had this kept with it."""
    token = _CARRIED.set(context)
    try:
        yield
    finally:
        _CARRIED.reset(token)


class Sending:
    """One send, a context manager; within it, each try is one of ``attempt``."""

    __slots__ = ("_begun", "_count", "_message_id")

    def __init__(self, message_id: str) -> None:
        self._message_id = message_id
        self._count = 0
        self._begun: list[tuple[Observer, Any]] = []

    def attempt(self, account: str, transport: str) -> Trying:
        """The next try, a context manager; what is raised in it is what became of it."""
        self._count += 1
        return Trying(self._message_id, self._count, account, transport)

    def __enter__(self) -> Self:
        if _observers:
            kept = _CARRIED.get({})
            self._begun = [(one, _told(one.send_begins, self._message_id, kept)) for one in _observers]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for observer, begun in reversed(self._begun):
            _told(observer.send_ends, begun, error)


class Trying:
    """One try. Whoever makes it sets ``size``, ``addresses`` and ``refused`` as soon as they are known, and
    ``begun`` once something of the message may have been handed over."""

    __slots__ = (
        *("_attempt", "_account", "_began", "_begun", "_message_id", "_transport"),
        *("addresses", "begun", "refused", "size"),
    )

    def __init__(self, message_id: str, attempt: int, account: str, transport: str) -> None:
        self._message_id = message_id
        self._attempt = attempt
        self._account = account
        self._transport = transport
        self._begun: list[tuple[Observer, Any]] = []
        self.size = 0
        self.addresses: Collection[str] = ()
        self.refused = 0
        self.begun = False

    def watched(self, progress: Callable[[int, int], None]) -> Callable[[int, int], None]:
        """The same ``progress``, which says here too whether the message is on its way."""

        def told(done: int, total: int) -> None:
            self.begun = done > 0
            progress(done, total)

        return told

    def __enter__(self) -> Self:
        if _observers:
            given = self._account, self._transport
            self._begun = [(one, _told(one.attempt_begins, *given)) for one in _observers]
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._begun and not _log.hears_info:
            return
        verdict: Verdict = "sent"
        code = ""
        if isinstance(error, MailerError):
            verdict, code = error.verdict, error.code
        elif error is not None:
            verdict, code = ("unknown" if self.begun else "not_sent"), "interrupted"
        tried = Tried(
            message_id=self._message_id,
            attempt=self._attempt,
            account=self._account,
            transport=self._transport,
            verdict=verdict,
            code=code,
            size=self.size,
            addresses=tuple(self.addresses),
            refused=self.refused,
            duration=time.perf_counter() - self._began,
        )
        for observer, begun in reversed(self._begun):
            _told(observer.attempt_ends, begun, tried)
        if _log.hears_info:
            _log.info("%s", tried, extra=_fields(tried))


def show_recipients(how: Literal["count", "hash", "clear"], *, salt: bytes = b"") -> None:
    """What the records say of the recipients, in this process: ``count`` of them only, as from the start.

    ``hash``: besides, the field ``to`` has the beginning of a hash (HMAC-SHA-256) of each address, so that
    the same recipient can be followed; ``clear``: the addresses themselves. ``salt``: a secret of 16 octets
    at least, without which nobody can try addresses out; by default one of this process's own.
    """
    global _shown  # noqa: PLW0603 - a setting of the process
    _shown = {"count": None, "hash": _hashed(salt), "clear": list}[how]


def _hashed(salt: bytes) -> Callable[[Collection[str]], list[str]]:
    import hmac
    import os

    key = salt or os.urandom(32)

    def hashes(addresses: Collection[str]) -> list[str]:
        return [hmac.new(key, one.lower().encode(), "sha256").hexdigest()[:16] for one in addresses]

    return hashes


_shown: Callable[[Collection[str]], list[str]] | None = None


def _fields(tried: Tried) -> dict[str, object]:
    fields: dict[str, object] = {
        "event": "attempt",
        "message_id": tried.message_id,
        "account": tried.account,
        "transport": tried.transport,
        "verdict": tried.verdict,
        "code": tried.code,
        "attempt": tried.attempt,
        "bytes": tried.size,
        "recipients": len(tried.addresses),
        "refused": tried.refused,
        "duration": round(tried.duration, 6),
    }
    if _shown is not None:
        fields["to"] = _shown(tried.addresses)
    return fields


def tell_of_cancelled(message_id: str, work: Future[Any]) -> None:
    """Log what became of a send that nobody waits for any more."""
    if work.cancelled():
        return
    error = work.exception()
    verdict = error.verdict if isinstance(error, MailerError) else "unknown" if error else "sent"
    _notes.warning("%s: the task was cancelled while it was being sent; verdict: %s", message_id, verdict)


def _told(tell: Callable[..., Any], *values: object) -> Any:
    try:
        return tell(*values)
    except Exception:  # noqa: BLE001 - a fault of the caller's changes nothing of what is sent
        _notes.exception("an observer of the sends failed")
        return None
