"""Plans: changed while it runs, kept to one connection, without an end, and told of exactly."""

from __future__ import annotations

import gzip
import json
import smtplib
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from http.client import IncompleteRead
from queue import SimpleQueue
from urllib.parse import urlsplit

import pytest

from oauth_mailer import ConfigError
from oauth_mailer.sandbox import Event, Sandbox, known_steps

from .application import SEND_PATH, Application, ask
from .test_gmail import MAIL as GMAIL_MAIL
from .test_gmail import Client
from .test_smtp import MAIL, ME, logged_in, over_starttls, over_tls


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as started:
        yield started


def test_a_plan_can_be_changed_once_an_account_is_logged_in(sandbox: Sandbox) -> None:
    client = Client(sandbox)
    sandbox.plan(gmail="503,ok", smtp="drop-greeting,ok")
    assert [client.send(GMAIL_MAIL).status for _again in range(2)] == [503, 200]
    sandbox.plan(gmail="502")
    assert [client.send(GMAIL_MAIL).status for _again in range(2)] == [502, 502]
    with pytest.raises(smtplib.SMTPServerDisconnected):  # which was not touched by the second plan
        over_tls(sandbox)


def test_a_plan_with_a_step_that_is_not_known_changes_nothing(sandbox: Sandbox) -> None:
    client = Client(sandbox)
    with pytest.raises(ConfigError, match="no step 'nonsense'"):
        sandbox.plan(gmail="503", smtp="nonsense")
    assert client.send(GMAIL_MAIL).status == 200


def test_every_step_says_in_one_line_what_it_does(sandbox: Sandbox) -> None:
    steps = known_steps()
    assert list(steps) == ["smtp", "gmail", "token"]
    for server, texts in steps.items():
        assert texts["ok"] == "all is well"
        assert len(texts) > 15
        for step, text in texts.items():
            assert text
            assert "\n" not in text
            sandbox.plan(**{server: step})
    assert steps["smtp"]["450"] == (
        "answers MAIL with: 450 Requested mail action not taken, MI:CEL (as NetEase does)"
    )
    assert steps["gmail"]["500"] == "answers 500 backendError: Internal error encountered.; accepts nothing"


# The log


def test_what_was_accepted_and_refused_is_told_in_order_and_as_it_happens() -> None:
    heard: SimpleQueue[Event] = SimpleQueue()
    with Sandbox(smtp="550,ok", watch=heard.put) as sandbox:
        with logged_in(sandbox) as client:
            refused = client.sendmail(ME, ["ann@example.com", "bob@example.com"], MAIL)
        assert list(refused) == ["ann@example.com"]
        login, rcpt, message = sandbox.events
        assert [heard.get(timeout=30) for _event in range(3)] == [login, rcpt, message]
        assert (login.server, login.what, login.accepted, login.account) == ("smtp", "login", True, ME)
        assert (rcpt.what, rcpt.accepted, rcpt.step, rcpt.text) == (
            "RCPT",
            False,
            "550",
            "550 User not found",
        )
        assert (message.what, message.accepted, message.step) == ("message", True, "")
        assert message.message == sandbox.messages[0]
        assert message.text == f"250 OK: queued as {sandbox.messages[0].id}"
        sandbox.clear()
        assert not sandbox.events


def test_a_message_that_is_accepted_and_not_answered_for_is_told_as_accepted() -> None:
    with Sandbox(smtp="drop-after-dot", gmail="accept-close") as sandbox:
        client = logged_in(sandbox)
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
            client.sendmail(ME, ["ann@example.com"], MAIL)
        client.close()
        event = sandbox.events[-1]
        assert (event.what, event.accepted, event.step, event.text) == ("message", True, "drop-after-dot", "")


def test_tokens_and_consents_are_told_without_being_shown(sandbox: Sandbox) -> None:
    application = Application(sandbox)
    tokens = application.tokens()
    sandbox.plan(token="503,ok")
    application.refresh(tokens["refresh_token"])
    application.refresh("1//0-none")
    application.revoke(tokens["access_token"])
    told = [(one.server, one.what, one.accepted, one.step) for one in sandbox.events]
    assert told == [
        ("consent", "consent", True, ""),
        ("token", "token", True, ""),
        ("token", "token", False, "503"),
        ("token", "token", False, ""),
        ("token", "revocation", True, ""),
    ]
    assert sandbox.events[3].text == "400 invalid_grant: Token has been expired or revoked."
    for secret in (tokens["access_token"], tokens["refresh_token"], application.client["client_secret"]):
        assert secret not in repr(sandbox.events)


# Steps of the web side


@pytest.mark.parametrize(("step", "status", "kept"), [("redirect", 307, 0), ("accept-redirect", 303, 1)])
def test_a_redirect_leads_to_another_host_where_a_bearer_is_found_out(
    sandbox: Sandbox, step: str, status: int, kept: int
) -> None:
    client = Client(sandbox)
    sandbox.plan(gmail=step)
    answer = client.send(GMAIL_MAIL)
    assert (answer.status, len(sandbox.messages)) == (status, kept)
    there = answer.headers["Location"]
    assert urlsplit(there).hostname != urlsplit(sandbox.gmail_endpoint).hostname
    assert urlsplit(there).port == urlsplit(sandbox.gmail_endpoint).port
    here = there.replace("localhost", "127.0.0.1")  # not every host has the name for IPv4
    assert ask(here).status == 404
    assert (sandbox.counts["elsewhere"], sandbox.counts["elsewhere.bearer"]) == (1, 0)
    ask(here, body=b"x", headers={"Authorization": "Bearer x"})
    assert (sandbox.counts["elsewhere"], sandbox.counts["elsewhere.bearer"]) == (2, 1)


def test_an_answer_in_gzip_comes_unasked(sandbox: Sandbox) -> None:
    client = Client(sandbox)
    sandbox.plan(gmail="accept-gzip", token="gzip")
    answer = client.send(GMAIL_MAIL)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(answer.body))["id"] == sandbox.messages[0].id
    token = Application(sandbox)
    answer = token.exchange(token.code())
    assert json.loads(gzip.decompress(answer.body))["access_token"]


def test_an_answer_can_end_in_its_middle(sandbox: Sandbox) -> None:
    client = Client(sandbox)
    sandbox.plan(gmail="accept-cut")
    with pytest.raises(IncompleteRead) as caught:
        client.send(GMAIL_MAIL)
    assert caught.value.partial.startswith(b'{"id": "')
    assert len(sandbox.messages) == 1


def test_a_late_answer_comes(sandbox: Sandbox) -> None:
    client = Client(sandbox)
    sandbox.plan(gmail="accept-late")
    assert client.send(GMAIL_MAIL).json["id"] == sandbox.messages[0].id


@pytest.mark.parametrize(("step", "kept"), [("slow", 0), ("accept-slow", 1)])
def test_an_answer_that_drips_has_no_end(sandbox: Sandbox, step: str, kept: int) -> None:
    client = Client(sandbox)
    sandbox.plan(gmail=step)
    body = json.dumps({"raw": "VG86IGFAYi5jCgo"}).encode()
    place = urlsplit(sandbox.gmail_endpoint)
    with socket.create_connection((place.hostname, place.port), timeout=30) as sock:
        sock.sendall(
            f"POST {SEND_PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {client.token}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        heard = b""
        while heard.count(b".") < 3:  # HTTP/1.1 has one
            heard += sock.recv(100)
    assert b"\r\n\r\n" not in heard
    assert len(sandbox.messages) == kept


@pytest.mark.parametrize("step", ["missing-expiry", "missing-type"])
def test_a_token_can_come_without_what_belongs_to_it(sandbox: Sandbox, step: str) -> None:
    application = Application(sandbox)
    token = application.tokens()["refresh_token"]
    sandbox.plan(token=step)
    answer = application.refresh(token).json
    assert answer["access_token"]
    assert ("expires_in" in answer) == (step != "missing-expiry")
    assert ("token_type" in answer) == (step != "missing-type")


# Steps of the SMTP side


@pytest.mark.parametrize(
    ("step", "keyword"),
    [
        ("no-auth", "auth"),
        ("no-pipelining", "pipelining"),
        ("no-8bitmime", "8bitmime"),
        ("no-smtputf8", "smtputf8"),
    ],
)
def test_an_extension_can_be_missing_for_one_connection(step: str, keyword: str) -> None:
    with Sandbox(smtp=f"{step},ok") as sandbox:
        for offered in (False, True):
            with over_tls(sandbox) as client:
                client.ehlo()
                assert (keyword in client.esmtp_features) == offered


def test_starttls_can_be_missing() -> None:
    with Sandbox(smtp="no-starttls,ok") as sandbox:
        place = (sandbox.smtp.host, sandbox.smtp.starttls_port)
        with smtplib.SMTP(*place, local_hostname="client", timeout=30) as client:
            client.ehlo()
            assert "starttls" not in client.esmtp_features
        over_starttls(sandbox).close()


@pytest.mark.parametrize(
    ("step", "options", "code"),
    [
        ("no-8bitmime", "BODY=8BITMIME", 555),
        ("no-smtputf8", "SMTPUTF8", 501),
        ("small-size", "SIZE=101", 552),
    ],
)
def test_what_is_not_offered_is_refused(step: str, options: str, code: int) -> None:
    with Sandbox(smtp=step) as sandbox, logged_in(sandbox) as client:
        assert client.docmd(f"MAIL FROM:<{ME}> {options}")[0] == code
        assert client.docmd(f"MAIL FROM:<{ME}>")[0] == 250


def test_a_small_limit_is_announced_and_kept() -> None:
    with Sandbox(smtp="small-size") as sandbox, logged_in(sandbox) as client:
        assert client.esmtp_features["size"] == "100"
        client.mail(ME)
        client.rcpt("ann@example.com")
        assert client.data(MAIL + b"x" * 100 + b"\r\n")[0] == 552
        assert not sandbox.messages


def test_commands_that_come_together_are_refused_where_that_is_not_offered() -> None:
    with Sandbox(smtp="no-pipelining") as sandbox, logged_in(sandbox) as client:
        client.send(f"MAIL FROM:<{ME}>\r\nRCPT TO:<ann@example.com>\r\n")
        assert [client.getreply()[0] for _command in range(2)] == [503, 503]
        assert client.mail(ME)[0] == 250


def test_plain_text_comes_behind_the_answer_to_starttls() -> None:
    with Sandbox(smtp="starttls-injection") as sandbox:
        place = (sandbox.smtp.host, sandbox.smtp.starttls_port)
        with socket.create_connection(place, timeout=30) as sock, sock.makefile("rb") as lines:
            lines.readline()
            sock.sendall(b"EHLO client\r\n")
            while not lines.readline().startswith(b"250 "):
                pass
            sock.sendall(b"STARTTLS\r\n")
            assert lines.readline().startswith(b"220 ")
            assert lines.readline() == b"250 injected\r\n"


@pytest.mark.parametrize(
    ("step", "line"), [("endless-greeting", b"220-localhost\r\n"), ("slow-greeting", b"220-localhost ..")]
)
def test_a_greeting_can_have_no_end(step: str, line: bytes) -> None:
    context = ssl.create_default_context()
    with Sandbox(smtp=step) as sandbox:
        context.load_verify_locations(sandbox.smtp.ca_file)
        with (
            socket.create_connection((sandbox.smtp.host, sandbox.smtp.port), timeout=30) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as sock,
        ):
            heard = b""
            while len(heard) < 100_000 and (step != "slow-greeting" or line not in heard):
                heard += sock.recv(1 << 16)
            assert heard.startswith(line)
            if step == "endless-greeting":
                assert not heard.replace(line, b"").strip(b"220-localhost\r\n")
        assert sandbox.counts["smtp.connect"] == 1


@pytest.mark.parametrize("step", ["535-gbk", "550-gbk", "554-gbk"])
def test_a_reply_can_be_in_gbk(step: str) -> None:
    with Sandbox(smtp=f"{step},ok") as sandbox, over_tls(sandbox) as client:
        client.ehlo()
        word = b64encode(f"\0{ME}\0{sandbox.code}".encode()).decode()
        replies = [client.docmd("AUTH", f"PLAIN {word}"), client.mail(ME), client.rcpt("ann@example.com")]
        if step == "554-gbk":
            replies.append(client.data(MAIL))
        [reply] = [reply for code, reply in replies if code == int(step[:3])]
        text = reply.decode("gbk")
        assert any(char >= "\u4e00" for char in text)
        with pytest.raises(UnicodeDecodeError):
            reply.decode("utf-8")
        assert any(text in event.text for event in sandbox.events)


@pytest.mark.parametrize("step", ["idle-close", "idle-421"])
def test_an_idle_connection_can_be_closed_after_the_message_was_accepted(step: str) -> None:
    with Sandbox(smtp=f"{step},ok") as sandbox:
        client = logged_in(sandbox)
        assert client.sendmail(ME, ["ann@example.com"], MAIL) == {}
        assert len(sandbox.messages) == 1
        with suppress(ssl.SSLError, ConnectionError):
            assert client.sock is not None
            heard = client.sock.recv(100)
            assert heard == b""
        client.close()
        with logged_in(sandbox) as again:
            again.sendmail(ME, ["ann@example.com"], MAIL)
        assert len(sandbox.messages) == 2
