"""What ``send --queue`` does: the message is kept in the outbox, for a worker to send."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..i18n import _
from ..values import dataclass
from .arguments import Parser
from .exits import OK, UsageError
from .output import Output

if TYPE_CHECKING:
    from ..mailer import Mailer
    from ..message import Message, RawMessage
    from ..outbox import Entry

__all__ = ["add_options", "check_options", "enqueue"]

_ONLY_QUEUED = ("key", "at", "expires")
_NEVER_QUEUED = ("wait", "timeout", "dry_run")


def add_options(made: Parser) -> None:
    """Add the options of the outbox."""
    group = made.group(_("Later, by the outbox"))
    group.add_argument(
        "--queue",
        action="store_true",
        help=_("keep it in the outbox; sent by: oauth-mailer outbox run"),
    )
    group.add_argument(
        "--key",
        metavar="TEXT",
        help=_("with --queue: the same key and content once more give the message that is there"),
    )
    group.add_argument(
        "--at",
        metavar="TIME",
        help=_("with --queue: not before '2026-11-05 18:00' (your time), 2026-11-05T18:00+08:00, or +2h"),
    )
    group.add_argument(
        "--expires",
        metavar="TIME",
        help=_("with --queue: not after this time; +2h counts from --at, if that is given"),
    )


def check_options(arguments: argparse.Namespace) -> None:
    """Raises ``UsageError`` for options that do not go together."""
    wrong = _NEVER_QUEUED if arguments.queue else _ONLY_QUEUED
    for name in (name for name in wrong if getattr(arguments, name) not in (None, False)):
        option = "--" + name.replace("_", "-")
        text = (
            _("{option} does not go with --queue.")
            if arguments.queue
            else _("{option} goes with --queue only.")
        )
        raise UsageError(text.format(option=option), code="usage", hint=_("Run: oauth-mailer send --help"))
    if arguments.key == "":
        raise UsageError(
            _("The key is empty."), code="usage", hint=_("Leave --key out, or give it a name of its own.")
        )


def enqueue(
    arguments: argparse.Namespace, mailer: Mailer, message: Message | RawMessage, output: Output
) -> int:
    """Keep it, once it is certain that all its accounts are here and that it can be sent as it is.

    Returns the exit code. Raises ``MailerError``; then nothing is kept.
    """
    from ..outbox import Outbox

    mailer.check(message)
    with Outbox() as outbox:
        known = outbox.by_key(arguments.key) if arguments.key else None
        times = _times(arguments, known)
        entry = outbox.add(
            message,
            account=mailer.routes[0].account,
            fallback=arguments.fallback,
            key=arguments.key,
            not_before=times.at,
            expires=times.expires,
        )
    # The Message-ID tells of somebody who was a moment faster.
    repeated = known is not None or entry.message_id != message.id
    _report(entry, output, repeated=repeated)
    if times.past and not repeated:
        output.warn(_("The time of --at is past: it is due now."))
    return OK


@dataclass(frozen=True, slots=True)
class _Times:
    at: datetime | None
    expires: datetime | None
    past: bool


def _times(arguments: argparse.Namespace, known: Entry | None) -> _Times:
    """When it may be sent. ``known``: the entry that it will turn out to be, whose own times count."""
    from .moments import moment

    now = datetime.now(UTC)
    at = None if arguments.at is None else moment(arguments.at, "--at")
    start = max(now, at or now)
    expires = None if arguments.expires is None else moment(arguments.expires, "--expires", after=start)
    if expires is not None and expires <= start and known is None:
        raise UsageError(
            _("--expires is over before it could be sent."),
            code="usage",
            hint=_("Give a later time, or a span such as +2h."),
        )
    return _Times(at, expires, past=at is not None and now - at > timedelta(minutes=1))


def _report(entry: Entry, output: Output, *, repeated: bool) -> None:
    if output.json:
        output.record(_fields(entry, repeated=repeated))
    else:
        output.result(entry.message_id)
    if repeated:
        from .outbox.shown import state_word

        output.say(
            _("It is in the outbox already, as number {id}: {state}.").format(
                id=entry.id, state=state_word(entry.state)
            ),
            style="yellow",
        )
        output.say(_("Run: oauth-mailer outbox show {id}").format(id=entry.id), style="cyan")
        return
    from .moments import shown

    text = (
        _("Queued as number {id}, not before {time}.")
        if entry.due > datetime.now(UTC)
        else _("Queued as number {id}.")
    )
    output.say(text.format(id=entry.id, time=shown(entry.due)), style="green")
    output.say(_("To send what is due: oauth-mailer outbox run"), style="cyan")


def _fields(entry: Entry, *, repeated: bool) -> dict[str, Any]:
    """As ``send --json`` has it, and more. ``status``: where the entry is, which is ``queued`` at first."""
    return {
        "status": str(entry.state),
        "message_id": entry.message_id,
        "account": entry.sent_as or entry.account,
        "transport": entry.transport,
        "remote_id": entry.remote_id,
        "refused": dict(entry.refused),
        "attempts": [],
        "entry": entry.id,
        "repeated": repeated,
    }
