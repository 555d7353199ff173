"""A usable secret, now.

One kind of credential is one file here, and the file's name is the value of an account's ``auth``. Each file
has three functions: ``open(account, store, home, timeout) -> Credential``; ``slot(account) -> Slot``, where
the one secret rests that the account cannot do without; and ``forget(account, store, home)``, which deletes
what is kept. A file whose tokens somebody gives out has ``AUTHORITY`` besides: what is particular to them.

What all of these share is in the walls ``_oauth_…``; the layers above reach it through this door.
"""

from __future__ import annotations

import math
import threading
from contextlib import AbstractContextManager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from ..accounts import Account
from ..errors import ConfigError, SendError
from ..i18n import _
from ..rooms import room, rooms
from ..stores import Secret, Slot, TokenStore

if TYPE_CHECKING:
    from pathlib import Path

    from ._oauth_authority import Authority
    from ._oauth_client import Client
    from ._oauth_consent import ConsentRequest
    from ._oauth_credential import keep, revoke
    from ._oauth_device import DeviceRequest, Invitation
    from ._oauth_tokens import Access, Consent, access_slot, consent_slot, given_at, scopes_of

__all__ = [
    "Access",
    "Authority",
    "Client",
    "Consent",
    "ConsentRequest",
    "Credential",
    "DeviceRequest",
    "Ending",
    "Invitation",
    "Prompt",
    "Remembering",
    "Secret",
    "access_slot",
    "asks_consent",
    "authorities",
    "authority_named",
    "authority_of",
    "consent_slot",
    "forget_secret",
    "given_at",
    "keep",
    "open_credential",
    "revoke",
    "scopes_of",
    "secret_slot",
]

_WALLS = {
    "_oauth_authority": ("Authority",),
    "_oauth_client": ("Client",),
    "_oauth_consent": ("ConsentRequest",),
    "_oauth_credential": ("keep", "revoke"),
    "_oauth_device": ("DeviceRequest", "Invitation"),
    "_oauth_tokens": ("Access", "Consent", "access_slot", "consent_slot", "given_at", "scopes_of"),
}
"""Where the names are that only an account with a consent needs: a send by SMTP does not load them."""


class Credential(Protocol):
    """What an account proves itself with."""

    @property
    def form(self) -> Literal["password", "bearer"]:
        """A password is shown by PLAIN, LOGIN or CRAM-MD5; a bearer token by OAUTHBEARER, XOAUTH2 or HTTP."""

    def get(self) -> Secret:
        """The secret, refreshed if it is due: one refresh across threads and processes.

        Raises ``LoginRequired`` where there is none or it was revoked, ``TransientError`` where the token
        endpoint could not be reached, ``StoreError`` where the store failed.
        """

    def renew(self, refused: Secret) -> Secret:
        """Another secret after the server refused this one; ``LoginRequired`` where there can be none."""


@runtime_checkable
class Ending(Protocol):
    """A credential whose secrets end by themselves."""

    def access(self) -> Access:
        """The secret of ``get``, with what is known of it. Raises what ``get`` raises."""


@runtime_checkable
class Remembering(Protocol):
    """A credential that only a person can replace, and that remembers for all processes what was refused."""

    def turn(self, secret: Secret) -> AbstractContextManager[None]:
        """One process at a time shows the secret; raises what ``get`` raises if it was refused meanwhile."""

    def note_refused(self, secret: Secret, error: SendError) -> None:
        """The server answered this secret with this error: ``get`` raises it while that stands."""


class Prompt(Protocol):
    """How a login speaks to a person. The library has none of its own: the caller hands one in."""

    def say(self, text: str) -> None:
        """Show a line."""

    def ask(self, question: str, done: threading.Event) -> str | None:
        """Ask for a line of text; None where nobody answers, or as soon as ``done`` says it is not needed."""

    def ask_secret(self, question: str) -> Secret:
        """Ask for a secret, not shown as it is typed. Raises ``LoginRequired`` where nobody can be asked."""

    def open_browser(self, url: str) -> bool:
        """Open the page in the person's browser; False where there is none."""


def open_credential(
    account: Account, store: TokenStore, home: Path | str, *, timeout: float = math.inf
) -> Credential:
    """The credential of this account, its secret read from this store when it is first needed.

    ``home``: the folder for lock files; ``timeout``: seconds for one step on the network. Raises
    ``ConfigError`` for an account with an unknown ``auth``.
    """
    if (found := room(__name__, account.auth)) is None:
        raise ConfigError(
            _("{address} is set to log in by {auth!r}, which this version cannot do.").format(
                address=account.address, auth=account.auth
            ),
            code="auth-unknown",
            hint=_("Run: oauth-mailer login {address}").format(address=account.address),
        )
    credential: Credential = found.open(account, store, home, timeout)
    return credential


def secret_slot(account: Account) -> Slot | None:
    """Where the one secret rests that this account cannot do without; None where it shows none."""
    if (found := room(__name__, account.auth)) is None:
        return None
    slot: Slot = found.slot(account)
    return slot


def forget_secret(account: Account, store: TokenStore, home: Path | str) -> None:
    """Delete what is kept to prove this account, if the store can be written. Raises ``StoreError``."""
    if (found := room(__name__, account.auth)) is not None:
        found.forget(account, store, home)


def authority_named(auth: str) -> Authority | None:
    """Who gives out the tokens of accounts with this ``auth``; None where they show a code."""
    authority: Authority | None = getattr(room(__name__, auth), "AUTHORITY", None)
    return authority


def authority_of(account: Account) -> Authority | None:
    """Who gives out the tokens of this account; None where it shows a code."""
    return authority_named(account.auth)


def authorities() -> list[Authority]:
    """All who are known here, each once."""
    found = [authority_named(name) for name in rooms(__name__)]
    return list(dict.fromkeys(one for one in found if one is not None))


def asks_consent(account: Account) -> Authority | None:
    """Who was asked to let a person consent to this account; None for codes, and for a service account."""
    authority = authority_of(account)
    return authority if authority is not None and authority.name == account.auth else None


def __getattr__(name: str) -> Any:
    for wall, names in _WALLS.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{wall}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
