"""Bad input and hard input at the command line: what it is told, and what the server got."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from email import message_from_bytes
from email.policy import default as modern
from pathlib import Path

import pytest

from oauth_mailer.accounts import Accounts
from tests.cli.mailbox import Mailbox, mailboxes
from tests.cli.program import ROOT, run
from tests.support.google_account import google_account
from tests.support.http_script import HttpScript, close
from tests.support.mail_texts import FAMILY, as_sent
from tests.support.mime_reader import Part, read

from .test_composing import fifo, loop, posix

HELLO = ("--to", "ann@example.com", "--text", "Hi")
LONG_ID = f"<{'a' * 59}@{'b' * 58}>"


@pytest.fixture
def box(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """me@qq.com, on a server of the test's own that is taken for QQ's."""
    with mailboxes(home, monkeypatch, "me@qq.com") as (made,):
        Accounts(home).add(replace(Accounts(home).get(), provider="qq"))
        yield made


def arrived(box: Mailbox, *words: str, stdin: bytes | None = None) -> Part:
    """Send it; the message as it came, alone."""
    done = run("send", *words, stdin=stdin)
    assert done.code == 0, done.err
    (message,) = box.messages
    return read(message.data)


EVIL = "\r\nBcc: evil@example.net"


@pytest.mark.fault(1, 3, 8, program=True)
@pytest.mark.parametrize(
    "words",
    [
        *[(*HELLO, "--subject", f"a{bad}b") for bad in (EVIL, "\n", "\r", "\x0b", "\x0c", "\x85", "\u2028")],
        (*HELLO, "--header", f"X-A: b{EVIL}"),
        (*HELLO, "--header", f"X-A{EVIL}: b"),
        (*HELLO, "--header", "X A: b"),
        (*HELLO, "--header", "季: b"),
        (*HELLO, "--from", f"Me{EVIL} <me@qq.com>"),
        (*HELLO, "--in-reply-to", f"<a@b>{EVIL}"),
        ("--text", "Hi", "--to", f"ann@example.com{EVIL}"),
        ("--text", "Hi", "--to", f'"Ann{EVIL}" <ann@example.com>'),
        *[
            ("--text", "Hi", "--to", to)
            for to in ("alice@a)bob@b", '"x@gmail.com y"@internal', "<>", "nobody:;", "a: b: c@d;;")
        ],
    ],
    ids=lambda words: ascii(" ".join(words).replace("--to ann@example.com --text Hi ", "")),
)
def test_what_would_be_read_in_two_ways_is_refused_before_anything_is_connected(
    words: tuple[str, ...], box: Mailbox
) -> None:
    done = run("send", *words, "--json")
    assert (done.code, done.json["status"], done.json["error"]["type"]) == (65, "refused", "MessageError")
    assert done.json["error"]["hint"]
    assert all(line.isprintable() for line in done.err.splitlines())
    assert box.server.connections == 0


@pytest.mark.fault(1, 12, program=True)
@posix
def test_a_line_break_in_the_name_of_a_file_is_refused(box: Mailbox, tmp_path: Path) -> None:
    path = tmp_path / f"a{EVIL}.txt"
    path.write_text("x", "ascii")
    for option, value in (("--attach", str(path)), ("--inline", f"logo={path}")):
        done = run("send", *HELLO, option, value, "--json")
        assert done.code == 65, done
        assert "\r" not in done.err
    assert box.server.connections == 0


@pytest.mark.fault(2, 6, 7, 9, 10, 11, program=True)
def test_hard_input_arrives_as_it_was_typed(box: Mailbox) -> None:
    typed = f"=?UTF-8?Q?=0ABcc:_x@y?= {'季' * 1200} {FAMILY} שלום"
    part = arrived(
        box,
        *("--subject", typed, "--text", "Hi"),
        *("--in-reply-to", LONG_ID, "--unsubscribe", f"https://example.com/{'c' * 100}"),
        *("--to", "Ann <ann@bücher.example>", "--cc", "ANN@bücher.example", "--bcc", "boss@example.com"),
        *("--cc", '"boss@good.example" <x@evil.example>'),
    )
    (message,) = box.messages
    assert message.recipients == ["ann@xn--bcher-kva.example", "x@evil.example", "boss@example.com"]
    assert part.text("Subject") == modern_subject(message.data) == typed
    assert part.one("In-Reply-To") == part.one("References") == LONG_ID
    assert part.one("List-Unsubscribe") == f"<https://example.com/{'c' * 100}>"
    assert not re.search(rb"^bcc:|boss@example", message.data, re.I | re.M)


def modern_subject(data: bytes) -> str:
    return str(message_from_bytes(data, policy=modern)["Subject"])


@pytest.mark.fault(4, program=True)
@posix
def test_octets_that_are_no_text_are_refused_as_bad_text(box: Mailbox) -> None:
    for words in (
        ("--to", "ann@example.com", "--text", "Hi", "--subject", b"a\xff"),
        ("--to", "ann@example.com", "--text", b"a\xff"),
        ("--to", "ann@example.com", "--text", "Hi", "--header", b"X-A: \xff"),
        ("--to", b"\xff@example.com", "--text", "Hi"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "oauth_mailer", "send", *words],
            cwd=ROOT,
            capture_output=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 65, done.stderr
        assert b"Traceback" not in done.stderr
    assert box.server.connections == 0


@pytest.mark.fault(5, program=True)
def test_a_body_that_looks_like_the_end_of_a_message_arrives_intact(box: Mailbox) -> None:
    body = f"{'x' * 5000}\r\n.\r\nMAIL FROM:<evil@example.net>\r\n.\r\n..\r\n"
    assert arrived(box, "--to", "ann@example.com", "--text-file", "-", stdin=body.encode()).body == as_sent(
        body
    )
    assert max(map(len, box.messages[0].data.split(b"\r\n"))) <= 998


@pytest.mark.fault(8, program=True)
def test_fifty_thousand_addresses_are_read_in_bounded_time(box: Mailbox) -> None:
    people = ",\r\n ".join(f'"Nr. {number}" <user{number}@example.com>' for number in range(50_000))
    eml = f"From: me@qq.com\r\nTo: All: {people};\r\nSubject: x\r\n\r\nHi\r\n".encode()
    done = run("send", "--eml", "-", "--dry-run", "--json", stdin=eml)
    assert done.code == 0, done.err[:2000]
    (route,) = done.json["routes"]
    assert route["envelope"]["recipients"] == [f"user{number}@example.com" for number in range(50_000)]
    assert box.server.connections == 0


@pytest.mark.fault(9, program=True)
def test_a_local_part_in_another_script_needs_smtputf8(box: Mailbox) -> None:
    words = ("send", "--to", "李雷@例え.jp", "--text", "Hi", "--json")
    assert run(*words).code == 0
    assert box.messages[0].recipients == ["李雷@xn--r8jz45g.jp"]
    box.server.extensions.remove("SMTPUTF8")
    done = run(*words)
    assert (done.code, done.json["error"]["code"]) == (77, "smtputf8-missing")
    assert len(box.messages) == 1


@pytest.mark.fault(10, program=True)
def test_more_recipients_than_gmail_takes_are_refused_with_the_way_to_split(box: Mailbox, home: Path) -> None:
    Accounts(home).add(replace(Accounts(home).get(), provider="gmail-smtp"))
    people = [word for number in range(101) for word in ("--bcc", f"user{number}@example.com")]
    done = run("send", "--text", "Hi", *people, "--json")
    assert (done.code, done.json["error"]["code"]) == (65, "too-many-recipients")
    assert "101" in done.json["error"]["message"]
    assert "at most 100" in done.json["error"]["hint"]
    assert box.server.connections == 0


@pytest.mark.fault(12, program=True)
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("made", "code"),
    [
        pytest.param(lambda path: path, 66, id="missing"),
        pytest.param(lambda path: path.parent, 66, id="folder"),
        pytest.param(loop, 66, id="unreadable", marks=posix),
        pytest.param(fifo, 65, id="fifo", marks=posix),
        pytest.param(lambda _path: Path("/dev/zero"), 65, id="device", marks=posix),
    ],
)
def test_what_is_no_readable_file_is_named(
    made: Callable[[Path], Path], code: int, box: Mailbox, tmp_path: Path
) -> None:
    path = made(tmp_path / "report.pdf")
    done = run("send", *HELLO, "--attach", str(path), "--json")
    assert done.code == code, done
    assert str(path) in done.json["error"]["message"]
    assert box.server.connections == 0


@pytest.mark.fault(12, program=True)
def test_an_attachment_arrives_under_its_base_name_though_it_is_empty(box: Mailbox, tmp_path: Path) -> None:
    (tmp_path / "报告.pdf").touch()
    (folder := tmp_path / "below").mkdir()
    part = arrived(box, *HELLO, "--attach", str(folder / ".." / "报告.pdf"))
    (attached,) = part.attachments()
    assert (attached.disposition_parameters, attached.content) == ({"filename": "报告.pdf"}, b"")


@pytest.mark.fault(13, program=True)
def test_a_message_that_is_too_large_for_the_server_is_not_begun(box: Mailbox, tmp_path: Path) -> None:
    (tmp_path / "large.bin").write_bytes(bytes(1000))
    words = ("send", *HELLO, "--attach", str(tmp_path / "large.bin"), "--json")
    box.server.extensions = ["SIZE 1500", "AUTH PLAIN"]
    done = run(*words)
    assert (done.code, done.json["error"]["code"]) == (69, "message-too-large")
    assert "at most 1500" in done.json["error"]["message"]
    assert not box.server.said("MAIL")
    box.server.extensions = ["SIZE 3000", "AUTH PLAIN"]
    assert run(*words).code == 0


@pytest.mark.fault(13, program=True)
def test_a_message_beyond_gmails_limit_is_refused_before_connecting(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HttpScript(close) as server:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", server.url)
        Accounts(home).add(account := google_account(server.url))
        limit = account.preset.max_size or 0
        with (tmp_path / "large.bin").open("wb") as file:
            file.truncate(limit)  # and encoded it is a third larger
        done = run("send", *HELLO, "--attach", str(tmp_path / "large.bin"), "--json")
        assert (done.code, done.json["error"]["code"]) == (65, "message-too-large")
        assert f"at most {limit}" in done.json["error"]["message"]
        assert server.connections == 0


@pytest.mark.fault(14, program=True)
def test_a_message_from_another_address_is_caught_before_connecting(box: Mailbox) -> None:
    eml = b"From: you@example.com\r\nTo: ann@example.com\r\n\r\nHi\r\n"
    done = run("send", "--eml", "-", "--from", "me@qq.com", "--json", stdin=eml)
    assert (done.code, done.json["error"]["code"]) == (77, "sender-mismatch")
    assert "you@example.com" in done.err
    assert box.server.connections == 0
