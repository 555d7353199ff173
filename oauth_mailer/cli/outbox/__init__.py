"""``oauth-mailer outbox COMMAND``: a door; each file beside it is a command, or serves several."""

from __future__ import annotations

import argparse
from importlib import import_module
from types import ModuleType
from typing import Any

from ...i18n import _
from ..arguments import Parser, nearest
from ..columns import padded, width
from ..exits import USAGE, UsageError
from ..output import Output

__all__ = ["parser", "run", "summary"]

SUBCOMMANDS = {
    "list": "list_",
    "show": "show",
    "run": "run_",  # the name run is taken, here
    "retry": "retry",
    "cancel": "cancel",
    "purge": "purge",
    "stats": "stats",
}


def summary() -> str:
    """What the command does."""
    return _("messages that are sent later: list, send, retry, cancel")


class _Door(Parser):
    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """The arguments of the subcommand that is named, with the module of it as ``subcommand``."""
        words = list(args or ())
        at = next((number for number, word in enumerate(words) if not word.startswith("-")), None)
        if at is None:
            values = super().parse_args(words, namespace)
            values.subcommand = None
            return values
        module = _subcommand(words[at])
        values = module.parser().parse_args([*words[:at], *words[at + 1 :]])
        values.subcommand = module
        return values

    def format_help(self) -> str:
        """The help, with the subcommands in front of the options."""
        rows = [(name, _subcommand(name).summary()) for name in SUBCOMMANDS]
        cells = max(width(name) for name, _text in rows) + 3
        listed = "".join(f"\n  {padded(name, cells)}{text}" for name, text in rows)
        before, title, after = super().format_help().partition(_("Common options"))
        return before + _("Commands:") + listed + "\n\n" + title + after


def parser() -> Parser:
    """The subcommands."""
    made = _Door(
        "outbox",
        takes="COMMAND ...",
        summary=_(
            "Messages that were kept by send --queue, merge or a program of yours, and what became of them. "
            "Each command has its own help, with examples."
        ),
        examples=(
            "oauth-mailer outbox run",
            "oauth-mailer outbox list",
            "oauth-mailer outbox show 12",
            "oauth-mailer outbox retry 12",
        ),
    )
    made.common()
    return made


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Run the subcommand; returns the exit code. Raises ``MailerError``."""
    if arguments.subcommand is not None:
        code: int = arguments.subcommand.run(arguments, output)
        return code
    if output.json:
        raise UsageError(
            _("No command of the outbox is named."), code="usage", hint=_("Run: oauth-mailer outbox --help")
        )
    output.help(parser().format_help())
    return USAGE


def _subcommand(name: str) -> ModuleType:
    if name in SUBCOMMANDS:
        return import_module(f".{SUBCOMMANDS[name]}", __name__)
    near = nearest(name, SUBCOMMANDS)
    message = (
        _("There is no command {name!r}. Did you mean {near}?")
        if near
        else _("There is no command {name!r}.")
    )
    raise UsageError(
        message.format(name=name, near=near), code="usage", hint=_("Run: oauth-mailer outbox --help")
    )
