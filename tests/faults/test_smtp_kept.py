"""A kept connection that died, or whose server has had enough: noticed before a message is risked."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading

import pytest

from oauth_mailer.errors import OutcomeUnknown, RejectedError, TransientError
from oauth_mailer.wire.pool import Limits
from tests.support import certificates
from tests.support.smtp_script import Act, SmtpScript, Step, Talk, close, drip, hang, reset, then_close
from tests.support.smtp_sending import HELLO, content, envelope, transport

ASK_ALWAYS = Limits(silence=-1, patience=0.3)


def took(then: Act) -> Act:
    """Accept the message, then do this."""

    def act(talk: Talk) -> bool:
        talk.say(b"250 taken\r\n")
        return then(talk)

    return act


ENDS: dict[str, Act] = {
    "closed": close,
    "reset": reset,
    "421": then_close(b"421 4.4.2 idle for too long\r\n"),
}


@pytest.mark.fault(22)
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("security", ["tls", "starttls", "none"])
def test_a_connection_that_ended_meanwhile_is_replaced(security: str, end: Act) -> None:
    with SmtpScript(security=security, dot=[took(end)]) as server:
        way = transport(server)
        way.send(envelope(), content())
        assert server.parted.acquire(timeout=10)
        way.send(envelope(), content())
        way.close()
    assert (server.connections, len(server.accepted)) == (2, 2)
    assert len(server.said("MAIL")) == 2  # not one word of the second message went to the dead connection


@pytest.mark.fault(22)
def test_a_server_that_is_about_to_close_gets_no_message() -> None:
    with SmtpScript(dot=[b"250 taken\r\n421 4.3.2 going down for maintenance\r\n"]) as server:
        way = transport(server)
        way.send(envelope(), content())
        way.send(envelope(), content())
        way.close()
    assert (server.connections, len(server.accepted), len(server.said("MAIL"))) == (2, 2, 2)


DEAF: dict[str, Step] = {
    "silent": hang,
    "closing": close,
    "refusing": b"500 what?\r\n",
    "closing with 421": then_close(b"421 4.4.2 too late\r\n"),
    "dripping": drip(b"250-and so on\r\n"),
    "babbling": then_close(b"\x00\x00\r\n"),
}


@pytest.mark.fault(22)
@pytest.mark.parametrize("answer", DEAF.values(), ids=DEAF.keys())
def test_after_a_silence_the_server_must_prove_that_it_is_there(answer: Step) -> None:
    with SmtpScript(rset=answer) as server:
        way = transport(server, limits=ASK_ALWAYS)
        way.send(envelope(), content())
        way.send(envelope(), content())
        way.close()
    assert (server.connections, len(server.accepted), len(server.said("MAIL"))) == (2, 2, 2)


def test_a_server_that_is_there_keeps_the_connection() -> None:
    with SmtpScript() as server:
        way = transport(server, limits=Limits(silence=-1))
        for _ in range(3):
            way.send(envelope(), content())
        way.close()
    assert (server.connections, len(server.auths), len(server.said("RSET"))) == (1, 1, 2)
    assert len(server.accepted) == 3


TOO_LATE: dict[str, Step] = {
    "closed": close,
    "reset": reset,
    "421": then_close(b"421 4.4.2 timeout\r\n"),
    "too many on one connection": b"450 MI:DMC 163 smtp1,abc\r\n",
    "no reply": then_close(b"\x00\r\n"),
}


@pytest.mark.fault(22)
@pytest.mark.parametrize("answer", TOO_LATE.values(), ids=TOO_LATE.keys())
def test_a_connection_that_fails_as_a_message_begins_is_replaced_once(answer: Step) -> None:
    with SmtpScript(mail=[b"250 ok\r\n", answer]) as server:
        way = transport(server, provider="163")
        for _ in range(2):
            way.send(envelope(), content())
        way.close()
    assert (server.connections, len(server.accepted)) == (2, 2)
    with SmtpScript(mail=[b"250 ok\r\n", answer, answer, answer]) as server:
        way = transport(server, provider="163")
        way.send(envelope(), content())
        with pytest.raises(TransientError):
            way.send(envelope(), content())
        way.close()
    assert (server.connections, len(server.accepted)) == (2, 1)


def test_a_server_that_says_later_is_not_asked_again_at_once() -> None:
    with SmtpScript(mail=[b"250 ok\r\n", b"451 4.3.0 later\r\n"]) as server:
        way = transport(server)
        way.send(envelope(), content())
        with pytest.raises(TransientError) as caught:
            way.send(envelope(), content())
        assert caught.value.code == "try-later"
        way.close()
    assert (server.connections, len(server.said("MAIL")), len(server.accepted)) == (1, 2, 1)


def test_a_message_that_may_have_arrived_over_a_kept_connection_is_not_sent_over_another() -> None:
    with SmtpScript(dot=[b"250 ok\r\n", close]) as server:
        way = transport(server)
        way.send(envelope(), content())
        with pytest.raises(OutcomeUnknown):
            way.send(envelope(), content())
        way.close()
    assert (server.connections, len(server.received), len(server.accepted)) == (1, 2, 1)


def test_a_message_that_broke_off_over_a_kept_connection_is_left_to_whoever_retries() -> None:
    big = content(HELLO + b"0123456789abcdef\r\n" * 400_000)
    with SmtpScript(extensions=["AUTH PLAIN"], content=[b"", close]) as server:
        way = transport(server)
        way.send(envelope(), content())
        with pytest.raises(TransientError):
            way.send(envelope(), big)
        way.close()
    assert (server.connections, len(server.received)) == (1, 1)


@pytest.mark.parametrize("script", [{"dot": [b"554 5.7.1 spam\r\n"]}, {"rcpt": [b"550 5.1.1 no\r\n"]}])
def test_a_refused_message_leaves_the_connection_clean_for_the_next(script: dict[str, list[Step]]) -> None:
    with SmtpScript(extensions=["AUTH PLAIN"], **script) as server:  # type: ignore[arg-type]
        way = transport(server)
        with pytest.raises(RejectedError):
            way.send(envelope("ann@example.com"), content())
        way.send(envelope("bob@example.com"), content())
        way.close()
    assert (server.connections, len(server.auths), len(server.said("RSET"))) == (1, 1, 1)
    assert [mail.recipients for mail in server.accepted] == [("RCPT TO:<bob@example.com>",)]


def test_after_an_answer_that_data_cannot_have_the_connection_is_given_up() -> None:
    with SmtpScript(data=[b"250 ok\r\n"]) as server:
        way = transport(server)
        with pytest.raises(TransientError) as caught:
            way.send(envelope(), content())
        assert caught.value.code == "reply-unexpected"
        way.send(envelope(), content())
        way.close()
    assert (server.connections, len(server.accepted), len(server.said("RSET"))) == (2, 1, 0)


@pytest.mark.parametrize("step", ["mail", "rcpt", "data", "dot"])
def test_after_421_the_connection_is_given_up_even_if_the_server_forgets_to_close_it(step: str) -> None:
    script: dict[str, list[Step]] = {step: [b"421 4.3.2 closing\r\n"]}
    with SmtpScript(**script) as server:  # type: ignore[arg-type]
        way = transport(server)
        with pytest.raises(TransientError):
            way.send(envelope(), content())
        way.send(envelope(), content())
        way.close()
    assert (server.connections, len(server.accepted), len(server.said("RSET"))) == (2, 1, 0)


@pytest.mark.parametrize(
    "limits", [Limits(messages=1), Limits(age=-1), Limits(idle=-1)], ids=["messages", "age", "idle"]
)
def test_a_connection_is_kept_no_longer_than_the_limits_say(limits: Limits) -> None:
    with SmtpScript() as server:
        way = transport(server, limits=limits)
        for _ in range(3):
            way.send(envelope(), content())
        way.close()
    assert (server.connections, len(server.accepted), len(server.said("QUIT"))) == (3, 3, 3)


def test_threads_share_a_few_connections() -> None:
    with SmtpScript() as server:
        way = transport(server, limits=Limits(open=2))
        threads = [threading.Thread(target=way.send, args=(envelope(), content())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        way.close()
    assert len(server.accepted) == 8
    assert server.connections <= 2
    assert len(server.said("QUIT")) == server.connections


def test_a_transport_that_nobody_holds_any_more_parts_from_its_server() -> None:
    with SmtpScript() as server:
        way = transport(server)
        way.send(envelope(), content())
        del way
        gc.collect()
        assert server.parted.acquire(timeout=10)
    assert server.commands[-1] == "QUIT"


FORKS = """
import os, sys
from oauth_mailer.accounts import Account
from oauth_mailer.transports.smtp import SmtpTransport
from tests.support.smtp_sending import Code, content, envelope
port, ca_file = sys.argv[1:]
account = Account(address="me@qq.com", host="localhost", port=int(port), security="tls", ca_file=ca_file)
way = SmtpTransport(account, Code, timeout=10)
way.send(envelope("before@example.com"), content())
child = os.fork()
way.send(envelope("child@example.com" if child == 0 else "parent@example.com"), content())
way.close()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_leaves_its_parents_connection_alone() -> None:
    with SmtpScript() as server:
        subprocess.run(
            [sys.executable, "-c", FORKS, str(server.port), certificates.ca_file()], check=True, timeout=60
        )
    assert (server.connections, len(server.auths), len(server.said("QUIT"))) == (2, 2, 2)
    assert sorted(mail.recipients[0] for mail in server.accepted) == [
        f"RCPT TO:<{one}@example.com>" for one in ("before", "child", "parent")
    ]
