"""Logging in by consent: a person allows it in the browser, and only what was proven is kept."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..accounts import Account, Accounts, home_folder
from ..auth import (
    Access,
    Authority,
    Client,
    Consent,
    ConsentRequest,
    Prompt,
    access_slot,
    asks_consent,
    authority_of,
    consent_slot,
    forget_secret,
    keep,
    open_credential,
    scopes_of,
)
from ..errors import MailerError
from ..i18n import _
from ..stores import Secret, TokenStore, store_kind
from ..stores.memory import MemoryStore
from ..values import dataclass
from ..wire.loopback import Listener
from .codes import prove, refuse_unkept
from .device import ask_by_code
from .page import answer_of, code_of, show

__all__ = ["Wishes", "log_in_by_consent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How to log in by consent; see ``logins.login``."""

    client_secrets: Path | str | None
    make_client: Callable[[], Path | str] | None
    client_id: str
    tenant: str
    device: bool | None
    browser: bool
    port: int
    timeout: float
    check_identity: bool


def log_in_by_consent(
    account: Account, store: TokenStore, prompt: Prompt, accounts: Accounts, wishes: Wishes
) -> Account:
    """Ask a person for consent, keep the token, and write the account down; returns it as it was written.

    For the errors see ``logins.login``. A store that cannot be written has to hold the consent already; then
    it is proven by a refresh, and nobody is asked.
    """
    authority = authority_of(account)
    if authority is None:
        raise AssertionError("who asks for a code is asked for no consent")
    known = _known_client(authority, account, store, accounts)
    given = _given_client(authority, account, known, wishes)
    if not store.writable:
        return _already_there(replace(account, client=given.public) if given else account, store, accounts)
    client = given or known
    if client is None:
        if wishes.make_client is None or "client_secrets" not in authority.takes:
            raise authority.no_client(account)
        client = authority.read_client(Path(wishes.make_client()))
    asked = [one for one in scopes_of(account) if one not in authority.identity]
    asked = asked or [*scopes_of(replace(account, scopes=()))]
    scopes = (*asked, *authority.identity) if wishes.check_identity else account.scopes
    new = replace(account, client=client.public, scopes=scopes, login_required=False)
    login = _Login(account=new, client=client, store=store, prompt=prompt, accounts=accounts, wishes=wishes)
    if wishes.device:
        if not client.device_uri:
            raise authority.no_device(account)
        login.by_device()
    else:
        login.by_page(authority)
    if account.client and consent_slot(account) != consent_slot(new):
        with suppress(MailerError):  # of another client or scope: it is never asked for again
            forget_secret(account, store, accounts.home)
    return new


@dataclass(frozen=True, slots=True, kw_only=True)
class _Login:
    """One login: ``account`` as it will be written down."""

    account: Account
    client: Client
    store: TokenStore
    prompt: Prompt
    accounts: Accounts
    wishes: Wishes

    def by_page(self, authority: Authority) -> None:
        """In the browser, which brings the answer back to this computer; or by a code, where it has none."""
        state, wishes, prompt = Secret(secrets.token_urlsafe(32)), self.wishes, self.prompt
        with Listener(
            state, port=wishes.port, timeout=wishes.timeout, redirect=authority.redirect
        ) as listener:
            request = ConsentRequest(self.account, self.client, listener.redirect_uri, state)
            url = request.url()
            opened = wishes.browser and prompt.open_browser(url)
            if opened or not wishes.browser or not self.client.device_uri or wishes.device is False:
                show(url, listener, prompt, authority, opened=opened)
                try:
                    answer = answer_of(listener, prompt, ask=not opened)
                    self._keep(*request.exchange(code_of(answer, self.account, authority)))
                except MailerError as error:
                    listener.show(
                        _("The login did not succeed"), f"{error.message}\n{error.hint}", good=False
                    )
                    raise
                title = _("{address} is ready").format(address=self.account.address)
                listener.show(title, _next_step(self.account, authority, self.accounts.home), good=True)
                return
        self.by_device()

    def by_device(self) -> None:
        """By a code that the person types on another device."""
        self._keep(*ask_by_code(self.account, self.client, self.prompt, self.wishes.timeout))

    def _keep(self, consent: Consent, access: Access) -> None:
        account, store, accounts = self.account, self.store, self.accounts
        if account.transport == "smtp":
            consent, access = self._proven(consent, access)
        old = store.get(consent_slot(account))
        keep(account, store, accounts.home, consent, access)
        try:
            accounts.add(account)
        except MailerError:
            with suppress(MailerError):  # the first error is the one to tell
                forget_secret(account, store, accounts.home)
                if old is not None:
                    store.set(consent_slot(account), old)
            raise

    def _proven(self, consent: Consent, access: Access) -> tuple[Consent, Access]:
        """Log in at the server once; what to keep then: a token that was renewed meanwhile has a successor.

        What is proven rests in a store of its own: an older consent stays until the new one works.
        """
        account = self.account
        self.prompt.say(_("The token is now tried at {host}.").format(host=account.server.host))
        candidate = MemoryStore()
        candidate.set(consent_slot(account), consent.line())
        candidate.set(access_slot(account), access.line())
        prove(account, candidate, self.accounts)
        line = candidate.get(consent_slot(account))
        kept = Access.kept(candidate.get(access_slot(account)))
        return Consent.read(account, line) if line else consent, kept or access


def _given_client(
    authority: Authority, account: Account, known: Client | None, wishes: Wishes
) -> Client | None:
    """The client that the person names, or the known one in another tenant."""
    if wishes.client_secrets:
        return authority.read_client(Path(wishes.client_secrets).expanduser())
    client_id = wishes.client_id or (known.client_id if known and wishes.tenant else "")
    return authority.client_named(account, client_id, wishes.tenant) if client_id else None


def _known_client(
    authority: Authority, account: Account, store: TokenStore, accounts: Accounts
) -> Client | None:
    """The client of this account, or of another one here: one client serves all accounts of a person.

    Reads the store even where nothing is known: whether it works is found out before a person is asked.
    """
    same = [one for one in accounts if asks_consent(one) is authority]
    others = [one for one in same if one.client and _same_store(one, store)]
    for one in [account, *others]:
        line = store.get(consent_slot(one))
        if line and one.client:
            with suppress(MailerError):  # what cannot be read is replaced by this login
                client = Consent.read(one, line).client
                if one is account or "tenant" not in authority.takes:
                    return client
                # One app serves all accounts of a person, but each asks in its own tenant.
                return authority.client_named(account, client.client_id, "")
    return authority.client_from(account.client, Secret("")) if account.client else None


def _same_store(account: Account, store: TokenStore) -> bool:
    return store_kind(account.store) == store.kind


def _already_there(account: Account, store: TokenStore, accounts: Accounts) -> Account:
    if (line := store.get(consent_slot(account))) is None:
        refuse_unkept(account, store)
    new = replace(account, client=Consent.read(account, line).client.public, login_required=False)
    if new.transport == "smtp":
        prove(new, store, accounts)
    else:
        open_credential(new, store, accounts.home).get()
    accounts.add(new)
    return new


def _next_step(account: Account, authority: Authority, home: Path) -> str:
    kept = (
        _("It may send mail, and nothing else. Its token rests in the store {store}.")
        if set(scopes_of(account)) <= set(authority.scopes)
        else _("{address} is ready: {provider}, its secret in the store {store}.")
    ).format(address=account.address, provider=_(account.preset.title), store=account.store)
    if home != home_folder():  # of a program that has one of its own: the command would find no account
        return kept
    command = 'oauth-mailer send --from {address} --to {address} --subject Hello --text "It works."'
    return "\n".join((kept, _("Try it in the terminal:"), "$ " + command.format(address=account.address)))
