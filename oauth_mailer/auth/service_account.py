"""A Workspace service account that acts for a person of its domain: no consent, no browser (RFC 7523).

An administrator lets the service account's client id act for the domain, for the scope ``gmail.send`` alone:
Admin console, Security, API controls, Domain-wide delegation.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

from ..accounts import Account
from ..errors import ConfigError, LoginRequired, MailerError, SendError, StoreError
from ..i18n import _, system_text
from ..logs import Log
from ..stores import Secret, Slot, TokenStore
from ..wire.endpoint import check_endpoint
from ._google_scopes import check_scopes
from ._oauth_endpoint import Endpoint
from ._oauth_tokens import Access, access_slot, scopes_of
from .google import AUTHORITY

__all__ = ["AUTHORITY", "ServiceAccountCredential", "forget", "key_slot", "read_key", "slot"]

DELEGATION = "https://admin.google.com/ac/owl/domainwidedelegation"

_NEEDED = ("client_email", "client_id", "private_key", "private_key_id", "token_uri")
_MAX_SIZE = 65_536  # octets; Google's files have about 2,400

_log = Log(__name__)


def open(account: Account, store: TokenStore, home: Path | str, timeout: float) -> ServiceAccountCredential:  # noqa: A001
    """The credential of an account with ``auth = "service_account"``; raises as that of ``google`` does."""
    check_scopes(account)
    return ServiceAccountCredential(account, store, timeout=timeout)


class ServiceAccountCredential:
    """An access token of one person of the domain, asked for by the service account's key.

    ``timeout``: seconds for one step on the network.
    """

    form: Literal["password", "bearer"] = "bearer"

    def __init__(self, account: Account, store: TokenStore, *, timeout: float) -> None:
        self._account = account
        self._store = store
        self._timeout = timeout
        self._lock = threading.Lock()
        self._access: Access | None = None

    def get(self) -> Secret:
        """The token; see ``Credential.get``."""
        return self.access().token

    def renew(self, refused: Secret) -> Secret:
        """Another token than the one that the server refused; see ``Credential.renew``."""
        return self._usable(refused).token

    def access(self) -> Access:
        """The token with its end and its scopes; see ``Ending.access``."""
        return self._usable(refused=None)

    def _usable(self, refused: Secret | None) -> Access:
        with self._lock:
            access = self._access or self._kept()
            if access is None or not access.good() or access.token == refused:
                access = self._asked()
                self._keep(access)
            self._access = access
            return access

    def _kept(self) -> Access | None:
        try:
            return Access.read(self._store.get(access_slot(self._account)))
        except StoreError as error:  # it can be had again
            _log.debug("%s: no access token from the store (%s)", self._account.address, error.code)
            return None

    def _keep(self, access: Access) -> None:
        if not self._store.writable:
            return
        try:
            self._store.set(access_slot(self._account), access.line())
        except StoreError as error:
            _log.debug("%s: the access token is not kept (%s)", self._account.address, error.code)

    def _asked(self) -> Access:
        account = self._account
        line = self._store.get(key_slot(account))
        if not line:
            raise LoginRequired(
                _("The store {store} has no key of a service account for {address}.").format(
                    store=self._store.kind, address=account.address
                ),
                code="secret-missing",
                hint=_again(account),
            )
        key = _checked(line, account)
        from google.oauth2.service_account import Credentials

        endpoint = Endpoint(
            AUTHORITY.title,
            ca_file=account.ca_file,
            hide=(Secret(key["private_key"]),),
            timeout=self._timeout,
        )
        try:
            credentials = Credentials.from_service_account_info(
                key, scopes=list(scopes_of(account)), subject=account.address
            )
            credentials.refresh(endpoint)
        except MailerError:
            raise
        except ValueError:
            if not endpoint.fields:
                raise _damaged(account) from None  # its text may show a part of the key
            raise endpoint.nonsense() from None
        except Exception:  # noqa: BLE001 - the answer itself is read: the library's error may hold the assertion
            raise self._failure(endpoint, key) from None
        if (access := Access.granted(endpoint.fields)) is None:
            raise endpoint.nonsense()
        return access

    def _failure(self, endpoint: Endpoint, key: Mapping[str, str]) -> SendError:
        word = endpoint.fields.get("error")
        if not isinstance(word, str):
            return endpoint.nonsense()
        address = self._account.address
        if word in ("unauthorized_client", "access_denied"):
            return LoginRequired(
                _("{service} may not act for {address}: its domain has not allowed that.").format(
                    service=key["client_email"], address=address
                ),
                code="delegation-missing",
                hint=_(
                    "Let an administrator add the client id {client_id}, with the scope {scope}, in\n"
                    "{console} (it takes effect after some minutes)."
                ).format(client_id=key["client_id"], scope=scopes_of(self._account)[0], console=DELEGATION),
                text=endpoint.said,
            )
        if word == "invalid_grant":
            return LoginRequired(
                _(
                    "Google does not accept {service} for {address}: its key was deleted; or the domain has "
                    "no such address; or the clock of this computer is wrong."
                ).format(service=key["client_email"], address=address),
                code="service-account-refused",
                hint=_again(self._account),
                text=endpoint.said,
            )
        return AUTHORITY.refusal(self._account, endpoint.fields, endpoint.said)


def key_slot(account: Account) -> Slot:
    """Where the key rests."""
    return Slot(account.address, "service-account")


def slot(account: Account) -> Slot:
    """Where the one secret rests that the account cannot do without."""
    return key_slot(account)


def forget(account: Account, store: TokenStore, home: Path | str) -> None:
    """Delete what is kept of it. Raises ``StoreError``."""
    if store.writable:
        with suppress(StoreError):  # it ends by itself within the hour
            store.delete(access_slot(account))
        store.delete(key_slot(account))


def read_key(path: Path, account: Account) -> Secret:
    """The key in a file as Google's console gives it out, on one line.

    Raises ``ConfigError`` where the file cannot be read or is another one.
    """
    try:
        data = path.read_bytes()[: _MAX_SIZE + 1]
    except OSError as error:
        raise _wrong(
            _("The key {path} cannot be read: {reason}.").format(
                path=path, reason=system_text(error.strerror) or type(error).__name__
            ),
            "key-unreadable",
        ) from error
    try:
        found = json.loads(data.decode("utf-8-sig")) if len(data) <= _MAX_SIZE else None
    except (ValueError, RecursionError):
        found = None  # without the cause: its text shows a part of the file
    if not isinstance(found, dict) or found.get("type") != "service_account":
        raise _wrong(_("The file {path} is no key of a service account.").format(path=path), "key-unknown")
    kept = {name: found[name] for name in ("type", *_NEEDED) if name in found}
    line = Secret(json.dumps(kept, separators=(",", ":")))
    _checked(line, account)
    return line


def _checked(line: Secret, account: Account) -> dict[str, str]:
    try:
        key = json.loads(line.reveal())
    except (ValueError, RecursionError):
        raise _damaged(account) from None
    if not isinstance(key, dict) or not all(isinstance(key.get(name), str) and key[name] for name in _NEEDED):
        raise _damaged(account)
    check_endpoint(key["token_uri"], "token_uri")
    return key


def _damaged(account: Account) -> LoginRequired:
    return LoginRequired(
        _("What the store has for {address} is no key of a service account.").format(address=account.address),
        code="secret-form",
        hint=_again(account),
    )


def _again(account: Account) -> str:
    return _("Run: oauth-mailer login {address} --service-account FILE").format(address=account.address)


def _wrong(message: str, code: str) -> ConfigError:
    return ConfigError(
        message,
        code=code,
        hint=_("Make a key of the type JSON at https://console.cloud.google.com/iam-admin/serviceaccounts"),
    )
