"""Parting from a Gmail account by the program."""

from __future__ import annotations

from pathlib import Path

import pytest

from oauth_mailer.accounts import Accounts
from oauth_mailer.auth._oauth_tokens import access_slot, consent_slot
from oauth_mailer.sandbox import Sandbox
from oauth_mailer.stores import StoreOptions, open_store
from tests.support.google_account import google_account

from .google_login import ADDRESS, log_in
from .program import run


def test_it_revokes_at_google_and_forgets_here(google: Sandbox, tmp_path: Path, home: Path) -> None:
    assert log_in(google, tmp_path).code == 0
    account = Accounts(home).get()
    done = run("logout", "YOU@gmail.com", "--json")
    assert done.code == 0, done.err
    assert done.json == {"status": "logged_out", "account": ADDRESS, "revoked": True}
    assert done.err == "you@gmail.com is revoked at the provider, and forgotten here.\n"
    assert google.counts["revoke"] == 1
    assert run("accounts", "--json").json == {"accounts": []}
    store = open_store("encrypted_file", StoreOptions(home))
    for slot in (consent_slot(account), access_slot(account)):
        assert store.get(slot) is None
    again = run("send", "--from", ADDRESS, "--to", "ann@example.com", "--text", "Hi", "--json")
    assert (again.code, again.json["error"]["code"]) == (78, "no-account")
    assert run("logout", ADDRESS, "--json").json["error"]["code"] == "no-account"
    assert google.counts["revoke"] == 1


def test_a_consent_that_google_ended_before_counts_as_revoked(google: Sandbox, tmp_path: Path) -> None:
    assert log_in(google, tmp_path).code == 0
    google.revoke_tokens()
    done = run("logout", ADDRESS, "--quiet")
    assert (done.code, done.err) == (0, "")


def test_nothing_is_said_to_be_revoked_where_there_was_nothing(google: Sandbox, home: Path) -> None:
    Accounts(home).add(google_account(google.gmail_endpoint, ADDRESS))
    done = run("logout", ADDRESS, "--json")
    assert done.json == {"status": "logged_out", "account": ADDRESS, "revoked": False}
    assert "you@gmail.com is forgotten here.\n" in done.err
    assert "https://myaccount.google.com/connections" in done.err
    assert google.counts["revoke"] == 0
    assert len(Accounts(home)) == 0


@pytest.mark.usefixtures("google_host")
def test_where_google_cannot_be_asked_it_is_forgotten_and_the_rest_is_left_to_the_person(
    tmp_path: Path, home: Path
) -> None:
    with Sandbox() as google:
        assert log_in(google, tmp_path).code == 0
    done = run("logout", ADDRESS, "--json")
    assert done.code == 75, done
    error = done.json["error"]
    assert "is forgotten here, but its token could not be revoked" in error["message"]
    assert "https://myaccount.google.com/connections" in error["hint"]
    assert len(Accounts(home)) == 0


def test_without_the_passphrase_nothing_is_forgotten(google: Sandbox, tmp_path: Path, home: Path) -> None:
    assert log_in(google, tmp_path).code == 0
    for passphrase in ("", "another"):
        done = run("logout", ADDRESS, "--json", env={"OAUTH_MAILER_PASSPHRASE": passphrase})
        assert done.code == 78, done
        assert done.json["error"]["type"] == "StoreError"
    assert google.counts["revoke"] == 0
    assert Accounts(home).get().address == ADDRESS
    assert run("send", "--to", "ann@example.com", "--text", "Hi").code == 0
