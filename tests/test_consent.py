"""Logging in to Google from the library: what is allowed, denied, changed and broken on the way."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import oauth_mailer
from oauth_mailer.accounts import Accounts, secret_variable
from oauth_mailer.auth.google import consent_slot
from oauth_mailer.errors import ConfigError, LoginRequired, MailerError, StoreError, TransientError
from oauth_mailer.sandbox import Sandbox
from oauth_mailer.stores import Secret, Slot
from oauth_mailer.stores.environment import EnvironmentStore
from oauth_mailer.stores.memory import MemoryStore
from tests.support.google_account import client_file
from tests.support.google_browser import Person, decide, fetch
from tests.support.google_login import ME, SEND, log_in, send


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox() as made:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", made.gmail_endpoint)
        yield made


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def test_a_person_consents_and_the_account_sends(
    sandbox: Sandbox, tmp_path: Path, store: MemoryStore, home: Path
) -> None:
    person = Person()
    account = log_in(sandbox, tmp_path, store, person)
    status, address, text = person.wait()
    assert status == 200
    assert "me@gmail.com is ready" in text
    assert "oauth-mailer send --from me@gmail.com" in text
    assert urlsplit(address).hostname == "127.0.0.1"
    assert Accounts(home).get() == account
    assert account.login_required is False
    send(store)
    [received] = sandbox.messages
    assert (received.route, received.account, received.recipients) == ("gmail", ME, ("ann@example.com",))


def test_the_request_asks_for_no_more_than_to_send_and_is_bound_to_this_login(
    sandbox: Sandbox, tmp_path: Path, store: MemoryStore
) -> None:
    first, second = Person(), Person()
    log_in(sandbox, tmp_path, store, first)
    log_in(sandbox, tmp_path, store, second)
    asked = [
        {name: values[0] for name, values in parse_qs(urlsplit(person.url).query).items()}
        for person in (first, second)
    ]
    assert asked[0]["scope"] == SEND
    assert asked[0]["code_challenge_method"] == "S256"
    assert (asked[0]["access_type"], asked[0]["prompt"]) == ("offline", "consent")
    assert asked[0]["login_hint"] == ME
    assert asked[0]["redirect_uri"].startswith("http://127.0.0.1:")
    assert "client_secret" not in asked[0]
    for name in ("state", "code_challenge"):
        assert len(asked[0][name]) >= 43
        assert asked[0][name] != asked[1][name]


def test_only_what_is_secret_is_kept_as_a_secret_and_nothing_secret_in_the_configuration(
    sandbox: Sandbox, tmp_path: Path, store: MemoryStore, home: Path
) -> None:
    account = log_in(sandbox, tmp_path, store)
    kept = store.get(consent_slot(account))
    assert kept
    fields = json.loads(kept.reveal())
    assert set(fields) == {"client_secret", "refresh_token"}
    written = (home / "config.toml").read_text("utf-8")
    assert not any(value in written for value in fields.values())
    for text in store._secrets.values():
        assert len(text.encode("utf-16-le")) // 2 <= 1280


@pytest.mark.parametrize("spelled", ["m.e@gmail.com", "ME@googlemail.com", "me+x@gmail.com"])
def test_another_spelling_of_the_same_mailbox_is_the_same_account(
    spelled: str, sandbox: Sandbox, tmp_path: Path, store: MemoryStore
) -> None:
    account = log_in(sandbox, tmp_path, store, Person(partial(decide, account=spelled)), check_identity=True)
    assert account.scopes == (SEND, "openid", "email")


def test_a_login_again_replaces_the_token_and_a_fixed_port_is_kept(
    sandbox: Sandbox, tmp_path: Path, store: MemoryStore
) -> None:
    account = log_in(sandbox, tmp_path, store)
    before = store.get(consent_slot(account))
    person = Person()
    log_in(sandbox, tmp_path, store, person, client_secrets=None)
    assert store.get(consent_slot(account)) != before
    assert len(store._secrets) == 2
    send(store)


class Small(MemoryStore):
    """A store that has no room for access tokens any more."""

    small = False

    def set(self, slot: Slot, secret: Secret) -> None:
        if self.small and slot.cached:
            raise StoreError("too long", code="too-long")
        super().set(slot, secret)


def test_a_login_again_leaves_no_access_token_of_the_one_before(sandbox: Sandbox, tmp_path: Path) -> None:
    store = Small()
    log_in(sandbox, tmp_path, store)
    assert len(store._secrets) == 2
    store.small = True
    account = log_in(sandbox, tmp_path, store)
    assert list(store._secrets) == [str(consent_slot(account))]


def test_a_second_account_needs_no_client_file(sandbox: Sandbox, tmp_path: Path, store: MemoryStore) -> None:
    log_in(sandbox, tmp_path, store)
    log_in(sandbox, tmp_path, store, address="you@gmail.com", client_secrets=None)
    send(store, "you@gmail.com")
    send(store, ME)
    assert [one.account for one in sandbox.messages] == ["you@gmail.com", ME]


def test_another_client_leaves_nothing_of_the_old_one(tmp_path: Path, store: MemoryStore) -> None:
    with Sandbox() as one, Sandbox() as other:
        first = log_in(one, tmp_path, store)
        second = log_in(other, tmp_path, store)
        assert first.client != second.client
        assert store.get(consent_slot(first)) is None
        assert store.get(consent_slot(second))


def test_without_a_browser_the_pasted_address_will_do(
    sandbox: Sandbox, tmp_path: Path, store: MemoryStore
) -> None:
    class Elsewhere(Person):
        """A person whose browser is on another computer, where the last page cannot be loaded."""

        def pasted(self) -> str:
            page = fetch(self.url)[2]
            nonce = page.partition('name="nonce" value="')[2].partition('"')[0]
            form = f"nonce={nonce}&account={ME}&scope={SEND}&decision=allow".encode()

            class Stay(urllib.request.HTTPRedirectHandler):
                def redirect_request(self, *_arguments: Any) -> None:
                    return None

            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay)
            with pytest.raises(urllib.error.HTTPError) as caught:
                opener.open(f"{sandbox.gmail_endpoint}/o/oauth2/consent", form, timeout=60)
            caught.value.close()
            return str(caught.value.headers["Location"])

    person = Elsewhere(None, lines=("", "nonsense", "http://127.0.0.1:1/?state=other&code=x"))
    log_in(sandbox, tmp_path, store, person)
    assert any("ssh -L" in text for text in person.heard)
    assert sum("not the answer" in text for text in person.heard) == 2
    send(store)


@pytest.mark.parametrize(
    ("plan", "kind"),
    [
        ("close", TransientError),
        ("html", TransientError),
        ("missing-token", TransientError),
        ("503", TransientError),
        ("429", TransientError),
        ("500", TransientError),
        ("invalid_grant", LoginRequired),
    ],
)
def test_a_token_endpoint_that_fails_keeps_the_old_login_and_says_so_in_the_browser(
    plan: str, kind: type[MailerError], tmp_path: Path, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sandbox(token=f"ok,{plan}") as sandbox:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", sandbox.gmail_endpoint)
        log_in(sandbox, tmp_path, store)
        before = dict(store._secrets)
        person = Person()
        with pytest.raises(MailerError) as caught:
            log_in(sandbox, tmp_path, store, person)
        assert type(caught.value) is kind
        status, _address, text = person.wait()
        assert status == 400
        assert "did not succeed" in text
        assert store._secrets == before
        assert sandbox.counts["token.exchange"] == 2
        send(store)


class Broken(MemoryStore):
    """A store that breaks at a chosen moment."""

    reading = keeping = False

    def get(self, slot: Slot) -> Secret | None:
        if self.reading:
            raise StoreError("locked", code="locked")
        return super().get(slot)

    def set(self, slot: Slot, secret: Secret) -> None:
        if self.keeping:
            raise StoreError("full", code="full")
        super().set(slot, secret)


def test_a_store_that_cannot_be_read_is_told_before_a_person_is_asked(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    store, person = Broken(), Person()
    store.reading = True
    with pytest.raises(StoreError):
        log_in(sandbox, tmp_path, store, person)
    assert not person.heard
    assert not person.url


def test_a_store_that_keeps_nothing_leaves_no_account_behind(
    sandbox: Sandbox, tmp_path: Path, home: Path
) -> None:
    store, person = Broken(), Person()
    store.keeping = True
    with pytest.raises(StoreError):
        log_in(sandbox, tmp_path, store, person)
    assert person.wait()[0] == 400
    assert len(Accounts(home)) == 0


def test_a_configuration_that_cannot_be_written_leaves_the_old_token(
    sandbox: Sandbox, tmp_path: Path, store: MemoryStore, home: Path
) -> None:
    account = log_in(sandbox, tmp_path, store)
    before = store.get(consent_slot(account))
    (home / "config.toml.lock").unlink(missing_ok=True)
    (home / "config.toml.lock").mkdir()  # no lock can be had
    with pytest.raises(ConfigError):
        log_in(sandbox, tmp_path, store)
    assert store.get(consent_slot(account)) == before


def test_a_client_without_a_secret_and_with_a_byte_order_mark_is_taken(
    tmp_path: Path, store: MemoryStore
) -> None:
    path = client_file(tmp_path, "http://127.0.0.1:9", client_secret=None)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    person = Person(lambda url: (0, url, ""))
    with pytest.raises(LoginRequired):
        oauth_mailer.login(ME, prompt=person, store=store, client_secrets=path, timeout=0.1)
    assert person.url.startswith("http://127.0.0.1:9/auth?")


def test_logging_out_revokes_and_forgets(sandbox: Sandbox, tmp_path: Path, store: MemoryStore) -> None:
    log_in(sandbox, tmp_path, store)
    send(store)
    oauth_mailer.logout(ME, store=store)
    assert sandbox.counts["revoke"] == 1
    assert not store._secrets
    with pytest.raises(ConfigError):
        send(store, ME)


def test_logging_out_where_google_cannot_be_asked_forgets_all_the_same_and_says_so(
    tmp_path: Path, store: MemoryStore, home: Path
) -> None:
    with Sandbox() as sandbox:
        log_in(sandbox, tmp_path, store)
    with pytest.raises(MailerError, match="could not be revoked") as caught:
        oauth_mailer.logout(ME, store=store)
    assert "myaccount.google.com" in caught.value.hint
    assert not store._secrets
    assert len(Accounts(home)) == 0


@pytest.mark.parametrize("client_id", [None, "another.apps.googleusercontent.com"])
def test_the_client_file_counts_for_a_consent_in_the_environment_too(
    sandbox: Sandbox, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, client_id: str | None
) -> None:
    path, store = sandbox.write_client_secrets(tmp_path), MemoryStore()
    kept = store.get(consent_slot(log_in(sandbox, tmp_path, store, client_secrets=path)))
    assert kept
    fields = json.loads(kept.reveal()) | ({"client_id": client_id} if client_id else {})
    (home / "config.toml").unlink()
    monkeypatch.setenv(secret_variable(ME), json.dumps(fields))
    if client_id:
        with pytest.raises(LoginRequired) as caught:
            oauth_mailer.login(ME, store=EnvironmentStore(), client_secrets=path)
        assert caught.value.code == "client-differs"
        assert len(Accounts(home)) == 0
        return
    account = oauth_mailer.login(ME, store=EnvironmentStore(), client_secrets=path)
    assert account.client["client_id"] == json.loads(path.read_text())["installed"]["client_id"]
    with oauth_mailer.open_mailer() as mailer:
        mailer.send(oauth_mailer.Message(to="ann@example.com", text="Hi"))
