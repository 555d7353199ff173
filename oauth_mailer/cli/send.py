"""``oauth-mailer send``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from ..errors import MailerError, OutcomeUnknown
from ..i18n import _
from . import exits
from .arguments import Parser
from .output import Output, is_terminal
from .queueing import add_options, check_options, enqueue

if TYPE_CHECKING:
    from ..mailer import Mailer
    from ..message import Message, RawMessage
    from ..routes import Receipt
    from ..stores import Secret

__all__ = ["failure", "parser", "run", "summary"]


def summary() -> str:
    """What the command does."""
    return _("send a message")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        "send",
        summary=_(
            "Sends one message. Ends with 0 once the provider has taken charge of it; prints its Message-ID. "
            "Without --text, --html, --eml or a file to attach, the text is read from standard input."
        ),
        examples=(
            'oauth-mailer send --to ann@example.com --subject "Hello" --text "It works."',
            'df -h | oauth-mailer send --to ops@example.com --subject "Disks"',
            "oauth-mailer send --to ann@example.com --subject Report --html-file report.html \\",
            "    --inline logo=logo.png --attach report.pdf",
            "oauth-mailer send --fallback me@qq.com --to ann@example.com --text Hi --json",
            "oauth-mailer send --eml finished.eml",
            "oauth-mailer send --queue --at +2h --key report-7 --to ann@example.com --text Hi",
        ),
    )
    _add_people(made)
    _add_content(made)
    way = made.group(_("Way"))
    way.add_argument(
        "--fallback",
        action="append",
        metavar="ADDRESS",
        help=_(
            "the account to use if it is certain that the one before did not send it; smtp: the same account "
            "by Gmail's SMTP; may be repeated"
        ),
    )
    way.add_argument("--timeout", type=float, metavar="SECONDS", help=_("for one step on the network (60)"))
    way.add_argument(
        "--wait",
        type=float,
        metavar="SECONDS",
        help=_("how long to wait and try again where it is certain that it was not sent (0)"),
    )
    way.add_argument("--dry-run", action="store_true", help=_("show what would be sent, and send nothing"))
    add_options(made)
    made.log_options()
    made.common()
    return made


def _add_people(made: Parser) -> None:
    people = made.group(_("From and to"))
    people.add_argument(
        "--from", dest="sender", metavar="ADDRESS", default="", help=_("the account (else the default one)")
    )
    people.add_argument("--from-name", metavar="NAME", default="", help=_("your name, as recipients see it"))
    for option, text in (
        ("--to", _("a recipient: ann@example.com or 'Ann <ann@example.com>'; may be repeated")),
        ("--cc", _("a recipient of a copy")),
        ("--bcc", _("a recipient whom nobody else sees")),
        ("--reply-to", _("where answers go")),
    ):
        people.add_argument(option, action="append", default=[], metavar="ADDRESS", help=text)


def _add_content(made: Parser) -> None:
    content = made.group(_("Content (of FILEs, one may be - for standard input)"))
    content.add_argument("--subject", metavar="TEXT")
    text = content.add_mutually_exclusive_group()
    text.add_argument("--text", metavar="TEXT", help=_("the text itself"))
    text.add_argument("--text-file", metavar="FILE", help=_("a file with the text, in UTF-8"))
    html = content.add_mutually_exclusive_group()
    html.add_argument("--html", metavar="HTML", help=_("the HTML itself"))
    html.add_argument("--html-file", metavar="FILE", help=_("a file with the HTML, in UTF-8"))
    content.add_argument("--attach", action="append", default=[], metavar="FILE", help=_("may be repeated"))
    content.add_argument(
        "--inline",
        action="append",
        default=[],
        metavar="CID=FILE",
        help=_('an image that the HTML shows by <img src="cid:CID">'),
    )
    content.add_argument(
        "--eml", metavar="FILE", help=_("a finished message, headers and all, sent as it is")
    )
    more = made.group(_("Headers"))
    more.add_argument(
        "--header", action="append", default=[], metavar="'Name: value'", help=_("any other header")
    )
    more.add_argument("--in-reply-to", metavar="ID", default="", help=_("the Message-ID this answers"))
    more.add_argument(
        "--reference",
        action="append",
        default=[],
        metavar="ID",
        help=_("an earlier Message-ID of the thread"),
    )
    more.add_argument(
        "--unsubscribe",
        action="append",
        default=[],
        metavar="URI",
        help=_("https: or mailto:, for newsletters"),
    )
    more.add_argument("--one-click", action="store_true", help=_("the https: URI takes a POST (RFC 8058)"))
    more.add_argument("--priority", choices=("high", "normal", "low"), default="normal")


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Send; returns the exit code. Raises ``MailerError``."""
    from .draft import compose

    check_options(arguments)
    timeout = 60.0 if arguments.timeout is None else arguments.timeout
    wait = arguments.wait or 0.0
    if not 0 < timeout <= 3600:
        raise exits.UsageError(
            _("--timeout is out of range."), code="usage", hint=_("Give 1 to 3600 seconds.")
        )
    if not 0 <= wait <= 86_400:
        raise exits.UsageError(_("--wait is out of range."), code="usage", hint=_("Give 0 to 86400 seconds."))
    message, account = compose(arguments)
    with _open_mailer(arguments, account, timeout, output) as mailer:
        if arguments.queue:
            return enqueue(arguments, mailer, message, output)
        if arguments.dry_run:
            from .preview import preview

            preview(mailer, message, output)
        else:
            _report(_send(mailer, message, output, wait=wait), output)
    return exits.OK


def failure(error: MailerError) -> dict[str, Any]:
    """What ``--json`` prints where nothing was accepted, or nobody knows."""
    told = exits.failure(error)
    last = error.attempts[-1] if error.attempts else None
    return {
        "status": told["status"],
        "message_id": getattr(error, "message_id", ""),
        "account": last.account if last else "",
        "transport": last.transport if last else "",
        "remote_id": "",
        "refused": dict(getattr(error, "refused", {})),
        "attempts": _attempts(error.attempts),
        "error": told["error"],
    }


def _open_mailer(arguments: argparse.Namespace, account: str, timeout: float, output: Output) -> Mailer:
    from ..mailer import open_mailer

    def ask(question: str) -> Secret:
        from .terminal import open_prompt

        return open_prompt(output).ask_secret(question)

    return open_mailer(
        account,
        fallback=arguments.fallback,
        timeout=timeout,
        ask_passphrase=ask if is_terminal(sys.stdin) else None,
    )


def _send(mailer: Mailer, message: Message | RawMessage, output: Output, *, wait: float) -> Receipt:
    from .progress import Upload

    with Upload(shown=not output.quiet) as upload:
        try:
            return mailer.send(message, progress=upload, wait=wait)
        except KeyboardInterrupt:
            if not upload.begun:
                raise
            error: MailerError = OutcomeUnknown(
                _("Stopped while the message was on its way: it may have been sent."),
                code="interrupted",
                hint=_("Look into the Sent folder before you send it again."),
            )
        except MailerError as failed:
            error = failed
    error.message_id = message.id  # type: ignore[attr-defined]
    raise error


def _report(receipt: Receipt, output: Output) -> None:
    if output.json:
        output.record(
            {
                "status": receipt.status,
                "message_id": receipt.message_id,
                "account": receipt.account,
                "transport": receipt.transport,
                "remote_id": receipt.remote_id,
                "refused": dict(receipt.refused),
                "attempts": _attempts(receipt.attempts),
            }
        )
    else:
        output.result(receipt.message_id)
    output.say(str(receipt), style="green")
    for address, reason in receipt.refused.items():
        output.warn(_("Not sent to {address}: {reason}").format(address=address, reason=reason))
    for attempt in receipt.attempts[:-1]:
        output.warn(
            _("It went out by a fallback; {account} failed ({code}): {text}").format(
                account=attempt.account, code=attempt.code, text=attempt.text
            )
        )


def _attempts(attempts: Any) -> list[dict[str, str]]:
    return [
        {
            "account": attempt.account,
            "transport": attempt.transport,
            "verdict": attempt.verdict,
            "code": attempt.code,
            "text": attempt.text,
        }
        for attempt in attempts
    ]
