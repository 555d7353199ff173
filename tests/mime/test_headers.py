"""Header fields as they go out: each is read by the standard library's two parsers and by our own reader."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oauth_mailer import Address, Attachment, Message
from oauth_mailer.address import unique
from tests.support.mail_texts import (
    ADDRESSES,
    FAMILY,
    FILE_NAMES,
    LINES,
    ME,
    NAMES,
    bare,
    classic,
    classic_mailboxes,
    classic_text,
    moderately,
    modern,
    modern_mailboxes,
    octets,
)
from tests.support.mime_reader import Part, decoded_words, read

ID = "<" + "a" * 58 + "@" + "b" * 59 + ">"


def head(data: bytes) -> list[str]:
    """The lines of the header."""
    return data.partition(b"\r\n\r\n")[0].decode().split("\r\n")


def lines_of(data: bytes, name: str) -> list[str]:
    """One field, as its lines."""
    lines = head(data)
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{name}:"))
    end = next(number for number in range(start + 1, len(lines)) if lines[number][0] not in " \t")
    return lines[start:end]


@moderately
@given(LINES)
@example("")
@example(" ")
@example("季" * 1200)
@example(FAMILY * 60)
@example("a" * 2000)
@example("=?")
@example("é=?=")
@example("a b  c ")
def test_a_subject_arrives_to_the_character(subject: str) -> None:
    data = octets(Message(to="ann@example.com", subject=subject, text=""))
    assert read(data).text("Subject") == subject
    assert modern(data)["Subject"] == subject
    assert classic_text(classic(data), "Subject") == subject


@moderately
@given(st.lists(ADDRESSES, min_size=1, max_size=4), NAMES, st.lists(ADDRESSES, max_size=2))
@example([Address("ann@example.com", "=?utf-8?q?x?=")], "=?utf-8?q?x?=", [])
@example([Address("ann@example.com", "雷" * 300)], '=?utf-8?q?x?= "李", 雷', [])
def test_names_and_addresses_arrive_as_they_are(
    to: list[Address], from_name: str, reply_to: list[Address]
) -> None:
    data = octets(Message(to=to, text="", from_name=from_name, reply_to=reply_to))
    shown = {"To": unique(to), "From": (Address(ME.email, from_name or "Me"),), "Reply-To": unique(reply_to)}
    for field, mailboxes in shown.items():
        if mailboxes:
            expected = [(one.name, one.email) for one in mailboxes]
            assert read(data).mailboxes(field) == expected
            assert classic_mailboxes(classic(data), field) == expected
            assert modern_mailboxes(modern(data), field) == [(bare(name), email) for name, email in expected]


@moderately
@given(FILE_NAMES)
@example("报" * 300)
@example('"quoted" \\%41;.pdf'.replace("\\", ""))
@example("x" * 300 + ".pdf")
@example("100%.pdf")
@example("=?utf-8?q?x?=.pdf")
@example("it's a*b.pdf")
@example(FAMILY * 40)
def test_the_name_of_an_attachment_arrives_as_it_is(name: str) -> None:
    data = octets(Message(to="ann@example.com", text="", attachments=[Attachment(b"x", filename=name)]))
    (part,) = read(data).attachments()
    assert part.disposition == "attachment"
    assert part.disposition_parameters == {"filename": name}
    assert decoded_words(part.parameters["name"]) == name  # for QQ and Outlook
    (found,) = modern(data).iter_attachments()
    # The standard library may take off quotes and angles even where they are part of the name.
    assert found.get_filename() in (name, unquote(name).strip())
    old = list(classic(data).walk())[-1]
    assert old.get_filename() in (name, unquote(name).strip())


VALUES = LINES.map(lambda text: text.strip(" "))


@moderately
@given(VALUES)
@example("x" * 5000)
@example("word " * 1000 + "end")
@example("季" * 400)
def test_a_further_header_arrives_to_the_character(value: str) -> None:
    for name in ("X-Ticket", "X-" + "Long-" * 9 + "Nam", "X-" + "Long-" * 14 + "Name"):
        data = octets(Message(to="ann@example.com", text="", headers={name: value}))
        assert read(data).text(name) == value
        assert (
            modern(data)[name].removeprefix(" " if len(name) > 50 else "") == value
        )  # its own way to unfold


def test_blanks_around_a_further_header_are_not_kept() -> None:
    data = octets(Message(to="ann@example.com", text="", headers={"X-Ticket": "  4  2 "}))
    assert read(data).text("X-Ticket") == "4  2"


@pytest.mark.parametrize(
    "subject", ["季" * 500, FAMILY * 30, "Grüße aus Köln " * 20, "ä" + "=" * 500, "a b" + "é" * 300]
)
def test_an_encoded_word_holds_whole_characters(subject: str) -> None:
    data = octets(Message(to="ann@example.com", subject=subject, text=""))
    words = re.findall(r"=\?utf-8\?[bq]\?[^?]*\?=", " ".join(lines_of(data, "Subject")))
    assert len(words) > 1
    assert "".join(decoded_words(word) for word in words) == subject  # each is decoded by itself
    assert all(len(word) <= 75 for word in words)


def test_fields_are_folded_between_words_at_78() -> None:
    subject = "All of the figures of this quarter, and those of the one before it, " * 5
    data = octets(
        Message(
            to=[Address(f"someone{number}@example.com", f"Some One {number}") for number in range(40)],
            subject=subject.strip(),
            text="",
            references=[f"<{number}.{'a' * 20}@example.com>" for number in range(30)],
            headers={"X-Words": "word " * 200},
            attachments=[Attachment(b"x", filename="a.docx"), Attachment(b"x", filename="b c" * 40)],
        )
    )
    assert max(map(len, data.decode().split("\r\n"))) <= 78
    assert len(lines_of(data, "Subject")) > 1
    assert read(data).text("Subject") == subject.strip()


def test_what_has_no_blank_is_not_broken_unless_it_must_be() -> None:
    message = Message(to="ann@example.com", subject="x" * 900, text="", headers={"X-Long": "y" * 901})
    data = octets(message)
    assert lines_of(data, "Subject") == ["Subject: " + "x" * 900]
    assert len(lines_of(data, "X-Long")) > 1
    assert read(data).text("X-Long") == "y" * 901


@pytest.mark.parametrize("name", ["In-Reply-To", "References"])
def test_a_long_message_id_is_never_encoded(name: str) -> None:
    assert len(ID) == 120
    given = Message(to="ann@example.com", text="", in_reply_to=ID, references=["<first@example.com>"])
    data = octets(given)
    expected = ID if name == "In-Reply-To" else f"<first@example.com> {ID}"
    assert read(data).one(name) == expected
    assert modern(data)[name] == expected
    by_hand = octets(Message(to="ann@example.com", text="", headers={name: f"{ID}{ID}"}))
    assert read(by_hand).one(name) == f"{ID} {ID}"


def test_the_message_that_is_replied_to_ends_the_references() -> None:
    data = octets(
        Message(to="ann@example.com", text="", in_reply_to="<b@x>", references="<a@x> <b@x> <c@x> <a@x>")
    )
    assert read(data).one("References") == "<a@x> <c@x> <b@x>"


def test_one_click_unsubscription() -> None:
    long = "https://example.com/unsubscribe?" + "u=?" * 40 + "1234"
    data = octets(
        Message(
            to="ann@example.com",
            text="",
            list_unsubscribe=["mailto:leave@example.com?subject=a,b", f"<{long}>"],
            one_click=True,
        )
    )
    assert read(data).one("List-Unsubscribe") == f"<mailto:leave@example.com?subject=a,b>, <{long}>"
    assert read(data).one("List-Unsubscribe-Post") == "List-Unsubscribe=One-Click"
    by_hand = octets(Message(to="ann@example.com", text="", headers={"List-Help": f"<{long}>"}))
    assert read(by_hand).one("List-Help") == f"<{long}>"


@pytest.mark.parametrize(
    ("priority", "expected"), [("high", ("1", "high", "urgent")), ("low", ("5", "low", "non-urgent"))]
)
def test_priority_is_said_in_the_three_ways_that_programs_read(
    priority: str, expected: tuple[str, ...]
) -> None:
    part = read(octets(Message(to="ann@example.com", text="", priority=priority)))  # type: ignore[arg-type]
    assert tuple(part.one(name) for name in ("X-Priority", "Importance", "Priority")) == expected
    plain = read(octets(Message(to="ann@example.com", text="")))
    assert not any(plain.all(name) for name in ("X-Priority", "Importance", "Priority"))


ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@moderately
@given(st.datetimes(datetime(1970, 1, 1), datetime(2099, 1, 1), timezones=ZONES))
@example(datetime(1900, 1, 1, 12, tzinfo=timezone(timedelta(hours=8, minutes=5, seconds=43))))
@example(datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=UTC))
def test_the_date_is_the_moment_to_the_second(moment: datetime) -> None:
    part = read(octets(Message(to="ann@example.com", text="", date=moment)))
    assert parsedate_to_datetime(part.one("Date")) == moment.replace(microsecond=0)
    assert re.fullmatch(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", part.one("Date"))


def test_a_field_of_mailboxes_set_by_hand_keeps_its_addresses_readable() -> None:
    value = '"李, 雷" <lilei@qq.com>, ann@example.com'
    data = octets(Message(to="ann@example.com", text="", headers={"Disposition-Notification-To": value}))
    expected = [("李, 雷", "lilei@qq.com"), ("", "ann@example.com")]
    assert read(data).mailboxes("Disposition-Notification-To") == expected


def test_a_recipient_named_twice_stands_there_once_where_it_was_first() -> None:
    data = octets(
        Message(
            to=["Ann <ann@example.com>", "bob@example.com", "ANN@example.com"], cc="Bob@Example.com", text=""
        )
    )
    assert read(data).mailboxes("To") == [("Ann", "ann@example.com"), ("", "bob@example.com")]


def test_the_order_and_the_number_of_fields() -> None:
    data = octets(Message(to="ann@example.com", cc="bob@example.com", bcc="boss@example.com", text=""))
    part: Part = read(data)
    assert [name for name, _value in part.fields] == [
        *("From", "To", "Cc", "Subject", "Date", "Message-ID", "MIME-Version"),
        *("Content-Type", "Content-Transfer-Encoding"),
    ]


def test_a_message_to_blind_recipients_only_names_nobody() -> None:
    part = read(octets(Message(bcc="boss@example.com", text="")))
    assert not part.all("To")
    assert not part.all("Bcc")


def test_a_person_in_another_script_stands_in_the_header_as_utf_8() -> None:
    data = octets(Message(to="李雷 <李雷@例え.jp>", text=""))
    assert read(data).mailboxes("To") == [("李雷", "李雷@xn--r8jz45g.jp")]
    assert "<李雷@xn--r8jz45g.jp>".encode() in data
