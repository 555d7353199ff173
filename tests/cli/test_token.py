"""``oauth-mailer token``: a token for another program, alone on standard output, and who gets none."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import oauth_mailer
from oauth_mailer.accounts import Account, Accounts
from oauth_mailer.auth.google import access_slot
from oauth_mailer.errors import ConfigError, LoginRequired
from oauth_mailer.logins import account_for
from oauth_mailer.sandbox import Sandbox
from oauth_mailer.stores import StoreOptions, open_store
from tests.support import folder_contains
from tests.support.google_login import ME, SEND, log_in

from .google_login import PASSPHRASE
from .program import Ended, run
from .typist import Typist

ALL = "https://mail.google.com/"


@pytest.fixture
def account(google: Sandbox, home: Path, tmp_path: Path) -> Account:
    """One that sends by Gmail's SMTP, whose place the stand-in's server takes."""
    return consented(google, home, tmp_path, "gmail-xoauth2")


def consented(google: Sandbox, home: Path, folder: Path, provider: str, **fields: object) -> Account:
    store = open_store("encrypted_file", StoreOptions(home))
    server = google.smtp
    place: dict[str, Any] = {"host": f"{server.host}:{server.port}", "security": "tls"}
    place |= {"ca_file": str(server.ca_file)}
    wanted = account_for(ME, provider=provider, home=home, **place if provider == "gmail-xoauth2" else {})
    account = replace(log_in(google, folder, store, address=wanted), **fields)  # type: ignore[arg-type]
    Accounts(home).add(account)
    return account


def token(*words: str, stdin: str | None = None) -> Ended:
    return run("token", *words, stdin=None if stdin is None else stdin.encode())


def works(google: Sandbox, secret: str, *scopes: str) -> None:
    access = google.access(secret)
    assert access is not None
    assert (access.account, access.scopes) == (ME, frozenset(scopes))


def test_the_token_stands_alone_on_standard_output_and_what_it_is_for_beside_it(
    google: Sandbox, account: Account, home: Path
) -> None:
    done = token(ME, "--verbose")
    assert done.code == 0, done.err
    assert done.out.count("\n") == 1
    secret = done.out.strip()
    works(google, secret, ALL)
    assert f"{ME}: a token for {ALL}, good until " in done.err
    assert secret not in done.err
    assert not folder_contains(home, secret.encode())
    assert token(ME).out == done.out  # it is good for an hour
    assert token("--quiet").err == ""
    assert google.counts["token.refresh"] == 0


def test_as_json_it_says_when_it_ends_and_what_it_is_for(google: Sandbox, account: Account) -> None:
    found = token("--json").json
    works(google, found.pop("access_token"), ALL)
    expires = datetime.fromisoformat(found.pop("expires"))
    assert timedelta(minutes=50) < expires - datetime.now(UTC) <= timedelta(hours=1)
    assert found == {"account": ME, "username": ME, "scope": ALL}


def test_a_token_that_is_due_is_renewed_once_for_all_who_ask(
    google: Sandbox, account: Account, home: Path
) -> None:
    store = open_store("encrypted_file", StoreOptions(home))
    store.delete(access_slot(account))
    with ThreadPoolExecutor() as pool:
        outs = {done.out for done in pool.map(token, [ME] * 4)}
    assert len(outs) == 1
    assert google.counts["token.refresh"] == 1
    found = oauth_mailer.access_token(ME)
    assert {found.token.reveal() + "\n"} == outs
    assert found.scopes == (ALL,)
    assert found.token.reveal() not in repr(found)


def test_a_consent_that_ended_needs_a_login(google: Sandbox, account: Account, home: Path) -> None:
    open_store("encrypted_file", StoreOptions(home)).delete(access_slot(account))
    google.revoke_tokens()
    done = token(ME, "--json")
    assert done.code == 77, done
    assert done.json["error"]["code"] == "consent-ended"


def test_a_kept_token_of_a_consent_that_was_found_to_be_over_is_not_given_out(
    google: Sandbox, account: Account
) -> None:
    google.revoke_tokens()
    assert run("send", "--to", "ann@example.com", "--text", "Hi").code == 77
    done = token(ME)
    assert (done.code, done.out) == (77, ""), done


def test_a_token_that_smtp_does_not_take_is_given_out_only_for_the_api(
    google: Sandbox, home: Path, tmp_path: Path
) -> None:
    consented(google, home, tmp_path, "gmail")
    done = token(ME)
    assert (done.code, done.out) == (77, ""), done
    assert SEND in done.err
    assert f"oauth-mailer login {ME} --provider gmail-xoauth2" in done.err
    assert f"oauth-mailer token {ME} --for api" in done.err
    done = token(ME, "--for", "api")
    assert done.code == 0, done.err
    works(google, done.out.strip(), SEND)


def test_what_google_granted_counts_not_what_was_asked_for(
    google: Sandbox, account: Account, home: Path
) -> None:
    store = open_store("encrypted_file", StoreOptions(home))
    kept = store.get(access_slot(account))
    assert kept
    fields = json.loads(kept.reveal())
    assert fields["scope"] == ALL
    store.set(access_slot(account), oauth_mailer.stores.Secret(json.dumps(fields | {"scope": SEND})))
    with pytest.raises(LoginRequired) as caught:
        oauth_mailer.access_token(ME)
    assert caught.value.code == "scope-missing"


def test_an_account_by_a_code_has_no_token(home: Path) -> None:
    Accounts(home).add(Account(address="me@qq.com", provider="qq"))
    done = token("me@qq.com", "--json")
    assert (done.code, done.json["error"]["code"]) == (78, "token-none")
    with pytest.raises(ConfigError):
        oauth_mailer.access_token("me@qq.com")


@pytest.mark.skipif(os.name != "posix", reason="needs a terminal of POSIX")
def test_a_terminal_is_shown_no_token_unless_it_is_asked_for(google: Sandbox, account: Account) -> None:
    asked_nothing, asked = Typist("token", ME), Typist("token", ME, "--show")
    assert (asked_nothing.end(), asked.end()) == (64, 0)
    assert "add --show" in asked_nothing.screen
    assert ["ya29." in one.screen for one in (asked_nothing, asked)] == [False, True]


# ---- git's protocol


def asks(google: Sandbox, *more: str, protocol: str = "smtp", host: str = "") -> str:
    lines = (f"protocol={protocol}", f"host={host or f'127.0.0.1:{google.smtp.port}'}", *more)
    return "".join(f"{line}\n" for line in lines) + "\n"


def fields(done: Ended) -> dict[str, str]:
    assert done.code == 0, done.err
    return dict(line.split("=", 1) for line in done.out.splitlines())


@pytest.mark.parametrize("named", [True, False])
def test_git_is_given_the_token_as_a_password(google: Sandbox, account: Account, named: bool) -> None:
    words, user = ([ME], []) if named else ([], [f"username={ME}"])
    done = token(*words, "--git-credential", "get", stdin=asks(google, *user))
    found = fields(done)
    assert list(found) == ["username", "password", "password_expiry_utc"]
    works(google, found["password"], ALL)
    assert found["username"] == ME
    assert int(found["password_expiry_utc"]) > datetime.now(UTC).timestamp()
    assert done.err == ""


def test_a_git_that_knows_tokens_is_told_that_it_is_one(google: Sandbox, account: Account) -> None:
    request = asks(google, "capability[]=authtype", "capability[]=state", f"username={ME}")
    found = fields(token("--git-credential", "get", stdin=request))
    assert next(iter(found)) == "capability[]"
    assert (found["capability[]"], found["authtype"], found["ephemeral"]) == ("authtype", "Bearer", "1")
    works(google, found["credential"], ALL)
    assert "password" not in found


@pytest.mark.parametrize(
    "request_of",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1:1"},
        {"host": "smtp.gmail.com"},  # the account has a server of its own
        {"protocol": "https"},
        {"protocol": "imap"},
    ],
    ids=str,
)
def test_nobody_but_the_accounts_own_server_is_given_a_token(
    google: Sandbox, account: Account, request_of: dict[str, str]
) -> None:
    done = token(ME, "--git-credential", "get", stdin=asks(google, **request_of))
    assert (done.code, done.out, done.err) == (0, "", "")


def test_another_user_than_the_accounts_is_left_to_other_helpers(google: Sandbox, account: Account) -> None:
    for words in ((ME,), ()):
        done = token(*words, "--git-credential", "get", stdin=asks(google, "username=you@gmail.com"))
        assert (done.code, done.out, done.err) == (0, "", "")


def test_an_account_without_tokens_is_left_to_other_helpers_unless_it_was_named(home: Path) -> None:
    Accounts(home).add(Account(address="me@qq.com", provider="qq"))
    request = "protocol=smtp\nhost=smtp.qq.com\nusername=me@qq.com\n\n"
    left = token("--git-credential", "get", stdin=request)
    assert (left.code, left.out, left.err) == (0, "", "")
    named = token("me@qq.com", "--git-credential", "get", stdin=request)
    assert (named.code, named.out) == (78, "quit=1\n")


@pytest.mark.parametrize("operation", ["store", "erase", "capability", "whatever"])
def test_other_operations_of_git_are_left_unanswered(
    google: Sandbox, account: Account, operation: str
) -> None:
    request = asks(google, f"username={ME}", "password=ya29.canary")
    done = token("--git-credential", operation, stdin=request)
    assert (done.code, done.out, done.err) == (0, "", "")


@pytest.mark.parametrize(
    "request_text", ["", "\n", "protocol\n=\n", "protocol=smtp\nhost=\0\n\n", "x" * 99_999]
)
def test_a_request_that_makes_no_sense_is_left_unanswered(
    google: Sandbox, account: Account, request_text: str
) -> None:
    done = token("--git-credential", "get", stdin=request_text)
    assert (done.code, done.out, done.err) == (0, "", "")


def test_git_is_told_to_ask_nobody_where_only_a_login_helps(
    google: Sandbox, account: Account, home: Path
) -> None:
    open_store("encrypted_file", StoreOptions(home)).delete(access_slot(account))
    google.revoke_tokens()
    done = token(ME, "--git-credential", "get", stdin=asks(google))
    assert (done.code, done.out) == (77, "quit=1\n")
    assert f"oauth-mailer login {ME}" in done.err


def test_git_reads_no_json(account: Account) -> None:
    assert token(ME, "--git-credential", "get", "--json").code == 64


def test_the_passphrase_of_the_store_is_asked_for_by_nobody_where_there_is_no_terminal(
    google: Sandbox, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OAUTH_MAILER_PASSPHRASE")
    done = token(ME)
    assert (done.code, done.out) == (78, ""), done
    assert "OAUTH_MAILER_PASSPHRASE_FILE" in done.err
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", PASSPHRASE)
    assert token(ME).code == 0
