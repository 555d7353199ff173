"""``oauth-mailer login ADDRESS``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..i18n import _, system_text
from .arguments import Parser
from .exits import OK, InputMissing, UsageError
from .login_options import check, given
from .output import Output

if TYPE_CHECKING:
    from ..accounts import Account
    from ..stores import Secret

__all__ = ["parser", "run", "summary"]

_LONGEST_CODE = 16_384  # octets; no store takes a longer secret


def summary() -> str:
    """What the command does."""
    return _("set up an account: consent in the browser (Gmail, Outlook) or an authorization code")


def parser() -> Parser:
    """The options of the command."""
    from ..providers import PROVIDERS
    from ..stores import kinds

    made = Parser(
        "login",
        takes="ADDRESS",
        summary=_(
            "Sets up an account, or renews its login. The provider is found from the address. Gmail: your "
            "browser opens Google's consent page; the first time, it leads you to the OAuth client that this "
            "needs. Outlook.com and Microsoft 365: your browser opens Microsoft's, or you type a code on "
            "another device. Others: asks for the authorization code, proves it against "
            "the server, and only then keeps it. The first account becomes the default one."
        ),
        examples=(
            "oauth-mailer login me@gmail.com",
            "oauth-mailer login me@gmail.com --client-secrets ~/Downloads/client_secret.json",
            "oauth-mailer login me@gmail.com --provider gmail-xoauth2",
            "oauth-mailer login me@outlook.com --client-id 11111111-2222-3333-4444-555555555555",
            "oauth-mailer login me@corp.example --provider microsoft365 --device",
            "oauth-mailer login me@qq.com",
            "oauth-mailer login me@corp.example --provider exmail",
            "oauth-mailer login me@corp.example --host mail.corp.example --smtp-port 587 --security starttls",
            "pass show mail/qq | oauth-mailer login me@qq.com --code-stdin",
        ),
    )
    made.group(_("Arguments")).add_argument(
        "address", metavar="ADDRESS", help=_("the address to send from, such as me@gmail.com")
    )
    account = made.group(_("Account"))
    account.add_argument(
        "--provider",
        metavar="NAME",
        help=_("the preset to use, for an own domain: {names}").format(
            names=", ".join(provider.name for provider in PROVIDERS)
        ),
    )
    account.add_argument("--name", help=_("your name, as recipients see it"))
    account.add_argument(
        "--fallback",
        action="append",
        metavar="ADDRESS",
        help=_(
            "the account to use if it is certain that this one did not send; smtp: this one by Gmail's SMTP, "
            "which needs a consent to all of the mailbox; may be repeated"
        ),
    )
    account.add_argument("--default", action="store_true", help=_("make it the default account"))
    account.add_argument(
        "--store",
        metavar="KIND",
        choices=[kind for kind in kinds() if kind != "memory"],
        help=_("where the secret rests: {kinds} (by default the keyring)").format(
            kinds=", ".join(kind for kind in kinds() if kind != "memory")
        ),
    )
    google = made.group(_("Gmail"))
    google.add_argument(
        "--client-secrets",
        metavar="FILE",
        help=_("the JSON file of your OAuth client, from Google's console (else you are led there)"),
    )
    google.add_argument(
        "--service-account",
        metavar="FILE",
        help=_("the JSON key of a Workspace service account that may act for ADDRESS; nobody is asked"),
    )
    microsoft = made.group(_("Outlook.com and Microsoft 365"))
    microsoft.add_argument(
        "--client-id",
        metavar="ID",
        default="",
        help=_("the Application (client) ID of your app registration (needed the first time)"),
    )
    microsoft.add_argument(
        "--tenant",
        default="",
        help=_(
            "consumers, organizations, common, or an organisation's domain or id (by default the address's)"
        ),
    )
    microsoft.add_argument(
        "--device",
        action="store_true",
        help=_("show a code to type on another device (by default where no browser can be opened)"),
    )
    consent = made.group(_("Consent"))
    consent.add_argument(
        "--no-browser",
        action="store_true",
        help=_("print the address of the consent page instead of opening it"),
    )
    consent.add_argument(
        "--port", type=int, default=0, help=_("listen for the answer on this port (by default any free one)")
    )
    consent.add_argument(
        "--timeout",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help=_("how long to wait for the consent (by default 300)"),
    )
    consent.add_argument(
        "--check-identity",
        action="store_true",
        help=_("ask for the account's own address too, and refuse another one than ADDRESS"),
    )
    server = made.group(_("Any other server"))
    server.add_argument(
        "--code-stdin",
        action="store_true",
        help=_("read the authorization code or password from standard input"),
    )
    server.add_argument("--host", help=_("the SMTP server, as HOST or HOST:PORT"))
    server.add_argument("--smtp-port", type=int, default=0, metavar="PORT", help=_("its port"))
    server.add_argument(
        "--security",
        choices=("tls", "starttls", "none"),
        help=_("tls (port 465), starttls (587), or none: unencrypted, readable by everybody on the way"),
    )
    server.add_argument("--username", metavar="NAME", help=_("the user name, where it is not the address"))
    server.add_argument(
        "--ca-file", metavar="FILE", help=_("certificates (PEM) to trust in place of the system's")
    )
    made.common()
    return made


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Log in; returns the exit code. Raises ``MailerError``."""
    from .. import logins
    from .guide import Guide
    from .terminal import open_prompt

    for name in ("client_secrets", "service_account", "ca_file"):
        if path := getattr(arguments, name):
            setattr(arguments, name, _readable(path))
    account = logins.account_for(
        arguments.address,
        provider=arguments.provider or logins.provider_taking(arguments.address, given(arguments)),
        host=arguments.host or "",
        port=arguments.smtp_port,
        security=arguments.security or "",
        username=arguments.username or "",
        ca_file=arguments.ca_file or "",
        name=arguments.name,
        store=arguments.store or "",
        fallback=arguments.fallback or (),
    )
    check(arguments, account)
    prompt = open_prompt(output, browser=not arguments.no_browser)
    guide = Guide(prompt, account.address)
    account = logins.login(
        account,
        prompt=prompt,
        code=_code_from_standard_input() if arguments.code_stdin else None,
        client_secrets=arguments.client_secrets,
        service_account=arguments.service_account,
        make_client=guide if prompt.asks else None,
        client_id=arguments.client_id,
        tenant=arguments.tenant,
        device=arguments.device or None,
        browser=not arguments.no_browser,
        port=arguments.port,
        timeout=arguments.timeout,
        check_identity=arguments.check_identity,
        default=arguments.default,
    )
    _tell(account, output)
    guide.offer_to_delete()
    return OK


def _readable(name: str) -> str:
    path = Path(name).expanduser()
    try:
        path.open("rb").close()
    except OSError as error:
        raise InputMissing(
            _("The file {path} cannot be read: {reason}.").format(
                path=path, reason=system_text(error.strerror)
            ),
            code="input-missing",
            hint=_("Check the path."),
        ) from error
    return str(path.absolute())  # the path of a CA file is remembered: it must not depend on the folder


def _code_from_standard_input() -> Secret:
    from ..stores import Secret

    line = b"" if sys.stdin is None else sys.stdin.buffer.readline(_LONGEST_CODE)
    try:
        text = line.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError:
        text = ""
    if not text.strip():
        raise UsageError(
            _("Standard input has no authorization code on its first line."),
            code="code-missing",
            hint=_("For example: pass show mail/qq | oauth-mailer login me@qq.com --code-stdin"),
        )
    return Secret(text)


def _tell(account: Account, output: Output) -> None:
    from ..accounts import Accounts

    accounts = Accounts()
    default = accounts.default.lower() == account.address.lower()
    if output.json:
        record: dict[str, Any] = {
            "status": "logged_in",
            "account": account.address,
            "provider": account.provider,
            "transport": account.transport,
            "store": account.store,
            "default": default,
        }
        output.record(record)
    output.say(
        _("{address} is ready: {provider}, its secret in the store {store}.").format(
            address=account.address, provider=_(account.preset.title), store=account.store
        ),
        style="green",
    )
    if default:
        output.say(_("It is the default account."))
    else:
        output.say(
            _("To make it the default account: oauth-mailer default {address}").format(
                address=account.address
            )
        )
    output.say(
        _(
            'Try it: oauth-mailer send --from {address} --to {address} --subject Hello --text "It works."'
        ).format(address=account.address)
    )
