"""A usable secret, now.

One kind of credential is one file here, and the file's name is the value of an account's ``auth``. Each
file has a function ``open(account, store, home, timeout) -> Credential``.
"""

from __future__ import annotations

import math
import threading
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from ..accounts import Account
from ..errors import ConfigError, SendError
from ..i18n import _
from ..rooms import room
from ..stores import Secret, TokenStore

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Credential", "Ending", "Prompt", "Remembering", "Secret", "open_credential"]


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


class Access(Protocol):
    """An access token. ``until``: when it ends (seconds since 1970); ``scopes``: what it is for, if said."""

    @property
    def token(self) -> Secret: ...
    @property
    def until(self) -> float: ...
    @property
    def scopes(self) -> tuple[str, ...]: ...


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
