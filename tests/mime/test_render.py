"""What a whole message is made of, and to whom it goes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oauth_mailer import Address, Attachment, Message
from oauth_mailer.mime import fits, render
from tests.support.mail_texts import (
    ADDRESSES,
    BODIES,
    FILE_NAMES,
    LINES,
    ME,
    as_sent,
    moderately,
    modern,
    octets,
)
from tests.support.mime_reader import Part, read

LOGO = Attachment(b"\x89PNG", filename="logo.png", content_id="logo")
REPORT = Attachment(b"%PDF", filename="report.pdf")
HTML = '<p><img src="cid:logo"></p>\n'


def tree(part: Part) -> Any:
    return {part.kind: [tree(one) for one in part.parts]} if part.parts else part.kind


ALTERNATIVE = {"multipart/alternative": ["text/plain", "text/html"]}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"text": "a"}, "text/plain"),
        ({"html": "a"}, "text/html"),
        ({}, "text/plain"),
        ({"text": "a", "html": "b"}, ALTERNATIVE),
        ({"html": HTML, "attachments": LOGO}, {"multipart/related": ["text/html", "image/png"]}),
        (
            {"text": "a", "html": HTML, "attachments": [LOGO]},
            {"multipart/related": [ALTERNATIVE, "image/png"]},
        ),
        ({"text": "a", "attachments": [REPORT]}, {"multipart/mixed": ["text/plain", "application/pdf"]}),
        ({"text": "a", "attachments": [LOGO]}, {"multipart/mixed": ["text/plain", "image/png"]}),
        (
            {"text": "a", "html": HTML, "attachments": [REPORT, LOGO, REPORT]},
            {
                "multipart/mixed": [
                    {"multipart/related": [ALTERNATIVE, "image/png"]},
                    "application/pdf",
                    "application/pdf",
                ]
            },
        ),
        ({"attachments": [REPORT]}, {"multipart/mixed": ["text/plain", "application/pdf"]}),
    ],
)
def test_parts_are_nested_as_far_as_needed(fields: dict[str, Any], expected: Any) -> None:
    data = octets(Message(to="ann@example.com", **fields))
    assert tree(read(data)) == expected
    assert [one.get_content_type() for one in modern(data).walk()] == [one.kind for one in read(data).walk()]


def test_an_inline_image_is_found_by_its_content_id() -> None:
    data = octets(Message(to="ann@example.com", text="a", html=HTML, attachments=[REPORT, LOGO]))
    related = read(data).find("multipart/related")
    assert related.parameters["type"] == "multipart/alternative"
    image = related.parts[1]
    assert image.one("Content-ID") == "<logo>"
    assert image.disposition == "inline"
    assert read(data).find("application/pdf").disposition == "attachment"
    body = modern(data).get_body(("html",))
    assert body is not None
    assert body.get_content() == as_sent(HTML)


def test_a_long_media_type_is_folded() -> None:
    data = octets(Message(to="ann@example.com", text="", attachments=[Attachment(b"x", filename="a.docx")]))
    (part,) = read(data).attachments()
    assert part.kind == "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    assert next(modern(data).iter_attachments()).get_content_type() == part.kind


ATTACHED = st.lists(st.tuples(FILE_NAMES, st.binary(max_size=100), st.booleans()), max_size=3)


@moderately
@given(st.lists(ADDRESSES, min_size=1, max_size=3), LINES, st.none() | BODIES, st.none() | BODIES, ATTACHED)
@example([Address("a@b")], "", "", "", [("x", b"", True), ("x", b"", False)])
def test_whatever_is_said_arrives_whole(
    to: list[Address],
    subject: str,
    text: str | None,
    html: str | None,
    attached: list[tuple[str, bytes, bool]],
) -> None:
    attachments = [
        Attachment(data, filename=name, content_id=f"part{number}" if inline else None)
        for number, (name, data, inline) in enumerate(attached)
    ]
    message = Message(to=to, subject=subject, text=text, html=html, attachments=attachments)
    data = octets(message)
    assert not fits(message, len(data) - 1)
    part = read(data)
    modern(data)  # it finds no defect
    assert part.text("Subject") == subject
    bodies = [one.body for one in part.walk() if one.kind.startswith("text/") and not one.disposition]
    given = [text or ""] if html is None else [html] if text is None else [text, html]
    assert bodies == [as_sent(one) for one in given]
    found = {
        (one.disposition_parameters["filename"], one.content, bool(one.all("Content-ID")))
        for one in part.attachments()
    }
    assert found == set(attached)
    assert len(part.attachments()) == len(attached)


def test_a_boundary_stands_nowhere_in_what_it_divides() -> None:
    text = "".join(f"--=_{number:032x}\r\n" for number in range(100))
    message = Message(to="ann@example.com", text=text, html=text, attachments=[Attachment(text.encode())])
    data = octets(message)
    boundaries = re.findall(rb'boundary="([^"]+)"', data)
    assert len(set(boundaries)) == 2
    for boundary in boundaries:
        assert data.count(boundary) == 4  # once named, two parts, one end
    assert read(data).find("text/plain").body == text
    assert read(octets(message)).find("text/plain").body == text
    assert not set(boundaries) & set(re.findall(rb'boundary="([^"]+)"', octets(message)))


# To whom


def test_each_mailbox_gets_it_once_and_blind_ones_are_named_nowhere() -> None:
    message = Message(
        to=["Ann <ann@example.com>", "bob@example.com"],
        cc="ANN@Example.com, carl@example.com",
        bcc=["boss@example.com", "bob@example.com", "Boss@example.com"],
        text="Hi\n",
    )
    envelope, content = render(message, ME)
    data = b"".join(content.blocks())
    assert [one.email for one in envelope.recipients] == [
        *("ann@example.com", "bob@example.com", "carl@example.com", "boss@example.com")
    ]
    assert [one.email for one in envelope.named] == ["ann@example.com", "bob@example.com", "carl@example.com"]
    assert b"boss" not in data.lower()
    assert b"bcc" not in data.lower()


def test_the_sender_is_the_routes_with_the_name_of_the_message() -> None:
    message = Message(to="ann@example.com", text="", from_name="The Desk")
    assert render(message, ME)[0].sender == Address("me@example.org", "The Desk")
    assert read(octets(message)).mailboxes("From") == [("The Desk", "me@example.org")]
    assert read(octets(Message(to="ann@example.com", text=""))).mailboxes("From") == [
        ("Me", "me@example.org")
    ]


def test_a_fallback_sends_as_itself_and_replies_go_to_the_original() -> None:
    other = Address("me@qq.com")
    message = Message(to="ann@example.com", text="")
    part = read(octets(message, other, on_behalf_of=ME))
    assert part.mailboxes("From") == [("", "me@qq.com")]
    assert part.mailboxes("Reply-To") == [("Me", "me@example.org")]
    asked = Message(to="ann@example.com", text="", reply_to="desk@example.com")
    assert read(octets(asked, other, on_behalf_of=ME)).mailboxes("Reply-To") == [("", "desk@example.com")]


def test_date_and_message_id_are_those_of_the_message_every_time() -> None:
    message = Message(to="ann@example.com", text="")
    first, second = read(octets(message)), read(octets(message, Address("me@qq.com")))
    assert first.one("Message-ID") == second.one("Message-ID") == message.id
    assert first.one("Date") == second.one("Date")
    assert message.id != Message(to="ann@example.com", text="").id


def test_only_an_address_in_another_script_needs_smtputf8() -> None:
    plain = Message(to="李雷 <lilei@qq.com>", subject="季度报告", text="您好", attachments=[LOGO])
    assert not render(plain, ME)[1].needs_smtputf8
    assert not render(plain, ME)[1].needs_8bit
    for field in ("to", "cc", "reply_to"):
        fields = {"to": "ann@example.com", "text": "", field: "李雷@qq.com"}
        assert render(Message(**fields), ME)[1].needs_smtputf8  # type: ignore[arg-type]
    blind = render(Message(bcc="李雷@qq.com", text=""), ME)
    assert not blind[1].needs_smtputf8
    assert not blind[0].recipients[0].is_ascii


def test_fifty_thousand_recipients_go_out_in_lines_of_78() -> None:
    to = [Address(f"someone{number}@example.com", f"Some, One {number}") for number in range(50_000)]
    data = octets(Message(to=to, text=""))
    assert max(map(len, data.split(b"\r\n"))) <= 78
    assert data.count(b"@example.com") == 50_000


def test_a_small_message_is_seen_to_fit_without_being_made(tmp_path: Path) -> None:
    message = Message(
        to=["ann@example.com"] * 3,
        subject="\U0001f600" * 60,
        html="\U0001f600" * 1000,
        attachments=[Attachment(bytes(1000), filename="\U0001f600" * 60 + ".bin")],
        headers={"X-Note": "\U0001f600" * 60},
    )
    size = len(octets(message))
    assert fits(message, 100_000)
    assert not fits(message, size - 1)
    file = tmp_path / "a"
    file.write_bytes(b"a")
    assert not fits(Message(to="ann@example.com", attachments=[file]), 100_000)


def test_a_text_that_names_a_file_stays_a_text(tmp_path: Path) -> None:
    path = tmp_path / "secret.txt"
    path.write_text("secret")
    data = octets(Message(to="ann@example.com", subject=str(path), text=str(path), html=str(path)))
    assert read(data).find("text/plain").body == f"{path}\r\n"
    assert b"secret\r\n" not in data
    assert not read(data).attachments()
