"""A process that is killed while it renews a token leaves the old consent or the new one, never neither."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from oauth_mailer.accounts import Accounts
from oauth_mailer.auth import open_credential
from oauth_mailer.auth.google import consent_slot
from oauth_mailer.stores import Secret, StoreOptions, open_store
from tests.support.google_account import CLIENT_SECRET, REFRESH_TOKEN, with_consent
from tests.support.http_script import Exchange, HttpScript, answer

ROOT = Path(__file__).parent.parent.parent
RENEW = """
import sys
from pathlib import Path
from oauth_mailer.accounts import Accounts
from oauth_mailer.auth import open_credential
from oauth_mailer.stores import StoreOptions, open_store
home = Path(sys.argv[1])
store = open_store("encrypted_file", StoreOptions(home))
open_credential(Accounts(home).get(), store, home).get()
"""
SECOND = "1//second"
GRANTED = answer(body={"access_token": "ya29.one", "expires_in": 3599, "refresh_token": SECOND})


@pytest.fixture(autouse=True)
def passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", "a passphrase")


def kept(home: Path) -> str:
    store = open_store("encrypted_file", StoreOptions(home))
    line = store.get(consent_slot(Accounts(home).get()))
    assert line
    fields = json.loads(line.reveal())
    assert fields["client_secret"] == CLIENT_SECRET
    return str(fields["refresh_token"])


def killed_at(home: Path, *, answered: bool, after: float) -> None:
    """Renew in a process of its own, and kill it when the server was asked, or so long after it answered."""
    reached = threading.Event()

    def step(exchange: Exchange) -> bool:
        if answered:
            GRANTED(exchange)
            reached.set()
            return False
        exchange.read_all()
        reached.set()
        exchange.server.stopping.wait(60)
        return False

    with HttpScript(step) as server:
        with_consent(server.url, open_store("encrypted_file", StoreOptions(home)), home)
        process = subprocess.Popen([sys.executable, "-c", RENEW, str(home)], cwd=ROOT)
        assert reached.wait(60)
        threading.Event().wait(after)
        process.kill()
        process.wait(60)


def test_before_the_answer_the_old_one_is_there(home: Path) -> None:
    killed_at(home, answered=False, after=0.0)
    assert kept(home) == REFRESH_TOKEN


@pytest.mark.parametrize("after", [0.0, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.3])
def test_after_the_answer_it_is_the_old_one_or_the_new_one(after: float, home: Path) -> None:
    killed_at(home, answered=True, after=after)
    assert kept(home) in (REFRESH_TOKEN, SECOND)
    # Nothing that the dead process held keeps the next one from renewing.
    with HttpScript(answer(body={"access_token": "ya29.two", "expires_in": 3599})) as server:
        store = open_store("encrypted_file", StoreOptions(home))
        account = with_consent(server.url, store, home)
        assert open_credential(account, store, home, timeout=30).get() in (
            Secret("ya29.one"),
            Secret("ya29.two"),
        )
