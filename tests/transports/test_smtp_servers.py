"""Servers as they are: odd, old or slow, and yet they take the message."""

from __future__ import annotations

import socket
import ssl
import threading
from base64 import b64encode

import pytest

from oauth_mailer.errors import LoginRequired, TransientError
from oauth_mailer.mime import Content
from tests.support.smtp_script import EXTENSIONS, Act, SmtpScript, Step, Talk, then_close
from tests.support.smtp_sending import HELLO, Code, content, envelope, send, transport

ODD: dict[str, dict[str, Step]] = {
    "a greeting of several lines": {"greeting": b"220-mx.example\r\n220-no spam here\r\n220 ready\r\n"},
    "a greeting without text": {"greeting": b"220\r\n"},
    "keywords in lower case": {"ehlo": b"250-mx\r\n250-size 100000\r\n250-pipelining\r\n250 auth plain\r\n"},
    "the old form of AUTH": {"ehlo": b"250-mx\r\n250-SIZE\r\n250 AUTH=LOGIN PLAIN\r\n"},
    "both forms of AUTH": {"ehlo": b"250-mx\r\n250-AUTH=LOGIN\r\n250-AUTH LOGIN PLAIN\r\n250 HELP\r\n"},
    "line ends of LF": {"greeting": b"220 mx\n", "ehlo": b"250-mx\n250 AUTH PLAIN\n", "dot": b"250 ok\n"},
    "several lines after AUTH": {"auth": b"235-2.7.0 welcome\r\n235-2.7.0 back\r\n235 2.7.0 ok\r\n"},
    "codes alone": {"auth": b"235\r\n", "mail": b"250\r\n", "rcpt": b"250\r\n", "data": b"354\r\n"},
    "251 for a recipient elsewhere": {"rcpt": b"251 will forward\r\n"},
    "252 for a recipient unverified": {"rcpt": b"252 will try\r\n"},
    "several lines before the message": {"data": b"354-go on\r\n354 end with a dot\r\n"},
    "a close right after the farewell": {"quit": then_close(b"221 bye\r\n")},
}


@pytest.mark.parametrize("script", ODD.values(), ids=ODD.keys())
def test_an_odd_server_gets_the_message(script: dict[str, Step]) -> None:
    with SmtpScript(**script) as server:  # type: ignore[arg-type]
        send(server)
    (mail,) = server.accepted
    assert mail.data == HELLO
    assert (server.connections, len(server.auths)) == (1, 1)


def test_an_acceptance_of_several_lines_is_kept_whole() -> None:
    with SmtpScript(dot=b"250-2.0.0 taken\r\n250-thank you\r\n250 queued as 4F2A\r\n") as server:
        way = transport(server)
        for _ in range(2):
            assert way.send(envelope(), content()).remote_id == "2.0.0 taken thank you queued as 4F2A"
        way.close()
    assert (server.connections, len(server.accepted)) == (1, 2)


@pytest.mark.parametrize("prompts", [(b"334 Username:\r\n", b"334 Password:\r\n"), (b"334\r\n", b"334 \r\n")])
def test_login_answers_prompts_in_their_order_whatever_they_say(prompts: tuple[bytes, bytes]) -> None:
    answers: list[bytes | None] = []

    def asks(talk: Talk) -> bool:
        for prompt in prompts:
            talk.say(prompt)
            answers.append(talk.line())
        return talk.say(b"235 ok\r\n")

    with _Asking(asks, "AUTH LOGIN") as server:
        send(server)
    assert answers == [b64encode(b"me@qq.com"), b64encode(b"abcdefghijklmnop")]
    assert len(server.accepted) == 1


@pytest.mark.parametrize("extra", [b"334 again\r\n", b"334 \r\n"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_server_that_asks_for_more_than_the_mechanism_has_gets_nothing_more(
    mechanism: str, extra: bytes
) -> None:
    answers: list[bytes | None] = []

    def asks(talk: Talk) -> bool:
        for _ in range(2 if mechanism == "LOGIN" else 0):
            talk.say(b"334 \r\n")
            answers.append(talk.line())
        talk.say(extra)
        answers.append(talk.line())
        return False

    with _Asking(asks, f"AUTH {mechanism}") as server, pytest.raises(TransientError) as caught:
        send(server)
    assert caught.value.code == "reply-garbled"
    assert answers[-1] is None  # the connection ended instead
    assert len(server.auths) == 1


def test_a_challenge_that_cannot_be_read_is_not_answered() -> None:
    answers: list[bytes | None] = []

    def asks(talk: Talk) -> bool:
        talk.say(b"334 <not base64>\r\n")
        answers.append(talk.line())
        return False

    with _Asking(asks, "AUTH CRAM-MD5") as server, pytest.raises(TransientError) as caught:
        send(server)
    assert caught.value.code == "reply-garbled"
    assert "<not base64>" in caught.value.text
    assert answers == [None]


def test_a_refused_token_is_answered_empty_and_its_reason_shown_even_if_it_is_no_base64() -> None:
    answers: list[bytes | None] = []

    def asks(talk: Talk) -> bool:
        talk.say(b"334 token has expired\r\n")
        answers.append(talk.line())
        return talk.say(b"535 5.7.8 no\r\n")

    with _Asking(asks, "AUTH XOAUTH2") as server, pytest.raises(LoginRequired) as caught:
        send(server, credential=Code("old", "new", form="bearer"))
    assert caught.value.text == "535 5.7.8 no token has expired"
    assert answers == [b"", b""]  # a renewed token was tried, once
    assert len(server.auths) == 2


class _Asking(SmtpScript):
    """A server whose AUTH is this act."""

    def __init__(self, act: Act, *extensions: str) -> None:
        super().__init__(extensions=extensions)
        self._asks = act

    def _auth(self, talk: Talk, text: str) -> bool:
        self.auths.append(text)
        return self._asks(talk)


@pytest.mark.parametrize("security", ["starttls", "none"])
def test_a_server_that_greets_late_on_purpose_is_waited_for(security: str) -> None:
    """A tarpit; meanwhile it was looked whether the port speaks TLS, on a connection of its own."""
    turn, probed = threading.Lock(), threading.Event()

    def late(talk: Talk) -> bool:
        if not turn.acquire(blocking=False):
            probed.set()
            return False
        return probed.wait(30) and talk.say(b"220 mx.example\r\n")

    with SmtpScript(security=security, greeting=late) as server:
        send(server, timeout=3)
    assert server.connections == 2
    assert len(server.accepted) == 1


def test_content_of_seven_bits_needs_no_extension() -> None:
    with SmtpScript(extensions=["AUTH PLAIN"]) as server:
        send(server)
    assert server.accepted[0].sender == "MAIL FROM:<me@qq.com>"


def test_extensions_are_those_of_the_encrypted_conversation() -> None:
    """What was offered before TLS was not protected."""

    def hello(talk: Talk) -> bool:
        if isinstance(talk.sock, ssl.SSLSocket):
            return talk.say(b"250-mx\r\n250 AUTH LOGIN\r\n")
        return talk.say(b"250-mx\r\n250-STARTTLS\r\n250-PIPELINING\r\n250-SIZE 1\r\n250 AUTH PLAIN\r\n")

    with SmtpScript(security="starttls", ehlo=hello) as server:
        send(server)
    assert [auth.split(" ")[1] for auth in server.auths] == ["LOGIN"]
    assert server.accepted[0].sender == "MAIL FROM:<me@qq.com>"


def test_a_host_with_a_dead_address_is_reached_by_its_other_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        dead: int = closed_soon.getsockname()[1]
    with SmtpScript() as server, monkeypatch.context() as names:
        addresses = [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", dead, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", dead)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port)),
        ]
        names.setattr(socket, "getaddrinfo", lambda *_args, **_options: list(addresses))
        send(server)
        del addresses[-1]
        with pytest.raises(TransientError) as caught:
            send(server)
    assert caught.value.code == "connect"
    assert len(server.accepted) == 1


@pytest.mark.parametrize("early", [b"250 ok\r\n", b"354 more\r\n"])
def test_an_answer_before_the_message_has_ended_is_none(early: bytes) -> None:
    """A server that says yes too soon is out of step: the message is broken off before its end."""
    with SmtpScript(data=[b"354 go on\r\n" + early]) as server, pytest.raises(TransientError) as caught:
        send(server)
    assert caught.value.code == "reply-garbled"
    assert not server.received


@pytest.mark.parametrize("extensions", [EXTENSIONS, EXTENSIONS[1:]], ids=["pipelined", "one by one"])
def test_an_answer_too_many_is_not_taken_for_that_to_the_message(extensions: tuple[str, ...]) -> None:
    """It would shift all that follow: the one to DATA would count as the one to the message."""
    with SmtpScript(extensions=extensions, rcpt=b"250 ok\r\n250 ok\r\n") as server:
        with pytest.raises(TransientError) as caught:
            send(server)
        assert caught.value.code == "reply-unexpected"
    assert not server.received


def test_who_looks_on_is_asked_when_the_message_may_leave_and_not_before() -> None:
    """A worker of the outbox that stood still meanwhile finds out then that others have given it up."""
    asked: list[int] = []
    somebody_asks = threading.Event()
    too_early: list[bool] = []

    def looks_on(done: int, _total: int) -> None:
        asked.append(done)
        somebody_asks.set()

    def go_on(talk: Talk) -> bool:
        too_early.append(somebody_asks.wait(0.2))
        return talk.say(b"354 go on\r\n")

    with SmtpScript(data=go_on) as server:
        send(server, what=Content([HELLO]).watched(looks_on))
    assert too_early == [False]
    assert asked == [0, len(HELLO)]
