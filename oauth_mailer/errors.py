"""The errors, each of which carries its verdict.

                               sent?   next route   later   for good
MailerError                    no      no           no      no
 x MessageError (ValueError)   no      no           no      yes     the message cannot be sent as it is
 x ConfigError                 no      no           no      no      the configuration or a command is wrong
 x StoreError                  no      yes          no      no      a secret could not be read or kept
 x OutboxError                 no      no           no      no      an entry could not be kept or found
 x SendError
   + TransientError            no      yes          yes     no      the provider or the network says: later
   + RouteError                no      yes          no      no      this sender or account may not send
     - LoginRequired           no      yes          no      no      consent or an authorization code is needed
   + RejectedError             no      no           no      yes     the message or every recipient was refused
   + OutcomeUnknown            maybe   no           no      no      it may have been sent: a person decides

``retry_after`` is the earliest time to try again, in seconds from now, where somebody said one: also of a
login that may be refused for something that passes by itself.

Whoever decides what comes next (the mailer, the outbox, a caller) reads the attributes ``verdict``,
``try_next_route``, ``retry_later``, ``retry_after`` and ``for_good``, never the type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from .values import dataclass

__all__ = [
    "Attempt",
    "ConfigError",
    "LoginRequired",
    "MailerError",
    "MessageError",
    "OutboxError",
    "OutcomeUnknown",
    "RejectedError",
    "RouteError",
    "SendError",
    "StoreError",
    "TransientError",
    "Verdict",
]

Verdict = Literal["sent", "not_sent", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What became of one try by one route.

    ``code`` is a stable word for scripts (empty when sent); ``text`` is the provider's own reply,
    already made safe to print.
    """

    account: str
    transport: str
    verdict: Verdict
    code: str = ""
    text: str = ""


class MailerError(Exception):
    """Base of all errors of this package; prints as one readable line.

    ``message`` says what happened and why, ``hint`` the next thing to do (usually a command to type),
    ``code`` is a stable word for scripts, ``text`` the provider's own reply made safe to print.
    """

    verdict: ClassVar[Verdict] = "not_sent"
    try_next_route: ClassVar[bool] = False
    retry_later: ClassVar[bool] = False
    for_good: ClassVar[bool] = False
    retry_after: float | None = None

    def __init__(self, message: str, *, code: str, hint: str = "", text: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint
        self.text = text
        self.attempts: tuple[Attempt, ...] = ()

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()

    def __reduce__(self) -> tuple[Any, ...]:
        # The default would call the class without its keyword arguments; errors cross process borders.
        return _rebuild, (type(self), self.__dict__.copy())


def _rebuild(kind: type[MailerError], state: dict[str, Any]) -> MailerError:
    error = kind.__new__(kind, state["message"])
    error.__dict__.update(state)
    return error


class MessageError(MailerError, ValueError):
    """The message, an address or an attachment cannot be sent as it is. Nothing was sent."""

    for_good = True


class ConfigError(MailerError):
    """The configuration, a client file or an option is wrong. Nothing was sent."""


class StoreError(MailerError):
    """A secret could not be read from its store, or not be kept there. Nothing was sent."""

    try_next_route = True


class OutboxError(MailerError):
    """The outbox could not record or find an entry."""


class SendError(MailerError):
    """Base of the errors that a transport raises."""


class TransientError(SendError):
    """Not sent; the same message may go through later.

    ``retry_after``: the earliest time to try again, in seconds from now, or None where nobody said.
    """

    try_next_route = True
    retry_later = True

    def __init__(
        self, message: str, *, code: str, hint: str = "", text: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, code=code, hint=hint, text=text)
        self.retry_after = retry_after


class RouteError(SendError):
    """Not sent; this account or sender may not send it, another route may."""

    try_next_route = True


class LoginRequired(RouteError):
    """Not sent; the account needs consent, or a new authorization code."""


class RejectedError(SendError):
    """Not sent; the provider refused the message or every recipient, for good.

    ``refused``: the reason for each refused recipient, by address.
    """

    for_good = True

    def __init__(
        self,
        message: str,
        *,
        code: str,
        hint: str = "",
        text: str = "",
        refused: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint, text=text)
        self.refused = dict(refused or {})


class OutcomeUnknown(SendError):
    """The message may have been sent. Sending it again may deliver it twice: a person decides."""

    verdict = "unknown"
