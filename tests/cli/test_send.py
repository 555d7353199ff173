from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from email import message_from_bytes
from email.policy import default as modern
from pathlib import Path
from typing import Any

import pytest

from .mailbox import CODE, Mailbox, mailboxes
from .program import ROOT, Ended, run
from .typist import Typist

KEYS = ["status", "message_id", "account", "transport", "remote_id", "refused", "attempts"]
HELLO = ("--to", "ann@example.com", "--subject", "Hello", "--text", "It works.")
posix = pytest.mark.skipif(os.name != "posix", reason="needs a terminal of POSIX")


@pytest.fixture
def box(home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The account me@corp.example, on a server of the test's own; its code stands in the environment."""
    with mailboxes(home, monkeypatch, "me@corp.example") as (made,):
        yield made


def received(box: Mailbox) -> Any:
    (message,) = box.messages
    return message_from_bytes(message.data, policy=modern)


def test_a_sent_message_ends_with_0_and_its_id_alone_on_standard_output(box: Mailbox) -> None:
    done = run("send", *HELLO)
    assert done.code == 0, done.err
    message = received(box)
    assert done.out == f"{message['Message-ID']}\n"
    assert done.err == f"Sent {message['Message-ID']} as me@corp.example by smtp\n"
    assert message["Subject"] == "Hello"
    assert message.get_content().strip() == "It works."
    assert run("send", *HELLO, "--quiet").err == ""


def test_json_is_one_object_of_the_agreed_keys(box: Mailbox) -> None:
    done = run("send", *HELLO, "--json")
    assert done.code == 0, done.err
    sent = done.json
    assert list(sent) == KEYS
    assert sent["status"] == "sent"
    assert sent["message_id"] == received(box)["Message-ID"]
    assert (sent["account"], sent["transport"], sent["refused"]) == ("me@corp.example", "smtp", {})
    (attempt,) = sent["attempts"]
    assert list(attempt) == ["account", "transport", "verdict", "code", "text"]
    assert attempt["verdict"] == "sent"


def failed(done: Ended, code: int, status: str, kind: str) -> dict[str, Any]:
    """Check what holds of every failure; the object."""
    assert done.code == code, done
    told: dict[str, Any] = done.json
    assert list(told) == [*KEYS, "error"]
    assert list(told["error"]) == ["type", "code", "message", "hint"]
    assert (told["status"], told["error"]["type"]) == (status, kind)
    assert told["error"]["message"] in done.err
    assert "Traceback" not in done.err
    return told


def test_64_for_a_message_without_recipient_or_content(box: Mailbox) -> None:
    failed(run("send", "--text", "x", "--json"), 64, "refused", "UsageError")
    failed(run("send", *HELLO, "--header", "X", "--json"), 64, "refused", "UsageError")
    failed(run("send", *HELLO, "--inline", "logo.png", "--json"), 64, "refused", "UsageError")
    failed(run("send", "--eml", "x.eml", "--subject", "x", "--json"), 64, "refused", "UsageError")
    both = ("--to", "a@example.com", "--text-file", "-", "--html-file", "-")
    failed(run("send", *both, "--json"), 64, "refused", "UsageError")
    assert box.messages == []


def test_65_for_a_message_that_cannot_be_sent_as_it_is(box: Mailbox) -> None:
    for words in (
        ("--to", "ann@exa mple.com", "--text", "x"),
        ("--to", "ann@example.com", "--subject", "a\r\nBcc: eve@example.com", "--text", "x"),
        (*HELLO, "--header", "X-A: 1\nX-B: 2"),
        (*HELLO, "--header", "Naïve: 1"),
    ):
        failed(run("send", *words, "--json"), 65, "refused", "MessageError")
    assert box.messages == []


@pytest.mark.parametrize("option", ["--attach", "--inline", "--text-file", "--html-file", "--eml"])
def test_66_for_an_input_file_that_is_missing(box: Mailbox, option: str, tmp_path: Path) -> None:
    path = tmp_path / "no such file"
    value = f"logo={path}" if option == "--inline" else str(path)
    words = (
        ("--to", "ann@example.com") if option == "--eml" else ("--to", "ann@example.com", "--subject", "x")
    )
    told = failed(run("send", *words, option, value, "--json"), 66, "refused", "InputMissing")
    assert str(path) in told["error"]["message"]
    folder = f"logo={tmp_path}" if option == "--inline" else str(tmp_path)
    failed(run("send", *words, option, folder, "--json"), 66, "refused", "InputMissing")
    assert box.messages == []


def test_69_for_recipients_who_are_all_refused(box: Mailbox) -> None:
    box.refuse_recipients(b"550 5.1.1 no such user")
    told = failed(run("send", *HELLO, "--json"), 69, "rejected", "RejectedError")
    assert list(told["refused"]) == ["ann@example.com"]
    assert told["attempts"][0]["verdict"] == "not_sent"
    assert told["message_id"]


def test_75_for_a_server_that_cannot_be_reached(box: Mailbox) -> None:
    box.stop()
    told = failed(run("send", *HELLO, "--json"), 75, "not_sent", "TransientError")
    assert told["account"] == "me@corp.example"


def test_76_for_a_message_that_may_have_been_sent(box: Mailbox) -> None:
    box.hang_up_after_the_message()
    told = failed(run("send", *HELLO, "--json"), 76, "unknown", "OutcomeUnknown")
    assert told["attempts"][0]["verdict"] == "unknown"


def test_77_for_a_code_that_the_server_refuses(box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(box.variable, "canary-5531")
    done = run("send", *HELLO, "--json", "--verbose")
    failed(done, 77, "not_sent", "LoginRequired")
    assert "canary" not in done.out + done.err
    assert box.logins == 1


def test_78_for_an_account_that_is_not_set_up(box: Mailbox) -> None:
    told = failed(run("send", *HELLO, "--from", "you@corp.example", "--json"), 78, "refused", "ConfigError")
    assert "oauth-mailer login you@corp.example" in told["error"]["hint"]


def test_every_option_arrives(box: Mailbox, tmp_path: Path) -> None:
    (tmp_path / "报告.txt").write_text("numbers", encoding="utf-8")
    (tmp_path / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "body.html").write_text('<p>你好 <img src="cid:logo"></p>', encoding="utf-8")
    done = run(
        *("send", "--from", "Me Myself <me@corp.example>"),
        *("--to", "Ann <ann@example.com>, bob@example.com", "--to", "李雷 <lilei@example.com>"),
        *("--cc", "carol@example.com", "--bcc", "boss@example.com", "--reply-to", "desk@corp.example"),
        *("--subject", "季度报告", "--text", "你好", "--html-file", str(tmp_path / "body.html")),
        *("--attach", str(tmp_path / "报告.txt"), "--inline", f"logo={tmp_path / 'logo.png'}"),
        *("--header", "X-Ticket: 42", "--in-reply-to", "<a@example.com>", "--reference", "<b@example.com>"),
        *("--unsubscribe", "https://example.com/u", "--one-click", "--priority", "high"),
    )
    assert done.code == 0, done.err
    message = received(box)
    assert message["From"] == "Me Myself <me@corp.example>"
    assert [a.addr_spec for a in message["To"].addresses] == [
        "ann@example.com",
        "bob@example.com",
        "lilei@example.com",
    ]
    assert box.messages[0].recipients == [
        "ann@example.com",
        "bob@example.com",
        "lilei@example.com",
        "carol@example.com",
        "boss@example.com",
    ]
    assert message["Bcc"] is None
    assert message["Cc"] == "carol@example.com"
    assert message["Reply-To"] == "desk@corp.example"
    assert message["Subject"] == "季度报告"
    assert message["X-Ticket"] == "42"
    assert message["In-Reply-To"] == "<a@example.com>"
    assert "<b@example.com>" in message["References"]
    assert message["List-Unsubscribe"] == "<https://example.com/u>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    parts = {part.get_content_type(): part for part in message.walk()}
    assert parts["text/html"].get_content().strip() == '<p>你好 <img src="cid:logo"></p>'
    assert parts["image/png"]["Content-ID"] == "<logo>"
    assert [part.get_filename() for part in message.iter_attachments()] == ["报告.txt"]


def test_the_text_comes_from_standard_input_where_nothing_else_is_given(box: Mailbox) -> None:
    words = ("--to", "ann@example.com", "--subject", "Disks")
    assert run("send", *words, stdin="磁盘已满\n".encode()).code == 0
    assert run("send", *words, "--text-file", "-", stdin="\ufeff磁盘已满\n".encode()).code == 0
    assert run("send", *words, "--html-file", "-", stdin="磁盘已满\n".encode("utf-16")).code == 0
    for message in box.messages:
        assert message_from_bytes(message.data, policy=modern).get_content().strip() == "磁盘已满"
    told = failed(run("send", *words, "--json", stdin=b"\xb4\xc5\xc5\xcc"), 65, "refused", "MessageError")
    assert told["error"]["code"] == "text-encoding"


def test_an_attachment_alone_does_not_wait_for_standard_input(box: Mailbox, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x", encoding="ascii")
    read, write = os.pipe()  # never written to, never closed
    try:
        done = subprocess.run(
            [sys.executable, "-m", "oauth_mailer", "send", "--to", "a@example.com", "--attach", str(path)],
            cwd=ROOT,
            stdin=read,
            timeout=60,
            check=False,
            capture_output=True,
        )
    finally:
        os.close(read)
        os.close(write)
    assert done.returncode == 0, done.stderr


def test_a_finished_message_goes_out_as_it_is(box: Mailbox, tmp_path: Path) -> None:
    eml = (
        b"From: me@corp.example\nTo: ann@example.com\nBcc: boss@example.com\nMessage-ID: <x@corp.example>\n"
        b"Date: Mon, 1 Jan 2024 00:00:00 +0000\nSubject: =?utf-8?B?5L2g5aW9?=\n\nAs it is.\n"
    )
    (tmp_path / "a.eml").write_bytes(eml)
    for done in (
        run("send", "--eml", str(tmp_path / "a.eml")),
        run("send", "--eml", "-", stdin=eml),
    ):
        assert (done.code, done.out) == (0, "<x@corp.example>\n"), done.err
        message = box.messages[-1]
        assert message.recipients == ["ann@example.com", "boss@example.com"]
        assert b"Subject: =?utf-8?B?5L2g5aW9?=\r\n" in message.data
        assert b"Bcc" not in message.data
        assert message.data.endswith(b"\r\n\r\nAs it is.\r\n")
    assert run("send", "--eml", "-", "--to", "other@example.com", stdin=eml).code == 0
    assert box.messages[-1].recipients == ["other@example.com"]


def test_a_finished_message_goes_out_by_the_account_it_is_from(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mailboxes(home, monkeypatch, "me@corp.example", "you@corp.example") as (first, second):
        eml = b"From: you@corp.example\nTo: ann@example.com\n\nHi\n"
        assert run("send", "--eml", "-", "--json", stdin=eml).json["account"] == "you@corp.example"
        assert (len(first.messages), len(second.messages)) == (0, 1)


def test_recipients_refused_among_others_are_named(box: Mailbox) -> None:
    box.refuse_recipients(b"550 5.1.1 no such \x1b[2Juser", only="eve@example.com")
    done = run("send", *HELLO, "--cc", "eve@example.com", "--json")
    assert done.code == 0, done.err
    assert list(done.json["refused"]) == ["eve@example.com"]
    assert "Not sent to eve@example.com: " in done.err
    assert "\x1b" not in done.err
    assert len(box.messages) == 1


def test_a_dry_run_shows_everything_and_connects_to_nothing(box: Mailbox) -> None:
    words = ("send", *HELLO, "--bcc", "boss@example.com", "--dry-run")
    told = run(*words, "--json").json
    assert list(told)[:2] == ["status", "dry_run"]
    assert (told["status"], told["dry_run"]) == ("not_sent", True)
    (route,) = told["routes"]
    assert route["envelope"] == {
        "sender": "me@corp.example",
        "recipients": ["ann@example.com", "boss@example.com"],
        "blind": ["boss@example.com"],
    }
    assert "Subject: Hello" in route["headers"]
    done = run(*words)
    assert done.code == 0
    assert f"Size: {route['size']} octets" in done.out
    assert "nothing was sent" in done.err
    assert failed(run(*words, "--header", "A B: c", "--json"), 65, "refused", "MessageError")
    assert box.server.connections == 0


def test_a_host_without_utf8_gets_escapes_and_no_crash(box: Mailbox) -> None:
    plain = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    box.refuse_recipients("550 用户不存在".encode())
    done = run("send", "--to", "ann@example.com", "--text", "x", "--json", env=plain)
    assert done.code == 69, done
    assert done.out.isascii()
    assert json.loads(done.out)["status"] == "rejected"


def test_a_send_by_smtp_imports_only_what_it_needs(box: Mailbox) -> None:
    heavy = (
        "google googleapiclient requests urllib3 rich keyring platformdirs cryptography tomlkit asyncio idna"
    )
    program = (
        "import sys; from oauth_mailer.cli import main; code = main(sys.argv[2:]);"
        "print([name for name in sys.argv[1].split() if name in sys.modules], file=sys.stderr);"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, heavy, "send", "-q", *HELLO],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")


def test_verbose_shows_what_happens_without_the_code(box: Mailbox) -> None:
    done = run("send", *HELLO, "--verbose")
    assert "oauth_mailer" in done.err
    assert CODE not in done.err + done.out


@posix
def test_a_large_upload_shows_a_bar_on_a_terminal_and_none_in_a_pipe(box: Mailbox, tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(os.urandom(3 * 1024 * 1024))
    words = ("send", "--to", "ann@example.com", "--subject", "Large", "--attach", str(large))
    typist = Typist(*words, out=tmp_path / "out")
    assert typist.end() == 0, typist.screen
    assert "Sending" in typist.screen
    assert (tmp_path / "out").read_text("ascii").strip() == received(box)["Message-ID"]
    assert "Sending" not in run(*words).err
    small = Typist("send", *HELLO)
    assert small.end() == 0
    assert "Sending" not in small.screen


@posix
def test_colours_are_for_terminals_that_want_them(box: Mailbox) -> None:
    for env, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        typist = Typist("send", *HELLO, env=env)
        assert typist.end() == 0
        assert ("\x1b[" in typist.screen) is coloured, env


@posix
def test_nobody_is_made_to_type_a_mail_who_forgot_an_option(box: Mailbox) -> None:
    typist = Typist("send", "--to", "ann@example.com", "--subject", "x")
    assert typist.end() == 64
    assert "The message has no content." in typist.screen


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_message_is_on_its_way_is_an_unknown_outcome(box: Mailbox, number: int) -> None:
    box.keep_silent("dot")
    program = subprocess.Popen(
        [sys.executable, "-m", "oauth_mailer", "send", *HELLO, "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    box.wait_for_silence()
    program.send_signal(number)
    out, err = program.communicate(timeout=60)
    assert program.returncode == 76, err
    assert json.loads(out)["error"]["code"] == "interrupted"
    assert "may have been sent" in err


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_before_anything_is_handed_over_is_no_send(box: Mailbox, number: int, code: int) -> None:
    box.keep_silent("mail")
    program = subprocess.Popen(
        [sys.executable, "-m", "oauth_mailer", "send", *HELLO, "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    box.wait_for_silence()
    program.send_signal(number)
    out, err = program.communicate(timeout=60)
    assert program.returncode == code, err
    assert json.loads(out)["status"] == "not_sent"
