"""The sandbox as a whole: it starts, stays on this machine, tells nothing to logs, and always stops."""

from __future__ import annotations

import json
import logging
import smtplib
import socket
import ssl
import sys
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from oauth_mailer import ConfigError
from oauth_mailer.sandbox import Received, Sandbox

from .application import SEND_PATH, Application, ask

MAIL = b"From: me@gmail.com\r\nTo: ann@example.com\r\nSubject: canary-subject\r\n\r\nHello\r\n"


def send(sandbox: Sandbox, token: str) -> None:
    body = json.dumps({"raw": urlsafe_b64encode(MAIL).decode()}).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    assert ask(sandbox.gmail_endpoint + SEND_PATH, body=body, headers=headers).status == 200


def smtp_client(sandbox: Sandbox) -> smtplib.SMTP:
    context = ssl.create_default_context(cafile=sandbox.smtp.ca_file)
    return smtplib.SMTP_SSL(sandbox.smtp.host, sandbox.smtp.port, context=context, timeout=30)


def test_the_client_file_is_like_googles_and_leads_to_this_machine_only(tmp_path: Path) -> None:
    with Sandbox() as sandbox, Sandbox() as other:
        path = sandbox.write_client_secrets(tmp_path)
        written = json.loads(path.read_text("utf-8"))
        assert written == sandbox.client_secrets
        client = written["installed"]
        for name in ("auth_uri", "token_uri", "revocation_uri"):
            assert urlsplit(client[name]).hostname == "127.0.0.1"
        assert client["client_id"].endswith(".apps.googleusercontent.com")
        assert client["client_secret"] != other.client_secrets["installed"]["client_secret"]
        assert client["client_secret"] not in repr(sandbox)


def test_two_sandboxes_know_nothing_of_each_other() -> None:
    with Sandbox() as one, Sandbox() as two:
        token = Application(one).tokens()["access_token"]
        send(one, token)
        assert len(one.messages) == 1
        assert not two.messages
        assert ask(two.gmail_endpoint + SEND_PATH, body=b"{}").status == 401
        with pytest.raises(ssl.SSLCertVerificationError):
            smtplib.SMTP_SSL(
                "127.0.0.1", two.smtp.port, context=ssl.create_default_context(cafile=one.smtp.ca_file)
            )


def test_messages_and_counts_are_waited_for_and_forgotten() -> None:
    with Sandbox() as sandbox:
        with pytest.raises(TimeoutError, match="0 of 1 messages"):
            sandbox.wait_for(1, timeout=0)
        with pytest.raises(TimeoutError, match=r"gmail\.post: 0 of 1"):
            sandbox.wait_for_event("gmail.post", 1, timeout=0)
        send(sandbox, Application(sandbox).tokens()["access_token"])
        sandbox.wait_for_event("gmail.post", 1)
        [received] = sandbox.wait_for(1)
        assert isinstance(received, Received)
        assert "canary" not in repr(received)
        assert received.at.tzinfo is not None
        sandbox.clear()
        assert not sandbox.messages
        assert sandbox.counts["gmail.post"] == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: Sandbox(gmail="ok, nonsense"),
        lambda: Sandbox(token="nonsense"),
        lambda: Sandbox(smtp="ok,421,nonsense,ok"),
    ],
)
def test_a_step_that_is_not_known_is_refused_with_those_that_are(make: Callable[[], Sandbox]) -> None:
    with pytest.raises(ConfigError, match="no step 'nonsense'") as caught:
        make()
    assert caught.value.code == "sandbox-step-unknown"
    assert "It knows: ok, " in caught.value.hint


def test_addresses_are_known_only_once_it_listens() -> None:
    sandbox = Sandbox()
    with pytest.raises(ConfigError, match="before it is started"):
        _ = sandbox.gmail_endpoint
    sandbox.start()
    try:
        assert sandbox.gmail_endpoint.startswith("http://127.0.0.1:")
        with pytest.raises(ConfigError, match="started before"):
            sandbox.start()
    finally:
        sandbox.stop()


@pytest.mark.parametrize("which", ["port", "smtp_port", "starttls_port"])
def test_a_port_that_is_taken_is_said(which: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port}: [^(]*$") as caught:
            Sandbox(**{which: port}).start()
        assert caught.value.code == "sandbox-port"


def test_a_port_can_be_chosen() -> None:
    with Sandbox() as sandbox:
        port = urlsplit(sandbox.gmail_endpoint).port
        tls, starttls = sandbox.smtp.port, sandbox.smtp.starttls_port
    assert port
    with Sandbox(port=port, smtp_port=tls, starttls_port=starttls) as again:
        assert (again.smtp.port, again.smtp.starttls_port) == (tls, starttls)
        assert again.gmail_endpoint == f"http://127.0.0.1:{port}"


def test_the_authoritys_file_is_private_and_goes_with_the_sandbox() -> None:
    with Sandbox() as sandbox:
        file = sandbox.smtp.ca_file
        assert b"PRIVATE" not in file.read_bytes()
        if sys.platform != "win32":
            assert file.parent.stat().st_mode & 0o077 == 0
    assert not file.parent.exists()


def test_it_stops_with_every_kind_of_connection_open() -> None:
    """Idle ones, half a request, half a handshake, a hanging answer, a message in the middle of its data."""
    with Sandbox(gmail="hang", smtp="ok") as sandbox:
        token = Application(sandbox).tokens()["access_token"]
        web = urlsplit(sandbox.gmail_endpoint)
        assert web.hostname
        where = [
            (web.hostname, web.port or 0),
            ("127.0.0.1", sandbox.smtp.port),
            ("127.0.0.1", sandbox.smtp.starttls_port),
        ]
        idle = [socket.create_connection(place, timeout=30) for place in where]
        half_request = socket.create_connection(where[0], timeout=30)
        half_request.sendall(b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        half_handshake = socket.create_connection(where[1], timeout=30)
        half_handshake.sendall(b"\x16\x03\x01\x02\x00\x01")
        half_starttls = smtplib.SMTP("127.0.0.1", sandbox.smtp.starttls_port, "client", timeout=30)
        assert half_starttls.docmd("EHLO client")[0] == 250
        assert half_starttls.docmd("STARTTLS")[0] == 220
        hanging = socket.create_connection(where[0], timeout=30)
        raw = json.dumps({"raw": urlsafe_b64encode(MAIL).decode()})
        hanging.sendall(
            f"POST {SEND_PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: {len(raw)}\r\n\r\n{raw}".encode()
        )
        sandbox.wait_for_event("gmail.fault", 1)
        sending = smtp_client(sandbox)
        sending.login("me@qq.com", sandbox.code)
        sending.mail("me@qq.com")
        sending.rcpt("ann@example.com")
        assert sending.docmd("DATA")[0] == 354
        sending.send(b"From: me@qq.com\r\n")

        sandbox.stop()
        sandbox.stop()
        for client in [*idle, half_request, half_handshake, hanging]:
            client.close()
        half_starttls.close()
        sending.close()
    for place in where:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(place, timeout=30)
    assert not sandbox.messages


def test_nothing_of_it_reaches_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "mail.log")
    with Sandbox(smtp="drop-after-dot") as sandbox:
        application = Application(sandbox)
        tokens = application.tokens()
        application.refresh(tokens["refresh_token"])
        send(sandbox, tokens["access_token"])
        application.revoke(tokens["access_token"])
        client = smtp_client(sandbox)
        client.ehlo()
        client.docmd("AUTH", "PLAIN " + b64encode(b"\0me@qq.com\0canary-code").decode())
        client.docmd("AUTH LOGIN")
        client.docmd("canary-code?")  # not even base64
        client.docmd("canary-code")
        client.login("me@qq.com", sandbox.code)
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.sendmail("me@qq.com", ["ann@example.com"], MAIL.replace(b"gmail", b"qq"))
        client.close()
    # asyncio says which selector it uses, and more in its debug mode.
    assert [record.name for record in caplog.records if record.name != "asyncio"] == []
    for secret in ("canary", sandbox.code, *tokens.values(), application.client["client_secret"]):
        assert str(secret) not in caplog.text


def test_aiosmtpd_may_log_what_is_not_of_a_sandbox(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "mail.log")
    with Sandbox():
        logging.getLogger("mail.log").info("another server of this process")
    assert [record.getMessage() for record in caplog.records if record.name == "mail.log"] == [
        "another server of this process"
    ]
    assert not logging.getLogger("mail.log").filters


def test_without_its_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib
    import importlib.util

    import oauth_mailer.sandbox as package

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "trustme" else real(name))
    with pytest.raises(ConfigError, match="trustme") as caught:
        importlib.reload(package)
    assert "oauth-mailer[sandbox]" in caught.value.hint
