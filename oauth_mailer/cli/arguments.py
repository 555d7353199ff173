"""The parser of one command: its help can be lived from, its errors are ours, and it takes no secret."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

from ..i18n import N_, _
from ..values import dataclass
from .exits import UsageError

__all__ = ["Parser", "nearest"]

_SECRETS = (
    "--password",
    "--passwd",
    "--pass",
    "--code",
    "--auth-code",
    "--secret",
    "--token",
    "--passphrase",
)


@dataclass(frozen=True, slots=True)
class _Finding:
    """Something that argparse says in English only, and our words for it; what was typed is left out."""

    pattern: str
    text: str


_FINDINGS = (
    _Finding(r"the following arguments are required: (?P<name>.+)", N_("{name} is missing")),
    _Finding(r"argument (?P<name>.+?): expected one argument", N_("{name} needs a value")),
    _Finding(r"argument (?P<name>.+?): ignored explicit argument", N_("{name} takes no value")),
    _Finding(r"argument (?P<name>.+?): invalid (int|float) value", N_("{name} takes a number")),
    _Finding(
        r"argument (?P<name>.+?): invalid choice: .+ \(choose from (?P<known>.+)\)",
        N_("{name} takes one of: {known}"),
    ),
    _Finding(
        r"argument (?P<name>.+?): not allowed with argument (?P<other>.+)",
        N_("{name} does not go with {other}"),
    ),
)


class Parser(argparse.ArgumentParser):
    """``command``: its name; ``summary``: what it does; ``takes``: its arguments; ``examples``: to copy.

    ``takes_openly``: options that are named like a secret and hold none.
    """

    def __init__(
        self,
        command: str,
        *,
        summary: str,
        takes: str = "",
        examples: Sequence[str] = (),
        takes_openly: Sequence[str] = (),
    ) -> None:
        self.command = command
        self.examples = examples
        super().__init__(
            prog=f"oauth-mailer {command}",
            usage=" ".join(("oauth-mailer", command, takes, _("[OPTIONS]"))).replace("  ", " "),
            description=summary,
            formatter_class=_Formatter,
            add_help=False,
            allow_abbrev=False,  # a new option must not change the meaning of an old script
        )
        self.color = False  # Python 3.14 would have its own, which know nothing of ours
        self._positionals.title, self._optionals.title = _("Arguments"), _("Options")
        for name in (name for name in _SECRETS if name not in takes_openly):
            self.add_argument(name, nargs="?", action=_RefusedSecret, help=argparse.SUPPRESS)

    def group(self, title: str) -> argparse._ArgumentGroup:
        """A titled group of options."""
        return self.add_argument_group(title)

    def log_options(self) -> None:
        """Add the options of the commands that send."""
        group = self.group(_("Log"))
        group.add_argument(
            "--log-file",
            metavar="FILE",
            help=_("append a line for each try to send, and for what else happens; made for its owner only"),
        )
        group.add_argument(
            "--log-format",
            choices=("text", "json"),
            help=_("of the log; without --log-file it goes to standard error, with json nothing else does"),
        )
        group.add_argument(
            "--log-recipients",
            choices=("count", "hash", "clear"),
            help=_("how the log tells them: how many (count), by salted hashes, or their addresses"),
        )

    def common(self, *, json: bool = True) -> None:
        """Add the options that every command has. ``json``: whether it prints a result."""
        group = self.group(_("Common options"))
        if json:
            group.add_argument(
                "--json", action="store_true", help=_("print the result, or the error, as JSON")
            )
        group.add_argument("-q", "--quiet", action="store_true", help=_("show errors only"))
        group.add_argument(
            "-v", "--verbose", action="store_true", help=_("show what happens, without secrets")
        )
        group.add_argument("-h", "--help", action="help", help=_("show this help"))

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in argparse, but raises ``UsageError``.

        What was typed in a wrong place may be a secret, so it is not shown.
        """
        values, extra = self.parse_known_args(args, namespace)
        if not extra:
            return values
        options = [word.partition("=")[0] for word in extra if word.startswith("-") and len(word) > 1]
        if not options:
            raise self._usage_error(
                _("There are more arguments than {command} takes.").format(command=self.prog)
            )
        near = nearest(options[0], self._option_string_actions)
        message = (
            _("There is no option {option}. Did you mean {near}?")
            if near
            else _("There is no option {option}.")
        )
        raise self._usage_error(message.format(option=options[0], near=near))

    def format_help(self) -> str:
        """The help, with the examples at its end."""
        import shutil

        # Asked here only, for argparse makes a formatter for each option to see whether it is sound.
        self.formatter_class = partial(_Formatter, columns=shutil.get_terminal_size().columns)
        # argparse puts its own colon after a title, whatever the language.
        title = _("Examples:")
        text = re.sub(r"(?m)^(\S.*):$", rf"\1{title[-1]}", super().format_help())
        return f"{text}\n{title}\n  " + "\n  ".join(self.examples) + "\n" if self.examples else text

    def error(self, message: str) -> NoReturn:
        """Raise what argparse found as our error."""
        for finding in _FINDINGS:
            if found := re.match(finding.pattern, message, re.DOTALL):
                values = {name: value.replace("'", "") for name, value in found.groupdict().items()}
                message = _(finding.text).format(**values)
                break
        raise self._usage_error(_("The command line is wrong: {reason}.").format(reason=message))

    def _usage_error(self, message: str) -> UsageError:
        return UsageError(
            message, code="usage", hint=_("Run: oauth-mailer {command} --help").format(command=self.command)
        )


class _Formatter(argparse.HelpFormatter):
    def __init__(self, prog: str, columns: int = 80) -> None:
        super().__init__(prog, max_help_position=30, width=min(columns, 102) - 2)

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, prefix or _("Usage: "))

    def _split_lines(self, text: str, width: int) -> list[str]:
        from .columns import wrapped

        return wrapped(text, width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        from .columns import wrapped

        return "\n".join(indent + line for line in wrapped(text, width - len(indent)))


class _RefusedSecret(argparse.Action):
    def __call__(
        self, parser: Any, namespace: Any, values: Any, option_string: str | None = None
    ) -> NoReturn:
        raise UsageError(
            _(
                "There is no option {option}: everybody on this machine can read the arguments of a program."
            ).format(option=option_string),
            code="secret-in-arguments",
            hint=_("Type it when oauth-mailer login asks for it, or hand it in with --code-stdin.")
            + "\n"
            + _("What you just typed may stand in your shell's history: make a new code."),
        )


def nearest(word: str, known: Any) -> str:
    """The known word that was probably meant, or nothing."""
    import difflib

    return next(iter(difflib.get_close_matches(word, list(known), n=1)), "")
