"""What goes wrong between the program and a server: its exit code, its words, and what the server took."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from oauth_mailer import Message, SendError, open_mailer
from oauth_mailer.account import secret_variable
from oauth_mailer.accounts import Accounts
from tests.cli.program import Ended, run
from tests.support.certificates import ca_file, server_context
from tests.support.google_account import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN
from tests.support.http_script import HttpScript, Step, answer, close, hang, raw
from tests.support.smtp_script import CODE, SmtpScript, drip, flood, then_close
from tests.support.smtp_script import close as hang_up
from tests.support.smtp_script import hang as say_nothing

Script = dict[str, Any]


def ends(done: Ended, code: int, error: str) -> dict[str, Any]:
    """It ended so, as an error of ours with the next step; what it printed."""
    assert done.code == code, done
    told: dict[str, Any] = done.json
    assert told["error"]["code"] == error
    assert told["error"]["hint"]
    assert "Traceback" not in done.err
    assert all(line.isprintable() for line in done.err.splitlines())
    return told


def send(*words: str) -> Ended:
    return run("send", "--to", "ann@example.com", "--text", "Hi", "--json", "--timeout", "5", *words)


# SMTP


def untrusted() -> Script:
    return {"context": server_context(trusted=False)}


SMTP: dict[str, tuple[Callable[[], Script], Script, int, str]] = {
    # 15
    "wrong name": (lambda: {"context": server_context("mail.example.com")}, {}, 77, "tls-certificate"),
    "expired": (
        lambda: {"context": server_context(not_after=datetime(2020, 1, 1, tzinfo=UTC))},
        {},
        77,
        "tls-certificate",
    ),
    "untrusted": (untrusted, {}, 77, "tls-certificate"),
    "untrusted behind STARTTLS": (
        lambda: untrusted() | {"security": "starttls"},
        {"security": "starttls"},
        77,
        "tls-certificate",
    ),
    # 16
    "no STARTTLS": (lambda: {"security": "none"}, {"security": "starttls"}, 77, "starttls-missing"),
    "STARTTLS refused": (
        lambda: {"security": "starttls", "starttls": then_close(b"502 no\r\n")},
        {"security": "starttls"},
        77,
        "starttls-refused",
    ),
    "text injected": (
        lambda: {"security": "starttls", "starttls": b"220 go ahead\r\n250 AUTH PLAIN\r\n"},
        {"security": "starttls"},
        77,
        "starttls-injection",
    ),
    "465 speaks plain text": (lambda: {"security": "none"}, {"security": "tls"}, 77, "tls-not-spoken"),
    "587 speaks TLS": (dict, {"security": "starttls"}, 77, "server-speaks-tls"),
    # 17
    "slow drip": (lambda: {"greeting": drip(b"220-and so on\r\n")}, {}, 75, "timeout"),
    "endless reply": (lambda: {"greeting": flood(b"220-and so on\r\n")}, {}, 77, "not-smtp"),
    "overlong line": (lambda: {"greeting": flood(b"220 and so on ")}, {}, 77, "not-smtp"),
    "binary": (lambda: {"greeting": then_close(b"\x00\xff\xfe\x80\r\n")}, {}, 77, "not-smtp"),
}


@pytest.mark.fault(15, 16, 17, program=True)
@pytest.mark.parametrize("row", SMTP.values(), ids=SMTP.keys())
def test_a_server_that_is_not_proven_or_makes_no_sense_is_told_no_secret(
    row: tuple[Callable[[], Script], Script, int, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, fields, code, error = row
    with SmtpScript(**script()) as server:
        Accounts(home).add(server.account(**{"store": "environment"} | fields))
        monkeypatch.setenv(secret_variable("me@qq.com"), CODE)
        told = ends(
            send(*(("--timeout", "1") if error in ("timeout", "server-speaks-tls") else ())), code, error
        )
    assert told["status"] == "not_sent"
    assert not server.auths
    assert not server.received


REPLIES: dict[str, tuple[Script, int, str, int]] = {
    # 17
    "GBK": ({"mail": "550 用户\x1b[2J不存在\r\n".encode("gb18030")}, 77, "sender-refused", 0),
    # 18
    "a wrong code": (
        {"auth": b"535 Login fail. Account is abnormal, password is incorrect\r\n"},
        77,
        "login-refused",
        0,
    ),
    # 19
    "421 at HELO": ({"ehlo": then_close(b"421 4.3.2 closing\r\n")}, 75, "server-closing", 0),
    "450 at RCPT": ({"rcpt": b"450 4.2.0 greylisted\r\n"}, 75, "recipient-later", 0),
    "451 at the end": ({"dot": b"451 4.3.0 local error\r\n"}, 75, "try-later", 0),
    # 21
    "lost before the end": ({"data": hang_up}, 75, "connection-lost", 0),
    "lost after the end": ({"dot": hang_up}, 76, "outcome-unknown", 0),
    "silent after the end": ({"dot": say_nothing}, 76, "outcome-unknown", 0),
}


@pytest.mark.fault(17, 18, 19, 21, program=True)
@pytest.mark.parametrize("row", REPLIES.values(), ids=REPLIES.keys())
def test_what_a_server_answers_decides_what_is_said(
    row: tuple[Script, int, str, int], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, code, error, accepted = row
    with SmtpScript(**script) as server:
        Accounts(home).add(server.account(provider="qq", store="environment"))
        monkeypatch.setenv(secret_variable("me@qq.com"), CODE)
        ends(send("--timeout", "1"), code, error)
    assert len(server.auths) <= 1
    assert (server.connections, len(server.accepted)) == (1, accepted)


@pytest.mark.fault(20)
@pytest.mark.fault(20, program=True)
def test_those_who_were_refused_are_named_and_a_second_send_goes_to_them_only(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SmtpScript(rcpt=[b"250 ok\r\n", b"450 4.2.1 later\r\n"]) as server:
        Accounts(home).add(server.account(store="environment"))
        monkeypatch.setenv(secret_variable("me@qq.com"), CODE)
        done = send("--to", "bob@example.com")
        assert (done.code, done.json["refused"]) == (0, {"bob@example.com": "450 4.2.1 later"})
        assert "Not sent to bob@example.com: " in done.err
        # By the library: the same message, for whoever was refused.
        message = Message(to=["ann@example.com", "bob@example.com"], text="Hi")
        server.answer("rcpt", [b"250 ok\r\n", b"450 4.2.1 later\r\n"])
        with open_mailer() as mailer:
            receipt = mailer.send(message)
            mailer.send(message, only=receipt.refused)
    names = [tuple(line[9:-1] for line in mail.recipients) for mail in server.accepted]
    assert names[1:] == [("ann@example.com", "bob@example.com"), ("bob@example.com",)]


# The Gmail API

GRANTED = answer(body={"access_token": "ya29.canary", "expires_in": 3599})


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpScript]:
    """A host whose environment has a consent of me@gmail.com; the endpoint that knows it."""
    with HttpScript(GRANTED) as endpoint:
        consent = {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN,
            "token_uri": f"{endpoint.url}/token",
        }
        monkeypatch.setenv(secret_variable("me@gmail.com"), json.dumps(consent))
        yield endpoint


def refusal(status: str, reason: str, message: str = "No.", **headers: str) -> Step:
    error = {"code": int(status[:3]), "message": message, "errors": [{"reason": reason, "message": message}]}
    return answer(status, {"error": error}, **headers)


ENABLE = "https://console.developers.google.com/apis/api/gmail.googleapis.com/overview?project=42"

GMAIL: dict[str, tuple[Step, int, str, float | None]] = {
    # 23
    "closed without an answer": (close, 76, "no-answer", None),
    "silent": (hang, 76, "no-answer", None),
    "500": (answer("500 Oops"), 76, "gmail-500", None),
    "502": (answer("502 Bad Gateway", b"<html>"), 76, "gmail-502", None),
    "503": (answer("503 Later", Retry_After="5"), 76, "gmail-503", None),
    # 24
    "truncated": (
        raw(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"id": "18'),
        76,
        "gmail-answer-unreadable",
        None,
    ),
    "no JSON": (answer(body=b"<html>welcome</html>"), 76, "gmail-answer-unreadable", None),
    # 25
    "403 with a time": (
        refusal("403 Forbidden", "userRateLimitExceeded", Retry_After="17"),
        75,
        "gmail-user-rate-limit-exceeded",
        17,
    ),
    "429 without a time": (answer("429 Too Many Requests"), 75, "gmail-429", 60),
    "429 with a time": (answer("429 Too Many Requests", Retry_After="7"), 75, "gmail-429", 7),
    "the API is off": (
        refusal("403 Forbidden", "accessNotConfigured", f"Enable it by visiting {ENABLE} then retry."),
        77,
        "gmail-access-not-configured",
        None,
    ),
}


@pytest.mark.fault(23, 24, 25, program=True)
@pytest.mark.usefixtures("tokens")
@pytest.mark.parametrize("row", GMAIL.values(), ids=GMAIL.keys())
def test_the_api_is_posted_to_once_and_what_it_answers_decides_what_is_said(
    row: tuple[Step, int, str, float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    step, code, error, wait = row
    with HttpScript(step) as server:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", server.url)
        done = send("--from", "me@gmail.com", "--timeout", "1")
        told = ends(done, code, error)["error"]
    assert len(server.requests) == 1
    assert told.get("retry_after") == wait
    assert ("Sent folder" in done.err) is (code == 76)
    assert (ENABLE in told["hint"]) is ("not-configured" in error)


@pytest.mark.fault(25, program=True)
def test_a_token_refused_twice_was_renewed_once_and_a_login_is_asked_for(
    tokens: HttpScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HttpScript(answer("401 Unauthorized"), answer("401 Unauthorized")) as server:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", server.url)
        told = ends(send("--from", "me@gmail.com"), 77, "gmail-401")
    assert "oauth-mailer login me@gmail.com" in told["error"]["hint"]
    assert (len(server.requests), len(tokens.requests)) == (2, 2)


@pytest.fixture(params=["refused", "no such name", "no TLS", "untrusted", "wrong name"])
def unreachable(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a Gmail API to which nothing gets through."""
    with ExitStack() as stack:
        made: Callable[[], str] = {
            "refused": lambda: f"http://127.0.0.1:{_free_port()}",
            "no such name": lambda: "https://no-such-host.invalid",
            "no TLS": lambda: _https(stack, security="none"),
            "untrusted": lambda: _https(stack, context=server_context(trusted=False)),
            "wrong name": lambda: _https(stack, context=server_context("mail.example.com")),
        }[request.param]
        yield made()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _https(stack: ExitStack, **how: Any) -> str:
    # Any server will do: it comes to no request.
    return f"https://localhost:{stack.enter_context(SmtpScript(**how)).port}"


@pytest.mark.fault(15, 23)
@pytest.mark.fault(15, 23, program=True)
@pytest.mark.usefixtures("tokens")
def test_an_api_that_cannot_be_reached_has_nothing_and_a_fallback_may_send(
    unreachable: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", unreachable)
    monkeypatch.setenv("SSL_CERT_FILE", ca_file())
    with open_mailer("me@gmail.com", timeout=5) as mailer, pytest.raises(SendError) as caught:
        mailer.send(Message(to="ann@example.com", text="Hi"))
    assert (caught.value.verdict, caught.value.try_next_route) == ("not_sent", True)
    with SmtpScript() as server:
        Accounts(home).add(server.account(store="environment"))
        monkeypatch.setenv(secret_variable("me@qq.com"), CODE)
        done = send("--from", "me@gmail.com", "--fallback", "me@qq.com")
    assert (done.code, done.json["account"]) == (0, "me@qq.com")
    first, second = done.json["attempts"]
    assert (first["verdict"], first["code"]) == ("not_sent", caught.value.code)
    assert second["verdict"] == "sent"
    assert len(server.accepted) == 1
