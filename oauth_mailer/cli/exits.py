"""How a command ends: the exit code (BSD's sysexits) and the status word of each error, in one table."""

from __future__ import annotations

from typing import Any

from ..errors import (
    ConfigError,
    MailerError,
    MessageError,
    OutboxError,
    OutcomeUnknown,
    RejectedError,
    RouteError,
    StoreError,
    TransientError,
)

__all__ = [
    "OK",
    "USAGE",
    "Fault",
    "InputMissing",
    "Interrupted",
    "Terminated",
    "UsageError",
    "exit_code",
    "failure",
    "status",
]

OK, USAGE = 0, 64


class UsageError(MailerError):
    """The command line cannot be understood. Nothing was done."""


class InputMissing(MailerError):
    """A file that the command line names cannot be read. Nothing was done."""


class Interrupted(MailerError):
    """A person pressed Ctrl-C before anything was handed over."""


class Terminated(MailerError):
    """The system asked the program to end (SIGTERM) before anything was handed over."""


class Fault(MailerError):
    """The program itself is wrong."""


# The first class that fits says the exit code and the status.
_TABLE: tuple[tuple[type[MailerError], int, str], ...] = (
    (UsageError, USAGE, "refused"),
    (MessageError, 65, "refused"),
    (InputMissing, 66, "refused"),
    (RejectedError, 69, "rejected"),
    (TransientError, 75, "not_sent"),
    (OutboxError, 75, "not_sent"),
    (OutcomeUnknown, 76, "unknown"),
    (RouteError, 77, "not_sent"),  # LoginRequired too
    (StoreError, 78, "not_sent"),
    (ConfigError, 78, "refused"),
    (Interrupted, 130, "not_sent"),  # 128 + SIGINT, as shells have it
    (Terminated, 143, "not_sent"),  # 128 + SIGTERM
    (MailerError, 70, "not_sent"),
)

# What is wrong with the outbox passes with time; these do not.
_OF_CODE = {
    "outbox-key-conflict": (65, "refused"),
    "outbox-move": (USAGE, "refused"),
    "outbox-newer": (78, "refused"),
    "outbox-no-entry": (USAGE, "refused"),
    "outbox-sent": (USAGE, "refused"),
}


def exit_code(error: MailerError) -> int:
    """The exit code for this error."""
    return _row(error)[0]


def status(error: MailerError) -> str:
    """The word for scripts: ``rejected``, ``not_sent``, ``unknown`` or ``refused`` (before any attempt)."""
    return _row(error)[1]


def _row(error: MailerError) -> tuple[int, str]:
    if error.code in _OF_CODE:
        return _OF_CODE[error.code]
    return next((code, word) for kind, code, word in _TABLE if isinstance(error, kind))


def failure(error: MailerError) -> dict[str, Any]:
    """What ``--json`` prints of a command that failed."""
    told: dict[str, Any] = {
        "type": type(error).__name__,
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
    }
    if error.retry_after is not None:
        told["retry_after"] = error.retry_after  # seconds
    return {"status": status(error), "error": told}
