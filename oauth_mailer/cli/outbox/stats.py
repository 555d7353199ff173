"""``oauth-mailer outbox stats``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ...i18n import _
from ..arguments import Parser
from ..columns import padded, width
from ..exits import OK
from ..moments import shown
from ..output import Output
from .shown import iso, state_word, who_waits

if TYPE_CHECKING:
    from ...outbox import Stats

__all__ = ["parser", "run", "summary"]


def summary() -> str:
    """What the command does."""
    return _("count the messages by state, and say which accounts wait for you")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        "outbox stats",
        summary=_(
            "Shows how many messages are in each state, what is due, and the accounts whose messages wait "
            "until you act. Sends nothing."
        ),
        examples=("oauth-mailer outbox stats", "oauth-mailer outbox stats --json | jq .counts.unknown"),
    )
    made.common()
    return made


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Count; returns the exit code. Raises ``MailerError``."""
    from ...outbox import Outbox

    with Outbox() as outbox:
        stats = outbox.stats()
    waiting = list(who_waits(stats))
    if output.json:
        output.record(
            {
                "counts": {str(state): count for state, count in stats.counts.items()},
                "due": stats.due,
                "oldest": iso(stats.oldest),
                "next_due": iso(stats.next_due),
                "waiting": dict(stats.waiting),
                "need_you": [
                    {"account": one.account, "messages": one.messages, "code": one.code, "hint": one.hint}
                    for one in waiting
                ],
            }
        )
        return OK
    _show(stats, output)
    for one in waiting:
        output.say()
        output.say(one.text, style="yellow")
        for line in one.hint.splitlines():
            output.say("  " + line, style="cyan")
    return OK


def _show(stats: Stats, output: Output) -> None:
    rows = [(state_word(state), str(count)) for state, count in stats.counts.items()]
    rows.append((_("due now"), str(stats.due)))
    if stats.oldest is not None:
        rows.append((_("the oldest since"), shown(stats.oldest)))
    if stats.next_due is not None:
        rows.append((_("the next at"), shown(stats.next_due)))
    cells = max(width(name) for name, _value in rows) + 3
    for name, value in rows:
        output.result(padded(name, cells) + value)
