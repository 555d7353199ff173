"""Texts and files as they go out: what arrives is what was given, octet by octet."""

from __future__ import annotations

import os
import re
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oauth_mailer import Attachment, Message, MessageError
from oauth_mailer.mime import Content, render
from oauth_mailer.mime.bodies import base64_size, encoded_base64
from tests.support.mail_texts import BODIES, FAMILY, ME, as_sent, classic, moderately, modern, octets
from tests.support.mime_reader import read

BLOCK = 57 * 1149  # what is read from a file at once

PLAIN = "plain words of no interest\n" * 40

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs what only POSIX has")


def handed_over(content: Content) -> int:
    return sum(map(len, content.blocks()))


def body_of(data: bytes) -> bytes:
    return data.partition(b"\r\n\r\n")[2]


def encoding_of(text: str) -> str:
    return read(octets(Message(to="ann@example.com", text=text))).encoding


@moderately
@given(BODIES)
@example("")
@example("\n")
@example("no line end")
@example(PLAIN + "a" * 67 + "é ")
@example(PLAIN + "a" * 68 + "é ")
@example("F" * 75 + " ")
@example("From " * 30)
@example("." * 75 + "\t")
@example("é" * 20 + "." * 40 + " \n.\n")
@example("季度报告\n" * 500)
@example(FAMILY)
@example("x" * 5000)
@example("Grüße, " * 900)
def test_a_text_arrives_to_the_character(text: str) -> None:
    data = octets(Message(to="ann@example.com", text=text))
    part = read(data)
    assert (part.kind, part.body) == ("text/plain", as_sent(text))
    charset = part.parameters["charset"]
    for message in (modern(data), classic(data)):
        payload = message.get_payload(decode=True)
        assert isinstance(payload, bytes)
        assert payload.decode(charset) == as_sent(text)


@moderately
@given(BODIES, BODIES)
@example("", "")
def test_text_and_html_arrive_to_the_character(text: str, html: str) -> None:
    data = octets(Message(to="ann@example.com", text=text, html=html))
    part = read(data)
    assert [(one.kind, one.body) for one in part.parts] == [
        ("text/plain", as_sent(text)),
        ("text/html", as_sent(html)),
    ]
    assert [one.get_content_type() for one in modern(data).iter_parts()] == ["text/plain", "text/html"]


@moderately
@given(BODIES)
@example("From " + "a" * 63 + "From abc")
@example("F" * 75 + " ")
@example("From " * 30)
@example(("x" * 89 + "\n") * 10 + "x" * 991)
@example("=" + "a" * 74 + ".")
@example("=" + "a" * 75 + ".\n")
def test_no_relay_has_a_reason_to_change_a_body(text: str) -> None:
    """What some of them change: "From " at the start of a line, a lone dot, a blank at the end of a line."""
    body = body_of(octets(Message(to="ann@example.com", text=text)))
    assert body.isascii()
    for line in body.split(b"\r\n"):
        assert len(line) <= 990
        assert not line.startswith(b"From ")
        assert line != b"."
        assert not line.endswith((b" ", b"\t"))
    assert not re.search(rb"[^\x20-\x7e\t\r\n]", body)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Hello\n" * 9, "7bit"),
        ("x" * 990 + "\n", "7bit"),
        ("x" * 991 + "\n", "quoted-printable"),
        (("x" * 500 + "\n") * 4, "7bit"),
        ("x\n" * 600 + "x" * 991 + "\nx", "quoted-printable"),
        ("\ttab\n", "7bit"),
        ("Viele Grüße von hier aus dem Rheinland\n", "quoted-printable"),
        ("季度报告\n", "base64"),
        ("trailing \n", "quoted-printable"),
        ("From me\n", "quoted-printable"),
        ("a\n.\nb\n", "quoted-printable"),
        ("=" * 1000, "base64"),  # each would take three octets
        ("..\n", "7bit"),
        ("", "7bit"),
    ],
)
def test_the_shortest_safe_encoding_is_chosen(text: str, encoding: str) -> None:
    assert encoding_of(text) == encoding


def test_a_message_without_a_text_has_an_empty_one() -> None:
    data = octets(Message(to="ann@example.com"))
    assert data.endswith(b"\r\n\r\n")
    assert read(data).body == ""


@moderately
@given(st.binary(max_size=200))
@example(b"")
@example(bytes(range(256)) * 30)
def test_the_octets_of_an_attachment_arrive(data: bytes) -> None:
    sent = octets(Message(to="ann@example.com", text="See.\n", attachments=[Attachment(data)]))
    (part,) = read(sent).attachments()
    assert part.content == data
    assert next(modern(sent).iter_attachments()).get_payload(decode=True) == data
    assert classic(sent).get_payload()[1].get_payload(decode=True) == data  # type: ignore[index, union-attr]


SIZES = [0, 1, 2, 3, 56, 57, 58, 114, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 200_001]


@pytest.mark.parametrize("size", SIZES)
def test_a_file_and_the_same_octets_in_memory_look_alike(size: int, tmp_path: Path) -> None:
    data = os.urandom(size)
    (tmp_path / "a.bin").write_bytes(data)
    from_file = octets(Message(to="ann@example.com", text="", attachments=[tmp_path / "a.bin"]))
    from_memory = octets(
        Message(to="ann@example.com", text="", attachments=[Attachment(data, filename="a.bin")])
    )
    for sent in (from_file, from_memory):
        (part,) = read(sent).attachments()
        assert part.content == data
        assert part.encoding == "base64"
    assert len(from_file) == len(from_memory)
    assert base64_size(size) == len(encoded_base64(data))


def test_a_message_can_be_handed_over_again_from_the_start(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(os.urandom(300_000))
    _envelope, content = render(Message(to="ann@example.com", text="", attachments=[tmp_path / "a.bin"]), ME)
    first = content.blocks()
    next(first)
    whole = b"".join(content.blocks())
    assert b"".join(content.blocks()) == whole
    assert len(whole) == content.size
    assert all(len(block) < 200_000 for block in content.blocks())


def test_progress_ends_with_the_whole_size(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(500_000))
    _envelope, content = render(Message(to="ann@example.com", text="", attachments=[tmp_path / "a.bin"]), ME)
    seen: list[tuple[int, int]] = []
    taken = sum(
        len(block) for block in content.watched(lambda done, size: seen.append((done, size))).blocks()
    )
    assert seen == sorted(seen)
    assert seen[-1] == (taken, content.size)
    assert len(seen) > 3


def peak_of(action: Callable[[], object]) -> int:
    """The octets that this took at most beyond what was there."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        action()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_a_large_file_is_never_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(32 << 20)
    sizes: list[int] = []

    def send() -> None:
        _envelope, content = render(Message(to="ann@example.com", text="", attachments=[path]), ME)
        sizes.extend((content.size, handed_over(content)))

    assert peak_of(send) < 2 << 20
    assert sizes[0] == sizes[1] > 32 << 20


def test_large_octets_in_memory_are_not_there_twice() -> None:
    message = Message(to="ann@example.com", text="", attachments=[Attachment(bytes(16 << 20))])
    assert peak_of(lambda: handed_over(render(message, ME)[1])) < 2 << 20


# Files that do not stay as they are between the two looks at them


def other_content(path: Path) -> None:
    path.write_bytes(b"y" * 200_000)
    os.utime(path, ns=(1, 1))  # whatever the clock's grain


def longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def shorter(path: Path) -> None:
    os.truncate(path, 100_000)


def replaced(path: Path) -> None:
    at = path.stat().st_mtime_ns
    other = path.with_name("other")
    other.write_bytes(b"z" * 200_000)
    os.utime(other, ns=(at, at))
    other.replace(path)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


CHANGES = [
    other_content,
    longer,
    shorter,
    replaced,
    Path.unlink,
    a_folder,
    pytest.param(a_fifo, marks=posix),
    pytest.param(a_device, marks=posix),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "report.pdf"
    file.write_bytes(b"x" * 200_000)
    return file


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changed_since_it_was_rendered_ends_the_send(
    change: Callable[[Path], None], path: Path
) -> None:
    _envelope, content = render(Message(to="ann@example.com", text="", attachments=[path]), ME)
    change(path)
    with pytest.raises(MessageError) as caught:
        handed_over(content)
    assert caught.value.code == "attachment-changed"
    assert "report.pdf" in str(caught.value)


@pytest.mark.parametrize("change", [Path.unlink, a_folder, pytest.param(a_fifo, marks=posix)])
def test_a_file_that_is_none_any_more_cannot_be_rendered(change: Callable[[Path], None], path: Path) -> None:
    message = Message(to="ann@example.com", text="", attachments=[path])
    change(path)
    with pytest.raises(MessageError) as caught:
        render(message, ME)
    assert caught.value.code == "attachment-changed"


@pytest.mark.parametrize("change", [other_content, longer, shorter])
@pytest.mark.skipif(sys.platform == "win32", reason="an open file is locked there")
def test_a_file_that_changes_while_it_is_read_ends_the_send_before_its_last_block(
    change: Callable[[Path], None], path: Path
) -> None:
    _envelope, content = render(Message(to="ann@example.com", text="", attachments=[path]), ME)
    blocks = content.blocks()
    taken = [next(blocks), next(blocks)]
    change(path)
    with pytest.raises(MessageError) as caught:
        taken.extend(blocks)
    assert caught.value.code == "attachment-changed"
    assert sum(map(len, taken)) < content.size - base64_size(200_000 % BLOCK)


def test_a_file_that_was_replaced_before_it_is_rendered_goes_out_as_it_is_now(path: Path) -> None:
    message = Message(to="ann@example.com", text="", attachments=[path])
    path.write_bytes(b"a later state")
    (part,) = read(octets(message)).attachments()
    assert part.content == b"a later state"


def test_an_empty_file_that_grows_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "empty.txt"
    path.touch()
    _envelope, content = render(Message(to="ann@example.com", text="", attachments=[path]), ME)
    longer(path)
    with pytest.raises(MessageError):
        handed_over(content)
