"""``oauth-mailer token [ADDRESS]``: the one command whose result is a secret."""

from __future__ import annotations

import argparse
import sys

from ..i18n import _
from .arguments import Parser
from .exits import OK, UsageError
from .output import Output, is_terminal

__all__ = ["parser", "run", "summary"]


def summary() -> str:
    """What the command does."""
    return _("print an access token for another program (msmtp, mutt, git)")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        "token",
        takes="[ADDRESS]",
        summary=_(
            "Prints an access token that is good now, alone, for another program that logs in by OAUTHBEARER "
            "or XOAUTH2; renewed if it is due, as for a send, and never logged. A token that SMTP does not "
            "take, as that of an account which may only send by the Gmail API, is not given out."
        ),
        examples=(
            "oauth-mailer token me@gmail.com --json | jq -r .expires",
            'passwordeval "oauth-mailer token -q me@gmail.com"        # in ~/.msmtprc, with auth oauthbearer',
            'set smtp_oauth_refresh_command="oauth-mailer token -q me@gmail.com"      # in ~/.muttrc',
            "git config --global credential.helper '!oauth-mailer token me@gmail.com --git-credential'",
        ),
    )
    made.group(_("Arguments")).add_argument(
        "address", metavar="ADDRESS", nargs="?", default="", help=_("the account (else the default one)")
    )
    group = made.group(_("Token"))
    group.add_argument(
        "--for",
        dest="use",
        choices=("smtp", "api"),
        default="smtp",
        help=_("what it is wanted for: smtp, or api for a program that speaks the Gmail API (smtp)"),
    )
    group.add_argument(
        "--git-credential",
        metavar="OPERATION",
        help=_(
            "speak git's credential protocol: git adds get, store or erase itself. A token is given out for "
            "the account's own SMTP server only"
        ),
    )
    group.add_argument(
        "--show", action="store_true", help=_("print it on a terminal, too, where it stays on the screen")
    )
    made.common()
    return made


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Print the token; returns the exit code. Raises ``MailerError``."""
    if is_terminal(sys.stdout) and not arguments.show:
        raise UsageError(
            _("An access token is not shown on a terminal, where it would stay on the screen."),
            code="token-terminal",
            hint=_("Let another program read it, or add --show."),
        )
    from .terminal import open_prompt

    ask = open_prompt(output).ask_secret
    if arguments.git_credential is not None:
        from .git_credential import answer

        if arguments.json:
            raise UsageError(
                _("--git-credential prints what git reads, which is no JSON."),
                code="usage",
                hint=_("Leave out --json."),
            )
        return answer(arguments.git_credential, arguments.address, arguments.use, output, ask)
    from ..logins.tokens import access_token

    found = access_token(arguments.address, use=arguments.use, ask_passphrase=ask)
    expires = found.expires.isoformat(timespec="seconds") if found.expires else ""
    if output.json:
        output.record(
            {
                "account": found.account,
                "username": found.username,
                "access_token": found.token.reveal(),
                "expires": expires,
                "scope": " ".join(found.scopes),
            }
        )
    else:
        output.result(found.token.reveal())
    said = (
        _("{address}: a token for {scopes}, good until {moment} UTC.")
        if found.expires
        else _("{address}: a token for {scopes}.")
    )
    output.say(
        said.format(
            address=found.account,
            scopes=", ".join(found.scopes) or "?",
            moment=f"{found.expires:%H:%M:%S}" if found.expires else "",
        )
    )
    return OK
