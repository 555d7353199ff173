"""A Workspace service account sends for people of its domain, without anybody's consent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import oauth_mailer
from oauth_mailer.accounts import Accounts, secret_variable
from oauth_mailer.auth import open_credential
from oauth_mailer.errors import ConfigError, LoginRequired, TransientError
from oauth_mailer.sandbox import Sandbox
from oauth_mailer.stores import Secret, Slot
from oauth_mailer.stores.memory import MemoryStore
from tests.cli.program import run
from tests.support import folder_contains

ME = "me@corp.example"
PASSPHRASE = "a passphrase of the test"


@pytest.fixture
def google(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    monkeypatch.setenv("OAUTH_MAILER_STORE", "encrypted_file")
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", PASSPHRASE)
    with Sandbox(account=ME) as made:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", made.gmail_endpoint)
        yield made


@pytest.fixture
def key(google: Sandbox, tmp_path: Path) -> Path:
    return google.write_service_account_key(tmp_path)


def test_a_login_by_key_asks_nobody_and_sends(google: Sandbox, home: Path, key: Path) -> None:
    done = run("login", ME, "--service-account", str(key))
    assert done.code == 0, done
    assert google.counts["token.service-account"] == 1, "the key was proven"
    sent = run("send", "--to", "ann@example.com", "--subject", "Hi", "--text", "It works.", "--json")
    assert sent.code == 0, sent
    assert (sent.json["account"], sent.json["transport"]) == (ME, "gmail")
    [received] = google.wait_for(1)
    assert received.recipients == ("ann@example.com",)
    private = json.loads(key.read_text("utf-8"))["private_key"].splitlines()[1].encode()
    assert not folder_contains(home, private), "the key rests in the store only, encrypted"
    assert Accounts(home).get(ME).auth == "service_account"


def test_the_token_is_kept_and_asked_for_again_when_it_is_over(
    google: Sandbox, home: Path, key: Path
) -> None:
    store = MemoryStore()
    oauth_mailer.login(ME, service_account=key, home=home, store=store)
    with oauth_mailer.open_mailer(ME, home=home, store=store) as mailer:
        mailer.send(oauth_mailer.Message(to="ann@example.com", text="1"))
        before = google.counts["token.service-account"]
        mailer.send(oauth_mailer.Message(to="ann@example.com", text="2"))
        assert google.counts["token.service-account"] == before
        google.expire_access_tokens()
        mailer.send(oauth_mailer.Message(to="ann@example.com", text="3"))
        assert google.counts["token.service-account"] == before + 1
    assert len(google.messages) == 3


def test_an_address_of_another_domain_is_told_what_an_administrator_has_to_do(
    google: Sandbox, home: Path, key: Path
) -> None:
    done = run("login", "me@other.example", "--service-account", str(key))
    assert done.code == 77
    assert google.service_account.client_id in done.err
    assert "https://www.googleapis.com/auth/gmail.send" in done.err
    assert "admin.google.com" in done.err
    assert "me@other.example" not in Accounts(home)


def test_a_deleted_key_is_told_and_the_old_one_is_kept(google: Sandbox, home: Path, key: Path) -> None:
    store = MemoryStore()
    oauth_mailer.login(ME, service_account=key, home=home, store=store)
    other = json.loads(key.read_text("utf-8"))
    with Sandbox(account=ME) as stranger:
        other["private_key"] = stranger.service_account.key_file("https://localhost/")["private_key"]
    key.write_text(json.dumps(other), "utf-8")
    with pytest.raises(LoginRequired) as refused:
        oauth_mailer.login(ME, service_account=key, home=home, store=store)
    assert refused.value.code == "service-account-refused"
    with oauth_mailer.open_mailer(ME, home=home, store=store) as mailer:
        mailer.send(oauth_mailer.Message(to="ann@example.com", text="by the old key"))
    assert len(google.messages) == 1


def test_somebody_whom_the_domain_does_not_have(google: Sandbox, home: Path, key: Path) -> None:
    with pytest.raises(LoginRequired) as refused:
        oauth_mailer.login("nobody@corp.example", service_account=key, home=home, store=MemoryStore())
    assert refused.value.code == "service-account-refused"
    assert "Invalid email" in refused.value.text


def test_google_out_of_order_is_later(google: Sandbox, home: Path, key: Path) -> None:
    google.plan(token="503,ok")
    with pytest.raises(TransientError):
        oauth_mailer.login(ME, service_account=key, home=home, store=MemoryStore())
    oauth_mailer.login(ME, service_account=key, home=home, store=MemoryStore())


def test_the_key_may_stand_in_the_environment(
    google: Sandbox, home: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTH_MAILER_STORE", "environment")
    line = key.with_name("one_line.json")
    line.write_text(json.dumps(json.loads(key.read_text("utf-8"))), "utf-8")
    monkeypatch.setenv(f"{secret_variable(ME)}_FILE", str(line))
    done = run("login", ME, "--service-account", str(key))
    assert done.code == 0, done
    assert run("send", "--to", "ann@example.com", "--text", "x").code == 0
    assert len(google.messages) == 1


def test_logout_forgets_the_key(google: Sandbox, home: Path, key: Path) -> None:
    assert run("login", ME, "--service-account", str(key)).code == 0
    done = run("logout", ME)
    assert done.code == 0, done
    assert ME not in Accounts(home)
    assert run("login", ME, "--provider", "gmail").code == 78, "a client is needed again"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "key-unreadable"),
        ("{", "key-unknown"),
        ('{"installed": {}}', "key-unknown"),
        ('{"type": "service_account"}', "secret-form"),
        ("x" * 70_000, "key-unknown"),
    ],
)
def test_a_file_that_is_no_key(home: Path, tmp_path: Path, content: str | None, code: str) -> None:
    path = tmp_path / "key.json"
    if content is not None:
        path.write_text(content, "utf-8")
    with pytest.raises((ConfigError, LoginRequired)) as refused:
        oauth_mailer.login(ME, service_account=path, home=home, store=MemoryStore())
    assert refused.value.code == code
    assert refused.value.hint


def test_a_token_endpoint_without_tls_is_refused(google: Sandbox, home: Path, key: Path) -> None:
    fields = json.loads(key.read_text("utf-8"))
    key.write_text(json.dumps(fields | {"token_uri": "http://oauth2.example/token"}), "utf-8")
    with pytest.raises(ConfigError):
        oauth_mailer.login(ME, service_account=key, home=home, store=MemoryStore())


def test_a_damaged_key_in_the_store_shows_nothing_of_itself(google: Sandbox, home: Path, key: Path) -> None:
    store = MemoryStore()
    account = oauth_mailer.login(ME, service_account=key, home=home, store=store)
    fields = json.loads(key.read_text("utf-8"))
    for damaged in ("{", "[]", json.dumps(fields | {"private_key": "-----BEGIN PRIVATE KEY-----\ncanary\n"})):
        broken = MemoryStore()
        broken.set(Slot(ME, "service-account"), Secret(damaged))
        with pytest.raises(LoginRequired) as refused:
            open_credential(account, broken, home).get()
        assert refused.value.code == "secret-form"
        assert "canary" not in repr(refused.value.__cause__) + repr(refused.value.__context__) + str(
            refused.value
        )


def test_options_of_another_way_are_refused(key: Path) -> None:
    assert run("login", "me@qq.com", "--service-account", str(key), "--provider", "qq").code == 64
    assert run("login", ME, "--service-account", str(key), "--no-browser").code == 64
