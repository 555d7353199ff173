"""A finished message: what is made of it, what is refused, and what stays as it is."""

from __future__ import annotations

import copy
import pickle
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_mailer import Address, Attachment, Message, MessageError, RawMessage
from oauth_mailer.mime import render
from tests.support.mail_texts import ME, as_sent, moderately
from tests.support.mime_reader import read

PLAIN = (
    b"From: Me <me@example.org>\r\n"
    b"To: Ann <ann@example.com>\r\n"
    b"Subject: Hi\r\n"
    b"Date: Wed, 25 Nov 2026 03:00:00 +0000\r\n"
    b"Message-ID: <1@example.org>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"\r\n"
    b"Hello\r\n"
)


def sent(message: RawMessage, sender: Address = ME, on_behalf_of: Address | None = None) -> bytes:
    _envelope, content = render(message, sender, on_behalf_of=on_behalf_of)
    data = b"".join(content.blocks())
    assert content.size == len(data)
    assert data.endswith(b"\r\n")
    return data


def with_head(*lines: str, body: str = "Hello") -> bytes:
    return "".join(f"{line}\r\n" for line in (*lines, "", body)).encode()


def malformed(data: bytes, reason: str = "") -> None:
    with pytest.raises(MessageError) as caught:
        RawMessage(data)
    assert caught.value.code in ("eml-malformed", "address-malformed"), caught.value
    assert reason in str(caught.value)
    assert caught.value.hint
    assert str(caught.value).isprintable()


def test_a_sound_message_passes_to_the_octet() -> None:
    message = RawMessage(PLAIN)
    assert sent(message) == PLAIN
    assert (message.id, message.sender) == ("<1@example.org>", Address("me@example.org"))
    assert message.recipients == message.named == (Address("ann@example.com"),)


@moderately
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200))
def test_a_body_passes_with_its_line_ends_as_crlf(body: str) -> None:
    data = PLAIN.removesuffix(b"Hello\r\n") + body.replace("\r\r\n", "\n").encode()
    expected = as_sent(body.replace("\r\r\n", "\n"))
    assert sent(RawMessage(data)).partition(b"\r\n\r\n")[2].decode() == expected


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.replace(b"\r\n", b"\n"),
        PLAIN.replace(b"\r\n", b"\r"),
        PLAIN.replace(b"\r\n", b"\r\r\n"),  # line ends translated twice
        PLAIN.removesuffix(b"\r\n"),
        b"From me@example.org Wed Nov 25 03:00:00 2026\r\n" + PLAIN,
        b"From me@example.org Wed Nov 25 03:00:00 2026\n" + PLAIN.replace(b"\r\n", b"\n"),
        PLAIN.replace(b"Subject: Hi", b"Subject: Hi\r\nBcc: boss@example.com"),
        PLAIN.replace(b"Subject: Hi", b"bcc:\r\n boss@example.com,\r\n\tbob@example.com\r\nSubject: Hi"),
        PLAIN.replace(b"Subject: Hi", b"Subject: Hi\r\nReturn-Path: <x@y>\r\nResent-Bcc: z@y"),
        PLAIN.replace(b"Subject: Hi", b"Subject: Hi\r\n \r\n\t \r\n"[:-2]),
    ],
)
def test_what_no_server_should_see_is_gone_and_all_else_is_there(data: bytes) -> None:
    assert sent(RawMessage(data, recipients="ann@example.com")) == PLAIN


def test_a_line_of_blanks_inside_a_field_does_not_end_the_header() -> None:
    data = with_head("From: me@example.org", "To: ann@example.com", "Subject: a", " ", "\t b", "X-A: 1")
    result = sent(RawMessage(data))
    assert b"Subject: a\r\n\t b\r\nX-A: 1\r\n" in result
    assert message_from_bytes(result)["X-A"] == "1"


def test_bcc_gets_it_and_is_named_nowhere() -> None:
    data = with_head(
        "From: me@example.org", "To: ann@example.com", "BCC: Boss <boss@example.com>", "Bcc: b@c.de"
    )
    message = RawMessage(data)
    envelope, content = render(message, ME)
    assert [one.email for one in envelope.recipients] == ["ann@example.com", "boss@example.com", "b@c.de"]
    assert [one.email for one in envelope.named] == ["ann@example.com"]
    assert b"boss" not in b"".join(content.blocks())


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (['To: Friends: a@b, "C, D" <c@d>;, e@f', "Cc: (nobody) G <g@h>"], ["a@b", "c@d", "e@f", "g@h"]),
        (["To: undisclosed-recipients:;", "Bcc: a@b"], ["a@b"]),
        (["To: =?utf-8?q?a=2C_b?= <c@d>,\r\n =?gb2312?B?wO7A1w==?= <e@f>"], ["c@d", "e@f"]),
        (["To: a@b", "Cc: A@B"], ["a@b"]),
        (["To: a@b", "Resent-To: c@d", "Resent-Cc: e@f", "Resent-Bcc: g@h"], ["c@d", "e@f", "g@h"]),
        (["To:\r\n\ta@b\r\n\t, c@d"], ["a@b", "c@d"]),
    ],
)
def test_recipients_are_those_of_the_headers(lines: list[str], expected: list[str]) -> None:
    envelope, _content = render(RawMessage(with_head("From: me@example.org", *lines)), ME)
    assert [one.email for one in envelope.recipients] == expected


@pytest.mark.parametrize("given", ["a@b, c@d", ["a@b", "c@d"], [Address("a@b"), "c@d"], ("a@b, c@d",)])
def test_recipients_that_are_given_count_instead(given: object) -> None:
    message = RawMessage(PLAIN, recipients=given)  # type: ignore[arg-type]
    assert [one.email for one in message.recipients] == ["a@b", "c@d"]
    assert [one.email for one in message.named] == ["ann@example.com"]


def test_a_recipient_that_is_given_and_named_is_not_a_blind_one() -> None:
    envelope, _content = render(RawMessage(PLAIN, recipients="Ann Lee <ANN@example.com>, bob@b.de"), ME)
    assert envelope.named == (Address("ann@example.com"),)
    assert envelope.recipients == (Address("ann@example.com"), Address("bob@b.de"))


@pytest.mark.parametrize("head", [["From: a@b"], ["To: x:;"], ["To:"], ["Subject: x"]])
def test_a_message_to_nobody_is_refused(head: list[str]) -> None:
    with pytest.raises(MessageError) as caught:
        RawMessage(with_head(*head))
    assert caught.value.code == "no-recipient"


def test_what_is_missing_is_put_in_and_the_same_every_time() -> None:
    message = RawMessage(b"To: ann@example.com\nSubject: Hi\n\nHello")
    first, second = sent(message), sent(message, Address("me@qq.com", "李雷"))
    part = message_from_bytes(first, policy=policy.default)
    assert part["From"] == "Me <me@example.org>"
    assert part["Message-ID"] == message.id
    assert part["Date"].datetime == message.date
    again = message_from_bytes(second, policy=policy.default)
    assert again["From"] == "李雷 <me@qq.com>"
    assert (again["Message-ID"], again["Date"]) == (part["Message-ID"], part["Date"])


@pytest.mark.parametrize("line", ["Message-ID:", "Message-ID: none", "message-id: <>"])
def test_a_message_id_that_is_none_is_replaced(line: str) -> None:
    message = RawMessage(with_head("To: a@b", line))
    assert message_from_bytes(sent(message)).get_all("Message-ID") == [message.id]


def test_a_header_without_a_body_is_a_message() -> None:
    for data in (b"To: a@b\r\nSubject: x\r\n", b"To: a@b\r\nSubject: x", b"To: a@b\r\nSubject: x\r\n\r\n"):
        message = RawMessage(data)
        assert message.body == b""
        assert sent(message).endswith(b"\r\n\r\n")


def test_a_body_without_a_header_needs_recipients() -> None:
    message = RawMessage(b"\r\nHello\r\n", recipients="a@b")
    assert sent(message).endswith(b"\r\n\r\nHello\r\n")
    assert b"From: Me <me@example.org>\r\n" in sent(message)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"To: a@b\r\nHello\r\n", "'Hello' is no header"),
        (b"Hello", "'Hello' is no header"),
        (b" To: a@b\r\n\r\n", "no header"),
        (b"To : a@b\r\n\r\n", "no header"),
        (b"To: a@b\r\n: x\r\n\r\n", "no header"),
        ("To: a@b\r\nSübject: x\r\n\r\n".encode(), "no header"),
        (b"To: a@b\r\nX Y: x\r\n\r\n", "no header"),
        (b"To: a@b\r\n\r\na\0b", "NUL"),
        (b"To: a@b\r\nSubject: a\0b\r\n\r\n", "NUL"),
        (b"To: a@b\r\nSubject: a\x0bb\r\n\r\n", "control character"),
        ("To: a@b\r\nSubject: a\u0085b\r\n\r\n".encode(), "control character"),
        ("To: a@b\r\nSubject: a\u2028b\r\n\r\n".encode(), "control character"),
        (b"To: a@b\r\nSubject: \xb1\xa8\r\n\r\n", "neither ASCII nor UTF-8"),
        (b"To: a@b\r\n\r\n" + b"x" * 999, "longer than 998"),
        (b"To: a@b\r\nSubject: " + b"x" * 990 + b"\r\n\r\n", "longer than 998"),
        (b"To: a@b\r\n" + b"X-A: b\r\n" * 600_000 + b"\r\n", "header is too long"),
        (b"To: a@b\r\nFrom: :;\r\n\r\n", ""),
        (b"To: a@b\r\nFrom:\r\n\r\n", "which one mailbox"),
        (b"To: a@b\r\nFrom: x:;\r\n\r\n", "which one mailbox"),
        (b"To: a@b\r\nFrom: c@d, e@f\r\n\r\n", "which one mailbox"),
        (b"To: a@b\r\nResent-To: c@d\r\nResent-To: e@f\r\n\r\n", "more than once"),
        (b"To: boss@good.example <x@evil.example>\r\n\r\n", ""),
        (b"To: <a@b> c@d\r\n\r\n", ""),
        (b'To: a@b\r\nBcc: "c\r\n\r\n', ""),
    ],
    ids=lambda value: value if isinstance(value, str) else value[:30],
)
def test_what_no_server_could_take_safely_is_refused(data: bytes, reason: str) -> None:
    malformed(data, reason)


@pytest.mark.parametrize(
    "name",
    [
        *("From", "Sender", "Reply-To", "To", "Cc"),
        *("Subject", "Date", "Message-ID", "In-Reply-To", "References"),
        *("MIME-Version", "Content-Type", "Content-Transfer-Encoding"),
    ],
)
def test_a_field_that_readers_would_have_to_choose_from_is_refused(name: str) -> None:
    lines = [f"{name}: <a@b>", f"{name.upper()}: <c@d>"]
    malformed(with_head(*lines, *(["To: e@f"] if name != "To" else [])), "more than one header")


def test_several_authors_need_a_sender() -> None:
    message = RawMessage(with_head("From: a@b, c@d", "Sender: e@f", "To: x@y"))
    assert message.sender == Address("e@f")
    one = RawMessage(with_head("From: A <a@b>", "Sender: e@f", "To: x@y"))
    assert one.sender == Address("a@b")
    assert RawMessage(with_head("To: x@y")).sender is None


# 8-bit and binary


def test_raw_utf_8_in_a_header_is_encoded_so_that_any_server_takes_it() -> None:
    data = with_head(
        "From: 我 <me@qq.com>", "To: 李雷 <lilei@qq.com>,\r\n ann@example.com", "Subject: 季度报告"
    )
    envelope, content = render(RawMessage(data), Address("me@qq.com"))
    result = b"".join(content.blocks())
    assert result.isascii()
    assert not content.needs_smtputf8
    part = message_from_bytes(result, policy=policy.default)
    assert part["Subject"] == "季度报告"
    assert str(part["From"]) == "我 <me@qq.com>"
    assert [one.display_name for one in part["To"].addresses] == ["李雷", ""]
    assert [one.email for one in envelope.recipients] == ["lilei@qq.com", "ann@example.com"]


@pytest.mark.parametrize(
    "line",
    ["To: 李雷@qq.com", "X-Name: 季度", "Subject: =?utf-8?q?x?= 季", 'Content-Type: text/plain; name="季"'],
)
def test_what_cannot_be_encoded_without_a_guess_needs_smtputf8(line: str) -> None:
    data = with_head("From: me@qq.com", line, *([] if line.startswith("To") else ["To: a@b"]))
    _envelope, content = render(RawMessage(data), Address("me@qq.com"))
    assert content.needs_smtputf8
    assert line.encode() in b"".join(content.blocks())


def test_a_signed_header_is_not_touched() -> None:
    data = with_head("DKIM-Signature: v=1", "From: me@example.org", "To: a@b", "Subject: 季")
    assert "Subject: 季\r\n".encode() in sent(RawMessage(data))


def test_an_8_bit_body_is_passed_and_declared() -> None:
    data = with_head("From: me@qq.com", "To: a@b", "Content-Transfer-Encoding: 8bit", body="Grüße")
    _envelope, content = render(RawMessage(data), ME)
    assert content.needs_8bit
    assert not content.needs_smtputf8
    assert b"".join(content.blocks()).endswith("Grüße\r\n".encode())
    assert not render(RawMessage(PLAIN), ME)[1].needs_8bit


BINARY = b"From: a@b\r\nTo: c@d\r\nContent-Transfer-Encoding: binary\r\n\r\n"


def test_binary_content_whose_line_ends_are_data_is_refused() -> None:
    for body in (b"a\nb\r\n", b"a\rb\r\n", b"a\r\nb\n"):
        malformed(BINARY + body, "binary")
        part = b"From: a@b\r\nTo: c@d\r\n\r\n--x\r\ncontent-transfer-encoding:\r\n BINARY\r\n\r\n" + body
        malformed(part, "binary")
    assert RawMessage(BINARY + b"a\r\nb\r\n").body == b"a\r\nb\r\n"
    assert RawMessage((BINARY + b"a\r\nb\r\n").replace(b"\r\n", b"\n")).body == b"a\r\nb\r\n"
    assert RawMessage(BINARY.replace(b"binary", b"7bit") + b"a\nb\r\n").body == b"a\r\nb\r\n"


# A fallback


@pytest.mark.parametrize(
    ("original", "own"),
    [
        ("Me <me@gmail.com>", "Me <me@qq.com>"),
        ("me@gmail.com", "<me@qq.com>"),
        ("me@gmail.com (Me)", "<me@qq.com>"),
        ('"Lee, <x@y> Ann" <me@gmail.com>', '"Lee, <x@y> Ann" <me@qq.com>'),
        ("=?utf-8?q?=E6=88=91?=\r\n <me@gmail.com>", "=?utf-8?q?=E6=88=91?= <me@qq.com>"),
        ("A <me@gmail.com>, B <b@gmail.com>", "<me@qq.com>"),
    ],
)
def test_a_fallback_sends_it_as_itself(original: str, own: str) -> None:
    data = with_head(f"From: {original}", "Sender: s@gmail.com", "DKIM-Signature: v=1", "To: a@b")
    result = message_from_bytes(sent(RawMessage(data), Address("me@qq.com"), Address("me@gmail.com")))
    assert result.get_all("From") == [own]
    assert result.get_all("Reply-To") == [original]
    assert "Sender" not in result
    assert "DKIM-Signature" not in result
    asked = with_head(f"From: {original}", "Sender: s@gmail.com", "To: a@b", "Reply-To: desk@example.com")
    kept = message_from_bytes(sent(RawMessage(asked), Address("me@qq.com"), Address("me@gmail.com")))
    assert kept.get_all("Reply-To") == ["desk@example.com"]


# Where it comes from


def test_a_file_is_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.eml"
    path.write_bytes(PLAIN)
    message = RawMessage(path)
    path.unlink()
    assert sent(message) == PLAIN


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.eml", tmp_path, tmp_path / "a\0b"):
        with pytest.raises(MessageError) as caught:
            RawMessage(path)
        assert caught.value.code == "eml-unreadable"
        assert str(caught.value).isprintable()


def test_a_file_larger_than_any_provider_takes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.eml"
    with path.open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(MessageError, match="larger than any provider") as caught:
        RawMessage(path)
    assert caught.value.code == "eml-malformed"


def test_a_text_is_not_taken_for_a_file_name() -> None:
    with pytest.raises(TypeError):
        RawMessage("a.eml")  # type: ignore[arg-type]


def test_our_own_messages_pass_to_the_octet() -> None:
    message = Message(
        to="李雷 <lilei@qq.com>",
        subject="季" * 99,
        text="您好 " * 99,
        html="x" * 999,
        attachments=[Attachment(b"x")],
    )
    data = b"".join(render(message, ME)[1].blocks())
    assert sent(RawMessage(data)) == data
    assert read(data).find("text/html").body == "x" * 999 + "\r\n"


def test_finished_messages_are_values() -> None:
    message = RawMessage(PLAIN)
    assert pickle.loads(pickle.dumps(message)) == copy.copy(message) == message
    assert hash(message) == hash(copy.deepcopy(message))
    with pytest.raises(AttributeError):
        message.id = "<2@example.org>"  # type: ignore[misc]
    assert repr(message) == "RawMessage(<1@example.org>, recipients=1)"
