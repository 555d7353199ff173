"""Microsoft's consents: what is asked for, how they are refreshed, and what its refusals are told as."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections import Counter
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

import oauth_mailer
from oauth_mailer.accounts import Account, Accounts
from oauth_mailer.auth import access_slot, consent_slot, open_credential
from oauth_mailer.auth._microsoft_refusals import ROWS
from oauth_mailer.auth.microsoft import AUTHORITY
from oauth_mailer.errors import ConfigError, LoginRequired, RouteError, SendError
from oauth_mailer.logins import account_for
from oauth_mailer.stores import Secret
from oauth_mailer.stores.memory import MemoryStore
from tests.support import folder_contains
from tests.support.google_browser import Person
from tests.support.microsoft import (
    CLIENT_ID,
    ME,
    SCOPES,
    Microsoft,
    allow,
    answer_page,
    consented,
    granted,
    id_token,
    mail_server,
    place,
    refused,
)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def log_in(
    microsoft: Microsoft,
    store: MemoryStore,
    monkeypatch: pytest.MonkeyPatch,
    person: Person,
    **words: object,
) -> Account:
    """Log in by the browser; the server that proves the token is one of the test."""
    monkeypatch.setenv("OAUTH_MAILER_MICROSOFT_ENDPOINT", microsoft.url)
    with mail_server("canary-access-1") as server:
        account = account_for(ME, provider="outlook", **place(server))
        return oauth_mailer.login(
            account,
            **{"client_id": CLIENT_ID, "prompt": person, "store": store, "timeout": 60.0, **words},  # type: ignore[arg-type]
        )


# ---- the consent in the browser


def test_the_browser_asks_for_sending_alone_and_only_who_asked_can_use_the_answer(
    store: MemoryStore, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = Person(allow)
    with Microsoft(granted()) as microsoft:
        account = log_in(microsoft, store, monkeypatch, person)
        [(path, form)] = microsoft.forms
    page = urlsplit(person.url)
    asked = {name: value for name, [value] in parse_qs(page.query).items()}
    assert page.path == "/consumers/oauth2/v2.0/authorize"
    assert (asked["client_id"], asked["scope"], asked["login_hint"]) == (CLIENT_ID, SCOPES, ME)
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert asked["redirect_uri"].startswith("http://localhost:")
    assert not asked["redirect_uri"].endswith("/")
    assert path == "/consumers/oauth2/v2.0/token"
    verifier = form.pop("code_verifier")
    assert asked["code_challenge"] == _challenge(verifier)
    assert form == {
        "grant_type": "authorization_code",
        "client_id": CLIENT_ID,
        "code": "canary-code",
        "redirect_uri": asked["redirect_uri"],
    }
    assert "It may send mail, and nothing else" in person.wait()[2]
    assert (account.auth, account.transport, account.scopes) == ("microsoft", "smtp", ())
    kept = store.get(consent_slot(account))
    assert kept is not None
    assert json.loads(kept.reveal()) == {"refresh_token": "canary-refresh-1"}
    assert not folder_contains(home, b"canary")


def _challenge(verifier: str) -> str:
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def test_a_token_that_the_mailbox_does_not_take_replaces_nothing(
    store: MemoryStore, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = Person(allow)
    with (
        Microsoft(granted(2)) as microsoft,
        pytest.raises(LoginRequired, match="did not accept the access token"),
    ):
        log_in(microsoft, store, monkeypatch, person)
    assert "The login did not succeed" in person.wait()[2]
    assert not list(Accounts(home))


@pytest.mark.parametrize(
    ("page", "code", "told"),
    [
        ({"error": "access_denied"}, "consent-denied", "denied on Microsoft's page"),
        (refused("access_denied", 65004), "consent-missing", "SMTP.Send"),
        (refused("access_denied", 90094), "admin-consent", "only an administrator"),
        (refused("unauthorized_client", 700016), "client-refused", "does not know the app"),
        ({"error": "server_error"}, "consent-refused", "server_error"),
    ],
)
def test_a_page_that_does_not_give_a_code_says_why(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch, page: dict[str, str], code: str, told: str
) -> None:
    person = Person(lambda url: answer_page(url, **page))
    with Microsoft(granted()) as microsoft, pytest.raises(LoginRequired) as caught:
        log_in(microsoft, store, monkeypatch, person)
    assert caught.value.code == code
    assert told in f"{caught.value.message} {caught.value.hint}"
    assert not list(Accounts())


def test_with_the_identity_another_account_is_refused_and_the_right_one_taken(
    store: MemoryStore, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = granted(1, id_token=id_token(preferred_username="you@outlook.com"))
    with Microsoft(other) as microsoft, pytest.raises(LoginRequired) as caught:
        log_in(microsoft, store, monkeypatch, Person(allow), check_identity=True)
    assert caught.value.code == "other-account"
    assert not list(Accounts(home))
    mine = granted(1, id_token=id_token(preferred_username=ME.upper()))
    with Microsoft(mine) as microsoft:
        account = log_in(microsoft, store, monkeypatch, Person(allow), check_identity=True)
    assert set(account.scopes) == {*SCOPES.split(), "openid", "email", "profile"}


@pytest.mark.parametrize(
    ("address", "provider", "tenant", "used"),
    [
        (ME, "outlook", "", "consumers"),
        ("me@corp.example", "microsoft365", "", "corp.example"),
        ("me@corp.example", "microsoft365", "organizations", "organizations"),
        (ME, "outlook", "common", "common"),
    ],
)
def test_the_tenant_is_that_of_the_address_or_the_one_named(
    address: str, provider: str, tenant: str, used: str
) -> None:
    client = AUTHORITY.client_named(Account(address=address, provider=provider), CLIENT_ID, tenant)
    root = f"https://login.microsoftonline.com/{used}/oauth2/v2.0"
    assert client.public == {
        "client_id": CLIENT_ID,
        "auth_uri": f"{root}/authorize",
        "token_uri": f"{root}/token",
        "device_uri": f"{root}/devicecode",
    }


@pytest.mark.parametrize(
    ("client_id", "tenant", "code"),
    [("1234.apps.googleusercontent.com", "", "client-id"), (CLIENT_ID, "a/../b", "tenant-wrong")],
)
def test_what_cannot_be_a_client_or_a_tenant_is_told_before_anybody_is_asked(
    client_id: str, tenant: str, code: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        AUTHORITY.client_named(Account(address=ME, provider="outlook"), client_id, tenant)
    assert caught.value.code == code


def test_without_a_client_the_steps_to_one_are_told(store: MemoryStore, home: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        oauth_mailer.login(ME, store=store)
    assert caught.value.code == "client-missing"
    assert "SMTP.Send" in caught.value.hint


# ---- the refresh


def test_a_refresh_keeps_the_new_refresh_token_and_names_no_secret(store: MemoryStore, home: Path) -> None:
    with consented(store, home, granted(1), granted(2)) as (microsoft, account):
        first = open_credential(account, store, home).get()
        second = open_credential(account, store, home).renew(first)
        forms = [form for _path, form in microsoft.forms]
    assert (first, second) == (Secret("canary-access-1"), Secret("canary-access-2"))
    asked = {"grant_type": "refresh_token", "client_id": CLIENT_ID, "scope": SCOPES}
    assert forms == [
        asked | {"refresh_token": "canary-refresh-0"},
        asked | {"refresh_token": "canary-refresh-1"},
    ]
    kept = store.get(consent_slot(account))
    assert kept is not None
    assert json.loads(kept.reveal()) == {"refresh_token": "canary-refresh-2"}


def test_each_number_has_one_row() -> None:
    numbers = Counter(number for row in ROWS for number in row.numbers)
    assert [number for number, times in numbers.items() if times > 1] == []


@pytest.mark.parametrize(("number", "code"), [(min(row.numbers), row.code) for row in ROWS])
@pytest.mark.parametrize("error", ["invalid_grant", "invalid_request"])
def test_a_refusal_is_told_by_its_number_and_judged_by_its_word(
    store: MemoryStore, home: Path, number: int, code: str, error: str
) -> None:
    with (
        consented(store, home, refused(error, number)) as (_microsoft, account),
        pytest.raises(SendError) as caught,
    ):
        open_credential(account, store, home).get()
    assert caught.value.code == code
    assert type(caught.value) is (LoginRequired if error == "invalid_grant" else RouteError)
    assert f"AADSTS{number}" in caught.value.text
    assert "{" not in caught.value.message + caught.value.hint
    assert Accounts(home).get(ME).login_required is (error == "invalid_grant")


def test_an_unknown_number_is_judged_by_the_word_alone(store: MemoryStore, home: Path) -> None:
    with (
        consented(store, home, refused("invalid_grant", 99999999)) as (_microsoft, account),
        pytest.raises(LoginRequired) as caught,
    ):
        open_credential(account, store, home).get()
    assert caught.value.code == "consent-ended"


# ---- what it is used for


def test_mail_goes_by_smtp_with_the_token(store: MemoryStore, home: Path) -> None:
    with (
        consented(store, home, granted(1)) as (_microsoft, account),
        mail_server("canary-access-1") as server,
    ):
        found = server.account()
        Accounts(home).add(
            Account(
                address=ME,
                provider="outlook",
                client=account.client,
                host="localhost",
                port=server.port,
                security="starttls",
                ca_file=found.ca_file,
            )
        )
        with oauth_mailer.open_mailer(ME, store=store) as mailer:
            receipt = mailer.send(oauth_mailer.Message(to="ann@example.com", text="Hi"))
        assert receipt.transport == "smtp"
        [shown] = server.auths
        assert shown.startswith("AUTH XOAUTH2 ")
        assert len(server.accepted) == 1


@pytest.mark.parametrize(
    ("reply", "kind", "code"),
    [
        (b"535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.\r\n",
         LoginRequired, "smtp-switched-off"),
        (b"535 5.7.3 Authentication unsuccessful\r\n", LoginRequired, "login-refused"),
    ],
)  # fmt: skip
def test_what_the_mail_server_says_of_a_token(
    store: MemoryStore, home: Path, reply: bytes, kind: type[SendError], code: str
) -> None:
    with (
        consented(store, home, granted(1), granted(2)) as (_microsoft, account),
        mail_server("canary-access-1", "canary-access-2", auth=reply) as server,
    ):
        found = server.account()
        place = {"host": "localhost", "port": server.port, "security": "starttls", "ca_file": found.ca_file}
        Accounts(home).add(Account(address=ME, provider="outlook", client=account.client, **place))  # type: ignore[arg-type]
        with oauth_mailer.open_mailer(ME, store=store) as mailer, pytest.raises(kind) as caught:
            mailer.send(oauth_mailer.Message(to="ann@example.com", text="Hi"))
    assert caught.value.code == code
    assert caught.value.verdict == "not_sent"


def test_logging_out_deletes_the_consent_and_says_what_microsoft_keeps(
    store: MemoryStore, home: Path
) -> None:
    with consented(store, home, granted(1)) as (microsoft, account):
        oauth_mailer.logout(ME, store=store)
        assert microsoft.forms == []
    assert store.get(consent_slot(account)) is None
    assert store.get(access_slot(account)) is None
    assert not list(Accounts(home))
    assert "https://account.live.com/consent/Manage" in AUTHORITY.kept_alive


def test_a_password_is_answered_with_the_day_on_which_they_ended(store: MemoryStore, home: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        oauth_mailer.login(ME, code="a password", client_id=CLIENT_ID, store=store)
    assert caught.value.code == "password-ended"
