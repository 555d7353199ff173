"""``oauth-mailer completion SHELL``."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from ..i18n import _
from .arguments import Parser
from .exits import OK
from .output import Output

__all__ = ["parser", "run", "summary"]


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _powershell(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_SHELLS: dict[str, tuple[str, Callable[[str], str]]] = {
    "bash": ("bash.sh", shlex.quote),
    "zsh": ("zsh.sh", shlex.quote),
    "fish": ("fish.sh", _fish),
    "powershell": ("powershell.ps1", _powershell),
}
"""The script of each shell, and how that shell takes a text as it is."""


def summary() -> str:
    """What the command does."""
    return _("print a script by which your shell completes what you type")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        "completion",
        takes="SHELL",
        summary=_(
            "Prints a script by which a shell completes commands, options, their values, file names, your "
            "accounts and the numbers of the outbox. It asks the program at each Tab, so it is made once."
        ),
        examples=(
            "oauth-mailer completion fish > ~/.config/fish/completions/oauth-mailer.fish",
            "oauth-mailer completion zsh > ~/.zfunc/_oauth-mailer      # a folder of $fpath",
            'eval "$(oauth-mailer completion bash)"                    # in ~/.bashrc',
            "oauth-mailer completion powershell | Out-String | Invoke-Expression    # in $PROFILE",
        ),
    )
    made.group(_("Arguments")).add_argument(
        "shell", metavar="SHELL", choices=tuple(_SHELLS), help=", ".join(_SHELLS)
    )
    made.common(json=False)
    return made


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Print it; returns the exit code. Raises nothing."""
    name, quoted = _SHELLS[arguments.shell]
    script = Path(__file__).with_name("shells").joinpath(name).read_text("utf-8")
    output.octets([script.replace("@PROGRAM@", quoted(_program())).encode()])
    return OK


def _program() -> str:
    """The path of this program, for a shell in which it may not be found by its name."""
    called = Path(sys.argv[0])
    if called.stem == "oauth-mailer" and called.is_file():
        return str(called.absolute())
    return shutil.which("oauth-mailer", path=str(Path(sys.executable).parent)) or "oauth-mailer"
