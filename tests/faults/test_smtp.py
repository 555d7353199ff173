"""What goes wrong between us and an SMTP server: the verdict, and what the server took."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from oauth_mailer import Message, RawMessage, open_mailer
from oauth_mailer.account import Account, secret_variable
from oauth_mailer.accounts import Accounts
from oauth_mailer.address import Address
from oauth_mailer.errors import (
    LoginRequired,
    MailerError,
    MessageError,
    OutcomeUnknown,
    RejectedError,
    RouteError,
    SendError,
    TransientError,
)
from oauth_mailer.mime import render
from oauth_mailer.providers import Server
from oauth_mailer.transports.smtp import SmtpTransport
from oauth_mailer.wire.smtp_channel import GarbledReply, PeerClosed
from oauth_mailer.wire.smtp_connect import FOREIGN, NoHostName, fault
from tests.support.certificates import NAMES, authority, ca_file, server_context
from tests.support.smtp_script import (
    CODE,
    EXTENSIONS,
    SmtpScript,
    Step,
    Talk,
    close,
    drip,
    flood,
    hang,
    reset,
    then_close,
)
from tests.support.smtp_sending import HELLO, Code, content, envelope, send, transport

BIG = HELLO + b"0123456789abcdef\r\n" * 400_000
QQ_535 = (
    b"535 Login fail. Account is abnormal, service is not open, password is incorrect, "
    b"login frequency limited, or system is busy. More information at https://help.mail.qq.com/\r\n"
)


def refused(server: SmtpScript, kind: type[MailerError], code: str = "", **how: object) -> MailerError:
    """Send one message; it must end in just this kind of error, with a verdict and a next step."""
    with pytest.raises(kind) as caught:
        send(server, **how)  # type: ignore[arg-type]
    error = caught.value
    assert type(error) is kind
    assert not code or error.code == code, error.code
    assert error.hint
    assert str(error).isprintable()
    assert isinstance(error, SendError)
    return error


# 13, 14. Before anything is connected


def account_at(server: SmtpScript, home: Path, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> Account:
    """An account at this server in the configuration, its code in the environment."""
    account = server.account(**{"store": "environment"} | fields)
    Accounts(home).add(account)
    monkeypatch.setenv(secret_variable(account.address), CODE)
    return account


@pytest.mark.fault(14)
@pytest.mark.parametrize(("address", "provider"), [("me@qq.com", "qq"), ("me@163.com", "163")])
def test_a_message_from_another_address_never_reaches_a_provider_that_refuses_it(
    address: str, provider: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    eml = b"From: you@example.com\r\nTo: ann@example.com\r\nSubject: Hi\r\n\r\nHello\r\n"
    with SmtpScript() as server:
        account_at(server, home, monkeypatch, address=address, provider=provider)
        with open_mailer(home=home) as mailer:
            with pytest.raises(RouteError) as caught:
                mailer.send(RawMessage(eml))
            assert caught.value.code == "sender-mismatch"
            assert "you@example.com" in caught.value.hint
            assert server.connections == 0
            mailer.send(RawMessage(eml.replace(b"you@example.com", address.encode())))
    assert len(server.accepted) == 1


@pytest.mark.fault(10)
def test_more_recipients_than_the_provider_takes_are_refused_with_the_way_to_split(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [f"user{number}@example.com" for number in range(101)]
    with SmtpScript() as server:
        account_at(server, home, monkeypatch, address="me@gmail.com", provider="gmail-smtp")
        with open_mailer(home=home) as mailer:
            with pytest.raises(MessageError) as caught:
                mailer.send(Message(to=people[:50], bcc=people[50:], text="Hello"))
            assert caught.value.code == "too-many-recipients"
            assert "at most 100" in caught.value.hint
            assert server.connections == 0
            mailer.send(Message(to=people[:50], bcc=people[50:100], text="Hello"))
    assert len(server.accepted[0].recipients) == 100


@pytest.mark.fault(13)
def test_the_servers_limit_counts_the_octets_as_they_are_sent(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = {"id": "<a@qq.com>", "date": datetime(2024, 1, 1, tzinfo=UTC), "to": "ann@example.com"}
    letter = Message(**fixed, text=".\n" * 1000)  # type: ignore[arg-type]
    size = render(letter, Address("me@qq.com"))[1].size
    for limit, passes in ((size, True), (size - 1, False)):
        with SmtpScript(extensions=[f"SIZE {limit}", "AUTH PLAIN"]) as server:
            account_at(server, home, monkeypatch, provider="qq")
            with open_mailer(home=home) as mailer:
                if passes:
                    mailer.send(letter)
                else:
                    with pytest.raises(RejectedError, match=f"{size} octets.*at most {limit}"):
                        mailer.send(letter)
        assert [len(mail.data) for mail in server.accepted] == [size] * passes
        assert len(server.said("MAIL")) == passes


# 15. Certificates


CERTIFICATES = {
    "wrong name": lambda: server_context("mail.example.com"),
    "expired": lambda: server_context(not_after=datetime(2020, 1, 1, tzinfo=UTC)),
    "untrusted": lambda: server_context(trusted=False),
}


@pytest.mark.fault(15)
@pytest.mark.parametrize("context", CERTIFICATES.values(), ids=CERTIFICATES.keys())
@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_no_credential_is_sent_to_a_server_that_does_not_prove_its_name(
    security: str, context: object
) -> None:
    with SmtpScript(security=security, context=context()) as server:  # type: ignore[operator]
        error = refused(server, RouteError, "tls-certificate")
    assert not server.auths
    assert not server.said("MAIL")
    assert "not trusted" in error.message


@pytest.mark.fault(15)
def test_a_self_signed_certificate_is_trusted_only_if_it_is_named(tmp_path: Path) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    _self_signed(key, cert)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with SmtpScript(context=context) as server:
        assert "--ca-file" in refused(server, RouteError, "tls-certificate").hint
        assert not server.auths
        send(server, ca_file=str(cert))
    assert len(server.accepted) == 1


def _self_signed(key: Path, cert: Path) -> None:
    from datetime import timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(private, hashes.SHA256())
    )
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def test_ssl_cert_file_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    with SmtpScript() as server:
        refused(server, RouteError, "tls-certificate", ca_file="")
        monkeypatch.setenv("SSL_CERT_FILE", ca_file())
        send(server, ca_file="")
    assert len(server.accepted) == 1


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_ca_file_that_cannot_be_used_is_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with SmtpScript() as server:
        error = refused(server, RouteError, "ca-file", ca_file=str(path))
    assert str(path) in error.message
    assert not server.auths


def test_tls_below_1_2_is_refused() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(*NAMES).configure_cert(context)
    context.set_ciphers("ALL:@SECLEVEL=0")  # without it, OpenSSL itself would not speak so old a version
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with SmtpScript(context=context) as server:
        refused(server, RouteError, "tls-too-old")
    assert not server.commands


# 16. STARTTLS


@pytest.mark.fault(16)
def test_a_server_without_starttls_gets_nothing() -> None:
    with SmtpScript(security="starttls", ehlo=b"250-mx\r\n250 AUTH PLAIN\r\n") as server:
        refused(server, RouteError, "starttls-missing")
    assert [command.split(" ")[0] for command in server.commands] == ["EHLO"]


@pytest.mark.fault(16)
@pytest.mark.parametrize(
    ("reply", "kind"), [(b"502 no\r\n", RouteError), (b"454 4.7.0 not now\r\n", TransientError)]
)
def test_a_server_that_refuses_starttls_gets_nothing(reply: bytes, kind: type[MailerError]) -> None:
    def refuse(talk: Talk) -> bool:
        talk.say(reply)
        return False

    with SmtpScript(security="starttls", starttls=refuse) as server:
        refused(server, kind)
    assert not server.auths
    assert not server.said("MAIL")


@pytest.mark.fault(16)
def test_text_behind_the_reply_to_starttls_ends_the_connection() -> None:
    injected = b"220 go ahead\r\n250-mx\r\n250 AUTH PLAIN\r\n"
    with SmtpScript(security="starttls", starttls=injected) as server:
        refused(server, RouteError, "starttls-injection")
    assert not server.auths


@pytest.mark.fault(16)
def test_a_tls_port_that_speaks_plain_text_is_found_out() -> None:
    with SmtpScript(security="none") as server:
        error = refused(server, RouteError, "tls-not-spoken", security="tls")
    assert "starttls" in error.hint
    assert not any("AUTH" in command for command in server.commands)


@pytest.mark.fault(16)
def test_a_starttls_port_that_speaks_tls_is_found_out() -> None:
    with SmtpScript(security="tls") as server:
        error = refused(server, RouteError, "server-speaks-tls", security="starttls", timeout=3)
    assert "--security tls" in error.hint
    assert not server.auths


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n", b"* OK IMAP4\r\n", b"SSH-2.0-x\r\n"])
def test_another_kind_of_server_is_told_apart(greeting: bytes) -> None:
    with SmtpScript(greeting=then_close(greeting)) as server:
        refused(server, RouteError, "not-smtp")
    assert not server.commands


# 17. Replies without measure

STEPS = ("greeting", "ehlo", "auth", "mail", "rcpt", "data", "dot")
UNMEASURED: dict[str, Step] = {
    "a drip": drip(b"250-and so on\r\n"),
    "a drip without line ends": drip(b"2"),
    "a reply without end": flood(b"250-and so on\r\n"),
    "a line without end": flood(b"250 and so on "),
    "binary": then_close(b"\x00\xff\xfe\x80\x81\r\n"),
    "half a reply": then_close(b"25"),
    "a changing code": then_close(b"250-yes\r\n550 no\r\n"),
    "silence": hang,
}


@pytest.mark.fault(17)
@pytest.mark.parametrize("step", ["greeting", "auth", "mail", "dot"])
@pytest.mark.parametrize("answer", UNMEASURED.values(), ids=UNMEASURED.keys())
def test_a_reply_without_measure_is_bounded_and_its_verdict_follows_from_the_step(
    step: str, answer: Step
) -> None:
    script = {step: answer}
    with SmtpScript(**script) as server, pytest.raises(SendError) as caught:  # type: ignore[arg-type]
        send(server, timeout=0.4)
    error = caught.value
    if step == "dot":
        assert type(error) is OutcomeUnknown
        assert error.code == "outcome-unknown"
        assert len(server.received) == 1
    else:
        assert error.verdict == "not_sent"
        assert isinstance(error, TransientError | RouteError)
        assert not server.received
    assert len(server.said("AUTH")) <= 1
    assert server.connections == 1
    assert len(str(error)) < 2000
    assert str(error).isprintable()


def begins_a_line(talk: Talk) -> bool:
    talk.say(b"250 " + b"x" * 20_000)
    return hang(talk)


TOO_MUCH: dict[str, Step] = {
    "lines": b"250-and so on\r\n" * 1000 + b"250 ok\r\n",
    "octets": b"250 " + b"x" * 20_000 + b"\r\n",
    "octets so far": begins_a_line,
}


@pytest.mark.fault(17)
@pytest.mark.parametrize("answer", TOO_MUCH.values(), ids=TOO_MUCH.keys())
def test_a_reply_that_is_too_long_is_none_though_it_comes_in_time(answer: Step) -> None:
    with SmtpScript(mail=answer) as server:
        refused(server, TransientError, "reply-garbled", timeout=30)
    with SmtpScript(dot=answer) as server:
        assert "no SMTP reply" in refused(server, OutcomeUnknown, timeout=30).message
    assert len(server.received) == 1


@pytest.mark.fault(17)
def test_a_chinese_reply_is_read_in_its_own_encoding() -> None:
    with SmtpScript(auth="535 登录失败\r\n".encode("gb18030")) as server:
        assert refused(server, LoginRequired).text == "535 登录失败"


@pytest.mark.fault(17)
def test_control_characters_are_shown_escaped() -> None:
    with SmtpScript(mail=b"550 \x1b[31mred\x07\xe2\x80\xae\r\n") as server:
        error = refused(server, RouteError)
    assert error.text == "550 \\x1b[31mred\\x07\\u202e"


# 18. A wrong code


@pytest.mark.fault(18)
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_a_wrong_code_is_shown_exactly_once(mechanism: str) -> None:
    offered = " ".join(["AUTH", mechanism, "LOGIN", "CRAM-MD5"])
    with SmtpScript(extensions=[offered], secrets=["another"]) as server:
        error = refused(server, LoginRequired, "login-refused")
    assert len(server.auths) == 1
    assert server.connections == 1
    assert "oauth-mailer login me@qq.com" in error.hint


@pytest.mark.fault(18)
def test_a_refused_code_is_not_shown_again_until_somebody_acts() -> None:
    with SmtpScript(secrets=["another"]) as server:
        way = transport(server)
        for _ in range(3):
            with pytest.raises(LoginRequired) as caught:
                way.send(envelope(), content())
            assert caught.value.hint
        assert (server.connections, len(server.auths)) == (1, 1)
        way.close()
        with pytest.raises(LoginRequired):
            way.send(envelope(), content())
        assert len(server.auths) == 2
        way.close()


@pytest.mark.fault(18)
def test_threads_with_a_wrong_code_show_it_once() -> None:
    errors: list[MailerError] = []
    there, everyone = threading.Semaphore(0), threading.Event()

    def hello(talk: Talk) -> bool:
        there.release()
        return talk.say(b"250-mx.example\r\n250 AUTH PLAIN\r\n")

    def refuse(talk: Talk) -> bool:  # once all are connected, so that each could show it before the answer
        if not everyone.is_set():
            assert all(there.acquire(timeout=30) for _ in range(4))
            everyone.set()
        return talk.say(b"535 5.7.8 no\r\n")

    with SmtpScript(ehlo=hello, auth=refuse) as server:
        way = transport(server, timeout=60)

        def one() -> None:
            try:
                way.send(envelope(), content())
            except LoginRequired as error:
                errors.append(error)

        threads = [threading.Thread(target=one) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        way.close()
    assert len(errors) == 8
    assert len(server.auths) == 1


@pytest.mark.fault(18)
def test_a_new_code_is_tried_at_once() -> None:
    credential = Code("wrong")
    with SmtpScript() as server:
        way = transport(server, credential)
        with pytest.raises(LoginRequired):
            way.send(envelope(), content())
        credential.secrets = [CODE]
        way.send(envelope(), content())
        way.close()
    assert len(server.accepted) == 1


@pytest.mark.fault(18)
def test_qqs_one_reply_for_five_causes_names_all_of_them_and_when_to_try_again() -> None:
    with SmtpScript(auth=QQ_535) as server:
        error = refused(server, LoginRequired, "login-refused", provider="qq")
    assert len(server.auths) == 1
    for cause in ("abnormal", "not switched on", "code is wrong", "too many logins", "busy"):
        assert cause in error.message
    assert "15 minutes" in error.hint
    assert "oauth-mailer login me@qq.com" in error.hint
    assert error.text.startswith("535 Login fail.")


@pytest.mark.fault(33)
def test_a_server_that_repeats_the_secret_does_not_get_it_into_the_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)

    def repeats(talk: Talk) -> bool:
        return talk.say(f"500 unknown: {server.auths[0]} {CODE}\r\n".encode())

    def garbled(talk: Talk) -> bool:
        return talk.say(f"unknown: {server.auths[0]} {CODE}\r\n".encode())

    for act in (repeats, garbled):
        with SmtpScript(auth=act) as server, pytest.raises(SendError) as caught:
            send(server)
        encoded = server.auths[0].split(" ")[2]
        shown = "".join(traceback.format_exception(caught.value)) + str(vars(caught.value)) + caplog.text
        assert "***" in shown
        assert CODE not in shown
        assert encoded not in shown


# 19. Not now


@pytest.mark.fault(19)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("extensions", [EXTENSIONS, EXTENSIONS[1:]], ids=["pipelined", "one by one"])
def test_421_is_not_sent_and_worth_a_later_try_at_every_step(step: str, extensions: tuple[str, ...]) -> None:
    script = {step: then_close(b"421 4.3.2 closing\r\n")}
    with SmtpScript(extensions=extensions, **script) as server:  # type: ignore[arg-type]
        error = refused(server, TransientError)
    assert error.retry_after
    assert error.text.startswith("421")
    assert not server.accepted
    assert server.connections == 1


@pytest.mark.fault(19)
@pytest.mark.parametrize("step", ["auth", "mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize(
    "reply", [b"450 4.2.0 greylisted\r\n", b"451 4.3.0 local error\r\n", b"452 4.3.1 full\r\n"]
)
def test_450_451_and_452_are_not_sent_and_worth_a_later_try(step: str, reply: bytes) -> None:
    with SmtpScript(**{step: reply}) as server:  # type: ignore[arg-type]
        error = refused(server, TransientError)
    assert error.retry_after
    assert not server.accepted


@pytest.mark.fault(19)
def test_a_daily_quota_is_worth_a_try_tomorrow_though_it_says_550() -> None:
    with SmtpScript(dot=b"550 MI:STC 163 smtp1,abc 1700000000\r\n") as server:
        error = refused(server, TransientError, "daily-limit", provider="163")
    assert error.retry_after == 86400
    assert not server.accepted


# 20. Recipients and senders


@pytest.mark.fault(20)
@pytest.mark.parametrize("extensions", [EXTENSIONS, EXTENSIONS[1:]], ids=["pipelined", "one by one"])
def test_refused_recipients_are_named_and_the_others_get_the_message(extensions: tuple[str, ...]) -> None:
    answers: list[Step] = [
        b"250 ok\r\n",
        b"550 5.1.1 no such\x07 user\r\n",
        b"450 4.2.1 later\r\n",
        b"251 ok\r\n",
    ]
    with SmtpScript(extensions=extensions, rcpt=answers) as server:
        acceptance = send(server, "a@x.example", "b@x.example", "c@x.example", "d@x.example")
    assert len(server.accepted) == 1
    assert acceptance.refused == {
        "b@x.example": "550 5.1.1 no such\\x07 user",
        "c@x.example": "450 4.2.1 later",
    }


@pytest.mark.parametrize("extensions", [EXTENSIONS, EXTENSIONS[1:]], ids=["pipelined", "one by one"])
@pytest.mark.parametrize("data", [b"503 no recipients\r\n", b"354 go on\r\n"], ids=["refused", "taken"])
def test_if_all_recipients_are_refused_nothing_is_sent(extensions: tuple[str, ...], data: bytes) -> None:
    script: dict[str, Step] = {"rcpt": b"550 5.1.1 no\r\n", "data": data}
    with (
        SmtpScript(extensions=extensions, **script) as server,  # type: ignore[arg-type]
        pytest.raises(RejectedError) as caught,
    ):
        send(server, "a@x.example", "b@x.example")
    assert caught.value.refused == {"a@x.example": "550 5.1.1 no", "b@x.example": "550 5.1.1 no"}
    assert not server.received
    assert not server.accepted


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ([b"450 4.2.1 later\r\n", b"451 4.2.1 later\r\n"], TransientError),
        ([b"550 5.1.1 no\r\n", b"451 4.2.1 later\r\n"], TransientError),
        ([b"550 5.1.1 no\r\n", b"554 5.7.1 Relay access denied\r\n"], RouteError),
        ([b"553 5.7.1 not owned by user me\r\n"] * 2, RouteError),
    ],
)
def test_what_comes_next_follows_from_why_all_were_refused(
    answers: list[Step], kind: type[MailerError]
) -> None:
    with SmtpScript(rcpt=answers) as server, pytest.raises(kind) as caught:
        send(server, "a@x.example", "b@x.example")
    assert type(caught.value) is kind
    assert not server.received


@pytest.mark.parametrize("data", [b"503 nothing\r\n", b"354 go on\r\n"], ids=["refused", "taken"])
@pytest.mark.parametrize("code", [b"501", b"502", b"553"])
def test_a_sender_that_is_not_the_login_is_a_routes_error(code: bytes, data: bytes) -> None:
    reply = code + b" mail from address must be same as authorization user\r\n"
    with SmtpScript(mail=reply, rcpt=b"503 nothing\r\n", data=data) as server:
        error = refused(server, RouteError, "sender-mismatch", provider="qq")
    assert error.try_next_route
    assert not server.received


def test_without_pipelining_nothing_is_said_after_the_sender_was_refused() -> None:
    with SmtpScript(extensions=EXTENSIONS[1:], mail=b"550 5.7.1 no\r\n") as server:
        refused(server, RouteError, "sender-refused")
    assert server.commands[-1] == "QUIT"
    assert not server.said("RCPT")


@pytest.mark.parametrize(
    ("reply", "kind"), [(b"554 5.7.1 spam\r\n", RejectedError), (b"451 later\r\n", TransientError)]
)
@pytest.mark.parametrize("step", ["data", "dot"])
def test_a_message_that_is_refused_as_a_whole_was_not_sent(
    step: str, reply: bytes, kind: type[MailerError]
) -> None:
    with SmtpScript(**{step: reply}) as server:  # type: ignore[arg-type]
        refused(server, kind)
    assert not server.accepted


# 21. Lost connections

ENDS = {"closed": close, "reset": reset}


@pytest.mark.fault(21)
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("step", ["tls", "greeting", "ehlo", "auth", "mail", "rcpt", "data"])
def test_a_connection_lost_before_the_message_is_not_sent(step: str, end: Step) -> None:
    with SmtpScript(**{step: end}) as server:  # type: ignore[arg-type]
        refused(server, TransientError)
    assert not server.received
    assert server.connections == 1


@pytest.mark.fault(21)
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("security", ["tls", "none"])
def test_a_connection_lost_while_the_message_is_sent_is_not_sent(end: Step, security: str) -> None:
    with SmtpScript(security=security, content=end) as server:
        server.extensions = ["AUTH PLAIN"]  # no SIZE, which would refuse it before
        refused(server, TransientError, "connection-lost", what=content(BIG))
    assert not server.received


def test_a_server_that_stops_reading_is_not_waited_for_without_end() -> None:
    with SmtpScript(content=hang) as server:
        server.extensions = ["AUTH PLAIN"]
        refused(server, TransientError, "timeout", what=content(BIG * 4), timeout=0.5)
    assert not server.received


def read_on(talk: Talk) -> bool:
    """Read what comes, and do nothing with it."""
    while talk.sock.recv(1 << 16):
        pass
    return False


@pytest.mark.parametrize("then", [read_on, hang], ids=["read on", "read no more"])
def test_a_server_that_refuses_in_the_middle_is_heard(then: Callable[[Talk], bool]) -> None:
    def refuses(talk: Talk) -> bool:
        return talk.say(b"552 5.3.4 too much\r\n") and then(talk)

    with SmtpScript(extensions=["AUTH PLAIN"], content=refuses) as server:
        error = refused(server, RejectedError, "message-too-large", what=content(BIG * 4), timeout=0.5)
    assert error.text == "552 5.3.4 too much"
    assert not server.received


LOST = {
    "closed": close,
    "reset": reset,
    "silent": hang,
    "half a reply": then_close(b"250 2.0.0 Ok"),
    "no reply": then_close(b"\x00\x00\x00\r\n"),
    "a reply that makes no sense": b"354 more?\r\n",
}


@pytest.mark.fault(21)
@pytest.mark.parametrize("end", LOST.values(), ids=LOST.keys())
@pytest.mark.parametrize("security", ["tls", "starttls", "none"])
def test_without_an_answer_to_the_final_dot_the_outcome_is_unknown(security: str, end: Step) -> None:
    with SmtpScript(security=security, dot=end) as server:
        error = refused(server, OutcomeUnknown, "outcome-unknown", timeout=0.5)
    assert error.verdict == "unknown"
    assert not error.try_next_route
    assert not error.retry_later
    assert len(server.received) == 1
    assert server.connections == 1


@pytest.mark.fault(21)
@pytest.mark.parametrize(
    ("taken", "failure", "kind"),
    [
        (0, ConnectionResetError(104, "reset"), TransientError),  # not one octet of the end has left
        (0, TimeoutError("timed out"), OutcomeUnknown),  # who knows what the system still sends
        (1, ConnectionResetError(104, "reset"), OutcomeUnknown),
        (2, TimeoutError("timed out"), OutcomeUnknown),
    ],
)
def test_what_left_of_the_end_decides_the_verdict(
    taken: int, failure: OSError, kind: type[MailerError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system itself fails as the end of the message is handed to it: no server can be told to do that."""
    plain = socket.socket.send

    def send_some(sock: socket.socket, data: memoryview, flags: int = 0) -> int:
        if bytes(data) == b".\r\n" and taken:
            return plain(sock, data[:taken], flags)
        if bytes(data) == b".\r\n"[taken:]:
            raise failure
        return plain(sock, data, flags)

    with SmtpScript(security="none") as server:
        monkeypatch.setattr(socket.socket, "send", send_some)
        error = refused(server, kind)
        assert error.verdict == ("not_sent" if kind is TransientError else "unknown")
    assert (server.connections, len(server.received)) == (1, 0)


FAREWELLS: dict[str, Step] = {
    "NUL bytes": b"\x00\x00\x00",
    "a NUL line": b"\x00\x00\x00\r\n",
    "closed": close,
    "reset": reset,
    "500": b"500 what?\r\n",
    "silence": hang,
    "a drip": drip(b"2"),
}


@pytest.mark.fault(21)
@pytest.mark.parametrize("farewell", FAREWELLS.values(), ids=FAREWELLS.keys())
def test_nothing_after_the_acceptance_turns_it_into_a_failure(farewell: Step) -> None:
    with SmtpScript(quit=farewell) as server:
        assert send(server).remote_id
    assert len(server.accepted) == 1


@pytest.mark.fault(21)
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_a_connection_that_ends_right_after_the_acceptance_is_sent(end: Step) -> None:
    def accepts(talk: Talk) -> bool:
        talk.say(b"250 taken\r\n")
        return end(talk) if callable(end) else False

    with SmtpScript(dot=accepts) as server:
        assert send(server).remote_id == "taken"
    assert len(server.accepted) == 1


# Names and addresses


def test_a_server_that_is_not_there_is_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    account = Account(address="me@qq.com", host="127.0.0.1", port=port, security="tls")
    with pytest.raises(TransientError) as caught:
        SmtpTransport(account, Code, timeout=5).send(envelope(), content())
    assert caught.value.code == "connect"
    assert str(port) in caught.value.message


@pytest.mark.parametrize(
    ("host", "kind", "code"),
    [
        ("no-such-host.invalid", TransientError, "dns"),
        ("a" * 64 + ".example", RouteError, "host-wrong"),
        (".example", RouteError, "host-wrong"),
        ("two..dots", RouteError, "host-wrong"),
        ("nul\0.example", RouteError, "host-wrong"),
        ("☃\u2028.example", RouteError, "host-wrong"),
    ],
)
def test_a_host_that_is_none_is_told(host: str, kind: type[MailerError], code: str) -> None:
    account = Account(address="me@qq.com", host=host, port=465, security="tls")
    with pytest.raises(kind) as caught:
        SmtpTransport(account, Code, timeout=5).send(envelope(), content())
    assert caught.value.code == code


def test_every_foreign_exception_has_an_error_of_ours_at_every_step() -> None:
    foreign = [
        TimeoutError("timed out"),
        ConnectionRefusedError(111, "refused"),
        ConnectionResetError(104, "reset"),
        BrokenPipeError(32, "broken pipe"),
        OSError(101, "network is unreachable"),
        PeerClosed("ended"),
        socket.gaierror(-2, "unknown name"),
        ssl.SSLError(1, "[SSL] something"),
        ssl.SSLEOFError(8, "eof"),
        ssl.SSLZeroReturnError(6, "closed"),
        ssl.SSLCertVerificationError(1, "certificate verify failed"),
        GarbledReply(b"\x16\x03\x01"),
        GarbledReply(b"nonsense"),
        NoHostName(),
    ]
    assert {kind for kind in FOREIGN if not any(isinstance(one, kind) for one in foreign)} == set()
    for error in foreign:
        for step in ("connect", "tls", "ehlo", "starttls", "auth", "mail", "data", "dot"):
            ours = fault(error, step, Server("mx.example", 465))
            assert isinstance(ours, SendError)
            assert ours.verdict == ("unknown" if step == "dot" else "not_sent")
            assert ours.code
            assert ours.hint
            assert str(ours).isprintable()


def test_a_server_that_is_slow_at_each_step_does_not_hold_a_message_for_ever() -> None:
    def slowly(talk: Talk) -> bool:
        talk.server.stopping.wait(0.3)  # well within the time of a step
        return talk.say(b"250 ok\r\n")

    recipients = [f"a{number}@example.com" for number in range(100)]
    with SmtpScript(extensions=("AUTH PLAIN",), rcpt=slowly) as server:
        with pytest.raises(TransientError) as caught:
            transport(server, timeout=0.5).send(envelope(*recipients), content())
        assert caught.value.code == "timeout"
        assert not server.accepted
        assert 5 < len(server.said("RCPT")) < 40
