"""The three ways to send from a Gmail account, as a person sets them up, and one of them behind another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import oauth_mailer
from oauth_mailer.accounts import Account, Accounts
from oauth_mailer.auth.google import consent_slot
from oauth_mailer.doctor import check_account
from oauth_mailer.errors import ConfigError, LoginRequired, MailerError, OutcomeUnknown, TransientError
from oauth_mailer.logins import account_for
from oauth_mailer.sandbox import Sandbox
from oauth_mailer.stores.memory import MemoryStore
from tests.cli.google_login import Login
from tests.cli.program import run
from tests.support.google_browser import Person, decide
from tests.support.google_login import ME, SEND, log_in

ALL = "https://mail.google.com/"
PASSPHRASE = "a passphrase of the test"


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Google's part: its consent page, the Gmail API, and an SMTP server that takes its tokens."""
    monkeypatch.setenv("OAUTH_MAILER_STORE", "encrypted_file")
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", PASSPHRASE)
    with Sandbox() as made:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", made.gmail_endpoint)
        yield made


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def at(google: Sandbox, *, starttls: bool = False) -> list[str]:
    """The words of a login that name the server of the test in place of smtp.gmail.com."""
    server = google.smtp
    port, security = (server.starttls_port, "starttls") if starttls else (server.port, "tls")
    words = ("--host", f"{server.host}:{port}", "--security", security, "--ca-file", str(server.ca_file))
    return list(words)


def asked_for(url: str) -> list[str]:
    return parse_qs(urlsplit(url).query)["scope"][0].split()


def consented(
    google: Sandbox, folder: Path, store: MemoryStore, *fallback: str, home: Path, provider: str = ""
) -> Account:
    """An account that has consented; its SMTP server is that of the test."""
    server = google.smtp
    place: dict[str, Any] = {"ca_file": str(server.ca_file)}
    if provider:
        place |= {"host": f"{server.host}:{server.port}", "security": "tls"}
    wanted = account_for(ME, provider=provider, fallback=fallback, home=home, **place)
    account = replace(log_in(google, folder, store, address=wanted), host=server.host, port=server.port)
    Accounts(home).add(account)
    google.clear()
    return account


def send(store: MemoryStore, **words: object) -> oauth_mailer.Receipt:
    with oauth_mailer.open_mailer(ME, store=store, **words) as mailer:  # type: ignore[arg-type]
        return mailer.send(oauth_mailer.Message(to="ann@example.com", subject="Hi", text="Hello\n"))


# ---- by SMTP, with a consent


@pytest.mark.parametrize("starttls", [False, True])
def test_by_name_the_consent_is_to_the_whole_mailbox_and_mail_goes_by_smtp(
    google: Sandbox, home: Path, tmp_path: Path, starttls: bool
) -> None:
    client = str(google.write_client_secrets(tmp_path))
    words = ("--provider", "gmail-xoauth2", "--client-secrets", client, "--no-browser")
    with Login(ME, *words, *at(google, starttls=starttls)) as login:
        assert asked_for(login.url) == [ALL]
        page = decide(login.url)[2]
        done = login.end()
    assert done.code == 0, done.err
    assert "nothing else" not in page  # which would not be true of this one
    account = Accounts(home).get()
    assert (account.provider, account.transport, account.auth) == ("gmail-xoauth2", "smtp", "google")

    sent = run("send", "--to", "ann@example.com", "--text", "Hi", "--json", "--verbose")
    assert sent.code == 0, sent.err
    assert sent.json["transport"] == "smtp"
    assert "logged in by OAUTHBEARER" in sent.err
    (received,) = google.messages
    assert (received.route, received.account, received.sender) == ("smtp", ME, ME)
    # One login proved the token, one was that of the message.
    assert (google.counts["smtp.auth"], google.counts["gmail.post"]) == (2, 0)
    assert google.counts["token.refresh"] == 0


def test_a_token_that_the_server_does_not_take_replaces_nothing(
    google: Sandbox, home: Path, tmp_path: Path, store: MemoryStore
) -> None:
    account = consented(google, tmp_path, store, home=home, provider="gmail-xoauth2")
    before = store.get(consent_slot(account))
    google.plan(smtp="550-auth")
    person = Person()
    with pytest.raises(LoginRequired):
        log_in(google, tmp_path, store, person, address=account)
    assert "The login did not succeed" in person.wait()[2]
    assert (google.counts["token.exchange"], google.counts["smtp.auth.refused"]) == (1, 2)
    assert store.get(consent_slot(account)) == before
    google.plan(smtp="ok")
    assert send(store).transport == "smtp"


def test_a_token_that_ended_early_is_renewed_once_and_the_message_goes_out_once(
    google: Sandbox, home: Path, tmp_path: Path, store: MemoryStore
) -> None:
    consented(google, tmp_path, store, home=home, provider="gmail-xoauth2")
    send(store)
    google.expire_access_tokens()
    google.clear()
    send(store)
    assert (google.counts["smtp.auth.refused"], google.counts["token.refresh"]) == (1, 1)
    assert len(google.messages) == 1


def test_a_consent_that_was_taken_back_needs_a_login(
    google: Sandbox, home: Path, tmp_path: Path, store: MemoryStore
) -> None:
    consented(google, tmp_path, store, home=home, provider="gmail-xoauth2")
    google.revoke_tokens()
    google.clear()
    with pytest.raises(LoginRequired) as caught:
        send(store)
    assert caught.value.code == "consent-ended"
    assert (google.counts["smtp.auth"], google.counts["token.refresh"]) == (1, 1)
    assert google.messages == []


# ---- by SMTP, with an app password


def test_an_app_password_is_taken_as_google_shows_it_with_its_spaces(google: Sandbox, home: Path) -> None:
    words = ("login", ME, "--provider", "gmail-smtp", "--code-stdin", *at(google))
    refused = run(*words, stdin=b"my-Google-password-1\n")
    assert (refused.code, google.counts["smtp.connect"]) == (77, 0), refused.err
    done = run(*words, stdin=b"abcd efgh ijkl mnop\n")
    assert done.code == 0, done.err
    sent = run("send", "--to", "ann@example.com", "--text", "Hi", "--json")
    assert sent.code == 0, sent.err
    assert [one.account for one in google.messages] == [ME]
    assert Accounts(home).get().provider == "gmail-smtp"


# ---- the same account by SMTP where the API did not take it


def test_a_login_that_names_its_own_smtp_as_fallback_asks_for_what_that_needs(
    google: Sandbox, home: Path, tmp_path: Path
) -> None:
    client = str(google.write_client_secrets(tmp_path))
    with Login(ME, "--client-secrets", client, "--no-browser", "--fallback", "smtp") as login:
        assert asked_for(login.url) == [ALL]
        decide(login.url)
        assert login.end().code == 0
    account = Accounts(home).get()
    assert (account.provider, account.transport, account.fallback) == ("gmail", "gmail", ("smtp",))
    with Login(ME, "--no-browser", "--check-identity") as login:  # again: nothing is lost
        assert set(asked_for(login.url)) == {ALL, "openid", "email"}
        decide(login.url)
        assert login.end().code == 0
    assert Accounts(home).get().fallback == ("smtp",)


def test_what_the_api_did_not_take_goes_out_by_smtp_as_the_very_same_address(
    google: Sandbox, home: Path, tmp_path: Path, store: MemoryStore
) -> None:
    consented(google, tmp_path, store, "smtp", home=home)
    assert send(store).transport == "gmail"
    google.plan(gmail="429")
    receipt = send(store)
    assert (receipt.account, receipt.transport) == (ME, "smtp")
    assert [(one.account, one.transport, one.verdict) for one in receipt.attempts] == [
        (ME, "gmail", "not_sent"),
        (ME, "smtp", "sent"),
    ]
    first, second = google.messages
    assert (first.route, second.route) == ("gmail", "smtp")
    assert second.sender == ME
    assert b"Reply-To" not in second.data
    assert google.counts["token.post"] == 0  # one consent and one token for both


def test_what_the_api_may_have_taken_is_not_sent_by_smtp_as_well(
    google: Sandbox, home: Path, tmp_path: Path, store: MemoryStore
) -> None:
    consented(google, tmp_path, store, "smtp", home=home)
    google.plan(gmail="503")
    with pytest.raises(OutcomeUnknown):
        send(store)
    assert google.counts["smtp.connect"] == 0


def test_a_consent_that_can_only_send_by_the_api_is_never_shown_to_smtp(
    google: Sandbox, home: Path, tmp_path: Path, store: MemoryStore
) -> None:
    account = consented(google, tmp_path, store, home=home)
    Accounts(home).add(replace(account, fallback=("smtp",)))
    google.plan(gmail="429")
    with pytest.raises(TransientError) as caught:
        send(store)
    assert [one.code for one in caught.value.attempts][1:] == ["scope-missing"]
    assert google.counts["smtp.connect"] == 0
    Accounts(home).add(replace(account, transport="smtp"))
    with pytest.raises(LoginRequired) as refused:
        send(store)
    assert SEND in refused.value.message
    assert f"oauth-mailer login {ME} --provider gmail-xoauth2" in refused.value.hint
    assert google.counts["smtp.connect"] == 0


def test_smtp_first_and_the_api_behind_it(
    google: Sandbox, home: Path, tmp_path: Path, store: MemoryStore
) -> None:
    consented(google, tmp_path, store, home=home, provider="gmail-xoauth2")
    google.plan(smtp="421")
    receipt = send(store, fallback=["gmail"])
    assert [one.transport for one in receipt.attempts] == ["smtp", "gmail"]
    assert len(google.messages) == 1


def test_the_outbox_keeps_the_name_of_the_way(
    google: Sandbox, home: Path, tmp_path: Path, store: MemoryStore
) -> None:
    consented(google, tmp_path, store, home=home)
    consented(google, tmp_path, store, "smtp", home=home)
    google.plan(gmail="429")
    with oauth_mailer.Outbox(store=store) as outbox:
        entry = outbox.add(
            oauth_mailer.Message(to="ann@example.com", text="Hi"), account=ME, fallback=["smtp"]
        )
        outbox.run(once=True)
        assert outbox.get(entry.id).state == "sent"
    assert [one.route for one in google.messages] == ["smtp"]


@pytest.mark.parametrize("name", ["smtp", "gmail", "file", "qq"])
def test_an_account_by_a_code_has_no_other_way(home: Path, name: str) -> None:
    Accounts(home).add(Account(address="me@qq.com", provider="qq"))
    with pytest.raises(ConfigError) as caught:
        oauth_mailer.open_mailer("me@qq.com", fallback=[name])
    assert caught.value.code == "fallback-unknown"
    with pytest.raises(MailerError):
        account_for("me@qq.com", fallback=[name], home=home)


def test_another_provider_takes_other_accounts_along_and_not_the_other_way(
    google: Sandbox, home: Path, tmp_path: Path, store: MemoryStore
) -> None:
    Accounts(home).add(Account(address="me@qq.com", provider="qq"))
    account = consented(google, tmp_path, store, "me@qq.com", "smtp", home=home)
    changed = account_for(ME, provider="gmail-xoauth2", home=home)
    assert (account.fallback, changed.fallback) == (("me@qq.com", "smtp"), ("me@qq.com",))
    server = google.smtp
    changed = replace(changed, host=server.host, port=server.port, ca_file=str(server.ca_file))
    again = log_in(google, tmp_path, store, address=changed)
    assert consent_slot(again) == consent_slot(account)  # the same client and the same scope


# ---- what the doctor says of them


def examined(store: MemoryStore) -> dict[str, object]:
    found = {one.check: one for one in check_account(ME, store=store)}
    assert not [one for one in found.values() if one.state == "failed"], found
    return {word: (one.state, one.text) for word, one in found.items()}


def test_the_doctor_examines_both_ways_of_one_account_and_names_the_others(
    google: Sandbox, home: Path, tmp_path: Path, store: MemoryStore
) -> None:
    consented(google, tmp_path, store, "smtp", home=home)
    found = examined(store)
    assert {"api", "tcp", "tls", "ehlo", "auth"} <= set(found)
    assert found["fallback"] == ("ok", f"{ME} by smtp")
    assert "By the Gmail API" in str(found["way"])
    assert "gmail-xoauth2, gmail-smtp" in str(found["way"])
    assert f"It may read and delete all mail too: {ALL}." in str(found["scopes"])
    assert "OAUTHBEARER" in str(found["auth"])
    assert google.messages == []

    consented(google, tmp_path, store, home=home, provider="gmail-xoauth2")
    found = examined(store)
    assert "api" not in found
    assert "with a consent, which has to be one to the whole mailbox" in str(found["way"])
    assert "gmail, gmail-smtp" in str(found["way"])


def test_the_doctor_knows_an_app_password_as_the_third_way(google: Sandbox, home: Path) -> None:
    words = ("login", ME, "--provider", "gmail-smtp", "--code-stdin", *at(google))
    assert run(*words, stdin=b"abcd efgh ijkl mnop\n").code == 0
    found = {one.check: one for one in check_account(ME, offline=True)}
    assert found["way"].state == "ok"
    assert "with an app password" in found["way"].text
    assert "gmail, gmail-xoauth2" in found["way"].text


def test_the_doctor_warns_of_a_fallback_that_the_consent_does_not_cover(
    google: Sandbox, home: Path, tmp_path: Path, store: MemoryStore
) -> None:
    account = consented(google, tmp_path, store, home=home)
    Accounts(home).add(replace(account, fallback=("smtp",)))
    found = {one.check: one for one in check_account(ME, store=store)}
    assert found["fallback"].state == "warning"
    assert found["fallback"].hint.endswith(f"oauth-mailer login {ME} --fallback smtp")
    assert google.counts["smtp.auth"] == 0
