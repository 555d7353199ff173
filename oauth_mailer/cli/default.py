"""``oauth-mailer default ADDRESS``."""

from __future__ import annotations

import argparse

from ..i18n import _
from .arguments import Parser
from .exits import OK
from .output import Output

__all__ = ["parser", "run", "summary"]


def summary() -> str:
    """What the command does."""
    return _("choose the account that sends where none is named")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        "default",
        takes="[ADDRESS]",
        summary=_("Chooses the account that sends where --from names none. Without ADDRESS: shows it."),
        examples=("oauth-mailer default me@qq.com", "oauth-mailer default"),
    )
    made.group(_("Arguments")).add_argument(
        "address", metavar="ADDRESS", nargs="?", default="", help=_("an account that is set up")
    )
    made.common()
    return made


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Choose or show the default account; returns the exit code. Raises ``MailerError``."""
    from ..accounts import Accounts

    accounts = Accounts()
    if arguments.address:
        accounts.set_default(arguments.address)
        output.say(_("{address} is now the default account.").format(address=accounts.default), style="green")
    address = accounts.get().address
    if output.json:
        output.record({"default": address})
    elif not arguments.address:
        output.result(address)
    return OK
