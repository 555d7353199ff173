"""Which of Google's scopes lets an account send, by which way."""

from __future__ import annotations

from collections.abc import Mapping

from ..accounts import Account
from ..errors import LoginRequired
from ..i18n import _
from ._oauth_tokens import scopes_of

__all__ = ["ALL", "SEND", "SENDING", "check_scopes"]

SEND = "https://www.googleapis.com/auth/gmail.send"
"""May send, and nothing else: it reads no mail, and not even the name of its own account."""

ALL = "https://mail.google.com/"
"""May read, change and delete all mail too. Gmail's SMTP takes no less; Google calls it *restricted*."""

_API = "https://www.googleapis.com/auth/gmail"

SENDING: Mapping[str, frozenset[str]] = {
    "gmail": frozenset({ALL, SEND, f"{_API}.compose", f"{_API}.modify"}),
    "smtp": frozenset({ALL}),
}
"""The scopes of which one is enough to send, by transport."""


def check_scopes(account: Account) -> None:
    """Refuse an account that would send by SMTP with a consent that SMTP does not take.

    Raises ``LoginRequired``, before the server is asked: each refused login counts there.
    """
    asked = scopes_of(account)
    if account.transport != "smtp" or SENDING["smtp"] & set(asked):
        return
    option = "--fallback smtp" if "smtp" in account.fallback else "--provider gmail-xoauth2"
    raise LoginRequired(
        _("The consent of {address} does not reach as far as SMTP: it is for {scopes}.").format(
            address=account.address, scopes=", ".join(asked)
        ),
        code="scope-missing",
        hint=_("For a consent to {scope}, run: oauth-mailer login {address} {option}").format(
            scope=ALL, address=account.address, option=option
        ),
    )
