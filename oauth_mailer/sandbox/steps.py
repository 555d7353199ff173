"""What each step of a plan does, in one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..i18n import _
from .http_faults import GMAIL_STEPS, TOKEN_STEPS
from .plan import OK
from .smtp_faults import SMTP_STEPS, Step

__all__ = ["known_steps"]


def known_steps() -> Mapping[str, Mapping[str, str]]:
    """For each server (``smtp``, ``gmail``, ``token``): its steps, and what each does, in one line."""
    fine = {OK: _("all is well")}
    return {
        "smtp": fine | dict(_smtp()),
        "gmail": fine
        | {
            name: _(fault.text) or _("answers {label}; accepts nothing").format(label=fault.label)
            for name, fault in GMAIL_STEPS.items()
        },
        "token": fine
        | {
            name: _(fault.text) or _("answers {label}").format(label=fault.label)
            for name, fault in TOKEN_STEPS.items()
        },
    }


def _smtp() -> Iterator[tuple[str, str]]:
    for name, step in SMTP_STEPS.items():
        yield name, _(step.text) or _reply(step)


def _reply(step: Step) -> str:
    """The reply says it itself."""
    reply = step.reply if isinstance(step.reply, str) else step.reply.decode("gbk") + " (GBK)"
    match step.stage:
        case "greeting":
            text = _("greets with: {reply}").format(reply=reply)
        case "dot":
            text = _("answers the message with: {reply}").format(reply=reply)
        case command:
            text = _("answers {command} with: {reply}").format(command=command.upper(), reply=reply)
    if step.like:
        text += " " + _("(as {provider} does)").format(provider=step.like)
    if step.then == "close":
        text += _("; then closes")
    return text
