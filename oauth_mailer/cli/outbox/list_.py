"""``oauth-mailer outbox list``."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from ...errors import OutboxError
from ...i18n import _
from ..arguments import Parser
from ..columns import cut, padded, width
from ..exits import OK, UsageError, exit_code
from ..moments import shown
from ..output import Output, is_terminal, printable
from .shown import STATES, fields, state_word

if TYPE_CHECKING:
    from ...outbox import Entry, Outbox

__all__ = ["parser", "run", "summary"]

_OPEN = ("queued", "sending", "rejected", "unknown")
_ROWS = 100  # of the table, unless more are asked for
_MOST = 1_000_000_000
_SAMPLE = 200  # rows that say how wide the columns are


def summary() -> str:
    """What the command does."""
    return _("list the messages that are not sent yet, or may need you")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        "outbox list",
        summary=_(
            "Lists messages in the order in which they were added: by default those that are queued, being "
            "sent, rejected, or unknown (they may have been sent). With --json one object is printed, with "
            "one entry a line, all of them unless --limit is given."
        ),
        examples=(
            "oauth-mailer outbox list",
            "oauth-mailer outbox list --state unknown --state rejected",
            "oauth-mailer outbox list --all --account me@qq.com --limit 20",
            "oauth-mailer outbox list --all --key-prefix invoice-",
            "oauth-mailer outbox list --json | jq '.entries[].message_id'",
        ),
    )
    chosen = made.group(_("Which"))
    chosen.add_argument(
        "--state", action="append", choices=STATES, help=_("only those in this state; may be repeated")
    )
    chosen.add_argument("--all", action="store_true", help=_("in whichever state"))
    chosen.add_argument("--account", metavar="ADDRESS", default="", help=_("only those of this account"))
    chosen.add_argument(
        "--key-prefix", metavar="TEXT", default="", help=_("only those whose --key begins with this")
    )
    chosen.add_argument(
        "--limit",
        type=int,
        metavar="N",
        help=_("the newest N only; 0 for all (100 in the table, 0 with --json)"),
    )
    made.common()
    return made


def run(arguments: argparse.Namespace, output: Output) -> int:
    """List; returns the exit code. Raises ``MailerError``."""
    if arguments.all and arguments.state:
        raise UsageError(_("--all does not go with --state."), code="usage", hint=_("Leave out one of them."))
    if not 0 <= (arguments.limit or 0) <= _MOST:
        raise UsageError(_("--limit is out of range."), code="usage", hint=_("Give 0 for all, or a number."))
    from ...outbox import Outbox

    states = () if arguments.all else arguments.state or _OPEN
    narrowed = arguments.all or arguments.state or arguments.account or arguments.key_prefix
    limit = arguments.limit if arguments.limit is not None else 0 if output.json else _ROWS
    with Outbox() as outbox:
        # One more than is shown, to know whether there is one.
        found = _Found(outbox, states, arguments, limit + 1 if limit else 0)
        if output.json:
            error = output.records("entries", (_fields(one) for one in _last(found, limit)))
            if error is not None:
                output.error(error)
                return exit_code(error)
        else:
            such = _("There are no such messages.")
            nothing = _("Nothing waits, and nothing needs you. All there is: oauth-mailer outbox list --all")
            _show(found, limit, output, nothing=such if narrowed else nothing)
    if found.error is not None:
        output.error(found.error)
        return exit_code(found.error)
    return OK


@dataclass(frozen=True, slots=True)
class _Damaged:
    """An entry that cannot be read."""

    id: int
    error: OutboxError


class _Found:
    """The entries, those that cannot be read in their places; ``error``: why that is, of the last one."""

    def __init__(
        self, outbox: Outbox, states: Sequence[str], arguments: argparse.Namespace, newest: int
    ) -> None:
        self.error: OutboxError | None = None
        self._damaged: list[_Damaged] = []
        self._entries = outbox.find(
            states=states,
            account=arguments.account,
            key_prefix=arguments.key_prefix,
            newest=newest,
            on_damaged=self._note,
        )

    def __iter__(self) -> Iterator[Entry | _Damaged]:
        for entry in self._entries:
            yield from self._noted()
            yield entry
        yield from self._noted()

    def _note(self, number: int, error: OutboxError) -> None:
        self._damaged.append(_Damaged(number, error))
        self.error = error

    def _noted(self) -> list[_Damaged]:
        noted, self._damaged = self._damaged, []
        return noted


def _fields(one: Entry | _Damaged) -> dict[str, Any]:
    if isinstance(one, _Damaged):
        return {"entry": one.id, "state": "damaged", "code": one.error.code, "text": one.error.message}
    return fields(one)


def _last(entries: Iterable[Entry | _Damaged], limit: int) -> Iterator[Entry | _Damaged]:
    """So many of these, the last ones; 0 for all. There is one more at most."""
    if not limit:
        yield from entries
        return
    found = list(entries)
    yield from found[-limit:]


def _show(found: Iterable[Entry | _Damaged], limit: int, output: Output, *, nothing: str) -> None:
    now = datetime.now(UTC)
    entries = iter(found)
    first = list(islice(entries, max(limit + 1, _SAMPLE)))
    if not first:
        output.say(nothing)
        return
    more = 0 < limit < len(first)
    rows = [_cells(one, now) for one in (first[-limit:] if limit else first)]
    head = (_("NUMBER"), _("STATE"), _("WHEN"), _("ACCOUNT"), _("TO"), _("SUBJECT"), _("WHY"))
    widths = _widths([head, *rows])
    for row in [head, *rows]:
        output.result(_line(row, widths))
    for one in entries:
        output.result(_line(_cells(one, now), widths))
    if more:
        output.say(_("There are older ones: --limit 0 shows all."), style="yellow")


def _cells(entry: Entry | _Damaged, now: datetime) -> tuple[str, ...]:
    if isinstance(entry, _Damaged):
        return (str(entry.id), _("damaged"), "", "", "", "", entry.error.code)
    waits = entry.state == "queued"
    when = entry.due if waits else entry.changed or entry.created
    to = entry.recipients[0] if entry.recipients else ""
    if len(entry.recipients) > 1:
        to += f" +{len(entry.recipients) - 1}"
    return (
        str(entry.id),
        state_word(entry.state),
        _("now") if waits and when <= now else shown(when),
        *(printable(cell) for cell in (entry.account, to, entry.subject, entry.code)),
    )


_NARROWED = ((5, 12), (4, 12), (3, 10), (6, 10))
"""The columns that are narrowed where the terminal is, the first one first, and how far."""


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    widths = [max(width(row[column]) for row in rows) for column in range(len(rows[0]))]
    if is_terminal(sys.stdout):
        for column, least in _NARROWED:
            over = sum(widths) + 2 * (len(widths) - 1) - shutil.get_terminal_size().columns
            widths[column] = max(min(widths[column], least), widths[column] - max(over, 0))
    return widths


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (padded(cut(cell, wide) if wide else "", wide) for cell, wide in zip(row, widths, strict=True))
    return "  ".join(cells).rstrip()
