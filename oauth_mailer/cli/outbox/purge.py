"""``oauth-mailer outbox purge``."""

from __future__ import annotations

import argparse

from ...i18n import _
from ..arguments import Parser
from ..exits import OK
from ..moments import span
from ..output import Output

__all__ = ["parser", "run", "summary"]

_SETTLED = ("sent", "cancelled", "rejected", "unknown")


def summary() -> str:
    """What the command does."""
    return _("delete for good what was sent or cancelled long ago")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        "outbox purge",
        summary=_(
            "Deletes messages that have been in such a state for so long, with their history; their keys are "
            "free again. A worker does so by itself for what was sent or cancelled 30 days ago."
        ),
        examples=(
            "oauth-mailer outbox purge --older-than 7d",
            "oauth-mailer outbox purge --older-than 90d --state rejected",
        ),
    )
    options = made.group(_("Options"))
    options.add_argument(
        "--older-than",
        metavar="TIME",
        default="30d",
        help=_("for how long they have been in that state: 12h, 30d (30d)"),
    )
    options.add_argument(
        "--state",
        action="append",
        choices=_SETTLED,
        help=_("which ones; may be repeated (sent and cancelled)"),
    )
    made.common()
    return made


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Delete; returns the exit code. Raises ``MailerError``."""
    age = span(arguments.older_than, "--older-than")
    from ...outbox import Outbox

    with Outbox() as outbox:
        count = outbox.purge(older_than=age, states=arguments.state or ("sent", "cancelled"))
    if output.json:
        output.record({"purged": count})
    output.say(_("Messages deleted: {count}.").format(count=count), style="green")
    return OK
