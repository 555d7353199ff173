"""What may be said, to whom, with which files; and what is refused before anything is stored or sent."""

from __future__ import annotations

import copy
import io
import mimetypes
import os
import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from oauth_mailer import Address, Attachment, Message, MessageError
from oauth_mailer.mime import render
from tests.support.mail_texts import ME, octets
from tests.support.mime_reader import read

ANN, BOB = Address("ann@example.com", "Ann"), Address("bob@example.com")
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs what only POSIX has")


def refused(build: Callable[[], object]) -> MessageError:
    """The error, which can be printed on one line and says what to do."""
    with pytest.raises(MessageError) as caught:
        build()
    error = caught.value
    assert isinstance(error, ValueError)
    assert error.verdict == "not_sent"
    assert error.hint
    assert str(error).isprintable()
    return error


# Recipients


@pytest.mark.parametrize(
    "given",
    [
        "Ann <ann@example.com>, bob@example.com",
        ["Ann <ann@example.com>", "bob@example.com"],
        ["Ann <ann@example.com>, bob@example.com"],
        [ANN, "bob@example.com"],
        (ANN, BOB),
        iter([ANN, BOB]),
    ],
)
def test_recipients_are_texts_addresses_or_lists_of_them(given: Any) -> None:
    assert Message(to=given).to == (ANN, BOB)


def test_one_address_is_a_list_of_one() -> None:
    message = Message(to=ANN, cc="", bcc=[], reply_to=BOB)
    assert (message.to, message.cc, message.bcc, message.reply_to) == ((ANN,), (), (), (BOB,))


@pytest.mark.parametrize("nobody", [{}, {"to": ""}, {"to": []}, {"to": "undisclosed-recipients:;"}])
def test_a_message_to_nobody_is_refused(nobody: dict[str, Any]) -> None:
    assert refused(lambda: Message(text="x", **nobody)).code == "no-recipient"


def test_blind_recipients_are_enough() -> None:
    assert Message(bcc="boss@example.com").bcc[0].email == "boss@example.com"


# Attachments


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "报告 1.pdf"
    file.write_bytes(b"%PDF")
    return file


def test_attachments_are_paths_or_attachments(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    for given in (path, str(path), [path], [str(path)], Attachment(path), [Attachment(str(path))], path.name):
        (attachment,) = Message(to=ANN, attachments=given).attachments
        assert attachment == Attachment(path)
        assert (attachment.filename, attachment.media_type) == ("报告 1.pdf", "application/pdf")
        assert attachment.content == path


def test_a_relative_path_means_the_file_that_was_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    message = Message(to=ANN, attachments=[path.name])
    monkeypatch.chdir(path.parent.parent)
    assert read(octets(message)).attachments()[0].content == b"%PDF"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../x", "x"),
        ("..\\..\\x", "x"),
        ("/etc/passwd", "passwd"),
        ("C:\\Users\\me\\报告.pdf", "报告.pdf"),
        ("报告.pdf", "报告.pdf"),
        (" spaced .txt ", "spaced .txt"),
        ('a"b;c%d.txt', 'a"b;c%d.txt'),
        ("x" * 300, "x" * 300),
    ],
)
def test_the_name_of_a_file_is_its_last_part(given: str, shown: str) -> None:
    attachment = Attachment(b"", filename=given)
    assert attachment.filename == shown
    assert read(octets(Message(to=ANN, attachments=[attachment]))).attachments()[
        0
    ].disposition_parameters == {"filename": shown}


@pytest.mark.parametrize("name", ["", ".", "..", "../", "a/..", " ", "x" * 1001])
def test_what_is_no_name_for_a_file_is_refused(name: str) -> None:
    assert refused(lambda: Attachment(b"", filename=name)).code == "attachment-name"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.txt", "text/plain"),
        ("a.PNG", "image/png"),
        ("a.csv", "text/csv"),
        ("a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.zip", "application/zip"),
        ("a.tar.gz", "application/octet-stream"),  # packed: not what is in it
        ("a.txt.gz", "application/octet-stream"),
        ("a.eml", "application/octet-stream"),  # a message in base64 is not allowed
        ("a", "application/octet-stream"),
        (".png", "application/octet-stream"),
        ("data:text/html,x", "application/octet-stream"),
        ("报告.pdf", "application/pdf"),
    ],
)
def test_the_media_type_is_guessed_from_the_name(name: str, kind: str) -> None:
    assert Attachment(b"", filename=name).media_type == kind


def test_the_media_types_of_common_files_do_not_depend_on_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(mimetypes, "knownfiles", [])  # as on a system that has no table of its own
        mimetypes.init()
        kinds = [Attachment(b"", filename=f"a.{end}").media_type for end in ("docx", "csv", "zip", "md")]
    mimetypes.init()
    assert kinds[0] == "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    assert kinds[1:] == ["text/csv", "application/zip", "text/markdown"]


def test_a_media_type_that_is_given_goes_out_as_it_is() -> None:
    attachment = Attachment(b"x", filename="a.txt", media_type="text/plain; charset=gb18030; format=flowed")
    (part,) = read(octets(Message(to=ANN, attachments=[attachment]))).attachments()
    assert part.kind == "text/plain"
    assert part.parameters == {"charset": "gb18030", "format": "flowed", "name": "a.txt"}


@pytest.mark.parametrize(
    "kind",
    [
        *("text", "text/", "/plain", "text/pl ain", "multipart/mixed", "message/rfc822", "MESSAGE/rfc822"),
        *("text/plain; name=x", "text/plain;", "text/plain; a=b; NAME=c", "text/plain; a", "téxt/plain"),
        *("text/plain" + "; a=b" * 100, 'text/plain; a="b"; x'),
    ],
)
def test_what_is_no_media_type_for_an_attachment_is_refused(kind: str) -> None:
    assert refused(lambda: Attachment(b"", media_type=kind)).code == "media-type"


@pytest.mark.parametrize(
    ("given", "cid"), [("logo", "logo"), ("<logo@example.com>", "logo@example.com"), ("", "")]
)
def test_a_content_id_may_stand_in_angle_brackets(given: str, cid: str) -> None:
    assert Attachment(b"", content_id=given).content_id == cid


@pytest.mark.parametrize("cid", ["<>", "a b", "a<b", "lögo", "a(b)", '"a"', "x" * 201, "<<a>>"])
def test_what_is_no_content_id_is_refused(cid: str) -> None:
    assert refused(lambda: Attachment(b"", content_id=cid)).code == "content-id"


def test_two_images_with_one_content_id_are_refused() -> None:
    logo = Attachment(b"", content_id="logo")
    assert refused(lambda: Message(to=ANN, attachments=[logo, logo])).code == "content-id"


def test_what_cannot_be_read_is_refused_at_once(path: Path) -> None:
    folder = path.parent
    for bad in (folder, folder / "missing", f"{path}\0", folder / "missing\nfile"):
        error = refused(lambda bad=bad: Attachment(bad))  # type: ignore[misc]
        assert error.code == "attachment-unreadable"


@posix
@pytest.mark.timeout(20)
def test_a_fifo_or_a_device_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for bad in (tmp_path / "fifo", "/dev/null", "/dev/zero"):
        assert refused(lambda bad=bad: Attachment(bad)).code == "attachment-unreadable"  # type: ignore[misc]


@posix
def test_a_file_that_may_not_be_read_is_refused() -> None:
    with TemporaryDirectory() as name:
        folder, path = Path(name), Path(name, "report.pdf")
        folder.chmod(0o755)
        path.write_bytes(b"x")
        path.chmod(0)
        as_nobody = os.geteuid() == 0  # root may read everything
        if as_nobody:
            os.setresuid(65534, 65534, 0)
        try:
            error = refused(lambda: Attachment(path))
        finally:
            if as_nobody:
                os.setresuid(0, 0, 0)
    assert error.code == "attachment-unreadable"
    assert "you may not read it" in error.message


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file names that are no text")
def test_a_file_whose_name_is_no_text_needs_another_name(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xb1\xa8.txt")
    path.write_bytes(b"x")
    assert refused(lambda: Attachment(path)).code == "lone-surrogate"
    assert Attachment(path, filename="报.txt").filename == "报.txt"
    path.unlink()
    assert refused(lambda: Attachment(path, filename="报.txt")).code == "attachment-unreadable"


def test_octets_of_any_kind_are_kept_as_they_were() -> None:
    data = bytearray(b"abc")
    attachment = Attachment(data)  # type: ignore[arg-type]
    data[0] = 0
    assert attachment.content == b"abc"
    assert Attachment(memoryview(b"abc")).content == b"abc"  # type: ignore[arg-type]
    assert attachment.filename == "attachment.bin"


def test_an_attachment_prints_briefly() -> None:
    assert repr(Attachment(bytes(1 << 20), filename="a.bin")) == (
        "Attachment('a.bin', application/octet-stream, '1048576 octets')"
    )


# Headers and the rest


@pytest.mark.parametrize("bad", [*"\r\n\0\t\x0b\x0c\x7f\u0085\u2028\u2029", "\r\n", "\ud800"])
@pytest.mark.parametrize(
    "build",
    [
        lambda bad: Message(to=ANN, subject=f"a{bad}b"),
        lambda bad: Message(to=ANN, subject=f"a{bad}"),
        lambda bad: Message(to=ANN, from_name=f"a{bad}"),
        lambda bad: Message(to=f"ann@example.com{bad}"),
        lambda bad: Message(to=ANN, cc=[f"A{bad}nn <ann@example.com>"]),
        lambda bad: Message(to=ANN, headers={f"X-A{bad}": "b"}),
        lambda bad: Message(to=ANN, headers={"X-A": f"b{bad}"}),
        lambda bad: Message(to=ANN, headers={"X-A": f"{bad}b"}),
        lambda bad: Message(to=ANN, id=f"<a@b>{bad}"),
        lambda bad: Message(to=ANN, in_reply_to=f"<a@b>{bad}<c@d>"),
        lambda bad: Message(to=ANN, references=["<a@b>", f"<c@d>{bad}"]),
        lambda bad: Message(to=ANN, list_unsubscribe=f"https://example.com/{bad}"),
        lambda bad: Attachment(b"", filename=f"a{bad}.txt"),
        lambda bad: Attachment(b"", content_id=f"a{bad}"),
        lambda bad: Attachment(b"", media_type=f"text/plain{bad}"),
    ],
)
def test_a_line_break_a_control_character_or_half_a_character_is_refused_everywhere(
    build: Callable[[str], object], bad: str
) -> None:
    error = refused(lambda: build(bad))
    assert error.code in ("control-character", "lone-surrogate", "header-name")


@pytest.mark.parametrize("field", ["text", "html"])
def test_half_a_character_in_a_body_is_refused(field: str) -> None:
    assert refused(lambda: Message(to=ANN, **{field: "a\ud83db"})).code == "lone-surrogate"  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "X A", "X:A", "X\u00e9", "季", "X-A:", " X", "x" * 77, "Bcc: x@y\r\nX"])
def test_what_is_no_name_for_a_header_is_refused(name: str) -> None:
    assert refused(lambda: Message(to=ANN, headers={name: "b"})).code == "header-name"


@pytest.mark.parametrize(
    "name",
    [
        *("From", "Sender", "To", "Cc", "Bcc", "Subject", "Date", "Message-ID", "Reply-To", "MIME-Version"),
        *("Content-Type", "content-transfer-encoding", "Resent-To", "Return-Path", "Received"),
    ],
)
def test_a_header_that_is_written_for_you_is_not_set_by_hand(name: str) -> None:
    assert refused(lambda: Message(to=ANN, headers=[(name, "x")])).code == "header-reserved"


def test_headers_are_a_mapping_or_pairs_and_may_repeat() -> None:
    pairs = [("X-A", "1"), ("X-A", "2")]
    assert [read(octets(Message(to=ANN, headers=pairs))).all("X-A")] == [["1", "2"]]
    assert Message(to=ANN, headers={"X-A": "1"}).headers == (("X-A", "1"),)


@pytest.mark.parametrize(
    "fields",
    [
        {"in_reply_to": "<a@b>", "headers": {"In-Reply-To": "<c@d>"}},
        {"in_reply_to": "<a@b>", "headers": {"References": "<c@d>"}},
        {"references": "<a@b>", "headers": {"references": "<c@d>"}},
        {"list_unsubscribe": "https://a.b/", "headers": {"List-Unsubscribe": "<https://a.b/>"}},
        {"priority": "high", "headers": {"X-Priority": "1"}},
        {"headers": [("In-Reply-To", "<a@b>"), ("in-reply-to", "<c@d>")]},
    ],
)
def test_a_header_that_a_message_has_once_is_not_given_twice(fields: dict[str, Any]) -> None:
    assert refused(lambda: Message(to=ANN, **fields)).code == "header-twice"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("In-Reply-To", "what you said", "message-id"),
        ("References", "<a@b> <季@d>", "message-id"),
        ("List-Unsubscribe", "<https://example.com/季>", "header-value"),
        ("List-Help", f"<https://example.com/{'x' * 900}>", "header-value"),
        ("Disposition-Notification-To", "nobody", "address-malformed"),
    ],
)
def test_a_header_whose_form_is_fixed_is_checked(name: str, value: str, code: str) -> None:
    assert refused(lambda: Message(to=ANN, headers={name: value})).code == code


@pytest.mark.parametrize(
    "bad", ["a@b", "<a>", "<>", "<a@b", "a@b>", "<a b@c>", "<a@b<c>", "<季@b>", f"<{'x' * 900}@b>", "<a@b>x"]
)
@pytest.mark.parametrize("field", ["id", "in_reply_to", "references"])
def test_what_is_no_message_id_is_refused(field: str, bad: str) -> None:
    assert refused(lambda: Message(to=ANN, **{field: bad})).code == "message-id"  # type: ignore[arg-type]


def test_a_message_has_one_message_id() -> None:
    assert refused(lambda: Message(to=ANN, id="<a@b> <c@d>")).code == "message-id"
    assert Message(to=ANN, id="<a@b>").id == "<a@b>"
    made = {Message(to=ANN).id for _number in range(100)}
    assert len(made) == 100
    assert {Message(to=ANN, id=one).id for one in made} == made
    assert "localhost" not in "".join(made)


@pytest.mark.parametrize(
    "uri", ["example.com", "ftp://a.b", "https://a b", "https://a.b/季", "javascript:x", "https://"]
)
def test_what_is_no_address_to_unsubscribe_at_is_refused(uri: str) -> None:
    assert refused(lambda: Message(to=ANN, list_unsubscribe=[uri])).code == "list-unsubscribe"


def test_one_click_needs_https() -> None:
    for uri in ("mailto:leave@example.com", "http://example.com", ""):
        error = refused(lambda uri=uri: Message(to=ANN, list_unsubscribe=uri, one_click=True))  # type: ignore[misc]
        assert error.code == "one-click-without-https"


def test_an_unknown_priority_is_refused() -> None:
    assert refused(lambda: Message(to=ANN, priority="urgent")).code == "priority"  # type: ignore[arg-type]


def test_a_date_has_a_time_zone_and_whole_seconds() -> None:
    assert refused(lambda: Message(to=ANN, date=datetime(2026, 1, 1))).code == "date-naive"
    moment = datetime(2026, 1, 1, 12, 0, 0, 999, timezone(timedelta(hours=8)))
    assert Message(to=ANN, date=moment).date == moment.replace(microsecond=0)
    before = datetime.now(UTC).replace(microsecond=0)
    made = Message(to=ANN).date
    assert before <= made <= datetime.now(UTC)
    assert made.utcoffset() is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"subject": None},
        {"text": b"x"},
        {"html": 1},
        {"to": [None]},
        {"to": 1},
        {"to": {"ann@example.com": "Ann"}},
        {"cc": {"name": "Ann", "address": "ann@example.com"}},
        {"attachments": [b"x"]},
        {"attachments": b"x"},
        {"attachments": {"report.pdf": b"x"}},
        {"attachments": io.StringIO("report.pdf\n")},
        {"attachments": [io.BytesIO(b"x")]},
        {"no": 1},
    ],
)
def test_what_is_of_the_wrong_type_is_a_programming_error(fields: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Message(**{"to": ANN, **fields})


def test_who_attaches_octets_or_an_open_file_is_told_how() -> None:
    for given in ([b"x"], {"report.pdf": b"x"}, io.BytesIO(b"x")):
        with pytest.raises(TypeError, match=r"Attachment\(octets, filename="):
            Message(to=ANN, attachments=given)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="octets or a path, not BytesIO"):
        Attachment(io.BytesIO(b"x"))  # type: ignore[arg-type]


def test_none_says_that_there_is_none() -> None:
    names = (
        "cc",
        "bcc",
        "reply_to",
        "attachments",
        "headers",
        "in_reply_to",
        "references",
        "list_unsubscribe",
    )
    none: dict[str, Any] = dict.fromkeys(names)
    message = Message(to=ANN, **none)
    assert [getattr(message, name) for name in names] == [()] * len(names)
    assert Message(to=None, bcc=ANN).bcc == (ANN,)


# Values


@pytest.fixture
def message(path: Path) -> Message:
    return Message(
        to=[ANN, BOB],
        bcc="boss@example.com",
        subject="季度报告",
        text="a",
        html="b",
        attachments=[path, Attachment(b"x", filename="logo.png", content_id="logo")],
        headers={"X-A": "b"},
        references="<a@b>",
        list_unsubscribe="https://example.com/leave",
        one_click=True,
        priority="high",
    )


@pytest.mark.parametrize(
    "again", [lambda one: pickle.loads(pickle.dumps(one)), copy.copy, copy.deepcopy, replace]
)
def test_a_copy_is_the_same_message_to_the_octet(
    again: Callable[[Message], Message], message: Message
) -> None:
    other = again(message)
    assert other == message
    assert hash(other) == hash(message)
    assert (other.id, other.date) == (message.id, message.date)
    assert render(other, ME)[0] == render(message, ME)[0]
    assert render(other, ME)[1].size == render(message, ME)[1].size
    for attachment in message.attachments:
        assert again(attachment) == attachment  # type: ignore[arg-type, comparison-overlap]
    assert again(render(message, ME)[0]) == render(message, ME)[0]  # type: ignore[arg-type, comparison-overlap]


def test_a_changed_copy_is_checked_like_a_new_message(message: Message) -> None:
    other = replace(message, subject="Other")
    assert (other.subject, other.id, other.text) == ("Other", message.id, "a")
    refused(lambda: replace(message, subject="a\nb"))
    renamed = replace(message.attachments[0], filename="other.txt")
    assert (renamed.filename, renamed.content) == ("other.txt", message.attachments[0].content)
    refused(lambda: replace(message.attachments[0], filename=".."))


def test_a_message_cannot_be_changed(message: Message) -> None:
    for value, name in ((message, "subject"), (message.attachments[0], "filename"), (ANN, "name")):
        with pytest.raises(AttributeError):
            setattr(value, name, "x")
    with pytest.raises((AttributeError, TypeError)):
        message.other = 1  # type: ignore[attr-defined]


def test_a_message_prints_on_one_line(message: Message) -> None:
    assert repr(message) == f"Message({message.id}, '季度报告', recipients=3)"
