"""A client's file that is none, or not the right one: each has its own message, and the old login is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import oauth_mailer
from oauth_mailer.errors import ConfigError
from oauth_mailer.sandbox import Sandbox
from oauth_mailer.stores.memory import MemoryStore
from tests.cli.google_login import ADDRESS, everything
from tests.cli.program import ROOT, run
from tests.support.google_browser import Person
from tests.support.google_login import ME

GOOD = {"client_id": "x.apps.googleusercontent.com", "auth_uri": "https://a/", "token_uri": "https://t/"}
EXAMPLE = ROOT / "credentials.example.json"

WRONG: list[tuple[object, str]] = [
    ({"web": GOOD}, "client-web"),
    ({"type": "service_account", "private_key": "canary-key"}, "client-service-account"),
    ({"type": "authorized_user", "refresh_token": "canary"}, "client-token-file"),
    ({"token": "canary", "refresh_token": "canary"}, "client-token-file"),
    ({}, "client-unknown"),
    ([], "client-unknown"),
    ({"installed": []}, "client-unknown"),
    ({"installed": {}}, "client-incomplete"),
    ({"installed": GOOD | {"client_id": 7}}, "client-incomplete"),
    ({"installed": GOOD | {"client_secret": ["canary"]}}, "client-incomplete"),
    ({"installed": GOOD | {"client_id": "REPLACE-ME.apps.googleusercontent.com"}}, "client-example"),
    (EXAMPLE.read_text("utf-8"), "client-example"),
    ({"installed": GOOD | {"auth_uri": "http://accounts.example/auth"}}, "endpoint-plain-http"),
    ({"installed": GOOD | {"token_uri": "http://oauth.example/token"}}, "endpoint-plain-http"),
    ({"installed": GOOD | {"token_uri": "ftp://oauth.example/token"}}, "endpoint-malformed"),
    ({"installed": GOOD | {"revocation_uri": "http://oauth.example/r"}}, "endpoint-plain-http"),
    ('{"installed": {"client_id": "canary", "client_se', "client-truncated"),
    ("", "client-truncated"),
    ("\x00\x01", "client-not-json"),
    ("[" * 60_000, "client-truncated"),
    ("[" * 70_000, "client-too-large"),
]


def refusal(path: Path | None, store: MemoryStore) -> ConfigError:
    """The error of a login with this file, for which nobody is asked anything."""
    person = Person()
    with pytest.raises(ConfigError) as caught:
        oauth_mailer.login(ME, prompt=person, store=store, client_secrets=path)
    assert caught.value.hint
    assert "canary" not in str(caught.value)
    assert not person.url
    return caught.value


@pytest.mark.fault(32)
@pytest.mark.parametrize(("content", "code"), WRONG)
def test_a_wrong_client_file_is_told_apart_and_nothing_of_it_is_shown(
    content: object, code: str, tmp_path: Path, store: MemoryStore
) -> None:
    path = tmp_path / "client.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    error = refusal(path, store)
    assert error.code == code
    assert str(path) in error.message or code.startswith("endpoint")


@pytest.mark.fault(32)
def test_a_file_that_is_not_there_and_no_file_at_all(tmp_path: Path, store: MemoryStore) -> None:
    for path, code in ((tmp_path / "none.json", "client-missing"), (tmp_path, "client-unreadable")):
        error = refusal(path, store)
        assert error.code == code
        assert str(path) in error.message
    error = refusal(None, store)
    assert error.code == "client-missing"
    assert "--client-secrets" in error.hint


@pytest.mark.fault(32)
def test_each_has_a_message_of_its_own_and_the_old_login_is_kept(
    set_up: Sandbox, tmp_path: Path, store: MemoryStore
) -> None:
    path = tmp_path / "client.json"
    messages = {refusal(path, store).message: "client-missing"}
    for content, code in WRONG:
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        message = refusal(path, store).message
        assert messages.setdefault(message, code) == code, message
    assert set(messages.values()) == {"client-missing", *(code for _content, code in WRONG)}


# By the program


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def edit(data: bytes) -> bytes:
        fields = json.loads(data)
        return json.dumps(change(fields["installed"]) or fields).encode()

    return edit


@pytest.mark.fault(32, program=True)
@pytest.mark.parametrize(
    ("make", "told"),
    [
        (edited(lambda client: {"web": client}), ("client-web", "Web application")),
        (
            edited(lambda client: {"type": "service_account", "private_key": "canary", "client_id": "1"}),
            ("client-service-account", "service account"),
        ),
        (
            edited(lambda client: {"refresh_token": "canary", "token": "canary"}),
            ("client-token-file", "token"),
        ),
        (edited(lambda client: {"anything": "else"}), ("client-unknown", "no client file")),
        (edited(lambda client: client.pop("client_id") and None), ("client-incomplete", "client_id")),
        (
            edited(lambda client: client.update(auth_uri="http://accounts.example/auth")),
            ("endpoint-plain-http", "auth_uri"),
        ),
        (
            edited(lambda client: client.update(token_uri="http://oauth.example/token")),
            ("endpoint-plain-http", "token_uri"),
        ),
        (lambda data: data[: len(data) // 2], ("client-truncated", "cut off")),
        (lambda data: b"", ("client-truncated", "cut off")),
        (lambda data: b"\x89PNG\r\n\x1a\n", ("client-not-json", "not in JSON")),
        (lambda data: data + b" " * 70_000, ("client-too-large", "too large")),
        (lambda data: EXAMPLE.read_bytes(), ("client-example", "example")),
    ],
)
def test_each_wrong_client_file_has_its_own_word(
    client: str, google: Sandbox, home: Path, make: Callable[[bytes], bytes], told: tuple[str, str]
) -> None:
    path = Path(client)
    path.write_bytes(make(path.read_bytes()))
    done = run("login", ADDRESS, "--client-secrets", client, "--json", "--verbose")
    assert done.code == 78, done
    error = done.json["error"]
    assert (error["type"], error["code"]) == ("ConfigError", told[0])
    assert told[1] in error["message"]
    assert error["hint"]
    assert "canary" not in done.err + done.out
    assert google.client_secrets["installed"]["client_secret"] not in done.err + done.out
    assert "/o/oauth2/auth?" not in done.err
    assert not everything(home)


@pytest.mark.fault(32, program=True)
@pytest.mark.usefixtures("google_host")
def test_a_client_file_that_cannot_be_read_is_a_missing_input(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        done = run("login", ADDRESS, "--client-secrets", str(path), "--json")
        assert done.code == 66, done
        assert done.json["error"]["code"] == "input-missing"
        assert str(path) in done.json["error"]["message"]


@pytest.mark.fault(32, program=True)
@pytest.mark.usefixtures("logged_in")
def test_after_a_wrong_client_file_the_old_login_still_works(google: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "another.json"
    assert run("login", ADDRESS, "--client-secrets", str(path), "--json").code == 66
    path.write_text(json.dumps({"web": google.client_secrets["installed"]}), "utf-8")
    done = run("login", ADDRESS, "--client-secrets", str(path), "--json")
    assert (done.code, done.json["error"]["code"]) == (78, "client-web")
