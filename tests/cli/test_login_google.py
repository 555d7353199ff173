"""Logging in to Gmail by the program, as a person and as a script do it; the stand-in plays Google."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from oauth_mailer.accounts import Accounts
from oauth_mailer.auth.google import consent_slot
from oauth_mailer.sandbox import Sandbox
from oauth_mailer.stores import StoreOptions, open_store
from tests.support import folder_contains
from tests.support.browser_program import browser_program
from tests.support.google_browser import decide

from .google_login import ADDRESS, PASSPHRASE, Login, everything, log_in, redirected, send, url_on
from .program import run
from .typist import Typist

posix = pytest.mark.skipif(os.name != "posix", reason="needs a terminal, scripts and signals of POSIX")


# ---- a login that is allowed


def test_the_printed_address_is_followed_and_mail_goes_out(client: str, google: Sandbox, home: Path) -> None:
    with Login(ADDRESS, "--client-secrets", client, "--name", "Ann Lee", "--json", "--verbose") as login:
        status, _address, page = decide(login.url)
        done = login.end()
    assert done.code == 0, done.err
    assert status == 200
    assert f"{ADDRESS} is ready" in page
    assert done.json == {
        "status": "logged_in",
        "account": ADDRESS,
        "provider": "gmail",
        "transport": "gmail",
        "store": "encrypted_file",
        "default": True,
    }
    (listed,) = run("accounts", "--json").json["accounts"]
    assert (listed["address"], listed["name"], listed["default"]) == (ADDRESS, "Ann Lee", True)
    assert (listed["transport"], listed["server"], listed["login"]) == ("gmail", "", "set_up")

    sent = send("--verbose")
    assert sent.code == 0, sent.err
    (received,) = google.messages
    assert (received.route, received.account) == ("gmail", ADDRESS)
    assert b"From: Ann Lee <you@gmail.com>\r\n" in received.data

    # Not one of the secrets stands anywhere that somebody reads.
    account = Accounts(home).get()
    kept = open_store("encrypted_file", StoreOptions(home)).get(consent_slot(account))
    assert kept
    for secret in json.loads(kept.reveal()).values():
        assert secret not in done.out + done.err + page + sent.out + sent.err
        assert not folder_contains(home, secret.encode())


def test_two_accounts_share_the_client_and_one_of_them_is_the_default(client: str, google: Sandbox) -> None:
    with Login(ADDRESS, "--client-secrets", client) as login:
        decide(login.url)
        assert login.end().code == 0
    with Login("second@gmail.com") as login:
        decide(login.url)
        done = login.end()
    assert done.code == 0, done.err
    assert "To make it the default account: oauth-mailer default second@gmail.com" in done.err
    assert send("--from", "second@gmail.com").json["account"] == "second@gmail.com"
    assert send().json["account"] == ADDRESS
    with Login("third@gmail.com", "--default") as login:
        decide(login.url)
        assert login.end().code == 0
    assert run("default").out == "third@gmail.com\n"
    assert run("default", ADDRESS).code == 0
    assert [one.account for one in google.messages] == ["second@gmail.com", ADDRESS]


def test_its_consent_goes_to_a_container_as_one_file(client: str, google: Sandbox, tmp_path: Path) -> None:
    with Login(ADDRESS, "--client-secrets", client) as login:
        decide(login.url)
        assert login.end().code == 0
    secret, elsewhere = tmp_path / "gmail.secret", tmp_path / "container"
    done = run("accounts", "export", str(secret), ADDRESS, "--unsealed")
    assert done.code == 0, done.err
    kept = json.loads(secret.read_text("utf-8"))
    assert {"client_id", "client_secret", "refresh_token"} <= kept.keys()
    assert kept["refresh_token"] not in done.out + done.err

    sent = send(
        *("--from", ADDRESS),
        env={
            "OAUTH_MAILER_HOME": str(elsewhere),
            "OAUTH_MAILER_STORE": "environment",
            "OAUTH_MAILER_SECRET_YOU_GMAIL_COM_FILE": str(secret),
        },
    )
    assert sent.code == 0, sent.err
    assert [mail.account for mail in google.messages] == [ADDRESS]
    assert not list(elsewhere.rglob("config.toml")), "it needed no login"


@pytest.mark.parametrize("named", [True, False])
def test_a_workspace_address_is_gmail_by_name_or_by_its_client(
    client: str, google: Sandbox, tmp_path: Path, named: bool
) -> None:
    if named:
        assert log_in(google, tmp_path).code == 0
    words = ["--provider", "gmail"] if named else ["--client-secrets", client]
    with Login("boss@corp.example", *words) as login:
        decide(login.url)
        done = login.end()
    assert done.code == 0, done.err
    assert send("--from", "boss@corp.example").code == 0
    assert google.messages[-1].account == "boss@corp.example"


def test_quiet_says_nothing_but_what_is_needed_to_answer(client: str) -> None:
    with Login(ADDRESS, "--client-secrets", client, "--quiet") as login:
        decide(login.url)
        done = login.end()
    assert done.code == 0
    assert "/o/oauth2/auth?" in done.err
    assert "is ready" not in done.err
    assert done.out == ""


# ---- nobody answers, or nobody can


def test_without_a_client_the_steps_to_one_are_told(google: Sandbox) -> None:
    done = run("login", ADDRESS, "--json")
    assert done.code == 78
    assert done.json["error"]["code"] == "client-missing"
    for step in (
        "enable the Gmail API",
        "Desktop app",
        f"oauth-mailer login {ADDRESS} --client-secrets FILE",
    ):
        assert step in done.json["error"]["hint"]
    assert "Traceback" not in done.err


def test_a_line_that_another_program_hands_in_is_taken_for_the_answer(client: str) -> None:
    with Login(ADDRESS, "--client-secrets", client, open_input=True) as login:
        address = redirected(login.url)
        login.type("nonsense")
        login.wait_for("That is not the answer to this login.")
        login.type(address)
        done = login.end()
    assert done.code == 0, done.err


def test_a_flood_of_lines_that_are_no_answer_is_not_listened_to_for_ever(client: str) -> None:
    with Login(ADDRESS, "--client-secrets", client, open_input=True) as login:
        for _number in range(200):
            login.type("y")
        login.wait_for("That is not the answer to this login.")
        assert decide(login.url)[0] == 200
        done = login.end()
    assert done.code == 0, done.err
    assert 0 < done.err.count("That is not the answer to this login.") < 100


@posix
def test_the_address_of_the_page_that_failed_to_load_is_pasted(client: str, google: Sandbox) -> None:
    typist = Typist("login", ADDRESS, "--client-secrets", client)
    address = redirected(url_on(typist))
    question = "Address of the page that failed to load:"
    typist.wait_for(question)
    typist.type("")
    typist.wait_for(question)
    for wrong in (
        "https://mail.google.com/",
        address.replace("state=", "state=x"),
        address.split("&code")[0],
    ):
        typist.type(wrong)
        typist.wait_for("That is not the answer to this login. It is an address that begins with http://127")
        typist.wait_for(question)
    typist.type(f"  {address} ")
    assert typist.end() == 0, typist.screen
    assert "is ready" in typist.screen
    assert send().code == 0


@posix
def test_while_it_asks_for_the_address_the_browser_may_bring_the_answer_itself(client: str) -> None:
    typist = Typist("login", ADDRESS, "--client-secrets", client, "--no-browser")
    url = url_on(typist)
    typist.wait_for("Address of the page that failed to load:")
    status, _address, page = decide(url)
    assert typist.end() == 0, typist.screen
    assert (status, "is ready" in page) == (200, True)


@posix
def test_the_passphrase_is_chosen_before_the_page_is_shown_so_that_the_browser_does_not_wait_for_it(
    client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OAUTH_MAILER_PASSPHRASE")
    typist = Typist("login", ADDRESS, "--client-secrets", client, "--no-browser")
    typist.wait_for("Choose a passphrase")
    assert not typist.echoes
    assert "Open this address" not in typist.screen
    typist.type(PASSPHRASE)
    typist.wait_for("The same passphrase again")
    typist.type(PASSPHRASE)
    url = url_on(typist)
    typist.wait_for("Address of the page that failed to load:")
    assert decide(url)[0] == 200
    assert typist.end() == 0, typist.screen
    assert PASSPHRASE not in typist.screen
    assert send(env={"OAUTH_MAILER_PASSPHRASE": PASSPHRASE}).code == 0


def test_where_nobody_can_choose_a_passphrase_nobody_is_sent_to_the_page(
    client: str, google: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OAUTH_MAILER_PASSPHRASE")
    done = run("login", ADDRESS, "--client-secrets", client, "--no-browser", "--json")
    assert (done.code, done.json["error"]["code"]) == (78, "passphrase-missing")
    assert "Open this address" not in done.err
    assert google.counts["consent.shown"] == 0


# ---- the person's browser


@posix
@pytest.mark.parametrize("opened", [True, False])
def test_the_browser_is_opened_unless_it_is_not_wanted(client: str, tmp_path: Path, opened: bool) -> None:
    program, last_page = browser_program(tmp_path)
    words = ["login", ADDRESS, "--client-secrets", client, "--timeout", "60" if opened else "0.5"]
    done = run(*words, *([] if opened else ["--no-browser"]), env={"BROWSER": program})
    assert done.code == (0 if opened else 77), done.err
    assert ("Your browser shows Google's page" in done.err) is opened
    assert "/o/oauth2/auth?" in done.err
    assert last_page.exists() is opened


# ---- what Google says


@pytest.mark.usefixtures("google_host")
def test_a_token_endpoint_that_is_down_is_told_at_the_terminal_and_in_the_browser(
    tmp_path: Path, home: Path
) -> None:
    with Sandbox(token="503") as google:
        file = google.write_client_secrets(tmp_path)
        with Login(ADDRESS, "--client-secrets", str(file), "--json") as login:
            status, _address, page = decide(login.url)
            done = login.end()
    assert done.code == 75, done
    assert done.json["error"]["code"] == "token-endpoint"
    assert (status, "The login did not succeed" in page) == (400, True)
    assert not everything(home)


def test_the_right_account_may_be_checked_too(client: str) -> None:
    with Login(ADDRESS, "--client-secrets", client, "--check-identity") as login:
        assert decide(login.url)[0] == 200
        assert login.end().code == 0
    assert send().code == 0


# ---- afterwards


def test_an_access_token_that_ended_early_costs_one_refresh_and_the_mail_goes_once(
    google: Sandbox, tmp_path: Path
) -> None:
    assert log_in(google, tmp_path).code == 0
    google.expire_access_tokens()
    for _number in range(2):
        assert send().code == 0
    assert google.counts["token.refresh"] == 1
    assert google.counts["gmail.accepted"] == 2
    assert google.counts["gmail.post"] == 3
