"""Which messages ``outbox retry`` and ``outbox cancel`` are about, and the change made to each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import OutboxError
from ...i18n import _
from ..arguments import Parser
from ..exits import OK, Interrupted, UsageError, exit_code
from ..output import Output, is_terminal

if TYPE_CHECKING:
    from ...outbox import Entry, Outbox

__all__ = ["Done", "add_choice", "change", "check_choice"]

_OF_THE_ENTRY = frozenset({"outbox-no-entry", "outbox-move", "outbox-sent"})
"""Codes of errors that another entry need not meet."""


@dataclass(frozen=True, slots=True)
class Done:
    """The numbers of the entries that were changed, and the exit code."""

    entries: Sequence[int]
    code: int


def add_choice(made: Parser, states: Sequence[str]) -> None:
    """Add the options. ``states``: those from which there is a way."""
    chosen = made.group(_("Which"))
    chosen.add_argument(
        "numbers", metavar="N", type=int, nargs="*", help=_("their numbers, as outbox list shows them")
    )
    chosen.add_argument("--all", action="store_true", help=_("all that are in the state that --state names"))
    chosen.add_argument("--state", choices=states, help=_("with --all: which ones"))
    chosen.add_argument(
        "--account", metavar="ADDRESS", default="", help=_("with --all: only those of this account")
    )
    chosen.add_argument("-y", "--yes", action="store_true", help=_("do not ask before it is done"))


def check_choice(arguments: argparse.Namespace, command: str) -> None:
    """Raises ``UsageError`` where it is not clear which ones are meant."""
    if arguments.all and not arguments.numbers and arguments.state:
        return
    if arguments.numbers and not (arguments.all or arguments.state or arguments.account):
        return
    raise UsageError(
        _("Give either numbers, or --all with --state."),
        code="usage",
        hint=_("Run: oauth-mailer {command} --help").format(command=f"outbox {command}"),
    )


def change(
    arguments: argparse.Namespace, output: Output, one: Callable[[Outbox, int], Entry], question: str
) -> Done:
    """Change each of them; what cannot be changed is told, and does not hold up the others.

    ``one``: changes one; ``question``: what is asked before all are changed, with ``count`` in it.
    """
    from ...outbox import Outbox

    failures: list[dict[str, Any]] = []
    changed: list[int] = []
    code = OK
    with Outbox() as outbox:
        numbers = list(dict.fromkeys(arguments.numbers)) or _found(outbox, arguments, output)
        if arguments.all and numbers and not arguments.yes:
            _ask(question.format(count=len(numbers)))
        for number in numbers:
            try:
                changed.append(one(outbox, number).id)
            except OutboxError as error:
                if error.code not in _OF_THE_ENTRY and not changed:
                    raise
                output.error(error)
                code = code or exit_code(error)
                failures.append(
                    {"entry": number, "code": error.code, "message": error.message, "hint": error.hint}
                )
                if error.code not in _OF_THE_ENTRY:
                    break
    if output.json:
        output.record({"entries": changed, "failed": failures})
    if not numbers:
        output.say(_("There are no such messages."))
    return Done(changed, code)


def _found(outbox: Outbox, arguments: argparse.Namespace, output: Output) -> list[int]:
    def damaged(_number: int, error: OutboxError) -> None:
        output.error(error)

    found = outbox.find(states=[arguments.state], account=arguments.account, on_damaged=damaged)
    return [entry.id for entry in found]


def _ask(question: str) -> None:
    if not is_terminal(sys.stdin):
        raise UsageError(
            _("Nobody can be asked, because standard input is no terminal. {question}").format(
                question=question
            ),
            code="no-prompt",
            hint=_("Add: --yes"),
        )
    sys.stderr.write(question + _(" Go on? [y/N] "))
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes", "是"):
        raise Interrupted(_("Nothing was changed."), code="declined")
