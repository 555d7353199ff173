"""A consent that died at about 7 days is told so by its name, and no other one is."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oauth_mailer.auth.google import GoogleCredential, access_slot, ends_if_testing, given_at
from oauth_mailer.errors import LoginRequired
from oauth_mailer.stores import Secret
from oauth_mailer.stores.memory import MemoryStore
from tests.support.google_account import google_account, with_consent
from tests.support.http_script import HttpScript, answer

ENDED = answer("400 Bad Request", {"error": "invalid_grant", "error_description": "Token has been expired."})
REAUTH = answer("400 Bad Request", {"error": "invalid_grant", "error_subtype": "invalid_rapt"})
GRANTED = answer(body={"access_token": "ya29.canary", "expires_in": 3599})


def ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).isoformat(timespec="seconds")


def refused(
    logged_in: str, *, last_good: float | None = None, step: object = ENDED, home: Path
) -> LoginRequired:
    """The error of an account of that login; ``last_good``: how many days ago its last token came."""
    store = MemoryStore()
    with HttpScript(step) as server:  # type: ignore[arg-type]
        account = replace(with_consent(server.url, store), logged_in=logged_in)
        if last_good is not None:
            since = time.time() - 86_400 * last_good
            kept = {"token": "old", "since": since, "until": since + 3599}
            store.set(access_slot(account), Secret(json.dumps(kept)))
        with pytest.raises(LoginRequired) as caught:
            GoogleCredential(account, store, home).get()
    return caught.value


@pytest.mark.parametrize(
    ("days", "last_good"),
    [(7.01, 0.05), (7.5, 0.5), (7.9, None), (14, 7), (10, 9.9), (30, 29)],
    ids=["hourly", "twice a day", "nobody knows", "weekly", "never again", "monthly"],
)
def test_a_consent_that_was_never_good_after_its_seventh_day_ended_because_the_app_is_in_testing(
    days: float, last_good: float | None, home: Path
) -> None:
    error = refused(ago(days=days), last_good=last_good, home=home)
    assert error.code == "consent-ended-testing"
    assert "Your app is in testing: Google ends such consents after 7 days." in error.message
    assert ago(days=days)[:10] in error.message
    publish, again = error.hint.splitlines()
    assert "Publish the app" in publish
    assert "https://console.cloud.google.com/auth/audience" in publish
    assert again == "Then run: oauth-mailer login me@gmail.com"
    assert error.text == "invalid_grant: Token has been expired."


@pytest.mark.parametrize(
    ("logged_in", "last_good"),
    [
        (ago(days=3), 0.1),
        (ago(days=6.5), None),
        (ago(days=9), None),
        (ago(days=30), 1),
        (ago(days=200), 199),
        ("", 1),
        ("soon", 1),
        ("9999-12-31T23:59:59+00:00", 1),
        ("0001-01-01", 1),
    ],
)
def test_another_consent_that_ended_names_every_cause(
    logged_in: str, last_good: float | None, home: Path
) -> None:
    error = refused(logged_in, last_good=last_good, home=home)
    assert error.code == "consent-ended"
    assert "7 days" in error.message
    assert "password" in error.message


def test_a_workspace_that_asks_for_the_person_again_is_no_app_in_testing(home: Path) -> None:
    assert refused(ago(days=7.1), last_good=0.1, step=REAUTH, home=home).code == "consent-ended"


def test_a_token_that_this_process_got_after_the_seventh_day_counts(home: Path) -> None:
    class Forgetful(MemoryStore):
        def get(self, slot: object) -> Secret | None:
            return None if getattr(slot, "cached", False) else super().get(slot)  # type: ignore[arg-type]

    store = Forgetful()
    with HttpScript(GRANTED, ENDED) as server:
        account = replace(with_consent(server.url, store), logged_in=ago(days=7.5))
        one = GoogleCredential(account, store, home)
        token = one.get()
        with pytest.raises(LoginRequired) as caught:
            one.renew(token)
    assert caught.value.code == "consent-ended"


def test_the_end_is_known_for_a_login_here_and_for_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    account = replace(google_account("http://127.0.0.1:9"), logged_in="2025-11-18T08:00:00+00:00")
    assert ends_if_testing(account) == datetime(2025, 11, 25, 8, tzinfo=UTC)
    assert given_at(replace(account, logged_in="2025-11-18")) == datetime(2025, 11, 18, tzinfo=UTC)
    assert ends_if_testing(replace(account, auth="code")) is None
    assert ends_if_testing(replace(account, logged_in="")) is None
    assert ends_if_testing(replace(account, store="environment")) is None  # made elsewhere, only proven here
