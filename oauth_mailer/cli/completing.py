"""``oauth-mailer __complete``: what may stand where the cursor is. Called by the scripts of ``completion``.

All of it is read out of the parsers. It prints lines: ``words``, ``files`` or ``folders``; what stands in
front of a path in the word; the word so far; then each candidate, a tab, and what it means.
"""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from ..errors import MailerError
from ..i18n import _
from . import LEADING
from .arguments import Parser
from .exits import OK
from .output import Output, printable
from .tree import Command, commands

__all__ = ["complete", "parser", "run"]

_OWN = frozenset({"account", "address", "fallback", "sender"})
"""Where an address is that of an account: the others are of anybody."""

_NEWEST = 100  # entries of the outbox that are offered


@dataclass(frozen=True, slots=True)
class _Candidates:
    """``words``: each with what it means; ``kind``: of the paths that are wanted, if they are."""

    words: Mapping[str, str] = field(default_factory=dict)
    kind: str = "words"
    prefix: str = ""


def parser() -> Parser:
    """How the scripts hand over what was typed: each word with ``=`` in front, so that none is an option."""
    made = Parser("__complete", summary="")
    made.add_argument("form", choices=("words", "line"))
    made.add_argument("typed", nargs="*")
    made.common()
    return made


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Print the candidates; returns the exit code. Raises nothing."""
    typed = [word.removeprefix("=") for word in arguments.typed]
    words = _split(typed[0])[1:] if arguments.form == "line" else typed
    current = words[-1] if words else ""
    found = complete(words)
    lines = [found.kind, found.prefix, current]
    lines += [f"{word}\t{text}" for word, text in found.words.items() if word.startswith(current)]
    output.octets(["".join(_plain(line) + "\n" for line in lines).encode("utf-8", "replace")])
    return OK


def _plain(line: str) -> str:
    """The line without anything that would end it early, or steer a terminal."""
    return "\t".join(printable(part) for part in line.split("\t", 1))


def complete(words: list[str]) -> _Candidates:
    """What may stand in place of the last of these words; those in front of it are taken as they are."""
    *before, current = words or [""]
    place = _Place()
    for word in before:
        place.read(word)
    return place.candidates(current)


def _split(line: str) -> list[str]:
    """The words of a line as a shell has them; the last one may not be typed to its end."""
    for end in ("", "'", '"'):
        with suppress(ValueError):
            words = shlex.split(line + end)
            blank = not end and line[-1:].isspace() and not line[-2:].startswith("\\")
            return [*words, ""] if blank or not words else words
    return [""]


class _Place:
    """Where in a command line something is typed."""

    def __init__(self) -> None:
        self._children: Mapping[str, Command] = commands()
        self._parser: Parser | None = None
        self._known = True
        self._helps = False
        self._open: argparse.Action | None = None  # the option whose value comes next
        self._used: list[argparse.Action] = []
        self._values = 0
        self._only_values = False

    def read(self, word: str) -> None:
        """Go on behind this word."""
        waiting, self._open = self._open, None
        if waiting is not None and not (waiting.nargs == "?" and word.startswith("-")):
            return
        if word == "--":
            self._only_values = True
        elif word.startswith("-") and len(word) > 1 and not self._only_values:
            self._read_option(word)
        elif self._children:
            self._read_command(word)
        else:
            self._values += 1

    def candidates(self, current: str) -> _Candidates:
        """What may stand here, where this much of it is typed."""
        if not self._known:
            return _Candidates()
        if self._open is not None and not (self._open.nargs == "?" and current.startswith("-")):
            return self._of(self._open, current)
        if current.startswith("-") and not self._only_values:
            option, equals, value = current.partition("=")
            action = self._option(option)
            if equals and action is not None and action.nargs != 0:
                return _after(f"{option}=", self._of(action, value))
            return _Candidates(self._options())
        if self._children:
            found = {name: command.summary() for name, command in self._children.items()}
            return _Candidates(found | ({} if self._parser or self._helps else {"help": _("show this help")}))
        if (action := self._positional()) is not None and not self._helps:
            return self._of(action, current)
        return _Candidates()

    def _read_option(self, word: str) -> None:
        option, equals, _value = word.partition("=")
        action = self._option(option)
        if action is None:
            # The value may stand at a short option without a blank.
            action, equals = (None if word.startswith("--") else self._option(word[:2])), "="
        if action is not None:
            self._used.append(action)
            if not equals and action.nargs != 0:
                self._open = action

    def _read_command(self, word: str) -> None:
        if word == "help" and self._parser is None and not self._helps:
            self._helps = True
        elif word in self._children:
            command = self._children[word]
            self._parser, self._children = command.parser(), command.commands()
        else:
            self._known, self._children = False, {}

    def _option(self, name: str) -> argparse.Action | None:
        return None if self._parser is None else self._parser._option_string_actions.get(name)

    def _options(self) -> dict[str, str]:
        if self._parser is None:
            return {} if self._helps else dict.fromkeys(LEADING, "")
        return {
            name: _meaning(action)
            for action in self._parser._actions
            if action.help is not argparse.SUPPRESS
            and (action not in self._used or isinstance(action, argparse._AppendAction))
            for name in action.option_strings
        }

    def _positional(self) -> argparse.Action | None:
        actions = (
            [] if self._parser is None else [one for one in self._parser._actions if not one.option_strings]
        )
        for number, action in enumerate(actions):
            if number == self._values or (number < self._values and action.nargs == "*"):
                return action
        return None

    def _of(self, action: argparse.Action, current: str) -> _Candidates:
        metavar = str(action.metavar or "")
        if action.choices is not None:
            return _Candidates(dict.fromkeys(map(str, action.choices), ""))
        if metavar == "CID=FILE":
            name, equals, _path = current.partition("=")
            return _Candidates(kind="files", prefix=name + equals) if equals else _Candidates()
        if metavar in ("FILE", "TEMPLATE", "TABLE", "FOLDER"):
            return _Candidates(kind="folders" if metavar == "FOLDER" else "files")
        return _Candidates({word: text.partition("\n")[0] for word, text in _known(action.dest, metavar)})


def _known(name: str, metavar: str) -> Iterator[tuple[str, str]]:
    """What is known of this machine that may be meant, read without asking or changing anything."""
    if name == "provider":
        from ..providers import PROVIDERS

        yield from ((one.name, _(one.title)) for one in PROVIDERS)
    elif metavar == "KIND":
        from ..stores import kinds

        yield from ((kind, "") for kind in kinds() if kind != "memory")
    elif metavar in ("ADDRESS", "ACCOUNT") and name in _OWN:
        from ..accounts import Accounts

        with suppress(MailerError):  # a configuration that cannot be read names nobody
            yield from ((account.address, account.name) for account in Accounts())
        if name == "fallback":
            yield ("smtp", _("the same account by Gmail's SMTP"))
    elif name in ("number", "numbers"):
        yield from _entries()


def _entries() -> Iterator[tuple[str, str]]:
    """The newest messages of the outbox, where it is a file and there is one already."""
    from ..accounts import home_folder

    if os.environ.get("OAUTH_MAILER_OUTBOX_URL") or not (home_folder() / "outbox.db").is_file():
        return
    with suppress(MailerError):
        from ..outbox import Outbox
        from .outbox.shown import state_word

        with Outbox() as outbox:
            newest = list(outbox.find(newest=_NEWEST))
        yield from ((str(one.id), f"{state_word(one.state)}: {one.subject}") for one in newest)


def _after(prefix: str, found: _Candidates) -> _Candidates:
    words = {f"{prefix}{word}": text for word, text in found.words.items()}
    return _Candidates(words, found.kind, f"{prefix}{found.prefix}")


def _meaning(action: argparse.Action) -> str:
    return (action.help or "").replace("%%", "%")
