"""The commands and their subcommands as a tree, for whatever is made of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from . import COMMANDS
from .arguments import Parser

__all__ = ["Command", "commands", "every_command"]


@dataclass(frozen=True, slots=True)
class Command:
    """``words``: as it is typed after the program's name; ``path``: of its module, imported when needed."""

    words: tuple[str, ...]
    path: str

    @property
    def name(self) -> str:
        """As it is typed."""
        return " ".join(self.words)

    def module(self) -> ModuleType:
        """Its module: ``summary``, ``parser``, ``run``."""
        return import_module(self.path)

    def summary(self) -> str:
        """What it does, in the user's language."""
        text: str = self.module().summary()
        return text

    def parser(self) -> Parser:
        """Its parser, made anew."""
        made: Parser = self.module().parser()
        return made

    def commands(self) -> Mapping[str, Command]:
        """Its subcommands, by their last word."""
        names: Mapping[str, str] = getattr(self.module(), "SUBCOMMANDS", {})
        return {name: Command((*self.words, name), f"{self.path}.{file}") for name, file in names.items()}


def commands() -> dict[str, Command]:
    """The commands of the program, by name."""
    return {name: Command((name,), f"{__package__}.{file}") for name, file in COMMANDS.items()}


def every_command() -> Iterator[Command]:
    """All of them, each with its subcommands after it."""
    for command in commands().values():
        yield command
        yield from command.commands().values()
