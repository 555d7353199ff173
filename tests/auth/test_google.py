"""A bearer token, refreshed over real sockets at token endpoints that behave and that do not."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from oauth_mailer import accounts
from oauth_mailer.accounts import Account, Accounts
from oauth_mailer.auth import open_credential
from oauth_mailer.auth.google import GoogleCredential, consent_slot, forget, lock_file, revoke
from oauth_mailer.errors import (
    ConfigError,
    LoginRequired,
    MailerError,
    RouteError,
    StoreError,
    TransientError,
)
from oauth_mailer.stores import Secret, Slot
from oauth_mailer.stores.environment import EnvironmentStore
from oauth_mailer.stores.memory import MemoryStore
from tests.support.google_account import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, google_account, with_consent
from tests.support.http_script import Exchange, HttpScript, Step, answer, close, hang, raw

CANARIES = (CLIENT_SECRET, REFRESH_TOKEN, "ya29.canary")


def granted(number: int = 1, **more: object) -> Step:
    return answer(body={"access_token": f"ya29.canary-{number}", "expires_in": 3599, **more})


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def credential(server: HttpScript, store: MemoryStore, home: Path) -> GoogleCredential:
    return GoogleCredential(with_consent(server.url, store), store, home)


def test_a_token_is_asked_for_once_and_shared_by_all_that_come_after(store: MemoryStore, home: Path) -> None:
    with HttpScript(granted()) as server:
        account = with_consent(server.url, store)
        first = open_credential(account, store, home)
        assert first.form == "bearer"
        assert first.get() == first.get() == Secret("ya29.canary-1")
        assert open_credential(account, store, home).get() == Secret("ya29.canary-1")
        [request] = server.requests
    assert request.path == "/token"
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["refresh_token"],
        "client_id": [CLIENT_ID],
        "client_secret": [CLIENT_SECRET],
        "refresh_token": [REFRESH_TOKEN],
    }


def test_a_refused_token_is_renewed_once_whoever_else_was_refused_it(store: MemoryStore, home: Path) -> None:
    with HttpScript(granted(1), granted(2), granted(3)) as server:
        one = credential(server, store, home)
        other = credential(server, store, home)
        refused = one.get()
        assert other.get() == refused
        assert one.renew(refused) == Secret("ya29.canary-2")
        assert one.renew(refused) == Secret("ya29.canary-2")
        assert other.renew(refused) == Secret("ya29.canary-2")
        assert len(server.requests) == 2


def test_twenty_threads_that_wait_for_a_refresh_are_told_together_that_it_failed(
    store: MemoryStore, home: Path
) -> None:
    def get(shared: GoogleCredential) -> str:
        started.wait(10)
        with pytest.raises(LoginRequired) as caught:
            shared.get()
        return caught.value.code

    started = threading.Barrier(20)
    with HttpScript(ENDED) as server:
        shared = credential(server, store, home)
        with ThreadPoolExecutor(20) as pool:
            assert list(pool.map(get, [shared] * 20)) == ["consent-ended"] * 20
        assert len(server.requests) < 20
        # Who comes later asks anew: it may have been mended meanwhile.
        before = len(server.requests)
        with pytest.raises(LoginRequired):
            shared.get()
        assert len(server.requests) == before + 1


def test_a_token_near_its_end_or_from_a_clock_that_was_set_back_is_not_used(
    store: MemoryStore, home: Path
) -> None:
    now = int(time.time())
    with HttpScript(granted()) as server:
        account = with_consent(server.url, store)
        GoogleCredential(account, store, home).get()
        slot = next(name for name in store._secrets if "access" in name)
        for since, until in ((now - 3500, now + 100), (now - 9000, now - 5400), (now + 86400, now + 90000)):
            store._secrets[slot] = json.dumps({"token": "old", "since": since, "until": until})
            assert GoogleCredential(account, store, home).get() == Secret("ya29.canary-1")
        for nonsense in (
            "",
            "x",
            "[]",
            "{}",
            '{"token": 1, "since": 0, "until": 1}',
            '{"token": "x"}',
            "[" * 9999,
        ):
            store._secrets[slot] = nonsense
            assert GoogleCredential(account, store, home).get() == Secret("ya29.canary-1")


def test_a_rotated_refresh_token_is_kept_before_anything_else(store: MemoryStore, home: Path) -> None:
    with HttpScript(granted(1, refresh_token="1//second"), granted(2)) as server:
        account = with_consent(server.url, store)
        one = GoogleCredential(account, store, home)
        one.renew(one.get())
        assert b"refresh_token=1%2F%2Fsecond" in server.requests[1].body
        kept = store.get(consent_slot(account))
    assert kept
    assert json.loads(kept.reveal()) == {"client_secret": CLIENT_SECRET, "refresh_token": "1//second"}


class Full(MemoryStore):
    """A store that keeps nothing more."""

    full = False

    def set(self, slot: Slot, secret: Secret) -> None:
        if self.full:
            raise StoreError("full", code="full")
        super().set(slot, secret)


def test_a_store_that_cannot_keep_an_access_token_costs_a_refresh_and_no_mail(home: Path) -> None:
    store = Full()
    with HttpScript(granted(1), granted(2)) as server:
        account = with_consent(server.url, store)
        store.full = True
        assert GoogleCredential(account, store, home).get() == Secret("ya29.canary-1")
        assert GoogleCredential(account, store, home).get() == Secret("ya29.canary-2")


def test_a_successor_that_cannot_be_kept_is_no_silent_loss(home: Path) -> None:
    store = Full()
    with HttpScript(granted(1, refresh_token="1//second"), granted(2)) as server:
        account = with_consent(server.url, store)
        store.full = True
        one = GoogleCredential(account, store, home)
        with pytest.raises(StoreError):
            one.get()
        # The old one may be worth nothing any more: this process goes on with the new one.
        store.full = False
        one.get()
        assert b"refresh_token=1%2F%2Fsecond" in server.requests[1].body


ENDED = answer("400 Bad Request", {"error": "invalid_grant", "error_description": "Token has been revoked."})


HTML = answer("200 OK", b"<html>Sign in to the hotel's network</html>")


@pytest.mark.parametrize(
    ("step", "kind", "code"),
    [
        (ENDED, LoginRequired, "consent-ended"),
        (answer("401 Unauthorized", {"error": "invalid_client"}), LoginRequired, "client-refused"),
        (answer("400 Bad Request", {"error": "invalid_scope"}), LoginRequired, "consent-ended"),
        (
            answer("400 Bad Request", {"error": "invalid_grant", "error_subtype": "invalid_rapt"}),
            LoginRequired,
            "consent-ended",
        ),
        (answer("400 Bad Request", {"error": "something_new"}), RouteError, "token-refused"),
        (answer("400 Bad Request", b"?"), TransientError, "token-answer"),
        (answer("302 Found", b"", Location="https://evil.example/"), TransientError, "token-answer"),
        (HTML, TransientError, "token-answer"),
        (answer(body=b'{"access_token": "ya29.can'), TransientError, "token-answer"),
        (answer(body=b"[1, 2]"), TransientError, "token-answer"),
        (answer(body=b"null"), TransientError, "token-answer"),
        (answer(body={"expires_in": 3599}), TransientError, "token-answer"),
        (answer(body={"access_token": None, "expires_in": 3599}), TransientError, "token-answer"),
        (answer(body={"access_token": "a\r\nb", "expires_in": 3599}), TransientError, "token-answer"),
        (answer(body={"access_token": "", "expires_in": 3599}), TransientError, "token-answer"),
        (answer(body={"access_token": "\u4ee4\u724c"}), TransientError, "token-answer"),
        (answer(body={"access_token": "a", "refresh_token": 7}), TransientError, "token-answer"),
        (answer(body=b"\xff\xfe\x00"), TransientError, "token-answer"),
        (answer("429 Too Many", b"", Retry_After="40"), TransientError, "token-endpoint"),
        (answer("500 Oops", b""), TransientError, "token-endpoint"),
        (answer("503 Later", b"<html>"), TransientError, "token-endpoint"),
        (answer("400 Bad Request", {"error": "server_error"}), TransientError, "token-endpoint"),
        (
            answer("400 Bad Request", {"error": "x", "error_description": "temporarily_unavailable"}),
            TransientError,
            "token-endpoint",
        ),
        (
            answer(
                "400 Bad Request",
                {
                    "error": "invalid_grant",
                    "error_description": f"{REFRESH_TOKEN} of {CLIENT_SECRET} is gone",
                },
            ),
            LoginRequired,
            "consent-ended",
        ),
        (close, TransientError, "token-endpoint"),
        (raw(b"\x00\x01nonsense\r\n\r\n"), TransientError, "token-endpoint"),
    ],
)
def test_what_a_token_endpoint_may_do_is_an_error_of_ours_asked_once_and_without_a_secret(
    step: Step, kind: type[MailerError], code: str, store: MemoryStore, home: Path
) -> None:
    with HttpScript(step) as server:
        with pytest.raises(MailerError) as caught:
            credential(server, store, home).get()
        assert type(caught.value) is kind
        assert caught.value.code == code
        assert caught.value.verdict == "not_sent"
        assert caught.value.try_next_route
        assert len(server.requests) == 1
        if code == "token-endpoint" and "429" in repr(step):
            assert caught.value.retry_after == 40.0
    shown = f"{caught.value} {caught.value.hint} {caught.value.text} {caught.value!r}"
    assert not any(canary in shown for canary in CANARIES)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"expires_in": "3599"},
        {"expires_in": 3599.5},
        {"expires_in": "3599.5"},
        {"expires_in": "soon"},
        {"expires_in": None},
        {"expires_in": True},
        {"expires_in": [3599]},
        {"expires_in": 10**12},
        {"expires_in": 1e300},
        {"expires_in": float("inf")},
        {"expires_in": float("nan")},
        {"expires_in": "9" * 400},
        {"refresh_token": None},
        {"refresh_token": ""},
        {"token_type": "bearer", "scope": None, "id_token": 7},
    ],
)
def test_a_token_in_an_odd_answer_is_used_all_the_same(
    more: dict[str, object], store: MemoryStore, home: Path
) -> None:
    with HttpScript(answer(body={"access_token": "ya29.canary-1", **more})) as server:
        one = credential(server, store, home)
        assert one.get() == one.get() == Secret("ya29.canary-1")
        assert len(server.requests) == 1
        one.renew(one.get())
        assert parse_qs(server.requests[1].body.decode())["refresh_token"] == [REFRESH_TOKEN]


@pytest.mark.parametrize("lifetime", [0, -5, "0"])
def test_a_token_that_ends_at_once_is_shown_once(lifetime: object, store: MemoryStore, home: Path) -> None:
    with HttpScript(granted(1, expires_in=lifetime), granted(2, expires_in=lifetime)) as server:
        one = credential(server, store, home)
        assert (one.get(), one.get()) == (Secret("ya29.canary-1"), Secret("ya29.canary-2"))


def test_an_endpoint_that_says_nothing_ends_in_time(store: MemoryStore, home: Path) -> None:
    with HttpScript(hang) as server:
        waiting = open_credential(with_consent(server.url, store), store, home, timeout=0.2)
        with pytest.raises(TransientError):
            waiting.get()


def test_an_endpoint_that_cannot_be_reached_leaves_the_way_to_the_fallback(
    store: MemoryStore, home: Path
) -> None:
    with HttpScript(granted()) as server:
        account = with_consent(server.url, store)
    with pytest.raises(TransientError) as caught:
        GoogleCredential(account, store, home).get()
    assert caught.value.try_next_route


def test_without_a_consent_a_login_is_asked_for(store: MemoryStore, home: Path) -> None:
    with pytest.raises(LoginRequired, match=r"no consent for me@gmail\.com"):
        GoogleCredential(google_account("http://127.0.0.1:9"), store, home).get()


@pytest.mark.parametrize(
    "line",
    [
        "x",
        "[]",
        "{}",
        '{"refresh_token": 7}',
        '{"refresh_token": ""}',
        '{"refresh_token": "x", "client_secret": 7}',
    ],
)
def test_what_is_no_consent_is_not_taken_for_one_and_not_shown(
    line: str, store: MemoryStore, home: Path
) -> None:
    account = google_account("http://127.0.0.1:9")
    store._secrets[str(consent_slot(account))] = line
    with pytest.raises(LoginRequired) as caught:
        GoogleCredential(account, store, home).get()
    assert caught.value.code == "secret-form"


def test_a_consent_of_another_client_is_not_used(store: MemoryStore, home: Path) -> None:
    account = google_account("http://127.0.0.1:9")
    store._secrets[str(consent_slot(account))] = '{"client_id": "other", "refresh_token": "x"}'
    with pytest.raises(LoginRequired) as caught:
        GoogleCredential(account, store, home).get()
    assert caught.value.code == "client-differs"


def test_accounts_clients_and_scopes_never_share_a_consent() -> None:
    one = google_account("http://127.0.0.1:9")
    others = [
        Account(address="you@gmail.com", provider="gmail", client=one.client),
        Account(address="me@gmail.com", provider="gmail", client={"client_id": "another"}),
        Account(address="me@gmail.com", provider="gmail", client=one.client, scopes=("openid",)),
    ]
    assert len({str(consent_slot(account)) for account in (one, *others)}) == 4


@pytest.fixture
def handed_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpScript]:
    """A server, and a consent for it in the environment, in google-auth's own form."""
    with HttpScript(granted(1, refresh_token="1//second"), granted(2)) as server:
        fields = {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN,
            "token_uri": f"{server.url}/token",
        }
        monkeypatch.setenv(accounts.secret_variable("me@gmail.com"), json.dumps(fields))
        yield server


def test_a_consent_in_the_environment_needs_no_login_and_no_folder_to_write_to(
    handed_in: HttpScript, tmp_path: Path
) -> None:
    nowhere = tmp_path / "file"
    nowhere.write_text("no folder")
    account = Accounts(tmp_path / "none").get("me@gmail.com")
    assert (account.provider, account.store) == ("gmail", "environment")
    one = GoogleCredential(account, EnvironmentStore(), nowhere)
    first = one.get()
    assert one.get() == first == Secret("ya29.canary-1")
    assert len(handed_in.requests) == 1
    # A successor that cannot be kept serves this process at least.
    assert one.renew(first) == Secret("ya29.canary-2")
    assert b"refresh_token=1%2F%2Fsecond" in handed_in.requests[1].body


def test_a_new_consent_in_the_environment_counts_before_the_successor_of_the_old_one(
    handed_in: HttpScript, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    one = GoogleCredential(Accounts(home).get("me@gmail.com"), EnvironmentStore(), home)
    first = one.get()
    variable = accounts.secret_variable("me@gmail.com")
    monkeypatch.setenv(variable, os.environ[variable].replace(REFRESH_TOKEN, "1//new-login"))
    one.renew(first)
    assert b"refresh_token=1%2F%2Fnew-login" in handed_in.requests[1].body


def test_a_consent_in_the_environment_without_its_client_says_what_it_has_to_hold(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setenv(accounts.secret_variable("me@gmail.com"), '{"refresh_token": "1//canary"}')
    with pytest.raises(LoginRequired) as caught:
        GoogleCredential(Accounts(home).get("me@gmail.com"), EnvironmentStore(), home).get()
    assert caught.value.code == "secret-form"
    assert "client_id" in caught.value.hint


def test_an_address_in_a_consent_that_is_not_safe_is_refused(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    fields = {"client_id": "x", "refresh_token": "y", "token_uri": "http://evil.example/token"}
    monkeypatch.setenv(accounts.secret_variable("me@gmail.com"), json.dumps(fields))
    with pytest.raises(ConfigError) as caught:
        GoogleCredential(Accounts(home).get("me@gmail.com"), EnvironmentStore(), home).get()
    assert caught.value.code == "endpoint-plain-http"


def test_revoking_tells_google_and_forgetting_leaves_nothing(store: MemoryStore, home: Path) -> None:
    with HttpScript(granted(), answer()) as server:
        account = with_consent(server.url, store)
        GoogleCredential(account, store, home).get()
        assert revoke(account, store)
        assert server.requests[-1].path == "/revoke"
        assert parse_qs(server.requests[-1].body.decode()) == {"token": [REFRESH_TOKEN]}
    forget(account, store, home)
    assert not store._secrets
    assert not revoke(account, store)


def test_a_refresh_under_way_leaves_nothing_behind_once_the_account_is_forgotten(
    store: MemoryStore, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    forgetting: list[threading.Thread] = []
    waits = threading.Event()

    def heard(record: logging.LogRecord) -> bool:
        if forgetting and record.thread == forgetting[0].ident:
            waits.set()
        return True

    def meanwhile(exchange: Exchange) -> bool:
        forgetting.append(threading.Thread(target=forget, args=(account, store, home)))
        forgetting[0].start()
        assert waits.wait(30)  # for the lock that this refresh holds, as the library of the lock says
        assert forgetting[0].is_alive()
        return granted(1, refresh_token="1//second")(exchange)

    caplog.set_level(logging.DEBUG, "filelock")
    caplog.handler.addFilter(heard)

    with HttpScript(meanwhile) as server:
        account = with_consent(server.url, store)
        GoogleCredential(account, store, home).get()
        forgetting[0].join(30)
    assert not store._secrets


def test_a_consent_that_google_no_longer_knows_counts_as_revoked(store: MemoryStore) -> None:
    for step in (answer("400 Bad Request", {"error": "invalid_token"}), answer("204 No Content")):
        with HttpScript(step) as server:
            assert revoke(with_consent(server.url, store), store)


@pytest.mark.parametrize(
    "step",
    [
        answer("403 Forbidden", {"error": "nope", "error_description": f"{REFRESH_TOKEN} stays"}),
        answer("307 Temporary Redirect", Location="http://127.0.0.1:1/"),
        answer("500 Oops"),
        close,
    ],
)
def test_a_revocation_that_failed_is_told(step: Step, store: MemoryStore) -> None:
    with HttpScript(step) as server:
        account = with_consent(server.url, store)
        with pytest.raises(MailerError) as caught:
            revoke(account, store)
    assert REFRESH_TOKEN not in f"{caught.value} {caught.value.text}"
    assert caught.value.hint


def test_accounts_of_one_client_do_not_wait_for_each_other(
    store: MemoryStore, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oauth_mailer import private_file

    monkeypatch.setattr("oauth_mailer.auth._oauth_credential.LOCK_TIMEOUT", 0.1)
    with HttpScript(granted()) as server:
        account = with_consent(server.url, store)
        other = google_account(server.url, "you@gmail.com")
        with private_file.locked(lock_file(other, home)):
            assert GoogleCredential(account, store, home).get()


def test_a_lock_that_another_process_holds_too_long_is_an_error_for_later(
    store: MemoryStore, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oauth_mailer import private_file

    monkeypatch.setattr("oauth_mailer.auth._oauth_credential.LOCK_TIMEOUT", 0.1)
    with HttpScript(granted()) as server:
        account = with_consent(server.url, store)
        with private_file.locked(lock_file(account, home)):
            with pytest.raises(TransientError) as caught:
                GoogleCredential(account, store, home).get()
            assert caught.value.code == "refresh-busy"
        with suppress(OSError):
            assert GoogleCredential(account, store, home).get()
        assert len(server.requests) == 1
