"""A bearer token of a consent, refreshed when it is due: one refresh across threads and processes.

The consent itself (a person in a browser) is ``logins.consent``; here it is used, and revoked.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from copy import copy
from hashlib import sha256
from pathlib import Path
from typing import Literal

from .. import private_file
from ..accounts import Account, Accounts
from ..errors import ConfigError, LoginRequired, MailerError, StoreError, TransientError
from ..i18n import _, system_text
from ..logs import Log
from ..stores import Secret, TokenStore
from ._oauth_authority import giver
from ._oauth_endpoint import Endpoint
from ._oauth_refresh import refreshed
from ._oauth_tokens import Access, Consent, access_slot, consent_slot

__all__ = ["BearerCredential", "forget", "keep", "lock_file", "revoke"]

LOCK_TIMEOUT = 120.0
"""Seconds to wait for another process that refreshes: longer than its own time-outs."""

_log = Log(__name__)


class BearerCredential:
    """An access token of one account; may be used from several threads at once.

    ``timeout``: seconds for one step on the network.
    """

    form: Literal["password", "bearer"] = "bearer"

    def __init__(
        self, account: Account, store: TokenStore, home: Path | str, *, timeout: float = math.inf
    ) -> None:
        self._account = account
        self._timeout = timeout
        self._store = store
        self._home = home
        self._lock = threading.Lock()
        self._access: Access | None = None
        self._last_good: float | None = None  # when the latest token came, seconds since 1970
        self._failures = 0
        self._failure: MailerError | None = None  # the latest
        self._successor: tuple[Secret, Consent] | None = None  # what was kept, and what should replace it

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
        failures = self._failures
        with self._lock:
            if not _fits(self._access, refused):
                self._access = self._kept(refused)
            if self._access is None:
                if self._failure and self._failures != failures:
                    raise copy(self._failure)  # it was asked for while this thread waited
                self._access = self._renewed(refused)
            return self._access

    def _renewed(self, refused: Secret | None) -> Access:
        try:
            with _alone(self._account, self._store, self._home):
                # Another process may have refreshed while this one waited.
                return self._kept(refused) or self._refreshed()
        except MailerError as error:
            self._failures += 1
            self._failure = copy(error)
            raise

    def _kept(self, refused: Secret | None) -> Access | None:
        try:
            access = Access.kept(self._store.get(access_slot(self._account)))
        except StoreError as error:
            # It can be had again; whether the store works at all is seen when the consent is read.
            _log.debug("%s: no access token from the store (%s)", self._account.address, error.code)
            return None
        if access is not None:
            self._last_good = max(access.since, self._last_good or 0.0)
        return access if _fits(access, refused) else None

    def _refreshed(self) -> Access:
        account = self._account
        kept, consent = self._read()
        try:
            access, successor = refreshed(account, consent, self._timeout, last_good=self._last_good)
        except LoginRequired:
            self._mark(required=True)
            raise
        if successor != consent.refresh_token:
            # The old one may be worth nothing from now on: the new one is kept before anything else is done.
            self._succeeded(kept, Consent(consent.client, successor))
        _keep_access(account, self._store, access)
        self._last_good = access.since
        self._mark(required=False)
        _log.info("%s: the access token was renewed", account.address)
        return access

    def _read(self) -> tuple[Secret, Consent]:
        """What is kept, and the consent to use: its successor, where that could not be kept."""
        account = self._account
        if not (kept := self._store.get(consent_slot(account))):
            raise LoginRequired(
                _("The store {store} has no consent for {address}.").format(
                    store=self._store.kind, address=account.address
                ),
                code="secret-missing",
                hint=_("Run: oauth-mailer login {address}").format(address=account.address),
            )
        if self._successor and self._successor[0] == kept:
            return self._successor
        return kept, Consent.read(account, kept)

    def _succeeded(self, kept: Secret, consent: Consent) -> None:
        self._successor = (kept, consent)
        if self._store.writable:
            self._store.set(consent_slot(self._account), consent.line())
            return
        _log.warning(
            "%s: its refresh token was replaced; the store %s cannot keep the new one beyond this process",
            self._account.address,
            self._store.kind,
        )

    def _mark(self, *, required: bool) -> None:
        """Note in the configuration that a login is needed, or no longer: for whoever lists the accounts."""
        with suppress(ConfigError):  # a configuration that cannot be written must not keep a mail back
            accounts = Accounts(self._home)
            if self._account.address in accounts:
                known = accounts.get(self._account.address)
                if known.login_required != required and known.client == self._account.client:
                    accounts.note_login_required(known.address, required=required)


def keep(account: Account, store: TokenStore, home: Path | str, consent: Consent, access: Access) -> None:
    """Keep a new consent in place of an older one. Raises ``StoreError``; the old one is then still there."""
    with _alone(account, store, home):  # a refresh under way must not put the old consent's successor over it
        with suppress(StoreError):  # that of an older consent, which may be another person's
            store.delete(access_slot(account))
        store.set(consent_slot(account), consent.line())
        _keep_access(account, store, access)


def forget(account: Account, store: TokenStore, home: Path | str) -> None:
    """Delete what is kept of this account's consent. Raises ``StoreError``."""
    if store.writable:
        with _alone(account, store, home):  # a refresh under way must not leave anything behind
            with suppress(StoreError):  # it ends by itself, and without the consent there is no other
                store.delete(access_slot(account))
            store.delete(consent_slot(account))


def revoke(account: Account, store: TokenStore) -> bool:
    """Revoke the consent at its authority (RFC 7009). It stays in the store.

    False where there is none, or the authority has no such endpoint. One that is not known there any more
    counts as revoked (RFC 7009 §2.2). Raises ``StoreError`` where it cannot be read, and another
    ``MailerError`` where the authority could not be asked or refused.
    """
    authority = giver(account)
    if not (line := store.get(consent_slot(account))):
        return False
    consent = Consent.read(account, line)
    client, form = consent.client, {"token": consent.refresh_token.reveal()}
    if not client.revocation_uri:
        return False
    if not client.client_secret:  # a public client is known by its name alone
        form["client_id"] = client.client_id
    from urllib.parse import urlencode

    endpoint = Endpoint(authority.title, ca_file=account.ca_file, hide=(consent.refresh_token,))
    answer = endpoint.post(client.revocation_uri, urlencode(form))
    if not 200 <= answer.status < 300 and endpoint.fields.get("error") != "invalid_token":
        raise MailerError(
            _("{title} refused to revoke the consent (status {status}).").format(
                title=authority.title, status=answer.status
            ),
            code="revocation-refused",
            hint=_("Revoke it yourself: {url}").format(url=authority.connections),
            text=endpoint.said,
        )
    return True


def _fits(access: Access | None, refused: Secret | None) -> bool:
    return access is not None and access.good() and access.token != refused


def _keep_access(account: Account, store: TokenStore, access: Access) -> None:
    if not store.writable:
        return
    try:
        store.set(access_slot(account), access.line())
    except StoreError as error:
        _log.debug("%s: the access token is not kept (%s)", account.address, error.code)


def lock_file(account: Account, home: Path | str) -> Path:
    """The file whose lock a refresh holds: one for each account, so that none waits for another."""
    name = giver(account).name
    return Path(home) / "locks" / f"{name}-{sha256(str(consent_slot(account)).encode()).hexdigest()[:16]}"


@contextmanager
def _alone(account: Account, store: TokenStore, home: Path | str) -> Iterator[None]:
    """Hold the account's lock against other processes, where they could know of a refresh at all."""
    with ExitStack() as stack:
        if store.writable:
            try:
                stack.enter_context(private_file.locked(lock_file(account, home), timeout=LOCK_TIMEOUT))
            except TimeoutError as error:
                raise TransientError(
                    _("Another process has been renewing the token of {address} for too long.").format(
                        address=account.address
                    ),
                    code="refresh-busy",
                    hint=_("Nothing was sent; try again later."),
                ) from error
            except OSError as error:
                raise StoreError(
                    _("No lock can be had in {folder}: {reason}.").format(
                        folder=home, reason=system_text(error.strerror) or error
                    ),
                    code="lock",
                    hint=_("Set OAUTH_MAILER_HOME to a folder that you may write to."),
                ) from error
        yield
