"""Consent, and the ways in which it ends, at a certified authority that is not ours: what it grants is what a
mail server takes that asks it about each token."""

from __future__ import annotations

from pathlib import Path

import pytest

import oauth_mailer
from oauth_mailer.accounts import Account, Accounts
from oauth_mailer.auth import access_slot, consent_slot, open_credential
from oauth_mailer.auth.microsoft import SEND
from oauth_mailer.errors import LoginRequired
from oauth_mailer.logins import login_state
from oauth_mailer.stores import TokenStore
from oauth_mailer.stores.memory import MemoryStore
from tests.support.google_account import client_file
from tests.support.google_browser import Person
from tests.support.google_login import SEND as GMAIL_SEND
from tests.support.oidc_browser import decide
from tests.support.oidc_mailboxes import (
    ME,
    Mailboxes,
    access_token,
    an_hour_passes,
    log_in,
    refresh_token,
    send,
)
from tests.support.oidc_provider import APP, DESKTOP, AuthorizationServer

GMAIL = "me@gmail.com"
AGAIN = f"Run: oauth-mailer login {ME}"


def test_a_person_consents_in_the_browser_and_the_mail_server_takes_what_was_granted(
    authority: AuthorizationServer, mailboxes: Mailboxes, store: MemoryStore, home: Path
) -> None:
    person = Person(lambda url: decide(url, ME))
    account = log_in(mailboxes, store, person)
    status, url, page = person.wait()
    assert (status, f"{ME} is ready" in page) == (200, True), page
    assert url.startswith("http://localhost:")
    said = authority.introspected(access_token(store, account))
    assert (said["active"], said["client_id"], said["sub"]) == (True, APP, ME)
    assert set(said["scope"].split()) == {SEND, "offline_access"}

    send(store)
    assert len(mailboxes.accepted) == 1
    assert login_state(account, home=home) == "set_up"
    assert [one["grant"] for one in authority.happened("grant.success")] == ["authorization_code"]
    kept = (home / "config.toml").read_text("utf-8")
    assert access_token(store, account) not in kept
    assert refresh_token(store, account) not in kept


def test_who_cancels_on_the_page_has_changed_nothing(
    authority: AuthorizationServer, mailboxes: Mailboxes, store: MemoryStore, home: Path
) -> None:
    person = Person(lambda url: decide(url, ME, allow=False))
    with pytest.raises(LoginRequired) as caught:
        log_in(mailboxes, store, person)
    assert (caught.value.code, caught.value.text) == ("consent-denied", "End-User aborted interaction")
    assert "did not succeed" in person.wait()[2]
    assert ME not in Accounts(home)
    assert not authority.happened("grant.success")


def test_the_consent_of_another_account_is_not_taken(
    authority: AuthorizationServer, mailboxes: Mailboxes, store: MemoryStore, home: Path
) -> None:
    person = Person(lambda url: decide(url, "you@outlook.com"))
    with pytest.raises(LoginRequired, match=r"it is for you@outlook\.com") as caught:
        log_in(mailboxes, store, person, check_identity=True)
    assert caught.value.code == "other-account"
    assert ME not in Accounts(home)
    assert "you@outlook.com" in person.wait()[2]
    log_in(mailboxes, store, check_identity=True)
    send(store)
    assert len(mailboxes.accepted) == 1


def needs_login(store: TokenStore, home: Path, account: Account) -> LoginRequired:
    """The error of the next mail."""
    with pytest.raises(LoginRequired) as caught:
        send(store)
    assert (caught.value.code, caught.value.verdict, caught.value.hint) == (
        "consent-ended",
        "not_sent",
        AGAIN,
    )
    assert "invalid_grant" in caught.value.text
    assert login_state(Accounts(home).get(ME), home=home) == "required"
    return caught.value


def test_an_old_refresh_token_that_somebody_shows_ends_the_consent_and_a_login_mends_it(
    authority: AuthorizationServer, mailboxes: Mailboxes, store: MemoryStore, home: Path
) -> None:
    account = log_in(mailboxes, store)
    stolen = refresh_token(store, account)
    an_hour_passes(authority, store, account)
    send(store)
    assert authority.refresh(stolen)[0] == 400
    [reuse] = authority.happened("grant.error", "refresh_token")
    assert reuse["why"] == "refresh token already used"
    assert len(authority.happened("grant.revoked")) == 1

    error = needs_login(store, home, account)
    for secret in (stolen, refresh_token(store, account), access_token(store, account)):
        assert secret not in f"{error!r} {error} {error.text}"
    assert len(mailboxes.accepted) == 1

    account = log_in(mailboxes, store)
    send(store)
    assert len(mailboxes.accepted) == 2
    assert login_state(account, home=home) == "set_up"


def test_what_was_revoked_at_the_server_needs_a_login(
    authority: AuthorizationServer, mailboxes: Mailboxes, store: MemoryStore, home: Path
) -> None:
    account = log_in(mailboxes, store)
    assert authority.post("revocation", token=refresh_token(store, account), client_id=APP) == (200, {})
    needs_login(store, home, account)
    assert not mailboxes.accepted


def log_in_to_gmail(
    authority: AuthorizationServer, folder: Path, store: TokenStore, **client: object
) -> Account:
    places = {name: authority.address(name) for name in ("authorization", "token")}
    file = client_file(folder, "", auth_uri=places["authorization"], token_uri=places["token"], **client)
    person = Person(lambda url: decide(url, GMAIL))
    account = oauth_mailer.login(GMAIL, prompt=person, store=store, client_secrets=file, timeout=60.0)
    assert f"{GMAIL} is ready" in person.wait()[2]
    return account


def test_the_way_to_gmail_is_as_good(
    authority: AuthorizationServer, store: MemoryStore, home: Path, tmp_path: Path
) -> None:
    client_id, client_secret = DESKTOP
    account = log_in_to_gmail(authority, tmp_path, store, client_id=client_id, client_secret=client_secret)
    old = refresh_token(store, account)
    said = authority.introspected(access_token(store, account))
    assert (said["active"], said["scope"], said["sub"]) == (True, GMAIL_SEND, GMAIL)
    for number in (1, 2):
        an_hour_passes(authority, store, account)
        renewed = open_credential(account, store, home).get()
        assert authority.introspected(renewed.reveal())["active"]
        assert len(authority.happened("grant.success", "refresh_token")) == number
    assert authority.introspected(refresh_token(store, account))["active"]
    assert not authority.introspected(old)["active"]
    assert not authority.happened("grant.error")


def test_a_logout_revokes_the_consent_where_the_authority_lets_a_program_do_that(
    authority: AuthorizationServer, mailboxes: Mailboxes, store: MemoryStore, tmp_path: Path
) -> None:
    gmail = log_in_to_gmail(authority, tmp_path, store, client_id=APP, client_secret=None)
    outlook = log_in(mailboxes, store)
    tokens = {one.address: (refresh_token(store, one), access_token(store, one)) for one in (gmail, outlook)}
    oauth_mailer.logout(GMAIL, store=store)
    assert [authority.introspected(token)["active"] for token in tokens[GMAIL]] == [False, False]
    assert len(authority.happened("grant.revoked")) == 1

    oauth_mailer.logout(ME, store=store)  # Microsoft has no address for it
    assert [authority.introspected(token)["active"] for token in tokens[ME]] == [True, True]
    for account in (gmail, outlook):
        assert store.get(consent_slot(account)) is None
        assert store.get(access_slot(account)) is None
