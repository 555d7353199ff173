"""The manual page oauth-mailer(1), made of the parsers and the rows of data that the help is made of.

Run ``python -m oauth_mailer.cli.manual > docs/oauth-mailer.1`` after a change of commands or options; a
language may be named, as in ``python -m oauth_mailer.cli.manual zh_CN``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from textwrap import wrap

from .. import __version__
from ..i18n import _
from .arguments import Parser
from .facts import EXIT_CODES, FILES, OPTIONS, VARIABLES, Fact
from .tree import Command, every_command

__all__ = ["page"]

_DATE = "2026-11-25"
"""When its words were last changed much: the day on which it is made would differ each time."""


def page() -> str:
    """The page, in the macros of man(7), in the user's language."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    every = list(every_command())
    yield '.\\" Made by python -m oauth_mailer.cli.manual; what is changed here is lost.'
    yield f'.TH OAUTH\\-MAILER 1 "{_DATE}" "oauth\\-mailer {__version__}" "User Commands"'
    yield from (".nh", ".ad l")  # commands and paths are there to be copied
    yield from _section("NAME", [_text(f"oauth-mailer - {_('send real mail from the shell')}")])
    yield from _section(
        "SYNOPSIS",
        [".B oauth\\-mailer", ".I COMMAND", _text("[OPTIONS] [ARGUMENTS]")],
    )
    yield from _section(
        "DESCRIPTION",
        [
            _text(
                _(
                    "Sends real mail: Gmail by OAuth2 consent in your browser, QQ, 163 and any other server "
                    "by SMTP with an authorization code. Secrets rest in the system's keyring."
                )
            ),
            ".PP",
            _text(
                _(
                    "Each try to send ends in one of three ways, and the exit code says which: it was sent; "
                    "it was not sent, and may be tried again; or nobody knows. Only what is certain not to "
                    "have been sent is ever sent by another way."
                )
            ),
            ".PP",
            _text(
                _(
                    "Results go to standard output, words for a person to standard error. With --json, "
                    "results and errors are JSON. Nobody is asked where standard input is no terminal."
                )
            ),
        ],
    )
    yield from _section("OPTIONS", _facts(OPTIONS))
    yield ".SH COMMANDS"
    for command in every:
        yield from _command(command)
    yield from _section("EXIT STATUS", _facts(EXIT_CODES))
    yield from _section("ENVIRONMENT", _facts(VARIABLES))
    yield from _section(
        "FILES",
        [
            _text(
                _(
                    "All in the folder that OAUTH_MAILER_HOME names, by default ~/.config/oauth-mailer "
                    "(macOS: ~/Library/Application Support/oauth-mailer; Windows: "
                    "%LOCALAPPDATA%\\oauth-mailer):"
                )
            ),
            *_facts(FILES),
        ],
    )
    first = [command.parser().examples[0] for command in every]
    yield from _section("EXAMPLES", _verbatim(dict.fromkeys(first)))
    others = [".BR sendmail (8),", ".BR crontab (5),", ".BR git\\-send\\-email (1)"]
    yield from _section("SEE ALSO", others)


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f".SH {title}"
    yield from lines


def _command(command: Command) -> Iterator[str]:
    parser = command.parser()
    yield f".SS {_bold(parser.prog)} {_inline(_takes(parser))}".rstrip()
    yield _text(parser.description or "")
    for group in parser._action_groups:
        shown = [action for action in group._group_actions if action.help is not argparse.SUPPRESS]
        if shown and not _is_common(shown):
            for action in shown:
                yield ".TP"
                yield from _action(action, parser)
    if parser.examples:
        yield ".PP"
        yield _text(_("Examples:"))
        yield ".PP"
        yield from _verbatim(parser.examples)


def _is_common(actions: list[argparse.Action]) -> bool:
    """Whether these are the options that every command has: they are told once, under OPTIONS."""
    return any(isinstance(action, argparse._HelpAction) for action in actions)


def _takes(parser: Parser) -> str:
    usage = parser.usage or ""
    return usage.removeprefix(parser.prog).strip()


def _action(action: argparse.Action, parser: Parser) -> Iterator[str]:
    value = _value(action)
    names = [_bold(name) for name in action.option_strings]
    if names:
        yield ", ".join(names) + (f" {_inline(value)}" if value else "")
    else:
        yield f"\\fI{_inline(value)}\\fR"
    told = (action.help or "").replace("%%", "%")
    yield _text(told) if told else "\\&"


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if action.metavar is not None:
        name = str(action.metavar)
    elif action.choices is not None:
        name = "{" + ",".join(map(str, action.choices)) + "}"
    else:
        name = action.dest.upper()
    if action.option_strings:
        return f"[{name}]" if action.nargs == "?" else name
    return {"?": f"[{name}]", "*": f"[{name} ...]"}.get(str(action.nargs), name)


def _facts(facts: Iterable[Fact]) -> Iterator[str]:
    for fact in facts:
        yield from (".TP", _bold(fact.name), _text(_(fact.text)))


def _verbatim(lines: Iterable[str]) -> Iterator[str]:
    yield from (".nf", ".RS 4")
    yield from (_line(line) for line in lines)
    yield from (".RE", ".fi")


def _bold(text: str) -> str:
    return f"\\fB{_inline(text)}\\fR"


def _text(text: str) -> str:
    """A paragraph in lines; what begins like a request is none."""
    lines = wrap(_inline(text), 79, break_long_words=False, break_on_hyphens=False) or [""]
    return "\n".join(f"\\&{line}" if line[:1] in (".", "'") else line for line in lines)


def _line(text: str) -> str:
    """A line as it is."""
    line = _inline(text)
    return f"\\&{line}" if line[:1] in (".", "'") else line


def _inline(text: str) -> str:
    # A hyphen that is not escaped may be shown as another character, which nobody can copy and run.
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    for char, name in (("'", "\\(aq"), ("`", "\\(ga"), ("^", "\\(ha"), ("~", "\\(ti"), ("\n", " ")):
        escaped = escaped.replace(char, name)
    return "".join(char if char < "\x7f" else f"\\[u{ord(char):04X}]" for char in escaped)


if __name__ == "__main__":
    os.environ["OAUTH_MAILER_LANG"] = sys.argv[1] if len(sys.argv) > 1 else "en"
    sys.stdout.buffer.write(page().encode())
