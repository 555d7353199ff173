"""Logins at Google that are disturbed, given up or answered wrongly: each ends cleanly, the old one kept."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

import oauth_mailer
from oauth_mailer.errors import ConfigError, LoginRequired
from oauth_mailer.sandbox import Sandbox
from oauth_mailer.stores.memory import MemoryStore
from tests.cli.google_login import ADDRESS, Login, everything, send, url_on
from tests.cli.program import run
from tests.cli.typist import Typist
from tests.support import google_login
from tests.support.asleep import Laptop
from tests.support.browser_program import browser_program
from tests.support.google_account import client_file
from tests.support.google_browser import Person, decide, fetch
from tests.support.google_login import ME, SEND
from tests.support.http_script import Exchange, HttpScript, answer

posix = pytest.mark.skipif(os.name != "posix", reason="needs a terminal, scripts and signals of POSIX")


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


def refusal(
    sandbox: Sandbox, folder: Path, store: MemoryStore, person: Person, **words: Any
) -> LoginRequired:
    """The same by the library."""
    with pytest.raises(LoginRequired) as caught:
        google_login.log_in(sandbox, folder, store, person, **words)
    assert person.wait()[0] == 400
    assert caught.value.hint
    return caught.value


def asked(url: str) -> dict[str, str]:
    """What stands in the address of a consent page."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def _address(url: str) -> tuple[str, int]:
    return urlsplit(url).hostname or "", urlsplit(url).port or 0


# ---- 26. What else comes to the listener


def client_hello() -> bytes:
    """How a browser begins that would have https."""
    said = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(
            ssl.MemoryBIO(), said, server_hostname="localhost"
        ).do_handshake()
    return said.read()


def visit(where: str, target: str, *, host: str = "", method: str = "GET") -> int:
    """The status of the answer."""
    connection = http.client.HTTPConnection(where, timeout=30)
    try:
        connection.request(method, target, headers={"Host": host or where})
        return connection.getresponse().status
    finally:
        connection.close()


@contextmanager
def disturbed(url: str) -> Iterator[None]:
    """Favicon requests, answers to other logins, port scans, some of which hold their connection open."""
    here = asked(url)
    where = urlsplit(here["redirect_uri"]).netloc
    right = "/?" + urlencode({"state": here["state"], "code": "4/0stolen"})
    for target, host, method, status in (
        ("/favicon.ico", "", "GET", 404),
        ("/", "", "GET", 400),
        ("/?code=4/0stolen", "", "GET", 400),
        ("/?code=4/0stolen&state=guessed", "", "GET", 400),
        ("/?error=access_denied", "", "GET", 400),
        ("/?error=access_denied&state=guessed", "", "GET", 400),
        (right, "evil.example", "GET", 421),
        (right, "127.0.0.1:9", "GET", 421),
        (right, "", "POST", 405),
    ):
        assert visit(where, target, host=host, method=method) == status, target
    address = _address(here["redirect_uri"])
    with ExitStack() as stack:
        for first in (b"", b"\x00\xff\x01\r\n", client_hello(), b"GET /", b"SSH-2.0-x\r\n", b"A" * 70_000):
            stack.enter_context(socket.create_connection(address, 30)).sendall(first)
        yield


@pytest.mark.fault(26)
def test_what_else_comes_to_the_listener_changes_nothing(
    google: Sandbox, tmp_path: Path, store: MemoryStore
) -> None:
    def acts(url: str) -> tuple[int, str, str]:
        with disturbed(url):
            return decide(url)

    person = Person(acts)
    google_login.log_in(google, tmp_path, store, person)
    assert person.wait()[0] == 200
    google_login.send(store)
    assert [one.account for one in google.messages] == [ME]


@pytest.mark.fault(26, program=True)
def test_a_login_of_the_program_goes_on_whatever_else_comes_to_its_port(client: str, google: Sandbox) -> None:
    with Login(ADDRESS, "--client-secrets", client) as login:
        with disturbed(login.url):
            assert decide(login.url)[0] == 200
        done = login.end()
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert send().code == 0
    assert len(google.messages) == 1


@pytest.mark.fault(26, program=True)
@pytest.mark.usefixtures("google_host")
def test_an_answer_that_is_played_again_is_exchanged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again: list[socket.socket] = []

    def exchange(request: Exchange) -> bool:
        """Before the first is exchanged, the second has come: one that came later finds nobody there."""
        where, target = urlsplit(back).netloc, back.partition(urlsplit(back).netloc)[2]
        again.append(socket.create_connection(_address(back), 30))
        again[0].sendall(f"GET {target} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
        assert visit(where, "/favicon.ico") == 404
        return granted(request)

    token = {"access_token": "ya29.canary", "refresh_token": "1//canary", "expires_in": 3599, "scope": SEND}
    granted = answer(body=token)
    with HttpScript(exchange) as endpoint, HttpScript(answer(body={"id": "18c0"})) as gmail:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", gmail.url)
        file = client_file(tmp_path, endpoint.url, auth_uri=f"{endpoint.url}/o/oauth2/auth")
        with Login(ADDRESS, "--client-secrets", str(file)) as login:
            here = asked(login.url)
            back = here["redirect_uri"] + "?" + urlencode({"state": here["state"], "code": "4/0canary"})
            assert fetch(back)[0] == 200
            with again[0] as second:
                assert second.recv(12) == b"HTTP/1.1 200"
            done = login.end()
        assert done.code == 0, done.err
        assert len(endpoint.requests) == 1
        assert send().code == 0
    assert len(gmail.requests) == 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(_address(back), 5)


@pytest.mark.fault(26)
def test_a_denial_ends_cleanly_and_keeps_the_old_login(
    set_up: Sandbox, tmp_path: Path, store: MemoryStore
) -> None:
    person = Person(partial(decide, allow=False))
    assert refusal(set_up, tmp_path, store, person).code == "consent-denied"
    assert "denied" in person.wait()[2]


@pytest.mark.fault(26, program=True)
@pytest.mark.usefixtures("logged_in")
def test_a_denial_keeps_the_old_login() -> None:
    assert refused(allow=False, shown="The consent was denied")["code"] == "consent-denied"


# ---- 27. Nobody answers, or nobody can


@pytest.mark.fault(27)
@pytest.mark.parametrize("there", [True, False], ids=["away", "no browser"])
def test_nobody_answers_in_time(there: bool, set_up: Sandbox, tmp_path: Path, store: MemoryStore) -> None:
    client = set_up.write_client_secrets(tmp_path)
    prompt = Person(lambda url: (0, url, "")) if there else None
    with pytest.raises(LoginRequired) as caught:
        oauth_mailer.login(ME, prompt=prompt, store=store, client_secrets=client, timeout=0.1)
    assert caught.value.code == "consent-timeout"
    assert "--timeout" in caught.value.hint


@pytest.mark.fault(27)
def test_a_port_that_somebody_has_is_told_before_anybody_is_asked(
    set_up: Sandbox, tmp_path: Path, store: MemoryStore
) -> None:
    person = Person()
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(ConfigError) as caught:
        google_login.log_in(set_up, tmp_path, store, person, port=other.getsockname()[1])
    assert caught.value.code == "port-taken"
    assert not person.url


@pytest.mark.fault(27)
def test_a_person_who_interrupts_the_library_is_obeyed(
    set_up: Sandbox, tmp_path: Path, store: MemoryStore
) -> None:
    class Leaving(Person):
        def ask(self, question: str, done: threading.Event) -> str | None:
            raise KeyboardInterrupt

    person = Leaving(None)
    with pytest.raises(KeyboardInterrupt):
        google_login.log_in(set_up, tmp_path, store, person)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(_address(asked(person.url)["redirect_uri"]), 5)


@pytest.mark.fault(27, program=True)
def test_the_port_may_be_named_and_one_that_is_taken_is_named_in_the_error(
    client: str, google: Sandbox, home: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    with Login(ADDRESS, "--client-secrets", client, "--port", str(port)) as login:
        assert asked(login.url)["redirect_uri"] == f"http://127.0.0.1:{port}/"
        login.wait_for(f"ssh -L {port}:127.0.0.1:{port}")
        decide(login.url)
        assert login.end().code == 0
    before = everything(home)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run("login", ADDRESS, "--port", str(port), "--json")
    assert done.code == 78
    assert done.json["error"]["code"] == "port-taken"
    assert str(port) in done.json["error"]["message"]
    assert "--port" in done.json["error"]["hint"]
    assert everything(home) == before
    assert send().code == 0
    assert len(google.messages) == 1


@pytest.mark.fault(27, program=True)
@pytest.mark.usefixtures("logged_in")
def test_without_an_answer_in_time_it_ends_and_nothing_is_changed(client: str) -> None:
    done = run("login", ADDRESS, "--client-secrets", client, "--timeout", "0.5", "--json")
    assert done.code == 77, done.err
    assert done.json["error"]["code"] == "consent-timeout"
    assert "--timeout" in done.json["error"]["hint"]


@pytest.mark.fault(27, program=True)
@pytest.mark.usefixtures("logged_in")
@posix
def test_at_a_terminal_too_the_time_ends() -> None:
    typist = Typist("login", ADDRESS, "--timeout", "0.5")
    assert typist.end() == 77, typist.screen
    assert "Nobody answered the consent page in time." in typist.screen


@pytest.mark.fault(27, program=True)
@posix
def test_where_no_browser_can_be_started_the_address_is_printed(client: str) -> None:
    with Login(ADDRESS, "--client-secrets", client, env={"BROWSER": "/no/such/browser"}) as login:
        decide(login.url)
        done = login.end()
    assert done.code == 0, done.err
    assert "Open this address in a browser" in done.err


@pytest.mark.fault(27, program=True)
@pytest.mark.usefixtures("logged_in")
@posix
@pytest.mark.parametrize("where", ["at the question", "while the browser is open"])
def test_ctrl_c_ends_it(tmp_path: Path, where: str) -> None:
    program, _last_page = browser_program(tmp_path, presses_allow=False)
    env = {"BROWSER": program if where == "while the browser is open" else ""}
    typist = Typist("login", ADDRESS, env=env)
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
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(_address(asked(url)["redirect_uri"]), 5)


@pytest.mark.fault(27, program=True)
@pytest.mark.usefixtures("logged_in")
@posix
def test_an_interrupt_without_a_terminal_ends_it() -> None:
    with Login(ADDRESS, "--json") as login:
        login.wait_for("ssh -L")
        login.process.send_signal(signal.SIGINT)
        done = login.end()
    assert done.code == 130
    assert done.json["error"]["code"] == "interrupted"
    assert "Traceback" not in done.err


@pytest.mark.fault(27, program=True)
@pytest.mark.usefixtures("logged_in")
def test_a_laptop_that_wakes_after_the_time_ends_the_login(tmp_path: Path) -> None:
    laptop = Laptop(tmp_path)
    with Login(ADDRESS, "--json", env=laptop.env) as login:
        login.wait_for("ssh -L")
        laptop.sleep(8, steady_clock_stands=False)
        done = login.end()
    assert (done.code, done.json["error"]["code"]) == (77, "consent-timeout"), done


@pytest.mark.fault(27, program=True)
def test_a_laptop_whose_steady_clock_stood_still_takes_the_answer(
    client: str, google: Sandbox, tmp_path: Path
) -> None:
    laptop = Laptop(tmp_path)
    with Login(ADDRESS, "--client-secrets", client, env=laptop.env) as login:
        url = login.url
        laptop.sleep(8, steady_clock_stands=True)
        assert decide(url)[0] == 200
        assert login.end().code == 0
    assert send(env=laptop.env).code == 0
    assert send().code == 0  # its clock is set right: the token seems to be of tomorrow
    assert len(google.messages) == 2


@pytest.mark.fault(27)
def test_a_clock_that_jumps_while_a_person_decides_does_not_end_the_login_of_the_library(
    set_up: Sandbox, tmp_path: Path, store: MemoryStore
) -> None:
    plain = time.time
    with pytest.MonkeyPatch.context() as clock:

        def late(url: str) -> tuple[int, str, str]:
            clock.setattr(time, "time", lambda: plain() + 8 * 3600)
            return decide(url, allow=False)

        assert refusal(set_up, tmp_path, store, Person(late)).code == "consent-denied"


# ---- 28. Less, or something else, than was asked for


@pytest.mark.fault(28)
def test_a_scope_that_was_unticked_is_named(set_up: Sandbox, tmp_path: Path, store: MemoryStore) -> None:
    person = Person(partial(decide, without=SEND))
    error = refusal(set_up, tmp_path, store, person, check_identity=True)
    assert error.code == "scope-missing"
    assert SEND in error.message


@pytest.mark.fault(28, program=True)
@pytest.mark.usefixtures("logged_in")
def test_a_scope_that_was_unticked_is_named_by_the_program() -> None:
    error = refused("--check-identity", without=SEND, shown="leaves out what is needed")
    assert error["code"] == "scope-missing"
    assert SEND in error["message"]


@pytest.mark.fault(28)
def test_another_account_than_the_one_asked_for_is_refused(
    set_up: Sandbox, tmp_path: Path, store: MemoryStore
) -> None:
    person = Person(partial(decide, account="other@gmail.com"))
    error = refusal(set_up, tmp_path, store, person, check_identity=True)
    assert error.code == "other-account"
    assert "other@gmail.com" in error.message
    assert ME in error.hint


@pytest.mark.fault(28, program=True)
@pytest.mark.usefixtures("logged_in")
def test_another_account_than_the_one_asked_for_is_refused_by_the_program() -> None:
    error = refused("--check-identity", account="other@gmail.com", shown="other@gmail.com")
    assert error["code"] == "other-account"
    assert ADDRESS in error["hint"]


@pytest.fixture
def stingy(google: Sandbox, tmp_path: Path) -> Iterator[Path]:
    """The file of a client whose token endpoint gives no refresh token."""
    token = {"access_token": "ya29.canary", "token_type": "Bearer", "expires_in": 3599, "scope": SEND}
    with HttpScript(answer(body=token)) as endpoint:
        installed = google.client_secrets["installed"] | {"token_uri": f"{endpoint.url}/token"}
        (folder := tmp_path / "stingy").mkdir()
        yield client_file(folder, endpoint.url, **installed)


@pytest.mark.fault(28)
def test_an_answer_without_a_refresh_token_will_not_do(
    stingy: Path, set_up: Sandbox, tmp_path: Path, store: MemoryStore
) -> None:
    error = refusal(set_up, tmp_path, store, Person(), client_secrets=stingy)
    assert error.code == "no-refresh-token"
    assert "within the hour" in error.message


@pytest.mark.fault(28, program=True)
@pytest.mark.usefixtures("logged_in")
def test_an_answer_without_a_refresh_token_will_not_do_for_the_program(stingy: Path) -> None:
    error = refused("--client-secrets", str(stingy), shown="no refresh token")
    assert error["code"] == "no-refresh-token"
