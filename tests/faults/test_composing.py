"""Bad input and hard input, from the message to what a server gets to see of it."""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from oauth_mailer import (
    Address,
    Attachment,
    Mailer,
    Message,
    MessageError,
    RawMessage,
    RejectedError,
    Route,
    RouteError,
)
from oauth_mailer.providers import provider_for
from oauth_mailer.stores import Secret
from oauth_mailer.transports.gmail import GmailTransport
from tests.support.http_script import HttpScript, answer
from tests.support.mail_texts import FAMILY, as_sent, classic, classic_text, modern, octets
from tests.support.mime_reader import Part, read
from tests.support.smtp_script import EXTENSIONS, SmtpScript
from tests.support.smtp_sending import transport

ANN = "ann@example.com"
QQ = Address("me@qq.com", "Me")
GMAIL = Address("me@gmail.com", "Me")
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs what only POSIX has")


@contextmanager
def mailer_at(server: SmtpScript, sender: Address = QQ, **limits: Any) -> Iterator[Mailer]:
    """A mailer with one route: this server."""
    with Mailer(Route(sender=sender, transport=transport(server), **limits)) as mailer:
        yield mailer


def arrived(message: Message | RawMessage, **how: Any) -> bytes:
    """Send it by SMTP; the octets that the server took."""
    with SmtpScript(**how) as server, mailer_at(server) as mailer:
        mailer.send(message)
    (mail,) = server.accepted
    return mail.data


def refused(build: Callable[[], object]) -> MessageError:
    with pytest.raises(MessageError) as caught:
        build()
    assert caught.value.hint
    assert str(caught.value).isprintable()
    return caught.value


# 1 and 3. Line breaks, and what is like one

INJECTION = "\r\nBcc: evil@example.net"


@pytest.mark.fault(1)
@pytest.mark.parametrize(
    "build",
    [
        lambda: Message(to=ANN, subject=f"Hi{INJECTION}"),
        lambda: Message(to=ANN, headers={"X-A": f"b{INJECTION}"}),
        lambda: Message(to=ANN, headers={f"X-A: b{INJECTION}": "c"}),
        lambda: Message(to=f"ann@example.com{INJECTION}"),
        lambda: Message(to=Address(ANN, f"Ann{INJECTION}")),
        lambda: Message(to=f'"Ann{INJECTION}" <ann@example.com>'),
        lambda: Message(to=ANN, from_name=f"Me{INJECTION}"),
        lambda: Message(to=ANN, id=f"<a@b>{INJECTION}"),
        lambda: Message(to=ANN, in_reply_to=f"<a@b>{INJECTION}"),
        lambda: Message(to=ANN, list_unsubscribe=f"https://a.b/{INJECTION}"),
        lambda: Attachment(b"", filename=f"a.txt{INJECTION}"),
        lambda: Attachment(b"", content_id=f"a{INJECTION}"),
        lambda: Attachment(b"", media_type=f"text/plain{INJECTION}"),
    ],
)
def test_a_line_break_never_makes_a_header(build: Callable[[], object]) -> None:
    refused(build)


@pytest.mark.fault(3)
@pytest.mark.parametrize("name", ["X:A", "X A", "X\tA", "Xé", "季", "", "X-A\n"])
def test_a_header_name_that_is_none_is_refused(name: str) -> None:
    refused(lambda: Message(to=ANN, headers={name: "b"}))


@pytest.mark.fault(3)
@pytest.mark.parametrize("bad", [*"\0\x0b\x0c\x85\u2028"])
def test_what_some_program_takes_for_a_line_break_is_refused_in_a_header(bad: str) -> None:
    refused(lambda: Message(to=ANN, subject=f"a{bad}b"))
    refused(lambda: Message(to=ANN, headers={"X-A": f"a{bad}b"}))
    refused(lambda: RawMessage(f"To: {ANN}\r\nSubject: a{bad}Bcc: x@y\r\n\r\n".encode()))


# 2. Encoded words that a person typed


@pytest.mark.fault(2)
@pytest.mark.parametrize(
    "typed",
    [
        "=?UTF-8?Q?=0ABcc:_x@y?=",
        "=?utf-8?q?x?=",
        "a =?utf-8?b?DQpCY2M6IHhAeQ==?= b",
        "=?utf-8?q?=0D=0ABcc:_x@y?= 季",
        "=?x?= ?= =?",
    ],
)
def test_an_encoded_word_that_was_typed_arrives_as_it_was_typed(typed: str) -> None:
    data = arrived(Message(to=Address(ANN, typed), subject=typed, headers={"X-A": typed}, text=""))
    part = read(data)
    assert part.text("Subject") == part.text("X-A") == typed
    assert part.mailboxes("To") == [(typed, ANN)]
    for message in (modern(data), classic(data)):
        assert "Bcc" not in message
        assert len(message.keys()) == len(part.fields)
    assert modern(data)["Subject"] == classic_text(classic(data), "Subject") == typed


# 4. Halves of characters


@pytest.mark.fault(4)
@pytest.mark.parametrize(
    "build",
    [
        lambda half: Message(to=ANN, subject=half),
        lambda half: Message(to=ANN, text=half),
        lambda half: Message(to=ANN, html=half),
        lambda half: Message(to=ANN, from_name=half),
        lambda half: Message(to=Address(ANN, half)),
        lambda half: Message(to=f"{half}@example.com"),
        lambda half: Message(to=ANN, headers={"X-A": half}),
        lambda half: Attachment(b"", filename=half),
        lambda half: Attachment(b"", content_id=half),
    ],
)
def test_half_a_character_is_refused_as_bad_text(build: Callable[[str], object]) -> None:
    assert refused(lambda: build("a\ud83d")).code == "lone-surrogate"


# 5. Bodies that look like the end of a message


@pytest.mark.fault(5)
@pytest.mark.parametrize(
    "body",
    [
        "x" * 5000,
        ".",
        "a\r\n.\r\nMAIL FROM:<evil@example.net>\r\n",
        "a\n.\nb",
        "a\r.\rb",
        "a\r\n.\rb\n.\r\n..\r\n",
        ".a\r\n..b\r\n...",
        "季\r\n.\r\n" * 3000,
        "é" * 3000,
        "From me\n>From you\n",
        "\0\x1a\x04",
    ],
)
def test_a_body_arrives_intact_whatever_is_in_it(body: str) -> None:
    data = arrived(Message(to=ANN, text=body, html=body))
    part = read(data)
    assert part.find("text/plain").body == part.find("text/html").body == as_sent(body)
    assert max(map(len, data.split(b"\r\n"))) <= 998


# 6. Every script


@pytest.mark.fault(6)
@pytest.mark.parametrize(
    "subject",
    [
        *(
            "季" * 1200,
            FAMILY * 50,
            "\U0001f469\U0001f3fd\u200d\U0001f680\U0001f3f3\ufe0f\u200d\U0001f308" * 30,
        ),
        *("שלום עולם " * 30, "مرحبا بالعالم " * 30, "e\u0301a\u0308" * 100, "\u202eabc\u202c"),
    ],
    ids=["chinese", "family", "emoji", "hebrew", "arabic", "combining", "override"],
)
def test_every_script_arrives_intact(subject: str) -> None:
    data = arrived(Message(to=Address(ANN, subject), subject=subject, text=subject, from_name=subject))
    part = read(data)
    assert part.text("Subject") == modern(data)["Subject"] == subject
    assert part.mailboxes("To") == [(subject.strip(), ANN)]
    assert part.mailboxes("From") == [(subject.strip(), QQ.email)]
    assert part.body == as_sent(subject)


# 7. Long words that must stay whole

LONG_ID = f"<{'a' * 59}@{'b' * 58}>"
LONG_URI = f"https://example.com/{'c' * 100}"


@pytest.mark.fault(7)
@pytest.mark.parametrize(
    "message",
    [
        Message(to=ANN, in_reply_to=LONG_ID, list_unsubscribe=LONG_URI, id=LONG_ID),
        Message(
            to=ANN,
            id=LONG_ID,
            headers={"In-Reply-To": LONG_ID, "References": LONG_ID, "List-Unsubscribe": f"<{LONG_URI}>"},
        ),
    ],
    ids=["by argument", "by header"],
)
def test_a_message_id_or_a_link_is_never_an_encoded_word(message: Message) -> None:
    assert len(LONG_ID) == len(LONG_URI) == 120
    data = arrived(message)
    assert b"=?" not in data
    for reader in (read(data).one, modern(data).__getitem__, classic(data).__getitem__):
        for name in ("In-Reply-To", "References", "Message-ID"):
            assert reader(name).strip() == LONG_ID
        assert reader("List-Unsubscribe").strip() == f"<{LONG_URI}>"


# 8. Addresses that programs read differently


@pytest.mark.fault(8)
def test_the_address_in_angles_gets_it_and_not_the_one_in_the_name() -> None:
    with SmtpScript() as server, mailer_at(server) as mailer:
        mailer.send(Message(to='"boss@good.example" <x@evil.example>', text=""))
    assert server.accepted[0].recipients == ("RCPT TO:<x@evil.example>",)
    part = read(server.accepted[0].data)
    assert part.mailboxes("To") == [("boss@good.example", "x@evil.example")]


@pytest.mark.fault(8)
@pytest.mark.parametrize(
    "text",
    [
        *("alice@a)bob@b", '"x@gmail.com y"@internal', "<>"),
        *("undisclosed-recipients:;", "a: b: c@d;;", "a: b@c"),
        *("boss@good.example <x@evil.example>", "<a@b> c@d", "a@b(c)d@e", "a(x)b@c"),
    ],
)
def test_an_address_that_could_be_two_is_refused(text: str) -> None:
    refused(lambda: Message(to=text))
    refused(lambda: RawMessage(f"To: {text}\r\n\r\n".encode()))


@pytest.mark.fault(8)
@pytest.mark.timeout(60)
def test_fifty_thousand_addresses_are_read_and_written_in_bounded_time() -> None:
    text = ", ".join(f'"Nr. {number}" <user{number}@example.com>' for number in range(50_000))
    message = Message(to=f"All: {text};", text="")
    part = read(octets(message))
    assert [email for _name, email in part.mailboxes("To")] == [one.email for one in message.to]
    folded = text.replace(">, ", ">,\r\n ")
    raw = RawMessage(f"To: {folded}\r\n\r\nHi\r\n".encode())
    assert raw.recipients[-1].email == "user49999@example.com"


# 9. Other scripts in addresses


@pytest.mark.fault(9)
def test_an_international_domain_travels_as_an_a_label() -> None:
    with SmtpScript() as server, mailer_at(server) as mailer:
        mailer.send(Message(to="ann@例え.テスト", cc="bob@bücher.example", text=""))
    (mail,) = server.accepted
    assert mail.recipients == ("RCPT TO:<ann@xn--r8jz45g.xn--zckzah>", "RCPT TO:<bob@xn--bcher-kva.example>")
    assert "SMTPUTF8" not in mail.sender
    assert mail.data.isascii()


@pytest.mark.fault(9)
@pytest.mark.parametrize("field", ["to", "cc", "bcc"])
def test_a_local_part_in_another_script_needs_smtputf8_or_fails_for_good(field: str) -> None:
    message = Message(**{field: "李雷@例え.jp"}, text="")  # type: ignore[arg-type]
    with SmtpScript() as server, mailer_at(server) as mailer:
        mailer.send(message)
    (mail,) = server.accepted
    assert mail.sender.endswith(" SMTPUTF8")
    assert mail.recipients == ("RCPT TO:<李雷@xn--r8jz45g.jp>",)
    plain = [one for one in EXTENSIONS if one != "SMTPUTF8"]
    with (
        SmtpScript(extensions=plain) as server,
        mailer_at(server) as mailer,
        pytest.raises(RouteError) as caught,
    ):
        mailer.send(message)
    assert caught.value.code == "smtputf8-missing"
    assert not caught.value.retry_later
    assert not server.said("MAIL")


# 10. How many


@pytest.mark.fault(10)
def test_a_recipient_named_several_times_gets_it_once() -> None:
    message = Message(to=[ANN, "ANN@example.com"], cc="Ann@Example.Com", bcc=f"{ANN}, bob@example.com")
    with SmtpScript() as server, mailer_at(server) as mailer:
        mailer.send(message)
    (mail,) = server.accepted
    assert mail.recipients == (f"RCPT TO:<{ANN}>", "RCPT TO:<bob@example.com>")


class Token:
    form = "bearer"

    def get(self) -> Secret:
        return Secret("token")

    def renew(self, refused: Secret) -> Secret:
        raise AssertionError(f"{refused} was not refused")


@contextmanager
def gmail(server: HttpScript, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailer]:
    monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", server.url)
    preset = provider_for(GMAIL.email)
    assert preset is not None
    way = GmailTransport(GMAIL.email, Token, timeout=5)  # type: ignore[arg-type]
    limits = {"max_size": preset.max_size, "max_recipients": preset.max_recipients}
    with Mailer(Route(sender=GMAIL, transport=way, **limits)) as mailer:  # type: ignore[arg-type]
        yield mailer


@pytest.mark.fault(10)
def test_more_than_a_hundred_recipients_on_gmail_are_refused_before_connecting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = [f"user{number}@example.com" for number in range(101)]
    with HttpScript(answer(body={"id": "1"})) as server, gmail(server, monkeypatch) as mailer:
        for fields in ({"to": many}, {"bcc": many}, {"to": many[:50], "cc": many[50:90], "bcc": many[90:]}):
            error = refused(lambda fields=fields: mailer.send(Message(**fields, text="")))  # type: ignore[misc]
            assert error.code == "too-many-recipients"
            assert "101" in str(error)
            assert "100" in error.hint
        assert not server.requests
        mailer.send(Message(to=many[:100], cc=many[:100], text=""))
    assert len(server.requests) == 1


# 11. Blind recipients


@pytest.mark.fault(11)
@pytest.mark.parametrize(
    "message",
    [
        Message(to=ANN, bcc="Boss <boss@example.com>", text="Hi\n"),
        RawMessage(b"To: ann@example.com\r\nBcc: Boss <boss@example.com>\r\n\r\nHi\r\n"),
    ],
    ids=["message", "finished"],
)
def test_a_blind_recipient_gets_it_and_is_seen_by_nobody(
    message: Message | RawMessage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SmtpScript() as server, mailer_at(server) as mailer:
        mailer.send(message)
    (mail,) = server.accepted
    assert mail.recipients == (f"RCPT TO:<{ANN}>", "RCPT TO:<boss@example.com>")
    assert not re.search(rb"bcc|boss", mail.data, re.I)
    with HttpScript(answer(body={"id": "1"})) as web, gmail(web, monkeypatch) as mailer:
        mailer.send(message)
    # Google reads its recipients from the headers, and takes this one out.
    raw = base64.urlsafe_b64decode(json.loads(web.requests[0].body)["raw"])
    assert message_from_bytes(raw).get_all("Bcc") == ["boss@example.com"]


# 12. Attachments


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def loop(path: Path) -> Path:
    """Nobody can read it, not even root."""
    path.symlink_to(path)
    return path


@pytest.mark.fault(12)
@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "made",
    [
        pytest.param(lambda path: path, id="missing"),
        pytest.param(lambda path: path.parent, id="folder"),
        pytest.param(fifo, id="fifo", marks=posix),
        pytest.param(lambda _path: Path("/dev/zero"), id="device", marks=posix),
        pytest.param(loop, id="unreadable", marks=posix),
    ],
)
def test_what_is_no_readable_file_is_refused_before_anything_is_connected(
    made: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = made(tmp_path / "report.pdf")
    error = refused(lambda: Message(to=ANN, text="", attachments=[path]))
    assert error.code == "attachment-unreadable"
    assert path.name in str(error)


@pytest.mark.fault(12)
@pytest.mark.timeout(30)
@posix
def test_a_file_that_became_a_fifo_does_not_hang_the_send(tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(b"%PDF")
    message = Message(to=ANN, text="", attachments=[path])
    path.unlink()
    fifo(path)
    with SmtpScript() as server, mailer_at(server) as mailer:
        assert refused(lambda: mailer.send(message)).code == "attachment-changed"
    assert not server.commands


@pytest.mark.fault(12)
def test_a_file_that_changes_while_it_is_sent_is_accepted_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "large.bin"
    path.write_bytes(bytes(600_000))
    message = Message(to=ANN, text="", attachments=[path])

    def grow(done: int, _size: int) -> None:
        if done > 100_000:
            with path.open("ab") as file:
                file.write(b"x")

    with SmtpScript() as server, mailer_at(server) as mailer:
        error = refused(lambda: mailer.send(message, progress=grow))
        assert error.code == "attachment-changed"
        assert error.verdict == "not_sent"
    assert not server.accepted


@pytest.mark.fault(12)
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../x", "x"),
        ("报告.pdf", "报告.pdf"),
        ("报" * 300, "报" * 300),
        ("a" * 300, "a" * 300),
        ('say "hi"; a=b.txt', 'say "hi"; a=b.txt'),
        ("C:\\temp\\100%'*.txt", "100%'*.txt"),
    ],
)
def test_the_name_of_an_attachment_arrives_as_its_base_name(name: str, shown: str) -> None:
    data = arrived(Message(to=ANN, text="", attachments=[Attachment(b"x", filename=name)]))
    (part,) = read(data).attachments()
    assert part.disposition_parameters == {"filename": shown}
    assert message_from_bytes(data).get_payload()[1].get_filename() == shown  # type: ignore[index, union-attr]


@pytest.mark.fault(12)
def test_an_empty_file_arrives_empty(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    (part,) = read(arrived(Message(to=ANN, text="", attachments=[tmp_path / "empty.txt"]))).attachments()
    assert part.content == b""


# 13. Size


@pytest.mark.fault(13)
def test_the_size_is_judged_to_the_octet_before_data() -> None:
    message = Message(to=ANN, text="x\n" * 1000)
    size = len(octets(message, QQ))
    for limit, extensions in ((size - 1, EXTENSIONS), (None, (f"SIZE {size - 1}", "AUTH PLAIN"))):
        with SmtpScript(extensions=extensions) as server, mailer_at(server, max_size=limit) as mailer:
            with pytest.raises((MessageError, RejectedError)) as caught:
                mailer.send(message)
            assert caught.value.code == "message-too-large"
            assert str(size) in str(caught.value)
            assert not server.said("MAIL")
            assert bool(server.commands) is (limit is None)  # our own limit is known before connecting
    with (
        SmtpScript(extensions=(f"SIZE {size}", "AUTH PLAIN")) as server,
        mailer_at(server, max_size=size) as mailer,
    ):
        mailer.send(message)
    assert server.accepted[0].sender == f"MAIL FROM:<me@qq.com> SIZE={size}"
    assert len(server.accepted[0].data) == size


# 14. Whose message it is


@pytest.mark.fault(14)
@pytest.mark.parametrize("address", ["me@qq.com", "me@163.com"])
def test_a_message_from_somebody_else_is_caught_before_connecting(address: str) -> None:
    preset = provider_for(address)
    assert preset is not None
    theirs = RawMessage(b"From: You <you@example.com>\r\nTo: ann@example.com\r\n\r\nHi\r\n")
    ours = RawMessage(f"From: Me <{address.upper()}>\r\nTo: ann@example.com\r\n\r\nHi\r\n".encode())
    with (
        SmtpScript() as server,
        mailer_at(server, Address(address), sender_must_match=preset.sender_must_match) as mailer,
    ):
        with pytest.raises(RouteError) as caught:
            mailer.send(theirs)
        assert caught.value.code == "sender-mismatch"
        assert not server.commands
        mailer.send(ours)
        mailer.send(Message(to=ANN, text="", from_name="You"))
    assert [mail.sender.partition(" SIZE")[0] for mail in server.accepted] == [f"MAIL FROM:<{address}>"] * 2
    part: Part = read(server.accepted[1].data)
    assert part.mailboxes("From") == [("You", address)]  # a name of one's own is no other sender
    assert str(message_from_bytes(server.accepted[0].data, policy=policy.default)["From"]).startswith("Me <")
