"""Real servers on the other side: Postfix with Dovecot behind its logins, and what it delivered."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oauth_mailer import Attachment, Message, RawMessage, open_mailer
from oauth_mailer.account import secret_variable
from oauth_mailer.accounts import Account, Accounts
from oauth_mailer.address import Address
from oauth_mailer.errors import LoginRequired, RejectedError, RouteError
from oauth_mailer.mime import render
from oauth_mailer.transports import Acceptance, open_transport
from tests.cli.program import run
from tests.support import folder_contains
from tests.support.postfix import CODE, SIZE_LIMIT, STRANGER, USER, Postfix, postfix
from tests.support.smtp_sending import Code

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Postfix as Debian packages it")

ADDED = {"return-path", "x-original-to", "delivered-to", "received"}


@pytest.fixture(scope="module")
def servers() -> Iterator[Postfix]:
    with postfix("ann", "bob", "李雷") as running:
        yield running


@pytest.fixture
def mx(servers: Postfix, home: Path, monkeypatch: pytest.MonkeyPatch) -> Postfix:
    """The servers, at rest; the code of both accounts stands in the environment."""
    for address in (USER, STRANGER):
        monkeypatch.setenv(secret_variable(address), CODE)
    servers.sessions()
    return servers


def message(to: str | list[str] = "ann@example.com", **fields: object) -> Message:
    return Message(**{"to": to, "subject": "Hi", "text": "Hello\n"} | fields)  # type: ignore[arg-type]


def set_up(home: Path, *accounts: Account) -> None:
    for account in accounts:
        Accounts(home).add(account)


def hand_over(account: Account, what: Message | RawMessage) -> tuple[Acceptance, bytes]:
    """Send by this account; the octets that were handed over."""
    envelope, content = render(what, Address(account.address))
    way = open_transport(account, lambda: Code(CODE), timeout=30)
    try:
        return way.send(envelope, content), b"".join(content.blocks())
    finally:
        way.close()


def arrived_unchanged(mail: bytes, sent: bytes) -> None:
    """Servers add headers in front, and that is all."""
    assert mail.endswith(sent)
    added = mail.removesuffix(sent)
    assert {name.lower() for name in re.findall(r"^([!-9;-~]+):", added.decode(), re.M)} == ADDED


LETTER = {
    "subject": "季度报告 " * 60 + "👩‍👩‍👧",
    "text": ".\n..\n.leading dot\n\n" + "你好，世界。" * 900 + "\n" + "x" * 5000 + "\n.\n",
    "html": "<p>.</p>\n.\n" + "<b>long</b>" * 400,
}


@pytest.mark.parametrize("way", ["tls", "starttls"])
def test_what_was_handed_over_is_what_lies_in_the_mailbox(mx: Postfix, way: str, tmp_path: Path) -> None:
    report = tmp_path / "报告.bin"
    report.write_bytes(os.urandom(100_000) + b"\r\n.\r\n")
    letter = message(
        ["Ann <ann@example.com>"],
        bcc="bob@example.com",
        attachments=[report, Attachment(b".\r\n.\r\n", filename="dots.txt")],
        **LETTER,
    )
    acceptance, sent = hand_over(mx.account(way), letter)
    assert acceptance.refused == {}
    for recipient in ("ann", "bob"):
        arrived_unchanged(mx.delivered(acceptance.remote_id, recipient), sent)
    (session,) = mx.sessions()
    assert re.search(r"\bauth=1 mail=1 rcpt=2 data=1 quit=1\b", session)


def test_a_finished_message_arrives_to_the_last_octet(mx: Postfix) -> None:
    eml = (
        b"From: me@corp.example\r\nTo: ann@example.com\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
        b"Message-ID: <as-it-is@corp.example>\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        b".\r\n..\r\n" + b"." * 998 + b"\r\n" + "李雷\r\n".encode() + b" trailing \t\r\n\r\n.\r\n\r\n\r\n"
    )
    acceptance, sent = hand_over(mx.account(), RawMessage(eml))
    assert sent == eml
    arrived_unchanged(mx.delivered(acceptance.remote_id, "ann"), eml)


def test_a_mailbox_in_another_script_is_reached_by_smtputf8(mx: Postfix) -> None:
    acceptance, sent = hand_over(mx.account(), message("李雷 <李雷@example.com>"))
    mail = mx.delivered(acceptance.remote_id, "李雷")
    arrived_unchanged(mail, sent)
    assert b"with UTF8SMTPSA" in mail


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_each_mechanism_logs_in(mx: Postfix, mechanism: str) -> None:
    acceptance, _sent = hand_over(mx.account(mechanism.lower()), message())
    queued = acceptance.remote_id.split()[-1]
    mx.log.wait_for(f"{queued}: client=.*sasl_method={mechanism}, sasl_username={USER}$")


@pytest.mark.parametrize("way", ["starttls", "tls", "plain", "login", "cram-md5"])
def test_a_wrong_code_costs_one_login_and_no_more(
    mx: Postfix, way: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(secret_variable(USER), "canary-wrong")
    set_up(home, mx.account(way))
    with open_mailer(home=home) as mailer:
        for _ in range(3):
            with pytest.raises(LoginRequired) as caught:
                mailer.send(message())
            assert caught.value.code == "login-refused"
            assert f"oauth-mailer login {USER}" in caught.value.hint
            assert "canary" not in str(caught.value) + str(vars(caught.value))
    (session,) = mx.sessions()
    assert " auth=0/1 " in session
    assert "mail" not in session


@pytest.mark.parametrize("way", ["other-authority", "starttls-other-authority"])
def test_a_server_with_a_certificate_of_another_authority_is_shown_no_code(
    mx: Postfix, way: str, home: Path
) -> None:
    set_up(home, mx.account(way))
    with open_mailer(home=home) as mailer, pytest.raises(RouteError) as caught:
        mailer.send(message())
    assert caught.value.code == "tls-certificate"
    (session,) = mx.sessions()
    assert "auth" not in session


def test_a_sender_that_is_not_the_logins_own_is_a_routes_error_and_a_fallback_may_send(
    mx: Postfix, home: Path
) -> None:
    set_up(home, mx.account(address=STRANGER, username=USER), mx.account())
    with open_mailer(STRANGER, home=home) as mailer, pytest.raises(RouteError) as caught:
        mailer.send(message())
    assert type(caught.value) is RouteError
    assert caught.value.code == "sender-mismatch"
    assert caught.value.text.startswith("553 5.7.1 ")
    with open_mailer(STRANGER, fallback=[USER], home=home) as mailer:
        receipt = mailer.send(message())
    assert [(one.account, one.verdict, one.code) for one in receipt.attempts] == [
        (STRANGER, "not_sent", "sender-mismatch"),
        (USER, "sent", ""),
    ]
    mail = mx.delivered(receipt.remote_id, "ann")
    assert b"\r\nFrom: me@corp.example\r\n" in mail
    assert b"\r\nReply-To: you@corp.example\r\n" in mail


def test_an_unknown_recipient_is_named_and_the_others_get_the_message(mx: Postfix, home: Path) -> None:
    set_up(home, mx.account())
    with open_mailer(home=home) as mailer:
        receipt = mailer.send(message(["nobody@example.com", "ann@example.com", "bob@example.com"]))
        assert list(receipt.refused) == ["nobody@example.com"]
        assert receipt.refused["nobody@example.com"].startswith("550 5.1.1 ")
        for recipient in ("ann", "bob"):
            assert receipt.message_id.encode() in mx.delivered(receipt.remote_id, recipient)
        with pytest.raises(RejectedError) as caught:
            mailer.send(message(["nobody@example.com", "noone@example.com"]))
        assert list(caught.value.refused) == ["nobody@example.com", "noone@example.com"]
        mailer.send(message())  # over the same connection, which is as good as before
    (session,) = mx.sessions()
    assert re.search(r"\bauth=1 mail=3 rcpt=3/6 ", session)


def test_a_message_over_the_servers_limit_is_refused_before_a_word_of_it_is_said(
    mx: Postfix, home: Path
) -> None:
    set_up(home, mx.account())
    with open_mailer(home=home) as mailer:
        with pytest.raises(RejectedError) as caught:
            mailer.send(message(attachments=[Attachment(bytes(SIZE_LIMIT), filename="large.bin")]))
        assert caught.value.code == "message-too-large"
        assert str(SIZE_LIMIT) in caught.value.message
    (session,) = mx.sessions()
    assert "mail" not in session
    assert "data" not in session


def test_several_messages_go_over_one_connection_and_one_login(mx: Postfix, home: Path) -> None:
    set_up(home, mx.account("starttls"))
    letters = [message(text=f"Number {number}\n") for number in range(4)]
    with open_mailer(home=home) as mailer:
        receipts = [mailer.send(one) for one in letters[:3]]
        receipts.append(asyncio.run(mailer.asend(letters[3])))
    for letter, receipt in zip(letters, receipts, strict=True):
        sent = b"".join(render(letter, Address(USER))[1].blocks())
        arrived_unchanged(mx.delivered(receipt.remote_id, "ann"), sent)
    (session,) = mx.sessions()
    assert re.search(r"\bauth=1 mail=4 rcpt=4 data=4 ", session)


def test_a_connection_that_the_server_ended_meanwhile_is_replaced_before_a_message_is_risked(
    mx: Postfix, home: Path
) -> None:
    set_up(home, mx.account("impatient"))
    with open_mailer(home=home) as mailer:
        mailer.send(message())
        (first,) = mx.sessions()  # the server has lost its patience
        assert re.search(r"\bmail=1 rcpt=1 data=1 commands=5$", first)
        receipt = mailer.send(message())
    assert receipt.message_id.encode() in mx.delivered(receipt.remote_id, "ann")
    (second,) = mx.sessions()
    assert re.search(r"\bauth=1 mail=1 rcpt=1 data=1 ", second)


def test_the_recipient_learns_nothing_of_this_host(mx: Postfix) -> None:
    acceptance, _sent = hand_over(mx.account(), message())
    mail = mx.delivered(acceptance.remote_id, "ann").decode()
    (received,) = re.findall(r"^Received: (.*(?:\n[ \t].*)*)", mail, re.M)
    # What stands in brackets is what the server saw by itself; in front of it is what we said.
    assert received.startswith("from [127.0.0.1] (unknown [127.0.0.1])")
    assert "with ESMTPSA id" in received


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_from_login_to_mailbox_by_the_command_line(
    mx: Postfix, home: Path, monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    monkeypatch.delenv(secret_variable(USER))
    monkeypatch.setenv("OAUTH_MAILER_STORE", "encrypted_file")
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", "a passphrase of the test")
    words = login_words(mx, security)
    done = run("login", USER, *words, "--code-stdin", stdin=b"canary-wrong\n")
    assert done.code == 77, done
    assert len(Accounts(home)) == 0
    done = run("login", USER, *words, "--code-stdin", stdin=CODE.encode() + b"\n")
    assert done.code == 0, done
    refused, proven = mx.sessions()
    assert " auth=0/1 " in refused
    assert " auth=1 quit=1 " in proven
    assert not folder_contains(home, CODE.encode())
    done = run("send", "--to", "ann@example.com", "--subject", "磁盘", "--json", stdin="满了\n.\n".encode())
    assert done.code == 0, done
    mail = mx.delivered(done.json["remote_id"], "ann")
    assert done.json["message_id"].encode() in mail
    assert CODE not in done.out + done.err


def test_the_command_line_says_that_the_sender_is_not_the_logins_own(mx: Postfix, home: Path) -> None:
    set_up(home, mx.account(address=STRANGER, username=USER))
    done = run("send", "--to", "ann@example.com", "--text", "Hi", "--json")
    assert done.code == 77, done
    assert (done.json["status"], done.json["error"]["type"]) == ("not_sent", "RouteError")
    assert done.json["error"]["code"] == "sender-mismatch"
    assert "not owned by user" in done.json["error"]["message"]
    assert STRANGER in done.json["error"]["hint"]


def login_words(mx: Postfix, security: str) -> list[str]:
    account = mx.account(security)
    return [
        *("--host", f"{account.host}:{account.port}", "--security", security),
        *("--ca-file", account.ca_file),
    ]
