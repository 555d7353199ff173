"""``oauth-mailer outbox show N``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError
from ...i18n import _
from ..arguments import Parser
from ..columns import padded, width
from ..exits import OK, UsageError
from ..moments import shown
from ..output import Output
from .shown import fields, iso, state_word, who_waits

if TYPE_CHECKING:
    from ...mime import Content
    from ...outbox import Entry, Outbox, Record, Stats

__all__ = ["parser", "run", "summary"]


def summary() -> str:
    """What the command does."""
    return _("show one message: where it is, all that happened to it, what to do")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        "outbox show",
        takes="N",
        summary=_("Shows one message of the outbox, every try to send it, and what to do next."),
        examples=(
            "oauth-mailer outbox show 12",
            "oauth-mailer outbox show 12 --json",
            "oauth-mailer outbox show 12 --eml > message.eml",
        ),
    )
    made.group(_("Arguments")).add_argument(
        "number", metavar="N", type=int, help=_("its number, as outbox list shows it")
    )
    made.group(_("Options")).add_argument(
        "--eml", action="store_true", help=_("print the message as it would be sent, headers and all")
    )
    made.common()
    return made


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Show it; returns the exit code. Raises ``MailerError``."""
    if arguments.eml and output.json:
        raise UsageError(_("--eml does not go with --json."), code="usage", hint=_("Leave out one of them."))
    from ...outbox import Outbox

    with Outbox() as outbox:
        entry = outbox.get(arguments.number)
        if arguments.eml:
            output.octets(_content(outbox, entry).blocks())
            return OK
        history, stats = outbox.history(entry.id), outbox.stats()
    todo = _next_step(entry, stats)
    if output.json:
        output.record({**fields(entry), "history": [_line(one) for one in history], "hint": todo})
        return OK
    _show(entry, output)
    output.result("\n" + _("History") + "\n" + "\n".join(_told(history)))
    if todo:
        output.say()
        for line in todo.splitlines():
            output.say(line, style="cyan")
    return OK


def _content(outbox: Outbox, entry: Entry) -> Content:
    from ...accounts import Accounts
    from ...address import Address
    from ...mime import render

    try:
        account = Accounts().get(entry.account)
        sender = Address(account.address, account.name)
    except ConfigError:  # another machine's
        sender = Address(entry.account)
    _envelope, content = render(outbox.message(entry.id), sender)
    return content


def _show(entry: Entry, output: Output) -> None:
    by = " ".join(one for one in (entry.sent_as, entry.transport, entry.remote_id) if one)
    fallback = None if entry.fallback is None else ", ".join(entry.fallback) or _("none")
    rows = [
        (_("Number"), str(entry.id)),
        (_("State"), state_word(entry.state) + (f" ({entry.code})" if entry.code else "")),
        (_("Why"), entry.text),
        (_("Account"), entry.account),
        (_("Fallback"), fallback or ""),
        (_("To"), ", ".join(entry.recipients)),
        (_("Subject"), entry.subject),
        ("Message-ID", entry.message_id),
        (_("Key"), entry.key or ""),
        (_("Size"), _("{size} octets").format(size=entry.size)),
        (_("Priority"), "" if entry.priority == "normal" else entry.priority),
        (_("Added"), shown(entry.created, exactly=True)),
        (_("Due"), shown(entry.due, exactly=True) if entry.state == "queued" else ""),
        (_("Expires"), shown(entry.expires, exactly=True) if entry.expires else ""),
        (_("Tries"), str(entry.attempts)),
        (_("Worker"), entry.worker),
        (_("Sent by"), by),
        *((_("Refused"), f"{address}: {reason}") for address, reason in entry.refused.items()),
    ]
    cells = max(width(name) for name, _value in rows) + 2
    for name, value in rows:
        if value:
            output.result(padded(name, cells) + value.replace("\n", " "))


def _told(history: tuple[Record, ...]) -> Iterator[str]:
    for one in history:
        words = [shown(one.at, exactly=True), state_word(one.state)]
        if one.account:
            words.append(f"{one.account} {one.transport}".strip())
        if one.verdict:
            words.append(_verdict(one.verdict))
        if one.code:
            words.append(f"({one.code})")
        yield "  " + "  ".join(words) + (f"  {one.text}" if one.text else "").replace("\n", " ")


def _verdict(verdict: str) -> str:
    return {"sent": _("sent"), "not_sent": _("not sent"), "unknown": _("unknown")}.get(verdict, verdict)


def _line(record: Record) -> dict[str, Any]:
    return {
        "at": iso(record.at),
        "state": str(record.state),
        "worker": record.worker,
        "account": record.account,
        "transport": record.transport,
        "verdict": record.verdict,
        "code": record.code,
        "text": record.text,
    }


def _next_step(entry: Entry, stats: Stats) -> str:
    """What a person may do now; empty where there is nothing."""
    text = {
        "sending": _("It is being sent; look again in a moment."),
        "rejected": _("Mend the cause, then: oauth-mailer outbox retry {id}"),
        "unknown": _(
            "Look into the Sent folder of {account}.\n"
            "It is there: oauth-mailer outbox cancel {id}\n"
            "It is not there: oauth-mailer outbox retry {id}"
        ),
        "cancelled": _("To send it after all: oauth-mailer outbox retry {id}"),
        "sent": _("To send it to those who were refused: oauth-mailer outbox retry {id}")
        if entry.refused
        else "",
    }.get(entry.state, "")
    if entry.state == "queued":
        held = next((one for one in who_waits(stats) if one.account == entry.account), None)
        if held is not None:
            return f"{held.text}\n{held.hint}"
        text = (
            _("To send it now: oauth-mailer outbox retry {id}\nTo drop it: oauth-mailer outbox cancel {id}")
            if entry.due > datetime.now(UTC)
            else _("To send what is due: oauth-mailer outbox run")
        )
    return text.format(id=entry.id, account=entry.account)
