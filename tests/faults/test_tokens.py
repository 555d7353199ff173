"""Consents that ended, and access tokens that many ask for at once: nothing is lost, and asked for once."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

import oauth_mailer
from oauth_mailer.accounts import Accounts
from oauth_mailer.errors import LoginRequired
from oauth_mailer.logins import login_state
from oauth_mailer.outbox import Outbox, State
from oauth_mailer.sandbox import Sandbox
from oauth_mailer.stores.memory import MemoryStore
from tests.cli.google_login import ADDRESS, Login, log_in, send
from tests.cli.program import ROOT, run
from tests.support import google_login
from tests.support.google_browser import decide
from tests.support.google_login import ME

CAUSES = ("revoked", "password was changed", "six months", "7 days", "administrator", "clock")


# ---- 29. Consents that ended


def refused(store: MemoryStore) -> LoginRequired:
    """The error of a send with a consent that is no more."""
    with pytest.raises(LoginRequired) as caught:
        google_login.send(store)
    assert caught.value.code == "consent-ended"
    assert caught.value.verdict == "not_sent"
    return caught.value


@pytest.mark.fault(29)
def test_an_ended_consent_marks_the_account_and_names_the_causes(
    google: Sandbox, tmp_path: Path, store: MemoryStore, home: Path
) -> None:
    google_login.log_in(google, tmp_path, store)
    before = dict(store._secrets)
    google.expire_access_tokens()
    google.plan(token="invalid_grant,ok")
    error = refused(store)
    for cause in CAUSES:
        assert cause in error.message
    assert f"oauth-mailer login {ME}" in error.hint
    assert error.text == "invalid_grant: Token has been expired or revoked."
    assert login_state(Accounts(home).get()) == "required"
    assert store._secrets == before
    # It was the clock, say: the next refresh succeeds, and the mark goes away.
    google_login.send(store)
    assert login_state(Accounts(home).get()) == "set_up"
    assert len(google.messages) == 1


@pytest.mark.fault(29)
def test_the_queue_waits_for_the_login_and_then_goes_out_once(
    google: Sandbox, tmp_path: Path, store: MemoryStore
) -> None:
    google_login.log_in(google, tmp_path, store)
    with Outbox(store=store) as outbox:
        for number in range(3):
            outbox.add(oauth_mailer.Message(to="ann@example.com", subject=str(number), text="Hi"))
        google.revoke_tokens()
        outbox.run(once=True)
        assert [entry.state for entry in outbox.find()] == [State.QUEUED] * 3
        assert google.counts["token.refresh"] == 1  # nobody is asked again and again
        assert not google.messages
        google_login.log_in(google, tmp_path, store)
        outbox.run(once=True)
        assert [entry.state for entry in outbox.find()] == [State.SENT] * 3
    assert len(google.messages) == 3


@pytest.mark.fault(29, program=True)
def test_a_revoked_consent_is_told_with_its_causes_and_mended_by_a_login(
    google: Sandbox, tmp_path: Path
) -> None:
    assert log_in(google, tmp_path).code == 0
    google.revoke_tokens()
    done = send()
    assert done.code == 77, done
    error = done.json["error"]
    assert (error["type"], error["code"]) == ("LoginRequired", "consent-ended")
    for cause in CAUSES:
        assert cause in error["message"]
    assert f"oauth-mailer login {ADDRESS}" in error["hint"]
    assert not google.messages
    (listed,) = run("accounts", "--json").json["accounts"]
    assert listed["login"] == "required"
    assert "login required" in run("accounts").out

    with Login(ADDRESS) as login:
        decide(login.url)
        assert login.end().code == 0
    (listed,) = run("accounts", "--json").json["accounts"]
    assert listed["login"] == "set_up"
    assert send().code == 0


@pytest.mark.fault(29, program=True)
def test_the_queue_of_the_program_waits_for_the_login_too(google: Sandbox, tmp_path: Path) -> None:
    assert log_in(google, tmp_path).code == 0
    assert run("send", "--queue", "--to", "ann@example.com", "--text", "Hi").code == 0
    google.revoke_tokens()
    done = run("outbox", "run", "--once")
    assert f"oauth-mailer login {ADDRESS}" in done.err
    with Outbox() as outbox:
        assert [entry.state for entry in outbox.find()] == [State.QUEUED]
    assert log_in(google, tmp_path).code == 0
    assert run("outbox", "run", "--once").code == 0
    assert len(google.messages) == 1


# ---- 30. Many at once


@pytest.fixture
def rotating(google_host: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A stand-in that replaces the refresh token at each use, and takes an old one for stolen."""
    with Sandbox(rotate=True) as google:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", google.gmail_endpoint)
        yield google


@pytest.mark.fault(30)
@pytest.mark.parametrize("ended", ["for the server", "by the clock"])
def test_twenty_threads_with_an_ended_token_refresh_once_and_lose_none(
    ended: str, rotating: Sandbox, tmp_path: Path, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    google_login.log_in(rotating, tmp_path, store)
    plain, hours, together = time.time, [0], Barrier(20)
    monkeypatch.setattr(time, "time", lambda: plain() + hours[0] * 3600)

    def work(number: int) -> str:
        together.wait(30)
        message = oauth_mailer.Message(to="ann@example.com", text="Hi")
        if number % 2:
            return shared.send(message).status
        with oauth_mailer.open_mailer(store=store) as own:
            return own.send(message).status

    with oauth_mailer.open_mailer(store=store) as shared, ThreadPoolExecutor(20) as pool:
        for round_ in (1, 2):  # in the second the successor of the first refresh token is used
            if ended == "for the server":
                rotating.expire_access_tokens()
            else:
                hours[0] += 2
            assert list(pool.map(work, range(20))) == ["sent"] * 20
            assert rotating.counts["token.refresh"] == round_
            assert len(rotating.messages) == 20 * round_
    if ended == "by the clock":
        assert rotating.counts["gmail.post"] == 40  # seen before it was shown


@pytest.mark.fault(30, program=True)
def test_twenty_processes_with_an_ended_token_refresh_once_and_lose_none(
    rotating: Sandbox, tmp_path: Path
) -> None:
    assert log_in(rotating, tmp_path).code == 0
    rotating.expire_access_tokens()
    words = [sys.executable, "-m", "oauth_mailer", "send", "--to", "ann@example.com", "--text", "Hi"]
    started = [
        subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _number in range(20)
    ]
    ended = [(one.communicate(timeout=90)[1], one.returncode) for one in started]
    assert [code for _err, code in ended] == [0] * 20, ended
    assert len(rotating.messages) == 20
    assert len({one.data for one in rotating.messages}) == 20
    assert rotating.counts["token.refresh"] == 1
    # The refresh token that came with it is the one that was kept.
    rotating.expire_access_tokens()
    assert send().code == 0
    assert rotating.counts["token.refresh"] == 2
