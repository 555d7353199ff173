"""How a message is kept: what goes out later is what was said, octet for octet."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oauth_mailer import Address, Attachment, Message, MessageError, OutboxError, RawMessage
from oauth_mailer.mime import render
from oauth_mailer.outbox import Outbox, State, store
from oauth_mailer.outbox.letter import Letter, pack, subject_of, unpack
from tests.support.mail_texts import ADDRESSES, BODIES, FILE_NAMES, LINES, ME, NAMES
from tests.support.outbox_place import OTHER, Place
from tests.support.outbox_processes import until

moderately = settings(max_examples=40, deadline=None, derandomize=True)

FALLBACK = Address("other@example.net", "Other")
SPECIAL = st.sampled_from(
    [
        Address("ann@bücher.example", "Änn"),
        Address("用户@例子.公司", "李雷"),
        Address("ann@xn--bcher-kva.example"),
        Address("x@[192.0.2.1]"),
        Address("ANN@Example.COM"),
    ]
)
MAILBOXES = st.lists(st.one_of(ADDRESSES, SPECIAL), max_size=3)
IDS = st.lists(st.from_regex(r"<[a-z0-9.]{1,40}@[a-z]{1,10}\.example>", fullmatch=True), max_size=3)
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
DATES = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.one_of(st.just(UTC), ZONES))


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """A message that uses whatever a message can have."""
    attached = draw(st.lists(st.tuples(st.binary(max_size=100), FILE_NAMES, st.booleans()), max_size=3))
    uris = draw(st.sampled_from([(), ("https://example.org/leave?x=1",), ("mailto:leave@example.org",)]))
    named = draw(st.lists(LINES.map(lambda text: text.strip(" ")).filter(bool), max_size=2))
    return Message(
        to=[*draw(MAILBOXES), "ann@example.com"],
        cc=draw(MAILBOXES),
        bcc=draw(MAILBOXES),
        reply_to=draw(MAILBOXES),
        subject=draw(LINES),
        text=draw(st.none() | BODIES),
        html=draw(st.none() | BODIES),
        from_name=draw(NAMES),
        attachments=[
            Attachment(data, filename=name, content_id=f"part{number}" if inline else None)
            for number, (data, name, inline) in enumerate(attached)
        ],
        headers=[(f"X-Note-{number}", value) for number, value in enumerate(named)],
        in_reply_to=draw(IDS),
        references=draw(IDS),
        list_unsubscribe=uris,
        one_click=bool(uris) and uris[0].startswith("https") and draw(st.booleans()),
        priority=draw(st.sampled_from(["high", "normal", "low"])),
        date=draw(DATES),
    )


FIELDS = (
    b"From: Me <me@example.org>",
    "From: Mé <me@example.org>".encode(),
    b"To: Ann <ann@example.com>",
    "To: 李雷 <用户@例子.公司>".encode(),
    b"Cc: x@[192.0.2.1], bob@example.com",
    b"Bcc: boss@example.com",
    "Subject: 季度报告".encode(),
    b"Subject: =?utf-8?q?x?=\r\n folded",
    b"Date: Wed, 25 Nov 2026 03:00:00 +0000",
    b"Message-ID: <1@example.org>",
    b"DKIM-Signature: v=1; a=rsa-sha256; d=example.org; h=from;\r\n b=abc",
    b"Return-Path: <bounce@example.org>",
    b"MIME-Version: 1.0",
    b"Content-Type: text/plain; charset=utf-8",
    b"Content-Transfer-Encoding: binary",
)


@st.composite
def finished(draw: st.DrawFn) -> RawMessage:
    """A finished message: any of these fields in any order, and a body of any octets that may be sent."""
    chosen = draw(st.lists(st.sampled_from(FIELDS), unique_by=lambda field: field.split(b":")[0]))
    body = draw(
        st.one_of(
            BODIES.map(lambda text: text.replace("\0", "").encode()),
            st.binary(max_size=200).map(lambda data: data.replace(b"\0", b"")),
        ).filter(lambda data: max(map(len, re.split(rb"[\r\n]", data))) < 998)
    )
    if b"binary" in b"".join(chosen):
        body = re.sub(rb"\r\n|\r|\n", b"\r\n", body)
    recipients = draw(st.none() | st.lists(st.one_of(ADDRESSES, SPECIAL), min_size=1, max_size=3))
    if recipients is None and not any(field[:2] in (b"To", b"Cc") for field in chosen):
        recipients = [Address("ann@example.com")]
    return RawMessage(b"".join(field + b"\r\n" for field in chosen) + b"\r\n" + body, recipients=recipients)


def kept(message: Message | RawMessage) -> Message | RawMessage:
    letter = pack(message)
    assert letter.size == len(letter.document) + sum(len(part) for part in letter.parts.values())
    return unpack(letter)


def sent(message: Message | RawMessage, sender: Address, on_behalf_of: Address | None) -> Any:
    """All that a transport gets to see.

    The boundaries of the parts are new each time; and a finished message without a Date and a Message-ID may
    get them at another place.
    """
    envelope, content = render(message, sender, on_behalf_of=on_behalf_of)
    data = re.sub(rb"=_[0-9a-f]{32}", b"=_", b"".join(content.blocks()))
    head, _blank, body = data.partition(b"\r\n\r\n")
    fields = re.split(rb"\r\n(?![ \t])", head)
    added = [one for one in fields if one.startswith((b"Date:", b"Message-ID:"))]
    others = [one for one in fields if one not in added]
    to = [[one.email for one in some] for some in (envelope.recipients, envelope.named)]
    return (
        envelope.sender,
        to,
        others,
        sorted(added),
        body,
        content.size,
        content.needs_8bit,
        content.needs_smtputf8,
    )


@pytest.mark.parametrize("on_behalf_of", [None, ME], ids=["itself", "as a fallback"])
@moderately
@given(message=messages())
def test_a_message_that_was_kept_goes_out_as_it_would_have(
    on_behalf_of: Address | None, message: Message
) -> None:
    sender = FALLBACK if on_behalf_of else ME
    assert sent(kept(message), sender, on_behalf_of) == sent(message, sender, on_behalf_of)
    assert kept(message).id == message.id


@pytest.mark.parametrize("on_behalf_of", [None, ME], ids=["itself", "as a fallback"])
@moderately
@given(message=finished())
@example(RawMessage(b"\r\nno header at all", recipients=["ann@example.com"]))
@example(RawMessage(b"To: ann@example.com\r\n\r\n\r\n\r\nblank lines first"))
@example(RawMessage(b"To: ann@example.com\r\nMessage-ID: \r\n\r\nan empty one"))
def test_a_finished_message_that_was_kept_goes_out_as_it_would_have(
    on_behalf_of: Address | None, message: RawMessage
) -> None:
    sender = FALLBACK if on_behalf_of else ME
    assert sent(kept(message), sender, on_behalf_of) == sent(message, sender, on_behalf_of)
    assert kept(message).id == message.id


@moderately
@given(messages())
def test_the_same_said_twice_has_one_fingerprint(message: Message) -> None:
    fields = {name: getattr(message, name) for name in Message.__slots__ if name not in ("id", "date")}
    again = Message(**fields)
    assert (again.id, pack(again).fingerprint) != (message.id, "")
    assert pack(again).fingerprint == pack(message).fingerprint
    assert pack(kept(message)).fingerprint == pack(message).fingerprint


@moderately
@given(finished())
def test_the_same_finished_message_has_one_fingerprint_whenever_it_is_read(message: RawMessage) -> None:
    head = b"".join(field for _name, field in message.fields)
    again = RawMessage(head + b"\r\n" + message.body, recipients=message.recipients)
    assert pack(again).fingerprint == pack(message).fingerprint


CHANGES: dict[str, Any] = {
    "to": "bob@example.com",
    "cc": "bob@example.com",
    "bcc": "bob@example.com",
    "reply_to": "bob@example.com",
    "subject": "Other",
    "text": "Other",
    "html": "<p>Other</p>",
    "attachments": [Attachment(b"2", filename="a.txt")],
    "headers": {"X-Note": "2"},
    "from_name": "Other",
    "in_reply_to": "<2@example.org>",
    "references": "<2@example.org>",
    "list_unsubscribe": ["https://example.org/other"],
    "one_click": False,
    "priority": "low",
}
SAID: dict[str, Any] = {
    "to": "ann@example.com",
    "subject": "Subject",
    "text": "Text",
    "attachments": [Attachment(b"1", filename="a.txt")],
    "list_unsubscribe": ["https://example.org/leave"],
    "one_click": True,
}


def test_each_field_counts_for_the_fingerprint() -> None:
    assert {*CHANGES, "id", "date"} == set(Message.__slots__)
    prints = {pack(Message(**SAID | {name: value})).fingerprint for name, value in CHANGES.items()}
    assert len(prints | {pack(Message(**SAID)).fingerprint}) == len(CHANGES) + 1


@pytest.mark.parametrize(
    "change",
    [
        {"filename": "b.txt"},
        {"media_type": "image/png"},
        {"content_id": "logo"},
    ],
    ids=str,
)
def test_what_is_said_of_an_attachment_counts_for_the_fingerprint(change: dict[str, str]) -> None:
    one, other = ({"filename": "a.txt", **more} for more in ({}, change))
    messages = [Message(**SAID | {"attachments": [Attachment(b"1", **fields)]}) for fields in (one, other)]
    assert pack(messages[0]).fingerprint != pack(messages[1]).fingerprint


@pytest.mark.parametrize(
    "other",
    [
        RawMessage(b"To: ann@example.com\r\n\r\nHello!"),
        RawMessage(b"To: ann@example.com\r\nX-Note: 1\r\n\r\nHello"),
        RawMessage(b"To: ann@example.com\r\n\r\nHello", recipients=["bob@example.com"]),
    ],
)
def test_each_octet_and_recipient_of_a_finished_message_counts_for_the_fingerprint(other: RawMessage) -> None:
    assert pack(other).fingerprint != pack(RawMessage(b"To: ann@example.com\r\n\r\nHello")).fingerprint


@moderately
@given(st.binary(max_size=60).map(lambda data: data.replace(b"\0", b"")))
@example(b"=?utf-8?b?a?=")
@example(b"=?unicode-escape?q?=5Cud800?=")
@example(b"=?no-such-charset?q?x?=")
@example(b"=?hex?q?x?=")
@example(b"=?utf-8?q?=00=1B]0;x=07?=")
def test_whatever_a_subject_says_it_can_be_shown(octets: bytes) -> None:
    try:
        message = RawMessage(b"To: ann@example.com\r\nSubject: " + octets + b"\r\n\r\nHello")
    except MessageError:
        return  # that nobody could send
    shown = subject_of(message)
    shown.encode()
    assert not set(shown) & {chr(code) for code in (*range(32), *range(127, 160))}


def test_a_subject_is_shown_as_a_person_reads_it() -> None:
    data = "To: ann@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n =?utf-8?b?5oql5ZGK?=\r\n\r\n"
    assert subject_of(RawMessage(data.encode())) == "Grüße报告"


# What is attached


def test_what_is_attached_is_read_when_it_is_added(home: Path, tmp_path: Path) -> None:
    changed, deleted = tmp_path / "changed.txt", tmp_path / "deleted.txt"
    changed.write_bytes(b"as it was")
    deleted.write_bytes(b"as it was, too")
    with Outbox(home=home) as outbox:
        entry = outbox.add(
            Message(to="ann@example.com", attachments=[changed, deleted]), account="me@example.org"
        )
        changed.write_bytes(b"as it is now")
        deleted.unlink()
        message = outbox.message(entry.id)
    assert isinstance(message, Message)
    assert [(one.filename, one.content) for one in message.attachments] == [
        ("changed.txt", b"as it was"),
        ("deleted.txt", b"as it was, too"),
    ]


def test_a_file_that_is_gone_keeps_nothing_of_the_message(home: Path, tmp_path: Path) -> None:
    there, gone = tmp_path / "there.txt", tmp_path / "gone.txt"
    for path in (there, gone):
        path.write_bytes(b"x")
    message = Message(to="ann@example.com", attachments=[there, gone])
    gone.unlink()
    with Outbox(home=home) as outbox:
        with pytest.raises(MessageError) as caught:
            outbox.add(message, account="me@example.org")
        assert caught.value.code == "attachment-changed"
        assert str(gone) in str(caught.value)
        assert not list(outbox.find())


def test_a_file_that_is_being_written_keeps_nothing_of_the_message(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "growing.log"
    path.write_bytes(bytes(30_000_000))
    message = Message(to="ann@example.com", attachments=[path])
    # A process of its own, which is not held up by what this one computes.
    program = "import sys\nfile = open(sys.argv[1], 'ab', buffering=0)\nwhile True: file.write(b'x')"
    with subprocess.Popen([sys.executable, "-c", program, str(path)]) as writer:
        try:
            while path.stat().st_size == 30_000_000:  # until it writes
                assert writer.poll() is None
            with Outbox(home=home) as outbox:
                with pytest.raises(MessageError) as caught:
                    outbox.add(message, account="me@example.org")
                assert caught.value.code == "attachment-changed"
                assert not list(outbox.find())
        finally:
            writer.kill()


def parts(place: Place) -> list[int]:
    """The sizes of what is kept apart."""
    return sorted(size for (size,) in place.rows("SELECT length(content) FROM oauth_mailer_parts"))


def test_what_messages_share_is_kept_once_and_goes_with_the_last_of_them(place: Place) -> None:
    shared, own = Attachment(b"s" * 1000), Attachment(b"o" * 10)
    with place.outbox() as outbox:
        first = outbox.add(Message(to="a@b.example", attachments=[shared, own]), account="me@example.org")
        second = outbox.add(
            Message(to="c@d.example", attachments=[shared, shared], html="x"), account="me@example.org"
        )
        assert parts(place) == [10, 1000]
        outbox.cancel(first.id)
        assert outbox.purge(older_than=timedelta(0)) == 1
        assert parts(place) == [1000]
        message = outbox.message(second.id)
        assert isinstance(message, Message)
        assert [one.content for one in message.attachments] == [b"s" * 1000] * 2
        outbox.cancel(second.id)
        assert outbox.purge(older_than=timedelta(0)) == 1
        assert parts(place) == []
        with pytest.raises(OutboxError) as caught:
            outbox.message(second.id)
        assert caught.value.code == "outbox-no-entry"


@pytest.mark.parametrize("first", ["who deletes", "who adds"])
def test_who_adds_a_part_while_its_last_user_is_deleted_keeps_it(first: str, place: Place) -> None:
    """Of two programs at one moment, who adds waits; who deletes leaves it until the next time."""
    part = Attachment(b"shared")
    with place.outbox() as outbox, place.outbox() as other:
        old = outbox.add(Message(to="a@b.example", attachments=[part]), account=OTHER)
        outbox.cancel(old.id)

        def add() -> None:
            other.add(Message(to="c@d.example", attachments=[part]), account=OTHER)

        def delete() -> None:
            with other.begin() as connection:
                store.purge(connection, {State.CANCELLED}, time.time() + 60)

        with ThreadPoolExecutor(1) as pool:
            with outbox.begin() as connection:
                if first == "who adds":
                    outbox.add(
                        Message(to="c@d.example", attachments=[part]), account=OTHER, connection=connection
                    )
                    waits = pool.submit(delete)
                else:
                    store.purge(connection, {State.CANCELLED}, time.time() + 60)
                    waits = pool.submit(add)
                if place.kind == "postgresql" and first == "who deletes":
                    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted"
                    until(lambda: waits.done() or place.rows(waiting), "one that waits")
                    assert not waits.done(), waits.result()
                elif place.kind == "postgresql":
                    waits.result(60)
            waits.result(60)
        outbox.purge(older_than=timedelta(0))
        (left,) = outbox.find()
        message = outbox.message(left.id)
        assert isinstance(message, Message)
        assert [one.content for one in message.attachments] == [b"shared"]
        assert parts(place) == [6]
    place.sound()


# What cannot be read


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"", ""),
        (b"{}", ""),
        (b"[]", ""),
        (b"\xff", ""),
        (b'{"form":1}', ""),
        (b'{"form":1,"said":{},"made":{}}', ""),
        (b'{"form":1,"said":{},"made":{}}', "{}"),
        (b'{"form":1,"said":{"raw":"0"},"made":{"missing":[]}}', '{"raw":"0"}'),
        (b'{"form":1,"said":{"raw":1},"made":1}', '{"raw":1}'),
    ],
)
def test_a_damaged_message_is_said_to_be(document: bytes, said: str) -> None:
    with pytest.raises(OutboxError) as caught:
        unpack(Letter(document, {}, hashlib.sha256(said.encode()).hexdigest()))
    assert caught.value.code == "outbox-damaged"
    assert caught.value.hint


@moderately
@given(messages(), st.data())
def test_a_message_with_a_damaged_octet_is_said_to_be_or_read(message: Message, data: st.DataObject) -> None:
    letter = pack(message)
    at = data.draw(st.integers(0, len(letter.document) - 1))
    octet = data.draw(st.binary(min_size=1, max_size=1))
    try:
        found = unpack(replace(letter, document=letter.document[:at] + octet + letter.document[at + 1 :]))
    except OutboxError as error:
        assert error.code in ("outbox-damaged", "outbox-newer")  # noqa: PT017 - it need not be one
    else:  # the same octet, or one of the Message-ID or the date
        assert pack(found).fingerprint == letter.fingerprint


def test_a_damaged_attachment_is_said_to_be() -> None:
    letter = pack(Message(to="ann@example.com", attachments=[Attachment(b"1234")]))
    with pytest.raises(OutboxError) as caught:
        unpack(replace(letter, parts=dict.fromkeys(letter.parts, b"1235")))
    assert caught.value.code == "outbox-damaged"


def test_a_message_of_a_newer_version_is_said_to_be() -> None:
    letter = pack(Message(to="ann@example.com"))
    newer = letter.document.replace(b'"form":1', b'"form":2')
    with pytest.raises(OutboxError) as caught:
        unpack(replace(letter, document=newer))
    assert caught.value.code == "outbox-newer"
