"""What ``oauth-mailer --help`` shows: enough to begin."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from ..i18n import _
from . import COMMANDS
from .columns import padded, width, wrapped
from .facts import EXIT_CODES, OPTIONS, VARIABLES, Fact

__all__ = ["overview"]

_WIDTH = 100


def overview() -> str:
    """The help of the whole program."""
    commands = [
        (name, import_module(f".{module}", __package__).summary()) for name, module in COMMANDS.items()
    ]
    begin = (
        ("oauth-mailer try", _("the whole job on this machine; needs no account")),
        ("oauth-mailer login me@gmail.com", _("leads you through Google's console, the first time")),
        ("oauth-mailer login me@qq.com", ""),
        ('oauth-mailer send --to ann@example.com --subject "Hello" --text "It works."', ""),
        ("oauth-mailer doctor", _("where something does not work: what, why, and what to do")),
    )
    parts = (
        _("Usage: ") + "oauth-mailer COMMAND ...",
        _paragraph(
            _(
                "Sends real mail: Gmail by OAuth2 consent in your browser, QQ, 163 and any other server by "
                "SMTP with an authorization code. Secrets rest in the system's keyring."
            )
        ),
        _("Commands:") + _columns(commands),
        _("Begin with one of these:") + _columns(begin),
        _paragraph(_("Each command has its own help, with examples: oauth-mailer COMMAND --help.")),
        _("Options:") + _facts(OPTIONS),
        _("Exit codes:") + _facts(EXIT_CODES),
        _("Environment:") + _facts(VARIABLES),
    )
    return "\n\n".join(parts) + "\n"


def _paragraph(text: str) -> str:
    return "\n".join(wrapped(text, _WIDTH))


def _facts(rows: Iterable[Fact]) -> str:
    return _columns((row.name, _(row.text)) for row in rows)


def _columns(rows: Iterable[tuple[str, str]]) -> str:
    rows = list(rows)
    cells = max(width(left) for left, right in rows if right) + 3
    lines = []
    for left, right in rows:
        first, *more = wrapped(right, _WIDTH - 2 - cells) if right else [""]
        lines.append(f"  {padded(left, cells)}{first}".rstrip())
        lines.extend(" " * (cells + 2) + line for line in more)
    return "".join(f"\n{line}" for line in lines)
