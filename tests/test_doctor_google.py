"""The doctor at a Gmail account: its consent, its token, and the API."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from oauth_mailer.accounts import Account, Accounts
from oauth_mailer.auth.google import access_slot, consent_slot
from oauth_mailer.doctor import Finding
from oauth_mailer.errors import StoreError
from oauth_mailer.stores import Secret, Slot
from oauth_mailer.stores.memory import MemoryStore
from tests.support.google_account import CLIENT_SECRET, REFRESH_TOKEN, google_account, with_consent
from tests.support.http_script import Exchange, HttpScript, Step, answer, close, hang
from tests.support.patients import findings, states

CHECKS = [
    "store",
    "secret",
    "clock",
    "client",
    "consent",
    "scopes",
    "token",
    "api",
    "from",
    "mx",
    "spf",
    "dmarc",
]
CANARIES = (CLIENT_SECRET, REFRESH_TOKEN, "ya29.canary")
SEND = "https://www.googleapis.com/auth/gmail.send"


def refused(status: str, reason: str, message: str = "No.") -> Step:
    return answer(
        status, {"error": {"code": int(status[:3]), "message": message, "errors": [{"reason": reason}]}}
    )


NO_MESSAGE = refused("400 Bad Request", "invalidArgument", "'raw' RFC822 payload message string required")


class Google:
    """Google's part: a token endpoint and the Gmail API, each of which behaves, or does this one thing."""

    def __init__(
        self, *, token: Step | None = None, api: Step = NO_MESSAGE, off: timedelta | None = None
    ) -> None:
        self._token, self._api, self._off = token, api, off or timedelta()
        self.tokens = 0

    def __call__(self, exchange: Exchange) -> bool:
        line = exchange.head.split(b"\r\n")[0]
        if line.startswith(b"GET "):
            date = format_datetime(datetime.now(UTC) + self._off, usegmt=True)
            return answer("404 Not Found", Date=date)(exchange)
        if b"/gmail/" in line:
            return self._api(exchange)
        self.tokens += 1
        given = answer(body={"access_token": f"ya29.canary-{self.tokens}", "expires_in": 3599})
        return (self._token or given)(exchange)


def examine(
    google: Google,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    store: MemoryStore | None = None,
    timeout: float = 5.0,
    **fields: Any,
) -> tuple[dict[str, Finding], HttpScript]:
    """What is found of an account with a consent, whose other fields are these."""
    store = store if store is not None else MemoryStore()
    with HttpScript(google) as server:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", server.url)
        account = replace(with_consent(server.url, store), **fields)
        if line := store.get(consent_slot(google_account(server.url))):
            store.set(consent_slot(account), line)  # which is another place for other scopes
        Accounts(home).add(account)
        found = findings(account.address, home=home, store=store, timeout=timeout)
    assert not any(canary in repr(one) for one in found.values() for canary in CANARIES)
    return found, server


def follows(found: dict[str, Finding], word: str, code: str, *skipped: str) -> Finding:
    one = found[word]
    assert (one.state, one.code) == ("failed", code), one
    assert {name for name, other in found.items() if other.state == "failed"} == {word}
    assert states(found, *skipped) == ["skipped"] * len(skipped)
    return one


def ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).isoformat(timespec="seconds")


def test_of_a_healthy_account_everything_is_well_by_one_refresh_and_a_message_that_is_none(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, server = examine(Google(), home, monkeypatch, logged_in=ago(days=30))
    assert [word for word in found if word in CHECKS] == CHECKS
    assert {one.state for one in found.values()} == {"ok"}
    assert "30 days ago" in found["consent"].text
    assert found["scopes"].text == SEND
    clock, refresh, api = server.requests
    assert (clock.method, "authorization" in clock.headers) == ("GET", False)
    assert parse_qs(refresh.body.decode())["grant_type"] == ["refresh_token"]
    assert api.path.startswith("/gmail/v1/users/me/messages/send")
    assert json.loads(api.body) == {"raw": ""}


def test_the_token_that_is_in_use_proves_nothing_of_the_consent_so_a_new_one_is_asked_for_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    google, store = Google(), MemoryStore()
    found, _server = examine(google, home, monkeypatch, store=store)
    assert "The one before came on" not in found["token"].text
    found, server = examine(google, home, monkeypatch, store=store)
    assert google.tokens == 2
    assert "The one before came on" in found["token"].text
    assert server.requests[-1].headers["authorization"] == "Bearer ya29.canary-2"
    kept = store.get(access_slot(google_account("http://127.0.0.1:9")))
    assert kept
    assert json.loads(kept.reveal())["token"] == "ya29.canary-2"


@pytest.mark.parametrize("off", [timedelta(minutes=6), timedelta(minutes=-6), timedelta(days=400)])
def test_a_clock_that_google_s_contradicts(
    off: timedelta, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _server = examine(Google(off=off), home, monkeypatch)
    one = follows(found, "clock", "clock")
    assert ("behind" if off > timedelta() else "ahead") in one.text
    assert found["api"].state == "ok"


def test_a_clock_that_is_a_little_off_is_none_of_our_business(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert examine(Google(off=timedelta(minutes=4)), home, monkeypatch)[0]["clock"].state == "ok"


def test_a_consent_of_the_last_days_says_when_it_ends_if_its_app_is_in_testing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = datetime.now(UTC) - timedelta(days=2, hours=1)
    found, _server = examine(Google(), home, monkeypatch, logged_in=given.isoformat())
    consent = found["consent"]
    assert consent.state == "warning"
    assert "2 days ago" in consent.text
    assert f"{given + timedelta(days=7):%Y-%m-%d, at %H:%M}" in consent.cause
    assert "https://console.cloud.google.com/auth/audience" in consent.hint
    found, _server = examine(Google(), home, monkeypatch, logged_in=ago(minutes=1))
    assert found["consent"].state == "warning"
    found, _server = examine(Google(), home, monkeypatch, logged_in="")
    assert (found["consent"].state, found["api"].state) == ("skipped", "ok")


ENDED = answer(
    "400 Bad Request", {"error": "invalid_grant", "error_description": f"{REFRESH_TOKEN} is no more"}
)


def test_a_consent_that_was_revoked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _server = examine(Google(token=ENDED), home, monkeypatch, logged_in=ago(days=30))
    one = follows(found, "token", "consent-ended", "api")
    assert "oauth-mailer login me@gmail.com" in one.hint
    assert "invalid_grant: *** is no more" in one.cause
    # From now on that is known here, and seen without a network.
    offline = findings(home=home, store=MemoryStore(), offline=True)
    assert offline["consent"].code == "login-required"


def test_a_consent_that_died_at_seven_days_is_told_so_by_name(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _server = examine(Google(token=ENDED), home, monkeypatch, logged_in=ago(days=7, hours=1))
    one = follows(found, "token", "consent-ended-testing", "api")
    assert "Your app is in testing: Google ends such consents after 7 days." in one.text
    assert "Publish" in one.hint


@pytest.mark.parametrize(
    ("step", "code", "hint"),
    [
        (
            refused(
                "403 Forbidden",
                "accessNotConfigured",
                "Enable: https://console.developers.google.com/apis/api/gmail.googleapis.com?project=1 now",
            ),
            "gmail-access-not-configured",
            "https://console.developers.google.com/apis/api/gmail.googleapis.com?project=1",
        ),
        (
            refused("403 Forbidden", "insufficientPermissions"),
            "gmail-insufficient-permissions",
            "oauth-mailer login",
        ),
        (refused("403 Forbidden", "domainPolicy"), "gmail-domain-policy", "administrator"),
        (refused("401 Unauthorized", "authError"), "gmail-401", "oauth-mailer login"),
        (refused("429 Too Many Requests", "rateLimitExceeded"), "gmail-rate-limit-exceeded", "Wait"),
        (refused("500 Oops", "backendError"), "gmail-500", "appsstatus"),
        (close, "no-answer", "appsstatus"),
        (answer(body={"id": "m1"}), "gmail-endpoint", "OAUTH_MAILER_GMAIL_ENDPOINT"),
    ],
    ids=["not enabled", "scope", "policy", "token", "rate", "broken", "silent", "no Gmail"],
)
def test_an_api_that_does_not_let_it_send(
    step: Step, code: str, hint: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _server = examine(Google(api=step), home, monkeypatch, logged_in=ago(days=30))
    one = follows(found, "api", code)
    assert hint in one.hint
    assert "may have been sent" not in one.text


def test_google_out_of_reach_ends_in_time_and_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    with HttpScript(hang) as server:
        Accounts(home).add(with_consent(server.url, store))
        found = findings(home=home, store=store, timeout=0.3)
    follows(found, "token", "token-endpoint", "clock", "api")
    found = findings(home=home, store=store, timeout=0.3)  # nobody listens any more
    follows(found, "token", "connect", "clock", "api")
    assert "cannot be reached" in found["clock"].text


@pytest.mark.parametrize(
    ("client", "state"),
    [
        ({"client_id": "x.apps.googleusercontent.com", "token_uri": "http://evil.example/token"}, "failed"),
        ({"client_id": "x.apps.googleusercontent.com", "token_uri": "https://evil.example/token"}, "warning"),
        ({"client_id": "x.apps.googleusercontent.com"}, "ok"),
        ({"client_id": "somebody"}, "warning"),
    ],
)
def test_the_parts_of_the_client_are_looked_at_before_a_token_is_sent_there(
    client: dict[str, str], state: str, home: Path
) -> None:
    store = MemoryStore()
    account = Account(address="me@gmail.com", provider="gmail", client=client)
    store.set(consent_slot(account), Secret(json.dumps({"refresh_token": REFRESH_TOKEN})))
    Accounts(home).add(account)
    found = findings(home=home, store=store, offline=True)
    assert found["client"].state == state, found["client"]
    assert (found["client"].code == "endpoint-plain-http") == (state == "failed")
    assert REFRESH_TOKEN not in repr(found)


def test_what_is_no_consent(home: Path) -> None:
    store = MemoryStore()
    account = google_account("http://127.0.0.1:9")
    Accounts(home).add(account)
    follows(
        findings(home=home, store=store, timeout=0.3), "secret", "secret-missing", "client", "token", "api"
    )
    store.set(consent_slot(account), Secret("canary-nonsense"))
    found = findings(home=home, store=store, timeout=0.3)
    follows(found, "client", "secret-form", "token", "api")
    assert "canary" not in repr(found)


def test_scopes_that_are_not_enough_or_more_than_enough(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _server = examine(Google(), home, monkeypatch, scopes=("openid", "email"))
    follows(found, "scopes", "scope-missing", "api")
    found, _server = examine(Google(), home, monkeypatch, scopes=("https://mail.google.com/",))
    assert states(found, "scopes", "api") == ["warning", "ok"]
    found, _server = examine(Google(), home, monkeypatch, scopes=("openid", SEND))
    assert found["scopes"].state == "ok"


def test_a_store_that_does_not_keep_the_access_token_is_worth_a_word(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(MemoryStore):
        def set(self, slot: Slot, secret: Secret) -> None:
            if slot.cached:
                raise StoreError("full", code="full")
            super().set(slot, secret)

    found, _server = examine(Google(), home, monkeypatch, store=Full())
    assert states(found, "token", "api") == ["warning", "ok"]


def test_when_the_last_token_came_is_shown_also_of_one_that_has_ended(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    google = Google()
    with HttpScript(google) as server:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", server.url)
        account = with_consent(server.url, store, home)
        since = time.mktime((2026, 1, 5, 12, 0, 0, 0, 0, 0))
        kept = {"token": "ya29.old", "since": since, "until": since + 3599}
        store.set(access_slot(account), Secret(json.dumps(kept)))
        assert "The one before came on 2026-01-05" in findings(home=home, store=store)["token"].text
