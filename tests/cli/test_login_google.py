"""Logging in to Gmail by the program, as a person and as a script do it; the stand-in plays Google."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from oauth_mailer.accounts import Accounts
from oauth_mailer.auth.google import consent_slot
from oauth_mailer.sandbox import Sandbox
from oauth_mailer.stores import StoreOptions, open_store
from tests.support import folder_contains
from tests.support.browser_program import browser_program
from tests.support.google_account import client_file
from tests.support.google_browser import decide, fetch
from tests.support.http_script import HttpScript, answer

from .google_login import ADDRESS, PASSPHRASE, Login, log_in, redirected
from .program import ROOT, Ended, run
from .typist import Typist

SEND = "https://www.googleapis.com/auth/gmail.send"
posix = pytest.mark.skipif(os.name != "posix", reason="needs a terminal, scripts and signals of POSIX")


@pytest.fixture
def client(google: Sandbox, tmp_path: Path) -> str:
    """The client's file, as downloaded."""
    return str(google.write_client_secrets(tmp_path))


def send(*words: str, env: dict[str, str] | None = None) -> Ended:
    return run("send", "--to", "ann@example.com", "--text", "Hi", "--json", *words, env=env)


def everything(home: Path) -> dict[str, bytes]:
    """What is written down, locks aside."""
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in home.rglob("*")
        if path.is_file() and path.name in ("config.toml", "secrets.sealed")
    }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def url_on(typist: Typist) -> str:
    """The address of the consent page, once a terminal shows it whole."""
    typist.wait_for("login_hint=you%40gmail.com\r\n")
    return next(line.strip() for line in typist.screen.splitlines() if "/o/oauth2/auth?" in line)


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


def test_the_port_may_be_named_and_one_that_is_taken_is_named_in_the_error(client: str) -> None:
    port = free_port()
    with Login(ADDRESS, "--client-secrets", client, "--port", str(port)) as login:
        redirect = parse_qs(urlsplit(login.url).query)["redirect_uri"]
        assert redirect == [f"http://127.0.0.1:{port}/"]
        login.wait_for(f"ssh -L {port}:127.0.0.1:{port}")
        decide(login.url)
        assert login.end().code == 0
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run("login", ADDRESS, "--port", str(port), "--json")
    assert done.code == 78
    assert done.json["error"]["code"] == "port-taken"
    assert str(port) in done.json["error"]["message"]
    assert "--port" in done.json["error"]["hint"]


def test_quiet_says_nothing_but_what_is_needed_to_answer(client: str) -> None:
    with Login(ADDRESS, "--client-secrets", client, "--quiet") as login:
        decide(login.url)
        done = login.end()
    assert done.code == 0
    assert "/o/oauth2/auth?" in done.err
    assert "is ready" not in done.err
    assert done.out == ""


def test_other_visitors_of_the_listener_do_not_disturb_it(client: str) -> None:
    with Login(ADDRESS, "--client-secrets", client) as login:
        back = parse_qs(urlsplit(login.url).query)["redirect_uri"][0]
        for path in ("favicon.ico", "?state=guessed&code=4/0canary", "?error=access_denied"):
            assert fetch(back + path)[0] in (400, 404)
        assert decide(login.url)[0] == 200
        assert login.end().code == 0


# ---- nobody answers, or nobody can


def test_without_an_answer_in_time_it_ends_and_nothing_is_changed(
    client: str, google: Sandbox, tmp_path: Path, home: Path
) -> None:
    assert log_in(google, tmp_path).code == 0
    before = everything(home)
    done = run("login", ADDRESS, "--client-secrets", client, "--timeout", "0.5", "--json")
    assert done.code == 77, done.err
    assert done.json["error"]["code"] == "consent-timeout"
    assert "--timeout" in done.json["error"]["hint"]
    assert everything(home) == before
    assert send().code == 0


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
def test_what_is_typed_after_the_browser_answered_belongs_to_the_next_question(
    client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OAUTH_MAILER_PASSPHRASE")
    typist = Typist("login", ADDRESS, "--client-secrets", client, "--no-browser")
    url = url_on(typist)
    typist.wait_for("Address of the page that failed to load:")
    with ThreadPoolExecutor(1) as pool:
        browser = pool.submit(decide, url)
        typist.wait_for("Choose a passphrase")
        assert not typist.echoes
        typist.type(PASSPHRASE)
        typist.wait_for("The same passphrase again")
        typist.type(PASSPHRASE)
        assert browser.result(60)[0] == 200
    assert typist.end() == 0, typist.screen
    assert PASSPHRASE not in typist.screen
    assert send(env={"OAUTH_MAILER_PASSPHRASE": PASSPHRASE}).code == 0


@posix
def test_at_a_terminal_too_the_time_ends(client: str, home: Path) -> None:
    typist = Typist("login", ADDRESS, "--client-secrets", client, "--timeout", "0.5")
    assert typist.end() == 77, typist.screen
    assert "Nobody answered the consent page in time." in typist.screen
    assert not everything(home)


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


@posix
def test_where_no_browser_can_be_started_the_address_is_printed(client: str) -> None:
    with Login(ADDRESS, "--client-secrets", client, env={"BROWSER": "/no/such/browser"}) as login:
        decide(login.url)
        done = login.end()
    assert done.code == 0, done.err
    assert "Open this address in a browser" in done.err


# ---- Ctrl-C


@posix
@pytest.mark.parametrize("where", ["at the question", "while the browser is open"])
def test_ctrl_c_ends_it_and_the_old_login_still_works(
    client: str, google: Sandbox, tmp_path: Path, home: Path, where: str
) -> None:
    assert log_in(google, tmp_path).code == 0
    before = everything(home)
    program, _last_page = browser_program(tmp_path, presses_allow=False)
    typist = Typist(
        "login",
        ADDRESS,
        "--client-secrets",
        client,
        env={"BROWSER": program if where == "while the browser is open" else ""},
    )
    url = url_on(typist)
    if where == "at the question":
        typist.wait_for("Address of the page that failed to load:")
    typist.press_ctrl_c()
    typist.wait_for("Stopped by Ctrl-C")
    assert typist.echoes
    assert typist.end() == 130, typist.screen
    assert "Traceback" not in typist.screen
    with pytest.raises(ProcessLookupError):  # nothing of its own is left running
        os.killpg(typist.process.pid, 0)
    back = urlsplit(parse_qs(urlsplit(url).query)["redirect_uri"][0])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", back.port or 0), 5)
    assert everything(home) == before
    assert send().code == 0


@posix
def test_an_interrupt_without_a_terminal_ends_it_and_the_browser_is_told(client: str, home: Path) -> None:
    with Login(ADDRESS, "--client-secrets", client, "--json") as login:
        login.wait_for("ssh -L")
        login.process.send_signal(signal.SIGINT)
        done = login.end()
    assert done.code == 130
    assert done.json["error"]["code"] == "interrupted"
    assert "Traceback" not in done.err
    assert not everything(home)


# ---- the client's file


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def edit(data: bytes) -> bytes:
        fields = json.loads(data)
        return json.dumps(change(fields["installed"]) or fields).encode()

    return edit


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
        (lambda data: (ROOT / "credentials.example.json").read_bytes(), ("client-example", "example")),
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


@pytest.mark.usefixtures("google_host")
def test_a_client_file_that_cannot_be_read_is_a_missing_input(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        done = run("login", ADDRESS, "--client-secrets", str(path), "--json")
        assert done.code == 66, done
        assert done.json["error"]["code"] == "input-missing"
        assert str(path) in done.json["error"]["message"]


# ---- an answer that will not do; the old login is kept


@pytest.fixture
def logged_in(google: Sandbox, tmp_path: Path, home: Path) -> Iterator[None]:
    """An account that is set up; whatever the test does, it is as it was, and still sends."""
    assert log_in(google, tmp_path).code == 0
    before = everything(home)
    yield
    assert everything(home) == before
    google.clear()
    assert send().code == 0
    assert len(google.messages) == 1


def refused(*words: str, shown: str, **decision: Any) -> dict[str, Any]:
    """The error of a login that fails after the person decided so; the browser shows it as well."""
    with Login(ADDRESS, "--json", *words) as login:
        status, _address, page = decide(login.url, **decision)
        done = login.end()
    assert done.code == 77, done
    assert status == 400
    assert shown in page
    assert done.json["error"]["type"] == "LoginRequired"
    error: dict[str, Any] = done.json["error"]
    assert error["hint"]
    return error


@pytest.mark.usefixtures("logged_in")
def test_a_denial_keeps_the_old_login() -> None:
    assert refused(allow=False, shown="The consent was denied")["code"] == "consent-denied"


@pytest.mark.usefixtures("logged_in")
def test_a_scope_that_was_unticked_is_named() -> None:
    error = refused("--check-identity", without=SEND, shown="leaves out what is needed")
    assert error["code"] == "scope-missing"
    assert SEND in error["message"]


@pytest.mark.usefixtures("logged_in")
def test_another_account_than_the_one_asked_for_is_refused() -> None:
    error = refused("--check-identity", account="other@gmail.com", shown="other@gmail.com")
    assert error["code"] == "other-account"
    assert ADDRESS in error["hint"]


@pytest.mark.usefixtures("logged_in")
def test_an_answer_without_a_refresh_token_will_not_do(google: Sandbox, tmp_path: Path) -> None:
    token = {"access_token": "ya29.canary", "token_type": "Bearer", "expires_in": 3599, "scope": SEND}
    with HttpScript(answer(body=token)) as endpoint:
        installed = google.client_secrets["installed"]
        file = client_file(tmp_path, endpoint.url, **installed | {"token_uri": f"{endpoint.url}/token"})
        error = refused("--client-secrets", str(file), shown="no refresh token")
    assert error["code"] == "no-refresh-token"


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


def test_a_revoked_consent_is_told_with_its_causes_and_mended_by_a_login(
    google: Sandbox, tmp_path: Path
) -> None:
    assert log_in(google, tmp_path).code == 0
    google.revoke_tokens()
    done = send()
    assert done.code == 77, done
    error = done.json["error"]
    assert (error["type"], error["code"]) == ("LoginRequired", "consent-ended")
    for cause in ("revoked", "password was changed", "six months", "7 days", "administrator", "clock"):
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


@pytest.mark.usefixtures("google_host")
def test_twenty_processes_with_an_ended_token_refresh_once_and_lose_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sandbox(rotate=True) as google:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", google.gmail_endpoint)
        assert log_in(google, tmp_path).code == 0
        google.expire_access_tokens()
        words = [sys.executable, "-m", "oauth_mailer", "send", "--to", "ann@example.com", "--text", "Hi"]
        started = [
            subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            for _number in range(20)
        ]
        ended = [(one.communicate(timeout=90)[1], one.returncode) for one in started]
        assert [code for _err, code in ended] == [0] * 20, ended
        assert len(google.messages) == 20
        assert len({one.data for one in google.messages}) == 20
        assert google.counts["token.refresh"] == 1
        # The refresh token that came with it is the one that was kept.
        google.expire_access_tokens()
        assert send().code == 0
        assert google.counts["token.refresh"] == 2
