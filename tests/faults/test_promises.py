"""Promises that a small change could break unseen: each test here failed once, with the promise broken."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
import traceback
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, cast

import pytest
import trustme

from oauth_mailer import (
    Acceptance,
    Address,
    Attachment,
    Attempt,
    ConfigError,
    FileTransport,
    LoginRequired,
    Mailer,
    MailerError,
    MemoryTransport,
    Message,
    MessageError,
    OutcomeUnknown,
    RejectedError,
    Route,
    RouteError,
    SendError,
    StoreError,
    TransientError,
)
from oauth_mailer.accounts import secret_variable
from oauth_mailer.auth.google import (
    IDENTITY,
    Access,
    Consent,
    ConsentRequest,
    GoogleCredential,
    client_from,
    consent_slot,
    scopes_of,
)
from oauth_mailer.message import Envelope
from oauth_mailer.mime import Content, render
from oauth_mailer.providers import Server
from oauth_mailer.stores import Secret, Slot, StoreOptions, open_store
from oauth_mailer.stores._sealed import new_key
from oauth_mailer.stores.memory import MemoryStore
from oauth_mailer.transports.gmail import GmailTransport
from oauth_mailer.wire.loopback import Listener
from oauth_mailer.wire.one_post import PostClient
from oauth_mailer.wire.smtp_session import Mail, SmtpSession
from oauth_mailer.wire.tls import client_context
from tests.cli.program import run
from tests.support import certificates, http_script
from tests.support.google_account import CLIENT_ID, REFRESH_TOKEN, client_at, google_account, with_consent
from tests.support.http_script import Exchange, HttpScript, answer
from tests.support.smtp_script import CODE, SmtpScript, Talk
from tests.support.smtp_sending import HELLO, Code, content, envelope, send, transport

ME = Address("me@gmail.com")
SENT = answer(body={"id": "18c0ffee"})


class Token:
    """A credential that never changes."""

    form: Literal["bearer"] = "bearer"

    def get(self) -> Secret:
        return Secret("token")

    def renew(self, refused: Secret) -> Secret:
        return self.get()


class Blocks(list[bytes]):
    """The body of a request."""

    def __len__(self) -> int:
        return sum(map(len, self))


def gmail(server: HttpScript, monkeypatch: pytest.MonkeyPatch) -> GmailTransport:
    monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", server.url)
    return GmailTransport(ME.email, Token, timeout=10)


def letter(size: int = 0) -> tuple[Envelope, Content]:
    attachments = [Attachment(bytes(size), filename="large.bin")] if size else []
    return render(Message(to="ann@example.com", text="Hi", attachments=attachments), ME)


# Every attempt ends in sent, not sent or unknown, and only what was not sent is tried again


def take_and_reset(exchange: Exchange) -> bool:
    exchange.read_all()
    exchange.reset()
    return False


@pytest.mark.fault(23)
@pytest.mark.parametrize(
    "end",
    [http_script.close, take_and_reset, http_script.raw(b"HTTP/1.1 20"), http_script.raw(b"\0\0")],
    ids=["closed", "reset", "half an answer", "no answer"],
)
@pytest.mark.parametrize("size", [0, 2 << 20], ids=["small", "large"])
def test_a_mail_taken_without_an_answer_over_a_kept_connection_is_posted_no_second_time(
    end: http_script.Step, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HttpScript(SENT, end, SENT) as server, closing(gmail(server, monkeypatch)) as way:
        way.send(*letter())
        with pytest.raises(OutcomeUnknown):
            way.send(*letter(size))
        assert (server.connections, len(server.requests)) == (1, 2)


@pytest.mark.fault(23)
def test_a_mail_never_goes_over_a_connection_that_still_owes_the_answer_to_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with HttpScript(http_script.hang, SENT) as server:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", server.url)
        with closing(GmailTransport(ME.email, Token, timeout=0.5)) as way:
            with pytest.raises(OutcomeUnknown):
                way.send(*letter())
            assert way.send(*letter()).remote_id == "18c0ffee"
        assert (server.connections, len(server.requests)) == (2, 2)


def test_an_answer_that_was_cut_off_leaves_no_connection_for_the_next_mail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_long(exchange: Exchange) -> bool:
        exchange.read_all()
        exchange.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + bytes((1 << 20) + 1))
        return True

    with HttpScript(too_long, SENT) as server, closing(gmail(server, monkeypatch)) as way:
        with pytest.raises(OutcomeUnknown):
            way.send(*letter())
        assert way.send(*letter()).remote_id == "18c0ffee"
        assert server.connections == 2


def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    # Routers forget it without a word: what is sent over it then meets silence, and nobody knows.
    monkeypatch.setattr("oauth_mailer.wire.http_connection.MAX_IDLE", -1.0)
    with HttpScript(SENT) as server, closing(gmail(server, monkeypatch)) as way:
        way.send(*letter())
        way.send(*letter())
    assert (server.connections, len(server.requests)) == (2, 2)


@pytest.mark.parametrize(
    ("fails_at", "kind"), [(1, TransientError), (3, OutcomeUnknown)], ids=["first block", "last block"]
)
def test_a_system_that_fails_as_the_last_block_is_handed_over_proves_nothing(
    fails_at: int, kind: type[SendError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system took the octets and fails all the same: no server can be told to do that."""
    plain, calls = socket.socket.sendall, 0

    def send_and_fail(sock: socket.socket, data: bytes, flags: int = 0) -> None:
        nonlocal calls
        plain(sock, data, flags)
        if data.startswith((b"POST", b"block")):
            calls += 1
            if calls == fails_at:
                sock.shutdown(socket.SHUT_RDWR)
                raise ConnectionResetError(104, "reset")

    client = PostClient(timeout=10)
    monkeypatch.setattr(socket.socket, "sendall", send_and_fail)
    with HttpScript(http_script.close) as server, pytest.raises(kind) as caught:
        client.post(server.url, {}, Blocks([b"block 1", b"block 2", b"block 3"]))
    assert caught.value.verdict == ("not_sent" if kind is TransientError else "unknown")
    assert calls == fails_at


def test_a_server_out_of_order_that_cannot_have_the_whole_mail_has_not_sent_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    under_way = threading.Event()

    def busy(exchange: Exchange) -> bool:
        exchange.sock.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        exchange.sock.shutdown(socket.SHUT_RD)
        assert under_way.wait(10)
        return False

    envelope, content = letter(20 << 20)
    watched = content.watched(lambda done, _total: under_way.set())
    with (
        HttpScript(busy) as server,
        closing(gmail(server, monkeypatch)) as way,
        pytest.raises(TransientError) as caught,
    ):
        way.send(envelope, watched)
    assert caught.value.verdict == "not_sent"
    assert not server.requests


@pytest.mark.fault(13)
def test_a_mail_that_only_its_blind_recipients_make_too_large_is_refused_and_not_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", "http://127.0.0.1:9")  # it comes to no connection
    limit = 36_700_160
    octets = limit * 57 // 78 - 2000
    message = Message(
        to="ann@example.com",
        bcc=[f"{number:050}@example.com" for number in range(90)],
        text="Hi",
        attachments=[Attachment(bytes(octets), filename="large.bin")],
    )
    assert limit - 5000 < render(message, ME)[1].size <= limit
    with closing(GmailTransport(ME.email, Token, timeout=10)) as way:
        mailer = Mailer(Route(sender=ME, transport=way, max_size=limit))
        with pytest.raises(RejectedError) as caught:
            mailer.send(message)
    assert (caught.value.verdict, caught.value.code) == ("not_sent", "message-too-large")


class Slowly:
    """A message whose last block is not there before something has happened."""

    size = len(HELLO) + 2 * (1 << 16)
    needs_8bit = needs_smtputf8 = is_watched = False

    def __init__(self, happened: threading.Event) -> None:
        self._happened = happened

    def blocks(self) -> Iterator[bytes]:
        yield HELLO + bytes(1 << 16).replace(b"\0", b"x")
        assert self._happened.wait(10)
        yield bytes((1 << 16) - 2).replace(b"\0", b"x") + b"\r\n"


@pytest.mark.fault(21)
@pytest.mark.parametrize(
    ("words", "kind"),
    [(b"", TransientError), (b"554 5.7.1 that is enough\r\n", RejectedError)],
    ids=["hung up", "refused"],
)
def test_who_had_enough_before_the_end_of_the_message_never_gets_the_end(
    words: bytes, kind: type[SendError]
) -> None:
    enough = threading.Event()
    read: list[bytes] = []

    def act(talk: Talk) -> bool:
        if words:
            talk.say(words)
        else:
            talk.sock.shutdown(socket.SHUT_WR)
        enough.set()
        while data := talk.sock.recv(1 << 16):
            read.append(data)
        return False

    with SmtpScript(security="none", extensions=[], content=act) as server:
        way = transport(server)
        with pytest.raises(kind) as caught:
            way.send(envelope(), cast(Content, Slowly(enough)))
        way.close()
    assert caught.value.verdict == "not_sent"
    assert not b"".join(read).endswith(b"\r\n.\r\n")


VERDICTS: list[SendError] = [
    OutcomeUnknown("Hm.", code="no-answer", hint="Look."),
    TransientError("Busy.", code="busy", hint="Later."),
]


@pytest.mark.parametrize(
    ("script", "verdict"),
    [([one], one.verdict) for one in VERDICTS] + [([], "sent")],
    ids=["unknown", "not sent", "sent"],
)
def test_a_cancelled_asend_tells_the_verdict_that_the_message_really_had(
    script: list[SendError], verdict: str, caplog: pytest.LogCaptureFixture
) -> None:
    started, release = threading.Event(), threading.Event()
    message = Message(to="ann@example.com", text="Hi")

    class Slow(MemoryTransport):
        def send(self, envelope: Envelope, content: Content) -> Acceptance:
            started.set()
            assert release.wait(10)
            return super().send(envelope, content)

    async def main() -> None:
        mailer = Mailer(Route(sender=ME, transport=Slow(script)))
        task = asyncio.create_task(mailer.asend(message))
        await asyncio.to_thread(started.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        release.set()
        while not any("cancelled" in record.message for record in caplog.records):
            await asyncio.sleep(0)

    with caplog.at_level(logging.WARNING, "oauth_mailer"):
        asyncio.run(asyncio.wait_for(main(), 10))
    assert message.id in caplog.text
    assert f"verdict: {verdict}" in caplog.text


def test_a_message_of_exactly_the_limit_goes_out() -> None:
    way, message = MemoryTransport(), Message(to="ann@example.com", text="Hi")
    size = render(message, ME)[1].size
    Mailer(Route(sender=ME, transport=way, max_size=size, max_recipients=1)).send(message)
    assert len(way.sent[0].data) == size


def test_a_message_that_cannot_be_read_to_its_end_leaves_no_file(tmp_path: Path) -> None:
    broken = content(HELLO, MessageError("It changed.", code="attachment-changed", hint="Again."))
    with pytest.raises(MessageError):
        FileTransport(tmp_path).send(envelope(), broken)
    assert not list(tmp_path.iterdir())


NO_ROOM = """
import resource, signal, sys
from oauth_mailer import Address, FileTransport, Mailer, Message, Route, TransientError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
mailer = Mailer(Route(sender=Address("me@gmail.com"), transport=FileTransport(sys.argv[1])))
try:
    mailer.send(Message(bcc=[f"user{number}@example.com" for number in range(200)], text="Hi"))
except TransientError as error:
    print(error.code)
"""


@pytest.mark.skipif(os.name != "posix", reason="a limit on the size of files is the full disk of POSIX")
def test_a_message_does_not_appear_without_its_envelope(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_ROOM, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "file-unwritable\n", done.stderr
    assert not list(tmp_path.iterdir())


def test_in_a_users_test_a_message_of_unknown_outcome_may_have_arrived() -> None:
    unknown, later = MemoryTransport(VERDICTS[:1]), MemoryTransport(VERDICTS[1:])
    for way in (unknown, later):
        with pytest.raises(SendError):
            Mailer(Route(sender=ME, transport=way)).send(Message(to="ann@example.com", text="Hi"))
    assert (len(unknown.sent), len(later.sent)) == (1, 0)


# No secret is shown


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + str(vars(error))


Answer = Callable[[str], str]
"""What a server says to a line that it was sent."""


def echoing(mechanism: str, answers: list[Answer]) -> Callable[[Talk], bool]:
    """A server that gives these answers, in turn, to what it is sent after its offer of this mechanism."""

    def act(talk: Talk) -> bool:
        talk.say(f"250-mx.example\r\n250 AUTH {mechanism}\r\n".encode())
        for make in answers:
            said = (talk.line() or b"").decode().rpartition(" ")[2]
            talk.say(f"{make(said)}\r\n".encode())
        return False

    return act


def asks(_said: str) -> str:
    return "334 VXNlcm5hbWU6"


ECHOES: dict[str, tuple[str, list[Answer]]] = {
    "refused by LOGIN": ("LOGIN", [asks, asks, "535 5.7.8 no: {}".format]),
    "nonsense by LOGIN": ("LOGIN", [asks, asks, "no: {}".format]),
    "refused by PLAIN": ("PLAIN", ["535 5.7.8 no: {}".format]),
    "a challenge too many": ("PLAIN", ["334 {}".format, "334 {}".format]),
    "the reason of XOAUTH2": (
        "XOAUTH2",
        [lambda _said: f"334 {b64encode(f'expired: {CODE}'.encode()).decode()}", lambda _said: "535 no"],
    ),
}


@pytest.mark.fault(33)
@pytest.mark.parametrize(("mechanism", "answers"), ECHOES.values(), ids=ECHOES.keys())
def test_a_server_that_repeats_what_it_was_shown_is_quoted_without_it(
    mechanism: str, answers: list[Answer], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    credential = Code(form="bearer" if mechanism == "XOAUTH2" else "password")
    with SmtpScript(ehlo=echoing(mechanism, answers)) as server, pytest.raises(SendError) as caught:
        send(server, credential=credential)
    seen = shown(caught.value) + caplog.text
    assert "***" in seen
    for secret in (CODE, f"\0me@qq.com\0{CODE}"):
        assert secret not in seen
        assert b64encode(secret.encode()).decode() not in seen


@pytest.mark.fault(33)
@pytest.mark.parametrize("size", [0, 2 << 20], ids=["small", "large"])
def test_the_token_stands_in_a_header_and_not_in_the_address_of_the_request(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HttpScript(SENT) as server, closing(gmail(server, monkeypatch)) as way:
        way.send(*letter(size))
    (request,) = server.requests
    assert request.headers["authorization"] == "Bearer token"
    assert "token" not in request.path


@pytest.mark.fault(33)
def test_the_password_of_a_proxy_is_in_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with HttpScript(answer("407 Proxy Authentication Required")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//user:canary-5531@"))
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", "https://gmail.example")
        way = GmailTransport(ME.email, Token, timeout=10)
        with closing(way), pytest.raises(TransientError) as caught:
            way.send(*letter())
    assert proxy.requests
    assert "canary" not in shown(caught.value)


@pytest.mark.fault(33)
def test_the_derived_key_and_a_kept_consent_show_nothing_of_themselves() -> None:
    key = new_key("canary passphrase")
    consent = Consent(client_at("http://127.0.0.1:1"), Secret(REFRESH_TOKEN))
    access = Access.of("ya29.canary", 3600)
    seen = f"{key!r} {key} {consent!r} {consent} {access!r} {access}"
    assert repr(key.octets) not in seen
    assert not any(one in seen for one in ("canary", key.octets.hex(), b64encode(key.octets).decode()))


NO_TOKEN = {"token_type": "Bearer", "refresh_token": "1//canary-successor", "note": "ya29.canary"}


@pytest.mark.fault(33)
def test_what_a_library_says_of_a_tokens_answer_is_not_passed_on(home: Path) -> None:
    store = MemoryStore()
    with HttpScript(answer(body=NO_TOKEN)) as server, pytest.raises(TransientError) as caught:
        GoogleCredential(with_consent(server.url, store), store, home).get()
    assert "canary" not in shown(caught.value)


@pytest.mark.fault(33)
def test_a_variable_that_holds_no_secret_alone_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setenv(secret_variable("me@qq.com"), "canary\n5531")
    with pytest.raises(StoreError) as caught:
        open_store("environment", StoreOptions(home)).get(Slot("me@qq.com", "code"))
    assert secret_variable("me@qq.com") in caught.value.message
    assert "canary" not in shown(caught.value)


@pytest.mark.fault(33, program=True)
@pytest.mark.parametrize(
    "words",
    [
        ("login", "me@qq.com", "--passwort=canary-5531"),
        ("login", "me@qq.com", "--cod", "canary-5531"),
        ("--password=canary-5531", "login", "me@qq.com"),
        ("--password", "canary-5531", "login", "me@qq.com"),
    ],
)
def test_a_secret_behind_a_misspelt_or_misplaced_option_is_not_repeated(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.code == 64
    assert "canary" not in done.out + done.err


def test_an_option_cut_short_is_none() -> None:
    done = run("send", "--sub", "Hello", "--to", "ann@example.com", "--text", "x")
    assert done.code == 64
    assert "There is no option --sub." in done.err


def test_two_sealed_files_have_neither_salt_nor_nonce_in_common(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", "canary passphrase")
    salts, nonces = set(), set()
    for name in ("one", "other"):
        store = open_store("encrypted_file", StoreOptions(tmp_path, {"path": name}))
        for _time in range(2):
            store.set(Slot("me@qq.com", "code"), Secret("abcdefghijklmnop"))
            header, sealed = (tmp_path / name).read_bytes().splitlines()
            salts.add(json.loads(header)["scrypt"]["salt"])
            nonces.add(b64decode(sealed)[:12])
    assert (len(salts), len(nonces)) == (2, 4)


@pytest.mark.parametrize("cost", [2**13, 2**19])
def test_a_sealed_file_of_another_cost_than_is_safe_is_not_opened(
    cost: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", "canary passphrase")
    store = open_store("encrypted_file", StoreOptions(tmp_path))
    store.set(Slot("me@qq.com", "code"), Secret("abcdefghijklmnop"))
    file = tmp_path / "secrets.sealed"
    file.write_bytes(file.read_bytes().replace(b'"n":32768', f'"n":{cost}'.encode()))
    with pytest.raises(StoreError) as caught:
        store.get(Slot("me@qq.com", "code"))
    assert caught.value.code == "store-damaged"


# No mail, no code and no token over a connection that is not proven


@pytest.mark.fault(15)
def test_a_ca_file_is_trusted_in_place_of_the_systems_certificates_and_not_beside_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    monkeypatch.setenv("SSL_CERT_FILE", certificates.ca_file())
    with SmtpScript() as server:
        with pytest.raises(RouteError) as caught:
            send(server, ca_file=str(other))
        assert caught.value.code == "tls-certificate"
        assert not server.commands


@pytest.mark.fault(16)
def test_a_mail_that_needs_no_login_is_no_less_encrypted() -> None:
    encrypted: list[bool] = []

    def mail(talk: Talk) -> bool:
        encrypted.append(isinstance(talk.sock, ssl.SSLSocket))
        return talk.say(b"250 ok\r\n")

    with SmtpScript(security="starttls", mail=mail) as server:
        send(server, auth="none")
        assert encrypted == [True]
    with SmtpScript(security="starttls", mail=mail, ehlo=b"250-mx.example\r\n250 SIZE 1000\r\n") as server:
        with pytest.raises(RouteError) as caught:
            send(server, auth="none")
        assert caught.value.code == "starttls-missing"
        assert not server.said("MAIL")


@pytest.mark.fault(16)
def test_what_a_server_offers_before_it_is_encrypted_is_not_believed_afterwards() -> None:
    meddled = b"250-mx.example\r\n250-STARTTLS\r\n250-SIZE 1\r\n250 AUTH LOGIN\r\n"
    with SmtpScript(security="starttls", ehlo=[meddled]) as server:
        send(server)
    assert [auth.split(" ")[1] for auth in server.auths] == ["PLAIN"]
    assert len(server.accepted) == 1


# A login believes nothing that is not its own


@pytest.mark.fault(26)
@pytest.mark.parametrize("hosts", [["127.0.0.1:9"], ["evil.example", ""], ["", "evil.example"], []])
def test_an_answer_under_another_name_or_port_is_not_taken(hosts: list[str]) -> None:
    state = Secret("state-5tat3")
    with Listener(state, port=0, timeout=60) as listener:
        own = listener.redirect_uri.removeprefix("http://").rstrip("/")
        connection = http.client.HTTPConnection(own, timeout=30)
        connection.putrequest("GET", "/?state=state-5tat3&code=canary", skip_host=True)
        for host in hosts:
            connection.putheader("Host", host or own)
        connection.endheaders()
        assert connection.getresponse().status == 421
        connection.close()
        assert listener.answer is None


def id_token(**claims: object) -> str:
    return ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode() for part in ({}, claims, {}))


ANOTHER_CLIENT = id_token(aud="9999.apps.googleusercontent.com", email=ME.email)


@pytest.mark.fault(28)
@pytest.mark.parametrize(
    ("identity", "reason"),
    [
        ({}, "does not say which account"),
        ({"id_token": "x.y.z"}, "does not say which account"),
        ({"id_token": ANOTHER_CLIENT}, "for another client"),
        ({"id_token": id_token(aud=CLIENT_ID, email="you@gmail.com")}, "for you@gmail.com"),
    ],
    ids=["none", "unreadable", "another client's", "another account's"],
)
def test_who_asks_for_the_identity_gets_no_login_without_it(identity: dict[str, str], reason: str) -> None:
    given = {"access_token": "ya29.x", "refresh_token": "1//x", "expires_in": 3599} | identity
    with HttpScript(answer(body=given)) as server:
        plain = google_account(server.url)
        account = replace(plain, scopes=(*scopes_of(plain), *IDENTITY))
        request = ConsentRequest(account, client_at(server.url), "http://127.0.0.1:1/", Secret("state"))
        request.url()
        with pytest.raises(LoginRequired, match=reason) as caught:
            request.exchange(Secret("code"))
    assert caught.value.code == "other-account"


@pytest.mark.fault(32)
@pytest.mark.parametrize("plain", ["auth_uri", "token_uri", "revocation_uri"])
@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.example", "1.1.1.1"])
def test_no_address_of_a_client_may_be_plain_http_but_on_this_machine(plain: str, host: str) -> None:
    names = ("auth_uri", "token_uri", "revocation_uri")
    fields = {name: f"https://accounts.example/{name}" for name in names} | {"client_id": "x"}
    with pytest.raises(ConfigError) as caught:
        client_from(fields | {plain: f"http://{host}/x"}, Secret("y"))
    assert caught.value.code == "endpoint-plain-http"
    assert plain in caught.value.message


def granted(number: int, **more: object) -> http_script.Step:
    return answer(body={"access_token": f"ya29.{number}", "expires_in": 3599, **more})


class Watched(MemoryStore):
    """A store that tells what is kept in it, and looked for in it."""

    writable = True

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Slot] = []
        self.looked = threading.Event()

    def get(self, slot: Slot) -> Secret | None:
        found = super().get(slot)
        if threading.current_thread().name == "other":
            self.looked.set()
        return found

    def set(self, slot: Slot, secret: Secret) -> None:
        super().set(slot, secret)
        self.kept.append(slot)


def test_an_access_token_is_never_anothers_account_though_the_client_is_the_same(home: Path) -> None:
    store = MemoryStore()
    with HttpScript(granted(1), granted(2)) as server:
        mine = with_consent(server.url, store)
        yours = google_account(server.url, "you@gmail.com")
        store.set(consent_slot(yours), Consent(client_at(server.url), Secret("1//yours")).line())
        tokens = [GoogleCredential(one, store, home).get() for one in (mine, yours, mine, yours)]
    assert tokens == [Secret("ya29.1"), Secret("ya29.2")] * 2
    assert [b"yours" in request.body for request in server.requests] == [False, True]


@pytest.mark.fault(30)
def test_a_successor_is_kept_before_the_access_token_that_came_with_it(home: Path) -> None:
    store = Watched()
    with HttpScript(granted(1, refresh_token="1//successor")) as server:
        account = with_consent(server.url, store)
        store.kept.clear()
        GoogleCredential(account, store, home).get()
    assert store.kept[0] == consent_slot(account)
    assert len(store.kept) == 2


@pytest.mark.fault(30)
def test_who_waited_for_the_refresh_of_another_takes_its_token(home: Path) -> None:
    store, begun = Watched(), threading.Event()
    tokens: list[Secret] = []

    def slow(exchange: Exchange) -> bool:
        begun.set()
        assert store.looked.wait(10)
        return granted(1)(exchange)

    with HttpScript(slow, granted(2)) as server:
        account = with_consent(server.url, store)
        threads = [
            threading.Thread(
                target=lambda: tokens.append(GoogleCredential(account, store, home).get()), name=name
            )
            for name in ("one", "other")
        ]
        threads[0].start()
        assert begun.wait(10)
        threads[1].start()
        for thread in threads:
            thread.join(30)
    assert tokens == [Secret("ya29.1")] * 2
    assert len(server.requests) == 1


@pytest.mark.fault(30)
def test_threads_share_one_refresh_though_nothing_can_be_kept(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    store = open_store("environment", StoreOptions(home))
    with HttpScript(granted(1)) as server:
        account = google_account(server.url)
        monkeypatch.setenv(
            secret_variable(account.address),
            Consent(client_at(server.url), Secret(REFRESH_TOKEN)).line().reveal(),
        )
        shared, together = GoogleCredential(account, store, home), threading.Barrier(20)

        def get() -> None:
            together.wait(10)
            shared.get()

        threads = [threading.Thread(target=get) for _number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(server.requests) == 1


# Every error says what happened, why, and the next command


ERRORS: list[MailerError] = [
    MessageError("It cannot be sent.", code="x", hint="Mend it."),
    TransientError("Busy.", code="busy", hint="Later.", text="450 4.2.0 busy", retry_after=60.0),
    RejectedError("No.", code="no", hint="Ask.", refused={"ann@example.com": "550 no"}),
    OutcomeUnknown("Hm.", code="no-answer", hint="Look into the Sent folder."),
    LoginRequired("Who?", code="login", hint="Run: oauth-mailer login me@qq.com"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_prints_its_next_step_and_crosses_a_process_border_whole(error: MailerError) -> None:
    assert str(error) == f"{error.message} {error.hint}"
    error.attempts = (Attempt(account="me@qq.com", transport="smtp", verdict=error.verdict, code=error.code),)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool, pytest.raises(type(error)) as caught:
        pool.submit(throw, error).result(60)
    assert type(caught.value) is type(error)
    assert vars(caught.value) == vars(error)
    assert (str(caught.value), caught.value.verdict) == (str(error), error.verdict)


def throw(error: MailerError) -> None:
    raise error


# What was promised to whoever builds on this


def test_the_mailer_never_sleeps_whenever_a_route_may_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_sleep(_seconds: float) -> None:
        raise AssertionError("only the outbox waits")

    monkeypatch.setattr("time.sleep", no_sleep)
    later = TransientError("Full.", code="full", hint="Later.", retry_after=3600.0)
    way = MemoryTransport()
    routes = [Route(sender=ME, transport=MemoryTransport([later])), Route(sender=ME, transport=way)]
    Mailer(routes).send(Message(to="ann@example.com", text="Hi"))
    assert len(way.sent) == 1


@pytest.mark.parametrize(
    "address", ["ann@example.com>\r\nRCPT TO:<eve@example.com", "a>b@example.com", "a\0@b.c"]
)
@pytest.mark.parametrize("place", ["sender", "recipient"])
def test_no_command_is_made_of_an_address_that_would_end_it(address: str, place: str) -> None:
    sender, recipient = (address, "ann@example.com") if place == "sender" else ("me@qq.com", address)
    mail = Mail(sender=sender, recipients=(recipient,), size=len(HELLO), blocks=lambda: iter([HELLO]))
    with SmtpScript(security="none") as server:
        session = SmtpSession(Server("127.0.0.1", server.port, "none"), timeout=5)
        session.connect(login=False, context=client_context)
        with pytest.raises(AssertionError, match="would end the command"):
            session.deliver(mail)
        session.quit()
    assert [line.split(" ")[0] for line in server.commands] == ["EHLO", "QUIT"]


def test_no_request_is_made_of_a_header_with_a_line_break() -> None:
    client = PostClient(timeout=5)
    with HttpScript(SENT) as server:
        with pytest.raises(AssertionError, match="line break"):
            client.post(server.url, {"X-A": "1\r\nAuthorization: Bearer eve"}, Blocks([]))
        client.close()
    assert not server.requests
