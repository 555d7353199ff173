"""``oauth-mailer logout ADDRESS``."""

from __future__ import annotations

import argparse

from ..i18n import _
from .arguments import Parser
from .exits import OK
from .output import Output

__all__ = ["parser", "run", "summary"]


def summary() -> str:
    """What the command does."""
    return _("revoke an account's login at the provider and forget it")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        "logout",
        takes="ADDRESS",
        summary=_(
            "Revokes the account's token at the provider, where there is one, and forgets its secret and its "
            "entry in the configuration. An authorization code cannot be revoked from here: do that in the "
            "settings of the mailbox."
        ),
        examples=("oauth-mailer logout me@gmail.com",),
    )
    made.group(_("Arguments")).add_argument("address", metavar="ADDRESS", help=_("an account that is set up"))
    made.common()
    return made


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Log out; returns the exit code. Raises ``MailerError``, also where only a part of it was done."""
    from .. import logins
    from ..auth import asks_consent
    from .terminal import open_prompt

    account, revoked = logins.log_out(arguments.address, prompt=open_prompt(output))
    if output.json:
        output.record({"status": "logged_out", "account": account.address, "revoked": revoked})
    output.say(
        (
            _("{address} is revoked at the provider, and forgotten here.")
            if revoked
            else _("{address} is forgotten here.")
        ).format(address=account.address),
        style="green",
    )
    if (authority := asks_consent(account)) is not None and not revoked:
        output.say(authority.kept_alive)
    if account.auth == "code":
        output.say(
            _("Its code is still valid: cancel it in the settings of the mailbox if you no longer need it.")
        )
    return OK
