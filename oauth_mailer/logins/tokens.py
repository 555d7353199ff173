"""An access token for another program: one that speaks OAUTHBEARER or XOAUTH2, or the Gmail API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from ..accounts import Account, Accounts
from ..auth import Ending, authority_of, open_credential, scopes_of
from ..errors import ConfigError, LoginRequired
from ..i18n import _
from ..stores import Secret, StoreOptions, TokenStore, open_store, store_kind
from ..values import dataclass

__all__ = ["AccessToken", "Use", "access_token"]

Use = Literal["smtp", "api"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A token that is good now. ``token.reveal()`` gives the token itself.

    ``username``: whom to name at the server beside it; ``expires``: when it ends, None where that is not
    known; ``scopes``: what it is for.
    """

    account: str
    username: str
    token: Secret
    expires: datetime | None
    scopes: tuple[str, ...]


def access_token(
    address: str = "",
    *,
    use: Use = "smtp",
    home: Path | str | None = None,
    store: TokenStore | None = None,
    timeout: float = 60.0,
    ask_passphrase: Callable[[str], Secret] | None = None,
) -> AccessToken:
    """An access token of this account, by default the default one; renewed if it is due, as for a send.

    ``use``: what it is wanted for; one that cannot serve that is not given out; ``home``: the folder of the
    configuration; ``store``: a token store in place of the configured one; ``timeout``: seconds for one step
    on the network; ``ask_passphrase``: see ``open_mailer``.

    Raises ``ConfigError`` where the account has no tokens, ``LoginRequired`` where it needs consent, or one
    to more, and what a send raises where the token cannot be had.
    """
    accounts = Accounts(home)
    account = accounts.get(address)
    if account.auth in ("code", "none"):
        raise ConfigError(
            _("{address} does not log in by a consent, so it has no access token.").format(
                address=account.address
            ),
            code="token-none",
            hint=_("Give the other program the account's authorization code or app password itself."),
        )
    asked = _asked(account)
    _check(account, use, asked)
    kind = store_kind(account.store)
    options = StoreOptions(accounts.home, accounts.store_settings(kind), ask_passphrase)
    credential = open_credential(account, store or open_store(kind, options), accounts.home, timeout=timeout)
    if not isinstance(credential, Ending):
        return _told(account, credential.get(), None, asked)
    access = credential.access()
    if account.login_required:  # the consent was refused since this token came: it may be worth nothing
        credential.renew(access.token)
        access = credential.access()
    scopes = access.scopes or asked
    _check(account, use, scopes)
    return _told(account, access.token, datetime.fromtimestamp(access.until, UTC), scopes)


def _told(account: Account, token: Secret, expires: datetime | None, scopes: tuple[str, ...]) -> AccessToken:
    return AccessToken(
        account=account.address, username=account.login_name, token=token, expires=expires, scopes=scopes
    )


def _asked(account: Account) -> tuple[str, ...]:
    if authority_of(account) is None:
        return account.scopes or account.preset.scopes
    return scopes_of(account)


def _check(account: Account, use: Use, scopes: tuple[str, ...]) -> None:
    """Whether a token with these scopes serves this use."""
    authority, way = authority_of(account), "gmail" if use == "api" else "smtp"
    if authority is None or way not in authority.sending:
        if use == "smtp" and account.transport == "smtp":
            return
        raise ConfigError(
            _("{address} has no token for the Gmail API.").format(address=account.address),
            code="token-none",
            hint=_("Leave out --for api: its token is for SMTP."),
        )
    enough = {authority.plain_scope(one) for one in authority.sending[way]}
    if not enough.isdisjoint(map(authority.plain_scope, scopes)):
        return
    raise LoginRequired(
        (
            _("The token of {address} is for {scopes}, with which no SMTP server lets anybody in.")
            if use == "smtp"
            else _("The token of {address} is for {scopes}, with which the Gmail API sends nothing.")
        ).format(address=account.address, scopes=", ".join(scopes)),
        code="scope-missing",
        hint=authority.reaching(account, way),
    )
