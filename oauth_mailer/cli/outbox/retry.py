"""``oauth-mailer outbox retry``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ...i18n import _
from ..arguments import Parser
from ..output import Output
from .choice import add_choice, change, check_choice

if TYPE_CHECKING:
    from ...outbox import Entry, Outbox

__all__ = ["parser", "run", "summary"]

_FROM = ("unknown", "rejected", "queued", "cancelled")


def summary() -> str:
    """What the command does."""
    return _("let messages be sent now, or again")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        "outbox retry",
        takes="N ... | --all --state STATE",
        summary=_(
            "Queues messages to be sent now, or again: what was rejected, what waits for later, and what is "
            "unknown, which may then arrive twice. Of a message that was sent to some and refused for "
            "others, only the others get it."
        ),
        examples=(
            "oauth-mailer outbox retry 12 15",
            "oauth-mailer outbox retry --all --state rejected --account me@qq.com",
        ),
    )
    add_choice(made, _FROM)
    made.common()
    return made


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Queue them; returns the exit code. Raises ``MailerError``."""
    check_choice(arguments, "retry")
    question = (
        _("Messages to send again: {count}. They may have been sent, and would arrive twice.")
        if arguments.state == "unknown"
        else _("Messages to send now: {count}.")
    )

    def one(outbox: Outbox, number: int) -> Entry:
        if outbox.get(number).state == "unknown" and not arguments.all:
            output.warn(_("Message {id} may have been sent: if it was, it arrives twice.").format(id=number))
        return outbox.retry(number)

    done = change(arguments, output, one, question)
    if done.entries:
        output.say(_("Messages queued: {count}.").format(count=len(done.entries)), style="green")
        output.say(_("To send what is due: oauth-mailer outbox run"), style="cyan")
    return done.code
