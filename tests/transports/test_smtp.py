"""SMTP as it goes when it goes well, and what each server's abilities ask for."""

from __future__ import annotations

import socket
from base64 import b64decode
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oauth_mailer.errors import ConfigError, LoginRequired, MessageError, RejectedError, RouteError
from oauth_mailer.transports import open_transport
from oauth_mailer.wire.smtp_extensions import stuffed
from tests.support.smtp_script import CODE, EXTENSIONS, SmtpScript, Talk
from tests.support.smtp_sending import HELLO, Code, content, envelope, send, transport

WITHOUT_PIPELINING = EXTENSIONS[1:]


@pytest.mark.parametrize("security", ["tls", "starttls"])
@pytest.mark.parametrize("extensions", [EXTENSIONS, WITHOUT_PIPELINING], ids=["pipelined", "one by one"])
def test_a_message_arrives_once_and_unchanged(security: str, extensions: tuple[str, ...]) -> None:
    with SmtpScript(security=security, extensions=extensions) as server:
        acceptance = send(server, "ann@example.com", "bob@example.com")
    (mail,) = server.accepted
    assert mail.sender == f"MAIL FROM:<me@qq.com> SIZE={len(HELLO)}"
    assert mail.recipients == ("RCPT TO:<ann@example.com>", "RCPT TO:<bob@example.com>")
    assert mail.data == HELLO
    assert acceptance.remote_id == "2.0.0 Ok: queued as 4F2A"
    assert acceptance.refused == {}
    assert server.commands[-1] == "QUIT"


def test_the_transport_is_found_by_its_name() -> None:
    with SmtpScript() as server:
        way = open_transport(server.account(), Code, timeout=5)
        way.send(envelope(), content())
        way.close()
    assert way.name == "smtp"
    assert len(server.accepted) == 1


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("AUTH CRAM-MD5 LOGIN PLAIN XOAUTH2", "PLAIN"),
        ("AUTH CRAM-MD5 LOGIN", "LOGIN"),
        ("auth cram-md5", "CRAM-MD5"),
        ("AUTH=LOGIN", "LOGIN"),
    ],
)
def test_one_mechanism_is_chosen_from_what_is_offered(offered: str, chosen: str) -> None:
    with SmtpScript(extensions=[offered]) as server:
        send(server)
    assert [auth.split(" ")[1] for auth in server.auths] == [chosen]
    assert len(server.accepted) == 1


def test_the_user_name_is_the_accounts() -> None:
    with SmtpScript() as server:
        send(server, username="lilei")
    assert b64decode(server.auths[0].split(" ")[2]) == f"\0lilei\0{CODE}".encode()


def test_a_password_of_any_characters_is_shown_as_utf_8() -> None:
    with SmtpScript(secrets=["pä§§ 密码"]) as server:
        send(server, credential=Code("pä§§ 密码"))
    assert len(server.accepted) == 1


def test_a_bearer_token_is_shown_by_xoauth2() -> None:
    with SmtpScript(extensions=["AUTH PLAIN XOAUTH2"], secrets=["token-1"]) as server:
        send(server, credential=Code("token-1", form="bearer"))
    (auth,) = server.auths
    assert b64decode(auth.split(" ")[2]) == b"user=me@qq.com\1auth=Bearer token-1\1\1"


def test_a_secret_too_long_for_one_command_is_shown_when_asked_for() -> None:
    token = "t" * 2000
    with SmtpScript(extensions=["AUTH XOAUTH2"], secrets=[token]) as server:
        send(server, credential=Code(token, form="bearer"))
    assert server.auths == ["AUTH XOAUTH2"]
    assert len(server.accepted) == 1


def test_a_refused_token_is_renewed_once_on_a_new_connection() -> None:
    credential = Code("old", "new", form="bearer")
    with SmtpScript(extensions=["AUTH XOAUTH2"], secrets=["new"]) as server:
        send(server, credential=credential)
    assert (server.connections, len(server.auths), credential.refused) == (2, 2, ["old"])
    assert "empty answer" in server.commands
    assert len(server.accepted) == 1


def test_a_token_refused_twice_needs_a_login_and_says_the_servers_reason() -> None:
    with (
        SmtpScript(extensions=["AUTH XOAUTH2"], secrets=["other"]) as server,
        pytest.raises(LoginRequired) as caught,
    ):
        send(server, credential=Code("old", "new", form="bearer"))
    assert len(server.auths) == 2
    assert '{"status":"400","scope":"mail"}' in caught.value.text
    assert "oauth-mailer login me@qq.com" in caught.value.hint


@pytest.mark.parametrize("offered", ["AUTH XOAUTH2", "AUTH GSSAPI NTLM", "AUTH", "SIZE"])
def test_a_server_with_no_mechanism_for_the_account_is_a_routes_error(offered: str) -> None:
    with SmtpScript(extensions=[offered]) as server, pytest.raises(RouteError) as caught:
        send(server)
    assert caught.value.code == "auth-not-offered"
    assert server.auths == []


def test_an_account_without_a_login_opens_no_credential() -> None:
    def no_credential() -> Code:
        raise AssertionError("none is needed")

    with SmtpScript() as server:
        way = open_transport(server.account(auth="none"), no_credential, timeout=5)
        way.send(envelope(), content())
        way.close()
    assert server.auths == []
    assert len(server.accepted) == 1


def test_without_encryption_asked_for_by_name_nothing_secret_is_sent() -> None:
    with SmtpScript(security="none") as server:
        send(server)
    assert server.auths == []
    assert len(server.accepted) == 1


def test_the_greeting_names_neither_host_nor_network() -> None:
    with SmtpScript(security="starttls") as server:
        send(server)
    assert server.said("EHLO") == ["EHLO [127.0.0.1]"] * 2
    assert not any(socket.gethostname() in command for command in server.commands)


def test_the_greeting_can_be_set_for_a_server_that_insists() -> None:
    with SmtpScript() as server:
        send(server, options={"helo": "mail.example.com"})
    assert server.said("EHLO") == ["EHLO mail.example.com"]
    for wrong in ("", "two words", "a\r\nb", 5):
        with pytest.raises(ConfigError):
            transport(server, options={"helo": wrong})


def test_helo_is_said_only_where_neither_login_nor_starttls_is_needed() -> None:
    with SmtpScript(ehlo=b"502 5.5.1 what?\r\n") as server:
        send(server, auth="none")
    assert server.said("HELO") == ["HELO [127.0.0.1]"]
    assert server.accepted[0].sender == "MAIL FROM:<me@qq.com>"
    for security in ("tls", "starttls"):
        with SmtpScript(ehlo=b"502 5.5.1 what?\r\n", security=security) as server:
            with pytest.raises(RouteError) as caught:
                send(server)
            assert caught.value.code == "ehlo-refused"
            assert "helo" in caught.value.hint
            assert not server.said("HELO")


@pytest.mark.parametrize(
    ("limit", "passes"), [("SIZE 22", True), ("SIZE 21", False), ("SIZE 0", True), ("SIZE", True)]
)
def test_a_message_over_the_servers_size_is_refused_before_it_is_sent(limit: str, passes: bool) -> None:
    assert len(HELLO) == 22
    with SmtpScript(extensions=[limit, "AUTH PLAIN"]) as server:
        if passes:
            send(server)
        else:
            with pytest.raises(RejectedError, match=r"22 octets.*at most 21") as caught:
                send(server)
            assert caught.value.code == "message-too-large"
    assert bool(server.said("MAIL")) is passes


def test_eight_bit_content_is_declared_or_not_sent() -> None:
    body = content("Subject: Grüße\r\n\r\nÄ\r\n".encode(), needs_8bit=True)
    with SmtpScript() as server:
        send(server, what=body)
    assert server.accepted[0].sender.endswith(" BODY=8BITMIME")
    with SmtpScript(extensions=["AUTH PLAIN"]) as server, pytest.raises(RouteError) as caught:
        send(server, what=body)
    assert caught.value.code == "8bitmime-missing"
    assert not server.said("MAIL")


@pytest.mark.parametrize("where", ["content", "recipient", "sender"])
def test_addresses_in_other_scripts_are_declared_or_not_sent(where: str) -> None:
    what = content(needs_smtputf8=where == "content")
    recipient = "李雷@example.com" if where == "recipient" else "ann@example.com"
    sender = "我@example.com" if where == "sender" else "me@qq.com"
    with SmtpScript() as server:
        send(server, recipient, what=what, sender=sender)
    assert server.accepted[0].sender.endswith(" SMTPUTF8")
    assert server.accepted[0].recipients == (f"RCPT TO:<{recipient}>",)
    with SmtpScript(extensions=["AUTH PLAIN", "8BITMIME"]) as server, pytest.raises(RouteError) as caught:
        send(server, recipient, what=what, sender=sender)
    assert caught.value.code == "smtputf8-missing"
    assert not caught.value.retry_later
    assert not server.said("MAIL")


def test_hundreds_of_recipients_go_out_in_one_transaction() -> None:
    recipients = [f"user{number}@example.com" for number in range(333)]
    with SmtpScript() as server:
        send(server, *recipients)
    (mail,) = server.accepted
    assert mail.recipients == tuple(f"RCPT TO:<{one}>" for one in recipients)


def test_pipelined_commands_leave_before_any_is_answered() -> None:
    def waits_for_data(talk: Talk) -> bool:
        while b"DATA\r\n" not in talk.buffer:
            talk.buffer += talk.sock.recv(65536)
        return talk.say(b"250 ok\r\n")

    with SmtpScript(mail=waits_for_data) as server:
        send(server)
    assert len(server.accepted) == 1


LINES = st.lists(st.sampled_from([b".", b"..", b"", b".a", b"a.", b"\r\n.b", b"x" * 70]), max_size=12)


@settings(max_examples=150, deadline=None)
@given(LINES, st.lists(st.integers(0, 200), max_size=8))
def test_dots_are_doubled_wherever_a_block_ends(lines: list[bytes], cuts: list[int]) -> None:
    data = b"".join(line + b"\r\n" for line in lines)
    borders = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
    blocks = [data[start:end] for start, end in pairwise(borders)]
    sent = b"".join(stuffed(iter(blocks)))
    received = [line.removeprefix(b".") for line in sent.split(b"\r\n")]
    assert b"\r\n".join(received) == data
    assert not any(line == b"." for line in sent.split(b"\r\n"))


def test_a_lone_dot_and_a_large_body_arrive_intact() -> None:
    body = HELLO + b".\r\n..\r\nend.\r\n" + b"0123456789abcdef" * 4 * 1000 + b"\r\n.\r\n" * 20000
    cut = [body[at : at + 7001] for at in range(0, len(body), 7001)]
    with SmtpScript() as server:
        send(server, what=content(*cut))
    assert server.accepted[0].data == body


def test_a_file_that_changes_while_it_is_read_breaks_off_before_the_end() -> None:
    changed = MessageError("report.pdf changed while it was read.", code="attachment-changed")
    with SmtpScript() as server:
        way = transport(server)
        with pytest.raises(MessageError) as caught:
            way.send(envelope(), content(HELLO * 9000, changed))
        assert caught.value is changed
        assert server.parted.acquire(timeout=10)
        way.send(envelope(), content())
        way.close()
    assert [mail.data for mail in server.received] == [HELLO]


def test_a_login_is_proven_without_a_message() -> None:
    with SmtpScript() as server:
        way = transport(server)
        way.prove()
        way.close()
    assert [command.split(" ")[0] for command in server.commands] == ["EHLO", "AUTH", "QUIT"]
    with SmtpScript(secrets=["other"]) as server, pytest.raises(LoginRequired):
        transport(server).prove()
    assert len(server.auths) == 1
