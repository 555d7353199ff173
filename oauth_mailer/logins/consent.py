"""Logging in by consent: a person allows it in the browser, and only what was proven is kept."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..accounts import Account, Accounts, home_folder
from ..auth import Prompt, google, open_credential
from ..auth.google import (
    IDENTITY,
    Access,
    Client,
    Consent,
    ConsentRequest,
    access_slot,
    consent_slot,
    scopes_of,
)
from ..errors import ConfigError, LoginRequired, MailerError
from ..i18n import _
from ..replies import readable
from ..stores import Secret, TokenStore, store_kind
from ..stores.memory import MemoryStore
from ..wire.loopback import Answer, Listener
from .codes import prove, refuse_unkept
from .ssh import ssh_host

__all__ = ["log_in_by_consent"]

_MOST_LINES = 50
"""Lines that are looked at for the answer: a program that floods us with others is not heard for ever."""


def log_in_by_consent(
    account: Account,
    store: TokenStore,
    prompt: Prompt,
    accounts: Accounts,
    *,
    client_secrets: Path | str | None,
    make_client: Callable[[], Path | str] | None,
    browser: bool,
    port: int,
    timeout: float,
    check_identity: bool,
) -> Account:
    """Ask a person for consent, keep the token, and write the account down; returns it as it was written.

    For the parameters and errors see ``logins.login``. A store that cannot be written has to hold the consent
    already; then it is proven by a refresh, and nobody is asked.
    """
    known = _known_client(account, store, accounts)
    given = google.read_client(Path(client_secrets).expanduser()) if client_secrets else None
    if not store.writable:
        return _already_there(replace(account, client=given.public) if given else account, store, accounts)
    client = given or known
    if client is None:
        if make_client is None:
            raise _no_client(account)
        client = google.read_client(Path(make_client()))
    asked = [one for one in scopes_of(account) if one not in IDENTITY]
    asked = asked or [*scopes_of(replace(account, scopes=()))]
    scopes = (*asked, *IDENTITY) if check_identity else account.scopes
    new = replace(account, client=client.public, scopes=scopes, login_required=False)
    state = Secret(secrets.token_urlsafe(32))
    with Listener(state, port=port, timeout=timeout) as listener:
        request = ConsentRequest(new, client, listener.redirect_uri, state)
        opened = _show(request.url(), listener, prompt, browser=browser)
        try:
            consent, access = request.exchange(_code(_answer(listener, prompt, ask=not opened), new))
            if new.transport == "smtp":
                consent, access = _proven(new, consent, access, prompt, accounts)
            old = store.get(consent_slot(new))
            google.keep(new, store, accounts.home, consent, access)
            _write_down(new, store, accounts, old)
        except MailerError as error:
            listener.show(_("The login did not succeed"), f"{error.message}\n{error.hint}", good=False)
            raise
        listener.show(
            _("{address} is ready").format(address=new.address), _next_step(new, accounts.home), good=True
        )
    if consent_slot(account) != consent_slot(new) and account.client:
        with suppress(MailerError):  # of another client or scope: it is never asked for again
            google.forget(account, store, accounts.home)
    return new


def _proven(
    account: Account, consent: Consent, access: Access, prompt: Prompt, accounts: Accounts
) -> tuple[Consent, Access]:
    """Log in at the server once; what to keep then: a token that was renewed meanwhile has a successor.

    What is proven rests in a store of its own: an older consent stays until the new one works.
    """
    prompt.say(_("The token is now tried at {host}.").format(host=account.server.host))
    candidate = MemoryStore()
    candidate.set(consent_slot(account), consent.line())
    candidate.set(access_slot(account), access.line())
    prove(account, candidate, accounts)
    line = candidate.get(consent_slot(account))
    kept = Access.kept(candidate.get(access_slot(account)))
    return Consent.read(account, line) if line else consent, kept or access


def _known_client(account: Account, store: TokenStore, accounts: Accounts) -> Client | None:
    """The client of this account, or of another one here: one client serves all accounts of a person.

    Reads the store even where nothing is known: whether it works is found out before a person is asked.
    """
    others = [one for one in accounts if one.auth == "google" and one.client and _same_store(one, store)]
    for one in [account, *others]:
        line = store.get(consent_slot(one))
        if line and one.client:
            with suppress(MailerError):  # what cannot be read is replaced by this login
                return Consent.read(one, line).client
    return google.client_from(account.client, Secret("")) if account.client else None


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


def _no_client(account: Account) -> ConfigError:
    return ConfigError(
        _("Gmail needs an OAuth client of your own, and none is known here yet."),
        code="client-missing",
        hint=_(
            "In a terminal, this leads you there, step by step: oauth-mailer login {address}\n"
            "By yourself: enable the Gmail API in https://console.cloud.google.com, then\n"
            "publish the app, or the login ends after 7 days: https://console.cloud.google.com/auth/audience\n"
            "create a client of the type Desktop app and download its JSON, in\n"
            "https://console.cloud.google.com/auth/clients\n"
            "Then run: oauth-mailer login {address} --client-secrets FILE"
        ).format(address=account.address),
    )


def _show(url: str, listener: Listener, prompt: Prompt, *, browser: bool) -> bool:
    """Bring the page before the person; whether a browser shows it on this machine."""
    if browser and prompt.open_browser(url):
        prompt.say(_("Your browser shows Google's page: allow it there. If it does not, open this address:"))
        prompt.say(url)
        return True
    prompt.say(_("Open this address in a browser, and allow it there:"))
    prompt.say(url)
    port = int(listener.redirect_uri.rstrip("/").rpartition(":")[2])
    host = ssh_host()
    prompt.say(
        _(
            "On another computer the browser ends on a page that cannot be loaded: paste the whole address "
            "of that page here.\n"
            "Or forward the port first, and the page loads: ssh -L {port}:127.0.0.1:{port} HOST"
        ).format(port=port)
        if host is None
        else _(
            "You are here over SSH: the browser on your own computer ends on a page that cannot be loaded. "
            "Paste the whole address of that page here.\n"
            "Or first type the next line in a second terminal of your own computer, and the page loads. "
            "(If you reach this computer by another name than {host}, write that.)\n"
            "{command}"
        ).format(host=host.address, command=host.forward(port))
    )
    return False


def _answer(listener: Listener, prompt: Prompt, *, ask: bool) -> Answer:
    for _number in range(_MOST_LINES if ask else 0):
        line = prompt.ask(_("Address of the page that failed to load:"), listener.done)
        if line is None:
            break
        if listener.done.is_set() or listener.take(line):
            break
        if line.strip():
            prompt.say(
                _(
                    "That is not the answer to this login. It is an address that begins with {redirect} and "
                    "holds code= and state=."
                ).format(redirect=listener.redirect_uri)
            )
    if (answer := listener.wait()) is None:
        raise LoginRequired(
            _("Nobody answered the consent page in time. Nothing was changed."),
            code="consent-timeout",
            hint=_("Start the login again; --timeout SECONDS gives more time."),
        )
    return answer


def _code(answer: Answer, account: Account) -> Secret:
    if not answer.error:
        return answer.code
    if answer.error == "access_denied":
        raise LoginRequired(
            _("The consent was denied on Google's page. Nothing was changed."),
            code="consent-denied",
            hint=_(
                "To allow it after all, run: oauth-mailer login {address}\n"
                "If Google showed that the app is blocked, add your address as a test user, or publish the "
                "app: https://console.cloud.google.com/auth/audience"
            ).format(address=account.address),
        )
    raise LoginRequired(
        _("Google refused the consent: {error}. Nothing was changed.").format(
            error=readable(answer.error.encode("utf-8", "replace"))
        ),
        code="consent-refused",
        hint=_("Check the client in Google's console, then run: oauth-mailer login {address}").format(
            address=account.address
        ),
    )


def _write_down(account: Account, store: TokenStore, accounts: Accounts, old: Secret | None) -> None:
    try:
        accounts.add(account)
    except MailerError:
        with suppress(MailerError):  # the first error is the one to tell
            google.forget(account, store, accounts.home)
            if old is not None:
                store.set(consent_slot(account), old)
        raise


def _next_step(account: Account, home: Path) -> str:
    kept = (
        _("{address} is ready: {provider}, its secret in the store {store}.")
        if scopes_of(account) != scopes_of(Account(address=account.address))  # more than to send mail
        else _("It may send mail, and nothing else. Its token rests in the store {store}.")
    ).format(address=account.address, provider=account.preset.title, store=account.store)
    if home != home_folder():  # of a program that has one of its own: the command would find no account
        return kept
    command = 'oauth-mailer send --from {address} --to {address} --subject Hello --text "It works."'
    return "\n".join((kept, _("Try it in the terminal:"), "$ " + command.format(address=account.address)))
