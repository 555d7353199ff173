"""``oauth-mailer accounts``."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..i18n import _
from .arguments import Parser
from .columns import padded, width
from .exits import OK, UsageError
from .output import Output, printable

if TYPE_CHECKING:
    from ..accounts import Account

__all__ = ["parser", "run", "summary"]


def summary() -> str:
    """What the command does."""
    return _("list the accounts, or move them to another machine")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        "accounts",
        takes="[export FILE [ADDRESS ...] | import FILE]",
        summary=_(
            "Lists the accounts that are set up; reads no secret and connects to nothing. export writes them "
            "with their secrets into a file that is sealed with a passphrase; import takes them over."
        ),
        examples=(
            "oauth-mailer accounts --json",
            "oauth-mailer accounts export moving.sealed",
            "oauth-mailer accounts import moving.sealed     # on the other machine",
            "oauth-mailer accounts export gmail.secret me@gmail.com --unsealed     # for a container, or CI",
        ),
    )
    made.add_argument("action", nargs="?", choices=("export", "import"), help=argparse.SUPPRESS)
    made.add_argument("words", nargs="*", metavar="FILE", help=argparse.SUPPRESS)
    made.add_argument(
        "--unsealed",
        action="store_true",
        help=_("export the secret of one account, readable, as the store environment takes it"),
    )
    made.add_argument("--replace", action="store_true", help=_("import accounts that are set up here too"))
    made.add_argument("--store", metavar="KIND", default="", help=_("the store to import the secrets into"))
    made.common()
    return made


def run(arguments: argparse.Namespace, output: Output) -> int:
    """List the accounts, or move them; returns the exit code. Raises ``MailerError``."""
    from ..accounts import Accounts

    if arguments.action or arguments.unsealed:
        return _move(arguments, output)
    accounts = Accounts()
    default = accounts.default.lower()
    rows = [_row(account, is_default=account.address.lower() == default) for account in accounts]
    if output.json:
        output.record({"accounts": rows})
    elif rows:
        output.result("\n".join([_table(rows), *_endings(rows)]))
    else:
        output.say(_("No account is set up yet."))
        output.say(_("Run: oauth-mailer login you@example.com"), style="cyan")
    return OK


def _move(arguments: argparse.Namespace, output: Output) -> int:
    from ..logins.moving import export_accounts, export_secret, import_accounts
    from .inputs import require_readable
    from .terminal import open_prompt

    exports = arguments.action == "export"
    if arguments.unsealed and (not exports or len(arguments.words) != 2):
        raise UsageError(
            _("--unsealed goes with: export FILE ADDRESS"),
            code="usage",
            hint=_("Run: oauth-mailer accounts --help"),
        )
    if not arguments.words or (len(arguments.words) > 1 and not exports):
        raise UsageError(
            _("{action} takes one FILE.").format(action=arguments.action),
            code="usage",
            hint=_("Run: oauth-mailer accounts --help"),
        )
    prompt = open_prompt(output)
    ask = prompt.ask_secret if prompt.asks else None
    path, *addresses = arguments.words
    if arguments.unsealed:
        moved = [export_secret(path, addresses[0], ask_passphrase=ask)]
        said = _(
            "The secret of {addresses} was written to {path}. Whoever reads it can send as that address."
        )
    elif exports:
        moved = export_accounts(path, addresses, ask_passphrase=ask)
        said = _("{addresses} were written to {path}. Whoever has it and the passphrase can send as them.")
    else:
        moved = import_accounts(
            require_readable(path),
            replace_existing=arguments.replace,
            store=arguments.store,
            ask_passphrase=ask,
        )
        said = _("{addresses} are set up here, from {path}.")
    if output.json:
        output.record({"status": f"{arguments.action}ed", "accounts": [one.address for one in moved]})
    output.say(
        said.format(addresses=", ".join(one.address for one in moved), path=printable(path)), style="green"
    )
    return OK


def _row(account: Account, *, is_default: bool) -> dict[str, Any]:
    from ..auth import authority_of
    from ..logins import login_state
    from ..stores import store_kind

    authority = authority_of(account)
    ends = authority.ends(account) if authority else None
    return {
        "address": account.address,
        "name": account.name,
        "provider": account.provider,
        "transport": account.transport,
        "server": f"{account.server.host}:{account.server.port}" if account.transport == "smtp" else "",
        "store": "" if account.auth == "none" else store_kind(account.store),
        "default": is_default,
        "login": login_state(account),
        "logged_in": account.logged_in,
        "ends_if_testing": ends.isoformat(timespec="seconds") if ends else "",
        "fallback": list(account.fallback),
    }


def _table(rows: list[dict[str, Any]]) -> str:
    states = {
        "set_up": "",
        "required": _("login required"),
        "missing": _("its secret is not in the environment"),
    }
    lines = [("", _("ADDRESS"), _("PROVIDER"), _("BY"), _("SECRET IN"), _("LOGGED IN"), "")]
    lines += [
        (
            "*" if row["default"] else "",
            row["address"],
            row["provider"],
            row["server"] or row["transport"],
            row["store"],
            row["logged_in"][:10],
            states[row["login"]],
        )
        for row in rows
    ]
    cells = [[printable(cell) for cell in line] for line in lines]
    widths = [max(width(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(padded(cell, wide) for cell, wide in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def _endings(rows: list[dict[str, Any]]) -> list[str]:
    """What is said of consents that may end soon; later, it is proven that their app is not in testing."""
    soon = [
        row
        for row in rows
        if row["login"] == "set_up"
        and row["ends_if_testing"]
        and datetime.fromisoformat(row["ends_if_testing"]) >= datetime.now(UTC)
    ]
    return [
        _("{address}: the login ends on {day} if its app is in testing").format(
            address=row["address"], day=row["ends_if_testing"][:10]
        )
        for row in soon
    ]
