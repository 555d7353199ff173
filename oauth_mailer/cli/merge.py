"""``oauth-mailer merge``: a message for each row of a table."""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..errors import MailerError, MessageError
from ..i18n import _
from . import exits
from .arguments import Parser
from .output import Output, is_terminal

if TYPE_CHECKING:
    from ..merge import MergeJob

__all__ = ["failure", "parser", "run", "summary"]

_SHOWN = 20  # wrong rows that are shown one by one


def summary() -> str:
    """What the command does."""
    return _("send a message for each row of a table")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        "merge",
        takes="TEMPLATE TABLE",
        summary=_(
            "Makes a message of a template for each row of a CSV file, checks all of them, keeps them in the "
            "outbox, and sends them. A row goes out once in a job: after an interruption type the same again."
        ),
        examples=(
            "oauth-mailer merge invitation.txt guests.csv --dry-run preview/",
            "oauth-mailer merge invitation.txt guests.csv",
            "oauth-mailer merge bill.html customers.csv --job bills-2026-11 --yes --report sent.csv",
        ),
    )
    made.add_argument("template", metavar="TEMPLATE", help=_("NAME.txt or NAME.html, with headers in front"))
    made.add_argument("table", metavar="TABLE", help=_("a CSV file; its first line names the columns"))
    made.add_argument("--from", dest="sender", metavar="ADDRESS", default="", help=_("the account"))
    made.add_argument(
        "--job",
        metavar="NAME",
        default="",
        help=_("another name makes another job, which sends all rows (the template's name)"),
    )
    made.add_argument(
        "--preview", type=int, default=3, metavar="N", help=_("rows to show before sending (3)")
    )
    made.add_argument("--dry-run", metavar="FOLDER", help=_("write the messages into a folder; send nothing"))
    made.add_argument(
        "--skip-wrong", action="store_true", help=_("send the others where some rows are wrong")
    )
    made.add_argument("-y", "--yes", action="store_true", help=_("do not ask before sending"))
    made.add_argument("--queue", action="store_true", help=_("keep them in the outbox; a worker sends them"))
    made.add_argument("--workers", type=int, default=1, metavar="N", help=_("messages sent at a time (1)"))
    made.add_argument("--report", metavar="FILE", help=_("write what became of each row, as CSV"))
    made.log_options()
    made.common()
    return made


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Check, show, ask, keep, send; returns the exit code. Raises ``MailerError``."""
    from ..address import Address
    from ..merge import MergeJob

    if not 1 <= arguments.workers <= 64 or arguments.preview < 0:
        raise exits.UsageError(
            _("--workers takes 1 to 64, --preview a number of rows."),
            code="usage",
            hint=_("Run: oauth-mailer merge --help"),
        )
    account = Address.parse(arguments.sender).email if arguments.sender else ""
    job = MergeJob(arguments.template, arguments.table, account=account, name=arguments.job)
    rows, wrong = _check(job, output)
    if wrong and not arguments.skip_wrong:
        raise MessageError(
            _("{count} of {rows} rows cannot be sent; nothing was sent.").format(count=len(wrong), rows=rows),
            code="rows-wrong",
            hint=_("Mend them, or leave them out with --skip-wrong."),
        )
    if arguments.dry_run is not None:
        return _write(job, arguments.dry_run, wrong, output)
    _preview(job, arguments.preview, wrong, output)
    if not arguments.yes:
        _ask(rows - len(wrong), job, output)
    from .merging import send_rows

    return send_rows(job, rows, wrong, arguments, output)


def failure(error: MailerError) -> dict[str, Any]:
    """What ``--json`` prints where the job could not begin."""
    return exits.failure(error)


def _check(job: MergeJob, output: Output) -> tuple[int, set[int]]:
    """How many rows there are, and the lines of those that cannot be sent."""
    wrong: set[int] = set()
    for one in job.check():
        wrong.add(one.row.line)
        if len(wrong) <= _SHOWN:
            output.warn(_("Line {line}: {error}").format(line=one.row.line, error=one.error))
    if len(wrong) > _SHOWN:
        output.warn(_("... and {count} more.").format(count=len(wrong) - _SHOWN))
    return sum(1 for _row in job.table), wrong


def _preview(job: MergeJob, count: int, wrong: set[int], output: Output) -> None:
    if output.quiet or output.json:
        return
    good = (row for row in job.table if row.line not in wrong)
    for row in islice(good, count):
        message = job.template.message(row.cells)
        output.say(_("Line {line}").format(line=row.line), style="bold")
        output.say(_("To: {recipients}").format(recipients=", ".join(map(str, message.to))))
        output.say(_("Subject: {subject}").format(subject=message.subject))
        for attachment in message.attachments:
            output.say(_("Attached: {name}").format(name=attachment.filename))
        text = message.text if message.text is not None else message.html or ""
        for line in [line for line in text.splitlines() if line.strip()][:3]:
            output.say("    " + line[:100], style="dim")


def _ask(count: int, job: MergeJob, output: Output) -> None:
    if not is_terminal(sys.stdin):
        raise exits.UsageError(
            _("Nobody can be asked whether to send {count} messages.").format(count=count),
            code="no-prompt",
            hint=_("Add: --yes"),
        )
    question = _("Send {count} messages as {account}? [y/N] ").format(count=count, account=job.sender())
    sys.stderr.write(question)
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes", "是"):
        raise exits.Interrupted(_("Nothing was sent."), code="declined")


def _write(job: MergeJob, folder: str, wrong: set[int], output: Output) -> int:
    from ..mime import render
    from ..transports.file import FileTransport

    transport = FileTransport(folder)
    count = 0
    for row in job.table:
        if row.line not in wrong:
            transport.send(*render(job.template.message(row.cells), job.sender()))
            count += 1
    if output.json:
        output.record({"status": "not_sent", "dry_run": True, "written": count, "wrong": sorted(wrong)})
    output.say(
        _("This was a dry run: {count} messages were written to {folder}.").format(
            count=count, folder=folder
        ),
        style="yellow",
    )
    return exits.OK
