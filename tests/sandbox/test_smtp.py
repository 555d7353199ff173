"""The SMTP provider: what it takes, what it refuses, and how it can fail at each stage."""

from __future__ import annotations

import smtplib
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from oauth_mailer.sandbox import Sandbox

ME = "me@qq.com"
MAIL = b"From: me@qq.com\r\nTo: ann@example.com\r\nSubject: hi\r\n\r\nHello\r\n"
_GONE = (smtplib.SMTPServerDisconnected, ConnectionError, ssl.SSLError)


def verified(sandbox: Sandbox) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=sandbox.smtp.ca_file)
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default since Python 3.13
    return context


def over_tls(sandbox: Sandbox, host: str = "") -> smtplib.SMTP:
    server = sandbox.smtp
    return smtplib.SMTP_SSL(
        host or server.host, server.port, local_hostname="client", context=verified(sandbox), timeout=30
    )


def over_starttls(sandbox: Sandbox) -> smtplib.SMTP:
    client = smtplib.SMTP(sandbox.smtp.host, sandbox.smtp.starttls_port, local_hostname="client", timeout=30)
    client.starttls(context=verified(sandbox))
    return client


Opener = Callable[[Sandbox], smtplib.SMTP]


def logged_in(sandbox: Sandbox, open_client: Opener = over_tls) -> smtplib.SMTP:
    client = open_client(sandbox)
    client.login(ME, sandbox.code)
    return client


def log_in_and_send(client: smtplib.SMTP, sandbox: Sandbox) -> None:
    client.login(ME, sandbox.code)
    client.sendmail(ME, ["ann@example.com"], MAIL)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as started:
        yield started


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[smtplib.SMTP]:
    with logged_in(sandbox) as opened:
        yield opened


@pytest.mark.parametrize("open_client", [over_tls, over_starttls])
def test_a_message_is_accepted_and_kept_octet_by_octet(sandbox: Sandbox, open_client: Opener) -> None:
    data = MAIL + b".\r\n..\r\n" + b"x" * 998 + b"\r\n" + bytes(range(128, 256)) + b"\r\n \t\r\n"
    with logged_in(sandbox, open_client) as client:
        refused = client.sendmail(ME, ["ann@example.com", "boss@example.com", "ann@example.com"], data)
    assert refused == {}
    [received] = sandbox.wait_for(1)
    assert received.route == "smtp"
    assert received.account == received.sender == ME
    assert received.recipients == ("ann@example.com", "boss@example.com")
    assert received.data == received.delivered == data


def test_the_reply_names_the_message(client: smtplib.SMTP, sandbox: Sandbox) -> None:
    client.mail(ME)
    client.rcpt("ann@example.com")
    code, text = client.data(MAIL)
    assert code == 250
    assert sandbox.messages[0].id in text.decode()


def test_the_certificate_is_right_for_both_names_of_this_machine(sandbox: Sandbox) -> None:
    with over_tls(sandbox, "localhost") as client:
        assert client.noop()[0] == 250
    assert sandbox.smtp.host == "127.0.0.1"


def test_nobody_trusts_the_certificate_without_its_authority(sandbox: Sandbox) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        smtplib.SMTP_SSL(sandbox.smtp.host, sandbox.smtp.port, context=ssl.create_default_context())


@pytest.mark.parametrize("open_client", [over_tls, over_starttls])
def test_inside_tls_it_offers_what_providers_offer(sandbox: Sandbox, open_client: Opener) -> None:
    with open_client(sandbox) as client:
        client.ehlo()
        assert set(client.esmtp_features) == {"pipelining", "size", "8bitmime", "smtputf8", "auth", "help"}
        assert sorted(client.esmtp_features["auth"].split()) == ["LOGIN", "PLAIN"]


def test_before_tls_there_is_no_login_and_no_mail(sandbox: Sandbox) -> None:
    with smtplib.SMTP(sandbox.smtp.host, sandbox.smtp.starttls_port, local_hostname="client") as client:
        client.ehlo()
        assert "starttls" in client.esmtp_features
        assert "auth" not in client.esmtp_features
        for command in ("AUTH LOGIN", "AUTH PLAIN AG1lAGNvZGU=", f"MAIL FROM:<{ME}>", "HELO client"):
            assert client.docmd(command)[0] == 530
    assert sandbox.counts["smtp.auth"] == 0


@pytest.mark.parametrize("mechanism", ["auth_plain", "auth_login"])
def test_either_mechanism_logs_in_with_address_and_code(sandbox: Sandbox, mechanism: str) -> None:
    with over_tls(sandbox) as client:
        client.ehlo()
        client.user, client.password = ME, sandbox.code
        assert client.auth(mechanism[5:].upper(), getattr(client, mechanism))[0] == 235
    assert (sandbox.counts["smtp.auth"], sandbox.counts["smtp.auth.refused"]) == (1, 0)


@pytest.mark.parametrize(
    ("login", "code"), [(ME, "wrong"), (ME, ""), (ME, "错"), ("me", "abcdefghijklmnop"), ("", "")]
)
def test_a_wrong_code_gets_the_text_of_five_causes(sandbox: Sandbox, login: str, code: str) -> None:
    with over_tls(sandbox) as client:
        client.ehlo()
        word = b64encode(f"\0{login}\0{code}".encode()).decode()
        reply, text = client.docmd("AUTH", f"PLAIN {word}")
        assert reply == 535
        assert text.startswith(
            b"Login fail. Account is abnormal, service is not open, password is incorrect,"
        )
        assert client.mail(ME)[0] == 530
    assert sandbox.counts["smtp.auth"] == sandbox.counts["smtp.auth.refused"] == 1


def test_the_code_is_the_one_that_was_chosen() -> None:
    with Sandbox(code="qrstuvwxyzabcdef") as sandbox, over_tls(sandbox) as client:
        assert client.login(ME, "qrstuvwxyzabcdef")[0] == 235


def test_the_sender_must_be_who_logged_in(client: smtplib.SMTP) -> None:
    with pytest.raises(smtplib.SMTPSenderRefused) as caught:
        client.sendmail("other@qq.com", ["ann@example.com"], MAIL)
    assert caught.value.smtp_code == 553
    assert caught.value.smtp_error == b"Mail from must equal authorized user"


@pytest.mark.parametrize(
    ("data", "code", "text"),
    [
        (MAIL.replace(b"From: me@qq.com\r\n", b""), 550, b'"From" header'),
        (MAIL.replace(b"me@qq.com", b"other@qq.com"), 554, b"DT:SUM"),
        (MAIL.replace(b"me@qq.com", b"me@qq.com, other@qq.com"), 554, b"DT:SUM"),
        (MAIL.replace(b"me@qq.com", b"=?utf-8?q?me=40qq=2Ecom?="), 550, b"Invalid From header"),
        (MAIL.replace(b"Subject", b"To: bob@example.com\r\nSubject"), 550, b"Multiple To"),
        (MAIL.replace(b"Subject: hi", b"Subject"), 550, b"Invalid header"),
    ],
)
def test_a_header_that_no_provider_takes_is_refused(
    client: smtplib.SMTP, sandbox: Sandbox, data: bytes, code: int, text: bytes
) -> None:
    with pytest.raises(smtplib.SMTPDataError) as caught:
        client.sendmail(ME, ["ann@example.com"], data)
    assert caught.value.smtp_code == code
    assert isinstance(caught.value.smtp_error, bytes)
    assert text in caught.value.smtp_error
    assert not sandbox.messages


@pytest.mark.parametrize("hidden", [b"\n.\r\n", b"\r.\r\n", b"\n.\n", b"\r\r\n", b"\0\r\n"])
def test_an_end_that_some_servers_would_see_is_refused(
    client: smtplib.SMTP, sandbox: Sandbox, hidden: bytes
) -> None:
    client.mail(ME)
    client.rcpt("ann@example.com")
    assert client.docmd("DATA")[0] == 354
    client.send(MAIL + hidden + b"MAIL FROM:<x@example.com>\r\n.\r\n")
    assert client.getreply()[0] == 550
    assert client.noop()[0] == 250
    assert not sandbox.messages


def test_a_line_of_a_thousand_octets_is_too_long(client: smtplib.SMTP) -> None:
    with pytest.raises(smtplib.SMTPDataError) as caught:
        client.sendmail(ME, ["ann@example.com"], MAIL + b"x" * 999 + b"\r\n")
    assert caught.value.smtp_code == 500


def test_a_size_over_the_limit_is_refused_before_the_message(client: smtplib.SMTP, sandbox: Sandbox) -> None:
    client.ehlo()
    limit = int(client.esmtp_features["size"])
    assert client.mail(ME, [f"SIZE={limit}"])[0] == 250
    client.rset()
    assert client.mail(ME, [f"SIZE={limit + 1}"])[0] == 552


def test_a_local_part_beyond_ascii_needs_its_extension(sandbox: Sandbox) -> None:
    me = "李雷@qq.com"
    data = MAIL.replace(b"me@qq.com", me.encode())
    with over_tls(sandbox) as client:
        client.ehlo()
        word = b64encode(f"\0{me}\0{sandbox.code}".encode()).decode()
        assert client.docmd("AUTH", f"PLAIN {word}")[0] == 235

        def command(text: str) -> int:
            client.send(text.encode() + b"\r\n")
            return client.getreply()[0]

        assert command(f"MAIL FROM:<{me}>") == 553
        assert command(f"MAIL FROM:<{me}> SMTPUTF8") == 250
        assert command("RCPT TO:<韩梅梅@example.com>") == 250
        assert client.data(data)[0] == 250
    assert sandbox.messages[0].recipients == ("韩梅梅@example.com",)


def test_commands_may_come_together(client: smtplib.SMTP, sandbox: Sandbox) -> None:
    client.send(f"MAIL FROM:<{ME}>\r\nRCPT TO:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n")
    assert [client.getreply()[0] for _command in range(4)] == [250, 250, 250, 354]
    client.send(MAIL + b".\r\nQUIT\r\n")
    assert [client.getreply()[0] for _command in range(2)] == [250, 221]
    assert sandbox.messages[0].recipients == ("a@example.com", "b@example.com")


def test_a_recipient_must_be_an_address(client: smtplib.SMTP) -> None:
    client.mail(ME)
    assert client.docmd("RCPT TO:<>")[0] in (501, 553)
    assert client.docmd("RCPT TO:<nobody>")[0] == 501
    assert client.docmd("DATA")[0] == 503


@pytest.mark.parametrize(("step", "code"), [("421", 421), ("554-ip", 554), ("drop-greeting", -1)])
def test_a_connection_can_be_turned_away(step: str, code: int) -> None:
    with Sandbox(smtp=f"{step},ok") as sandbox:
        with pytest.raises((smtplib.SMTPConnectError, smtplib.SMTPServerDisconnected)) as caught:
            over_tls(sandbox)
        assert getattr(caught.value, "smtp_code", -1) == code
        with logged_in(sandbox) as client:
            client.sendmail(ME, ["ann@example.com"], MAIL)
        assert len(sandbox.messages) == 1


@pytest.mark.parametrize(("step", "code"), [("535", 535), ("454", 454)])
def test_a_right_code_can_be_refused(step: str, code: int) -> None:
    with Sandbox(smtp=f"{step},ok") as sandbox, over_tls(sandbox) as client:
        client.ehlo()
        word = b64encode(f"\0{ME}\0{sandbox.code}".encode()).decode()
        assert client.docmd("AUTH", f"PLAIN {word}")[0] == code
        assert client.docmd("AUTH", f"PLAIN {word}")[0] == 235


@pytest.mark.parametrize(
    ("step", "code", "error"),
    [
        ("421-mail", 421, smtplib.SMTPSenderRefused),
        ("450", 450, smtplib.SMTPSenderRefused),
        ("550-quota", 550, smtplib.SMTPSenderRefused),
        ("452", 452, smtplib.SMTPDataError),
        ("451", 451, smtplib.SMTPDataError),
        ("552", 552, smtplib.SMTPDataError),
        ("554", 554, smtplib.SMTPDataError),
        ("421-dot", 421, smtplib.SMTPDataError),
    ],
)
def test_a_message_can_be_refused_at_each_stage_and_the_next_is_taken(
    step: str, code: int, error: type[smtplib.SMTPResponseException]
) -> None:
    with Sandbox(smtp=f"{step},ok") as sandbox:
        client = logged_in(sandbox)
        with pytest.raises(error) as caught:
            client.sendmail(ME, ["ann@example.com"], MAIL)
        assert caught.value.smtp_code == code
        assert not sandbox.messages
        client.close()
        with logged_in(sandbox) as client:
            client.sendmail(ME, ["ann@example.com"], MAIL)
        assert len(sandbox.messages) == 1


@pytest.mark.parametrize(("step", "code"), [("550", 550), ("450-rcpt", 450)])
def test_one_recipient_of_two_can_be_refused(step: str, code: int) -> None:
    with Sandbox(smtp=f"{step},ok") as sandbox, logged_in(sandbox) as client:
        refused = client.sendmail(ME, ["ann@example.com", "bob@example.com"], MAIL)
        assert list(refused) == ["ann@example.com"]
        assert refused["ann@example.com"][0] == code
        assert sandbox.messages[0].recipients == ("bob@example.com",)


@pytest.mark.parametrize(
    ("step", "event", "kept"),
    [
        ("drop-auth", "smtp.auth", 0),
        ("drop-mail", "smtp.mail", 0),
        ("drop-before-data", "smtp.data", 0),
        ("drop-in-data", "smtp.data", 0),
        ("drop-at-dot", "smtp.dot", 0),
        ("drop-after-dot", "smtp.accepted", 1),
    ],
)
def test_the_connection_can_drop_at_each_stage(step: str, event: str, kept: int) -> None:
    with Sandbox(smtp=step) as sandbox:
        client = over_tls(sandbox)
        with pytest.raises(_GONE):
            log_in_and_send(client, sandbox)
        client.close()
        assert sandbox.counts[event] == 1
        assert len(sandbox.messages) == kept


@pytest.mark.parametrize(
    ("step", "event", "kept"),
    [("hang-at-dot", "smtp.dot", 0), ("hang-after-dot", "smtp.accepted", 1), ("quit-hang", "smtp.quit", 0)],
)
def test_a_reply_can_stay_out_until_the_sandbox_stops(step: str, event: str, kept: int) -> None:
    with Sandbox(smtp=step) as sandbox:
        client = logged_in(sandbox)
        if step == "quit-hang":
            client.send("QUIT\r\n")
        else:
            client.mail(ME)
            client.rcpt("ann@example.com")
            client.docmd("DATA")
            client.send(MAIL + b".\r\n")
        sandbox.wait_for_event(event, 1)
        sandbox.stop()
        with pytest.raises(_GONE):
            client.getreply()
        client.close()
        assert len(sandbox.messages) == kept


def test_a_greeting_can_stay_out() -> None:
    with Sandbox(smtp="hang-greeting") as sandbox:
        raw = socket.create_connection((sandbox.smtp.host, sandbox.smtp.starttls_port), timeout=30)
        with raw:
            sandbox.wait_for_event("smtp.connect", 1)
            sandbox.stop()
            with suppress(ConnectionResetError):
                assert raw.recv(100) == b""


@pytest.mark.parametrize("step", ["quit-nul", "quit-close"])
def test_the_end_can_be_rude_after_the_message_was_accepted(step: str) -> None:
    with Sandbox(smtp=f"ok,{step}") as sandbox:
        client = logged_in(sandbox)
        assert client.sendmail(ME, ["ann@example.com"], MAIL) == {}
        client.send("QUIT\r\n")
        assert client.sock is not None
        with suppress(*_GONE):
            heard = b"".join(iter(lambda: client.sock.recv(100) if client.sock else b"", b""))
            assert heard == (b"\0" * 8 if step == "quit-nul" else b"")
        client.close()
        assert sandbox.counts["smtp.quit"] == 1
        assert len(sandbox.messages) == 1
