"""git's credential protocol (git-credential(1), gitcredentials(7)), for ``git send-email``.

git asks whoever is named as a helper for the password of any server. A token opens a mailbox, so it is given
out for that mailbox's own SMTP server, and nobody else gets a word.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import MailerError
from .exits import OK
from .output import Output

if TYPE_CHECKING:
    from ..accounts import Account
    from ..logins.tokens import Use
    from ..stores import Secret

__all__ = ["answer"]

_LONGEST = 1 << 16  # octets of a request; git's own have some hundred


def answer(
    operation: str, address: str, use: Use, output: Output, ask_passphrase: Callable[[str], Secret]
) -> int:
    """Answer one request on standard input; returns the exit code.

    ``operation``: ``get``; any other is left unanswered, as git asks for: nothing of git's is kept here, and
    a token that was refused ends by itself. ``address``: the account, by default that of the request's user.
    Raises ``MailerError``, after git was told not to ask a person for a password that there is none of.
    """
    asked = _read()
    if operation != "get" or (account := _account(address, asked)) is None:
        return OK
    from ..logins.tokens import access_token

    try:
        found = access_token(account.address, use=use, ask_passphrase=ask_passphrase)
    except MailerError:
        output.result("quit=1")
        raise
    lines = [f"username={found.username}"]
    if "authtype" in asked.get("capability[]", ()):  # git 2.46: whoever asks knows tokens
        lines.insert(0, "capability[]=authtype")
        lines += ["authtype=Bearer", f"credential={found.token.reveal()}", "ephemeral=1"]
    else:
        lines.append(f"password={found.token.reveal()}")
    if found.expires:
        lines.append(f"password_expiry_utc={int(found.expires.timestamp())}")
    output.result("\n".join(lines))
    return OK


def _read() -> Mapping[str, Sequence[str]]:
    """The request, by key, with all values of each in turn."""
    data = b"" if sys.stdin is None else sys.stdin.buffer.read(_LONGEST)
    found: dict[str, list[str]] = {}
    for line in data.decode("utf-8", "replace").split("\n"):
        key, equals, value = line.removesuffix("\r").partition("=")
        if equals:
            found.setdefault(key, []).append(value)
    return found


def _account(address: str, asked: Mapping[str, Sequence[str]]) -> Account | None:
    """The account that is meant, if it is one whose token may be shown to the server that is asked for."""
    from ..accounts import Accounts

    accounts = Accounts()
    user = _last(asked, "username")
    if not address and user and user not in accounts:
        return None  # another helper may know it
    account = accounts.get(address or user)
    if user and user.lower() not in (account.address.lower(), account.login_name.lower()):
        return None
    if not address and account.auth in ("code", "none"):
        return None  # a person may type the password of it, or another helper know it
    return account if _is_ours(account, _last(asked, "protocol"), _last(asked, "host")) else None


def _last(asked: Mapping[str, Sequence[str]], key: str) -> str:
    return asked.get(key, ("",))[-1]


def _is_ours(account: Account, protocol: str, host: str) -> bool:
    """``host``: as HOST or HOST:PORT."""
    if protocol not in ("smtp", "smtps"):
        return False
    servers = [account.server] if account.host else [account.server, *account.preset.servers]
    places = {server.host.lower() for server in servers}
    places |= {f"{server.host.lower()}:{server.port}" for server in servers}
    return host.lower() in places
