"""``oauth-mailer outbox cancel``."""

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

_FROM = ("queued", "unknown")


def summary() -> str:
    """What the command does."""
    return _("let messages not be sent any more")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        "outbox cancel",
        takes="N ... | --all --state STATE",
        summary=_(
            "Takes messages out of the queue, and settles those that are unknown: nothing of them is sent "
            "any more. What is being sent, was sent or was rejected stays as it is."
        ),
        examples=(
            "oauth-mailer outbox cancel 12 15",
            "oauth-mailer outbox cancel --all --state queued --account me@qq.com",
        ),
    )
    add_choice(made, _FROM)
    made.common()
    return made


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Cancel them; returns the exit code. Raises ``MailerError``."""
    check_choice(arguments, "cancel")

    def one(outbox: Outbox, number: int) -> Entry:
        return outbox.cancel(number)

    done = change(arguments, output, one, _("Messages to cancel: {count}."))
    if done.entries:
        output.say(_("Messages cancelled: {count}.").format(count=len(done.entries)), style="green")
    return done.code
