"""An authorization code, an app password, or a plain password: shown to the server as it is."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal

from ..accounts import Account, secret_variable
from ..errors import LoginRequired, SendError
from ..i18n import _
from ..refusals import Refusals
from ..stores import Secret, Slot, TokenStore

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CodeCredential", "check_code", "forget", "slot", "where_to_put"]

_INVISIBLE = "[\u200b-\u200f\u2060\ufeff]|\x1b\\[20[01]~"
"""What is copied from a web page along with a code and seen by nobody, and a terminal's marks of pasting."""


def open(account: Account, store: TokenStore, home: Path | str, timeout: float) -> CodeCredential:  # noqa: A001
    """The credential of an account with ``auth = "code"``."""
    return CodeCredential(account, store, home)


def slot(account: Account) -> Slot:
    """Where the code rests."""
    return Slot(account.address, "code")


def forget(account: Account, store: TokenStore, home: Path | str) -> None:
    """Delete the code. Raises ``StoreError``."""
    if store.writable:
        store.delete(slot(account))


class CodeCredential:
    """Reads the code from the store each time, so that a new login is seen at once."""

    form: Literal["password", "bearer"] = "password"

    def __init__(self, account: Account, store: TokenStore, home: Path | str) -> None:
        self._account = account
        self._store = store
        self._refusals = Refusals(home)

    def get(self) -> Secret:
        """The code.

        Raises ``LoginRequired`` where there is none, ``StoreError`` where the store failed, and the error
        with which the server refused this very code, while that stands.
        """
        secret = self._store.get(slot(self._account))
        if not secret:
            raise LoginRequired(
                _("The store {store} has no authorization code or password for {address}.").format(
                    store=self._store.kind, address=self._account.address
                ),
                code="secret-missing",
                hint=where_to_put(self._account.address, self._store),
            )
        code = _without_spaces(self._account, secret)
        self._refusals.check(self._account.address, code.reveal())
        return code

    def turn(self, secret: Secret) -> AbstractContextManager[None]:
        """See ``Remembering``."""
        return self._refusals.turn(self._account.address, secret.reveal())

    def note_refused(self, secret: Secret, error: SendError) -> None:
        """See ``Remembering``."""
        self._refusals.note(self._account.address, secret.reveal(), error)

    def renew(self, refused: Secret) -> Secret:
        """Raises ``LoginRequired``: only a person can get another code."""
        raise LoginRequired(
            _("{address} needs a new authorization code or password.").format(address=self._account.address),
            code="login-refused",
            hint=_("Run: oauth-mailer login {address}").format(address=self._account.address),
        )


def where_to_put(address: str, store: TokenStore) -> str:
    """What to do where the store has no secret of this address."""
    if store.kind == "environment":
        return _("Set {variable}, or {variable}_FILE to the path of a file that holds it.").format(
            variable=secret_variable(address)
        )
    return _("Run: oauth-mailer login {address}").format(address=address)


def check_code(account: Account, secret: Secret) -> Secret:
    """The code as a person typed it, without what is certainly no part of it.

    Raises ``LoginRequired`` for one that cannot be right, such as the mailbox's own password where the
    provider gives codes of a fixed form: it would cost a failed login, and some providers block after a few.
    """
    code = _without_spaces(account, Secret(re.sub(_INVISIBLE, "", secret.reveal()).strip()))
    preset = account.preset
    if not code or (preset.secret_pattern and not re.fullmatch(preset.secret_pattern, code.reveal())):
        length = re.search(r"\{(\d+)\}$", preset.secret_pattern)
        raise LoginRequired(
            _("That is not what {title} gives out for this: {length} letters and nothing else.").format(
                title=_(preset.title), length=length[1]
            )
            if code and length
            else _("That is no authorization code and no password."),
            code="code-form",
            hint=_("It is not the password of the mailbox. Copy it again, alone and whole."),
        )
    return code


def _without_spaces(account: Account, secret: Secret) -> Secret:
    if not account.preset.secret_ignores_spaces:
        return secret
    return Secret("".join(secret.reveal().split()))
