"""Logging in at token endpoints of every kind: what their answers to the code are taken for."""

from __future__ import annotations

import json
import traceback
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

import oauth_mailer
from oauth_mailer.accounts import Account, Accounts
from oauth_mailer.auth.google import consent_slot
from oauth_mailer.errors import LoginRequired, MailerError, RouteError, TransientError
from oauth_mailer.stores.memory import MemoryStore
from tests.support.google_account import CLIENT_ID, CLIENT_SECRET, client_file
from tests.support.google_browser import Person, fetch
from tests.support.http_script import HttpScript, Step, answer, close, raw

ME = "me@gmail.com"
SEND = "https://www.googleapis.com/auth/gmail.send"
EMAIL = "https://www.googleapis.com/auth/userinfo.email"
CODE = "4/0canary-code"


def id_token(**claims: object) -> str:
    payload = urlsafe_b64encode(json.dumps({"aud": CLIENT_ID} | claims).encode()).decode().rstrip("=")
    return f"header.{payload}.signature"


def granted(**changes: object) -> Step:
    fields = {
        "access_token": "ya29.canary",
        "expires_in": 3599,
        "refresh_token": "1//canary-new",
        "scope": SEND,
        "token_type": "Bearer",
    }
    return answer(body={name: value for name, value in (fields | changes).items() if value is not ...})


def allow(url: str) -> tuple[int, str, str]:
    """A browser whose person allows it at once."""
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    return fetch(f"{asked['redirect_uri']}?{urlencode({'state': asked['state'], 'code': CODE})}")


def log_in(step: Step, folder: Path, store: MemoryStore, **words: Any) -> tuple[Account, HttpScript, Person]:
    person = Person(allow)
    with HttpScript(step) as server:
        path = client_file(folder, server.url)
        account = oauth_mailer.login(ME, prompt=person, store=store, client_secrets=path, **words)
    return account, server, person


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"expires_in": "3599"},
        {"expires_in": "3599.5"},
        {"expires_in": 0},
        {"expires_in": -1},
        {"expires_in": ...},
        {"expires_in": "soon"},
        {"expires_in": float("nan")},
        {"expires_in": float("inf")},
        {"expires_in": "9" * 400},
        {"expires_in": 1e300},
        {"token_type": "bearer"},
        {"token_type": ...},
        {"scope": ...},
        {"scope": f"openid {EMAIL} {SEND}"},
        {"id_token": "nonsense"},
        {"id_token": id_token(email="me@gmail.com")},
        {"refresh_token_expires_in": 604_799},
    ],
)
def test_a_consent_is_kept_in_whatever_order_and_form_its_answer_comes(
    changes: dict[str, object], tmp_path: Path, home: Path
) -> None:
    store = MemoryStore()
    account, server, person = log_in(granted(**changes), tmp_path, store)
    assert person.wait()[0] == 200
    kept = store.get(consent_slot(account))
    assert kept
    assert json.loads(kept.reveal())["refresh_token"] == "1//canary-new"
    assert len(server.requests) == 1
    form = parse_qs(server.requests[0].body.decode())
    assert form["grant_type"] == ["authorization_code"]
    assert len(form["code_verifier"][0]) >= 43
    assert ME in Accounts(home)


@pytest.mark.parametrize(
    ("step", "kind", "code"),
    [
        (granted(access_token=""), TransientError, "token-answer"),
        (granted(access_token="令牌"), TransientError, "token-answer"),
        (granted(access_token="a\r\nb"), TransientError, "token-answer"),
        (granted(scope=""), LoginRequired, "scope-missing"),
        (granted(scope=EMAIL), LoginRequired, "scope-missing"),
        (granted(refresh_token=None), LoginRequired, "no-refresh-token"),
        (granted(id_token=id_token(email="you@gmail.com")), LoginRequired, "other-account"),
        (granted(id_token=id_token(email="\ud800@x")), LoginRequired, "other-account"),
        (granted(id_token=id_token(aud="another")), LoginRequired, "other-account"),
        (answer("302 Found", Location="http://127.0.0.1:1/"), TransientError, "token-answer"),
        (answer("307 Temporary Redirect", Location="http://127.0.0.1:1/"), TransientError, "token-answer"),
        (answer("404 Not Found", b"<html>"), TransientError, "token-answer"),
        (answer("201 Created", b""), TransientError, "token-answer"),
        (answer(body=b"access_token=a&refresh_token=b"), TransientError, "token-answer"),
        (answer(body={"error": "invalid_grant"}), LoginRequired, "code-refused"),
        (answer("400 Bad Request", {"error": "invalid_grant"}), LoginRequired, "code-refused"),
        (answer("401 Unauthorized", {"error": "invalid_client"}), LoginRequired, "client-refused"),
        (answer("400 Bad Request", {"error": "redirect_uri_mismatch"}), RouteError, "token-refused"),
        (answer("400 Bad Request", {"error": "server_error"}), TransientError, "token-endpoint"),
        (
            answer("400 Bad Request", {"error": "x", "error_description": f"{CODE} of {CLIENT_SECRET}"}),
            RouteError,
            "token-refused",
        ),
        (close, TransientError, "token-endpoint"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"), TransientError, "token-answer"),
    ],
)
def test_an_answer_that_is_no_consent_keeps_nothing_and_is_asked_for_once(
    step: Step, kind: type[MailerError], code: str, tmp_path: Path, home: Path
) -> None:
    store = MemoryStore()
    asked: list[Any] = []

    def counted(exchange: Any) -> bool:
        asked.append(exchange)
        return step(exchange)

    with pytest.raises(MailerError) as caught:
        log_in(counted, tmp_path, store)
    assert (type(caught.value), caught.value.code) == (kind, code)
    assert len(asked) == 1
    assert not store._secrets
    assert len(Accounts(home)) == 0
    shown = "".join(traceback.format_exception(caught.value)) + str(vars(caught.value))
    assert not any(secret in shown for secret in (CODE, CLIENT_SECRET, "ya29.canary", "1//canary-new"))


@pytest.mark.parametrize("token", [..., "nonsense", "a.b.c", 7, id_token(), id_token(email=7), "a.é.c"])
def test_an_identity_that_was_asked_for_and_is_not_told_is_refused(
    token: object, tmp_path: Path, home: Path
) -> None:
    step = granted(scope=f"{SEND} openid {EMAIL}", id_token=token)
    with pytest.raises(LoginRequired) as caught:
        log_in(step, tmp_path, MemoryStore(), check_identity=True)
    assert caught.value.code == "other-account"
    assert len(Accounts(home)) == 0


def test_addresses_of_the_client_are_asked_as_they_stand(tmp_path: Path) -> None:
    store, person = MemoryStore(), Person(allow)
    with HttpScript(granted()) as server:
        path = client_file(
            tmp_path,
            server.url,
            auth_uri="http://[::1]:9/o/auth/?tenant=a%20b",
            token_uri=f"{server.url}/o/token/?tenant=a%20b",
        )
        account = oauth_mailer.login(ME, prompt=person, store=store, client_secrets=path)
    address = urlsplit(person.url)
    assert (address.scheme, address.netloc, address.path) == ("http", "[::1]:9", "/o/auth/")
    asked = parse_qs(address.query)
    assert asked["tenant"] == ["a b"]
    assert asked["code_challenge_method"] == ["S256"]
    assert server.requests[0].path == "/o/token/?tenant=a%20b"
    assert account.client["token_uri"].endswith("/o/token/?tenant=a%20b")
