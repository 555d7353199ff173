"""What a check found."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from typing import Literal

from ..errors import MailerError
from ..i18n import _

__all__ = ["Finding", "State", "failed", "ok", "sentences", "skipped", "warning"]

State = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found; no part of it holds a secret.

    ``check``: the check's stable word; ``text``: what was found; ``cause``: why that is so, or what follows
    from it; ``hint``: the next thing to do (usually a command to type); ``account``: the address it is about,
    empty for the machine; ``error``: of a failed check, what a send would have ended in.
    """

    check: str = ""
    state: State
    text: str
    cause: str = ""
    hint: str = ""
    account: str = ""
    error: MailerError | None = field(default=None, repr=False, compare=False)

    @property
    def code(self) -> str:
        """The stable word of what is wrong, as in the errors; empty where nothing failed."""
        return self.error.code if self.error else ""

    def __str__(self) -> str:
        return f"{self.account} {self.check}: {self.state}: {self.text}".strip()


def sentences(*texts: str) -> str:
    """One after the other; after a Chinese full stop there is no blank."""
    return " ".join(texts).replace("。 ", "。")


def ok(text: str) -> Finding:
    """All is well."""
    return Finding(state="ok", text=text)


def warning(text: str, *, cause: str, hint: str) -> Finding:
    """It works, but a person should know."""
    return Finding(state="warning", text=text, cause=cause, hint=hint)


def skipped(text: str, *, hint: str = "") -> Finding:
    """It was not checked; ``text``: why."""
    return Finding(state="skipped", text=text, hint=hint)


def failed(error: MailerError) -> Finding:
    """It does not work, and this is why."""
    kept = copy(error)  # without the traceback, whose frames hold connections and secrets
    said = error.text if error.text and error.text not in error.message else ""
    return Finding(
        state="failed",
        text=error.message,
        cause=_("The server said: {text}").format(text=said) if said else "",
        hint=error.hint,
        error=kept,
    )
