"""What the program logs, where, and what never gets into it."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oauth_mailer.errors import TransientError
from oauth_mailer.events import FIELDS
from oauth_mailer.integrations.json_lines import JSONLines

from .mailbox import CODE, Mailbox, mailboxes
from .outbox_worker import HELLO, Worker, queue
from .program import ROOT, run

ME = "me@corp.example"
KEYS = ["time", "level", "logger", "message", "event", "message_id", "account", "transport", "verdict"]
KEYS += ["code", "attempt", "bytes", "recipients", "refused", "duration"]
LETTER = "---\nto: {{ email }}\nsubject: Canary\n---\nHello {{ name }}!\n"
MAIL = b"To: Ann <ann@example.com>\nSubject: Canary\n\nHello\n"


@pytest.fixture
def box(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with mailboxes(home, monkeypatch, ME) as [made]:
        yield made


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "mail.log"


def objects(text: str) -> list[dict[str, Any]]:
    """Each line, which is one object and nothing else."""
    found = [json.loads(line) for line in text.removesuffix("\n").split("\n")]
    for one in found:
        assert list(one)[:4] == KEYS[:4]
        assert datetime.fromisoformat(one["time"]).utcoffset() == timedelta(0)
    return found


def attempts(text: str) -> list[dict[str, Any]]:
    return [one for one in objects(text) if one["logger"] == "oauth_mailer.attempts"]


def test_every_command_that_sends_writes_a_line_for_each_try(box: Mailbox, log: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text(LETTER, "utf-8")
    (tmp_path / "guests.csv").write_text("email,name\nann@example.com,Ann\n", "utf-8")
    to_log = ("--log-file", str(log), "--log-format", "json")
    began = datetime.now(UTC)
    sent = run("send", *HELLO, *to_log)
    assert (sent.code, sent.err) == (0, f"Sent {sent.out.strip()} as {ME} by smtp\n"), "as without a log"
    assert run("sendmail", "-t", *to_log, stdin=MAIL).code == 0
    queue()
    assert run("outbox", "run", "--once", "--workers", "2", *to_log).code == 0
    merged = run("merge", str(tmp_path / "letter.txt"), str(tmp_path / "guests.csv"), "--yes", *to_log)
    assert merged.code == 0, merged
    assert len(box.messages) == 4

    text = log.read_text("utf-8")
    told = attempts(text)
    assert [list(one) for one in told] == [KEYS] * 4
    assert {(one["account"], one["transport"], one["verdict"], one["code"]) for one in told} == {
        (ME, "smtp", "sent", "")
    }
    assert told[0]["message_id"] == sent.out.strip()
    assert [one["bytes"] for one in told] == [len(mail.data) for mail in box.messages]
    assert {one["recipients"] for one in told} == {1}
    assert all(began <= datetime.fromisoformat(one["time"]) <= datetime.now(UTC) for one in told)
    for kept_back in ("ann@example.com", "Canary", "Hello", "It works", CODE):
        assert kept_back not in text
    if os.name == "posix":
        assert log.stat().st_mode & 0o777 == 0o600


def test_as_text_it_is_a_line_with_time_level_and_logger(box: Mailbox, log: Path) -> None:
    done = run("send", *HELLO, "--log-file", str(log))
    [line] = log.read_text("utf-8").splitlines()
    when, level, logger, message = line.split(" ", 3)
    assert datetime.fromisoformat(when).utcoffset() == timedelta(0)
    assert (level, logger) == ("INFO", "oauth_mailer.attempts:")
    assert message.startswith(f"{done.out.strip()} by {ME} (smtp): sent; ")


def test_without_a_file_json_is_all_that_standard_error_has(box: Mailbox) -> None:
    done = run("send", *HELLO, "--log-format", "json", "--json")
    assert (done.code, done.json["status"]) == (0, "sent")
    tried, said = objects(done.err)
    assert (tried["event"], tried["verdict"]) == ("attempt", "sent")
    assert (said["logger"], said["level"]) == ("oauth_mailer.cli", "info")
    assert said["message"].startswith("Sent <")

    box.refuse_recipients(b"550 5.1.1 no \x1b[31m\xe2\x80\xa8such user")
    failed = run("send", *HELLO, "--log-format", "json", "--quiet")
    assert failed.code == 69, failed
    tried, ended = objects(failed.err)
    assert (tried["verdict"], tried["code"], tried["level"]) == ("not_sent", ended["code"], "info")
    assert (ended["event"], ended["level"]) == ("failed", "error")
    assert "\x1b" not in failed.err
    assert "\u2028" not in failed.err

    queue()
    box.answer_again("rcpt")
    ran = run("outbox", "run", "--once", "--log-format", "json")
    assert ran.code == 0, ran
    assert [one["event"] for one in objects(ran.err) if "event" in one] == ["attempt"]


def test_a_failure_before_anything_is_logged_is_an_object_too(home: Path) -> None:
    done = run("send", *HELLO, "--log-format", "json")
    assert done.code == 78, done
    [ended] = objects(done.err)
    assert (ended["event"], ended["code"]) == ("failed", "no-account")


def test_a_log_that_is_renamed_while_a_worker_runs_begins_anew(box: Mailbox, log: Path) -> None:
    first = queue()
    with Worker("--log-file", str(log), "--log-format", "json") as worker:
        worker.wait_for(f"{first} sent ")
        log.rename(log.with_suffix(".1"))  # as logrotate does, on every system
        second = queue()
        worker.wait_for(f"{second} sent ")
    one, other = attempts(log.with_suffix(".1").read_text("utf-8")), attempts(log.read_text("utf-8"))
    assert (len(one), len(other)) == (1, 1)
    assert one[0]["message_id"] != other[0]["message_id"]


def test_a_log_that_cannot_be_written_is_told_before_anything_is_sent(box: Mailbox, tmp_path: Path) -> None:
    done = run("send", *HELLO, "--json", "--log-file", str(tmp_path / "nowhere" / "mail.log"))
    assert (done.code, done.json["error"]["code"]) == (78, "log-file")
    assert "--log-file FILE" in done.err
    assert box.server.connections == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a disk that is full")
def test_a_log_that_fills_its_disk_holds_up_nothing_and_is_told_once(box: Mailbox) -> None:
    queue()
    queue()
    done = run("outbox", "run", "--once", "--log-file", "/dev/full")
    assert done.code == 0, done
    assert len(box.messages) == 2
    assert done.err.count("cannot be written: No space left on device") == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no such pipes")
def test_a_pipe_that_nobody_reads_holds_up_nothing(box: Mailbox, log: Path) -> None:
    os.mkfifo(log)
    assert run("send", *HELLO, "--log-file", str(log)).code == 78
    reading = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with Worker("--log-file", str(log)) as worker:
            worker.wait_for(f"{queue()} sent ")
            assert b" sent; " in os.read(reading, 4096)
            os.close(reading)
            reading = -1
            worker.wait_for(f"{queue()} sent ")
    finally:
        if reading >= 0:
            os.close(reading)
    assert len(box.messages) == 2


def test_recipients_are_told_only_as_asked_for(box: Mailbox, log: Path, home: Path) -> None:
    words = (*HELLO, "--cc", "Bob@example.com", "--log-file", str(log), "--log-format", "json")
    for how in ("count", "hash", "hash", "clear"):
        assert run("send", *words, "--log-recipients", how).code == 0
    count, one, other, clear = attempts(log.read_text("utf-8"))
    assert "to" not in count
    assert one["to"] == other["to"], "the same recipient is the same in each run"
    assert len(set(one["to"])) == 2
    assert not [hashed for hashed in one["to"] if "@" in hashed]
    assert clear["to"] == ["ann@example.com", "Bob@example.com"]
    salt = home / "log-salt"
    assert len(salt.read_bytes()) == 32
    if os.name == "posix":
        assert salt.stat().st_mode & 0o777 == 0o600

    salt.write_bytes(b"short")
    refused = run("send", *words, "--log-recipients", "hash", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (78, "log-salt")
    alone = run("send", *HELLO, "--log-recipients", "hash", "--json")
    assert (alone.code, alone.json["error"]["code"]) == (64, "usage")
    assert len(box.messages) == 4


def test_verbose_is_shown_as_ever_and_is_in_the_file_too(box: Mailbox, log: Path) -> None:
    done = run("send", *HELLO, "-v", "--log-file", str(log), "--log-format", "json")
    assert done.code == 0, done
    assert " oauth_mailer.attempts: <" in done.err
    assert attempts(log.read_text("utf-8"))
    assert CODE not in done.err + log.read_text("utf-8")


def test_the_page_tells_every_field_and_shows_a_line_as_it_is() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
    [shown] = re.findall("^```json\n(.*)\n```$", page, re.M)
    assert [list(one) for one in objects(shown)] == [KEYS]
    table = page.partition("| Field |")[2].partition("\n\n")[0]
    told = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\|([^|]+)\|", table, re.M))))
    assert told == {"time", "level", "logger", "message", "exception", *FIELDS}


def line(
    message: str, *values: object, error: BaseException | None = None, **extra: object
) -> dict[str, Any]:
    info = None if error is None else (type(error), error, error.__traceback__)
    record = logging.LogRecord("oauth_mailer.x", logging.ERROR, "x.py", 1, message, values, info)
    vars(record).update(extra)
    written = JSONLines().format(record)
    assert written.isprintable()
    [told] = objects(written)
    return told


def test_no_text_makes_a_line_of_its_own() -> None:
    forged = 'ann\n{"time": "2026", "verdict": "sent"}\r\n\u2028\u2029\x85\x1b[2K\u202e\ud800'
    told = line("refused: %s", forged, code=forged, subject="Canary")
    assert told["message"] == f"refused: {forged}"
    assert told["code"] == forged
    assert "subject" not in told


def test_an_exception_is_told_by_its_type_and_its_place_and_not_by_its_words() -> None:
    try:
        try:
            raise ValueError("Bearer canary")
        except ValueError as error:
            raise TransientError("The server is busy.", code="busy") from error
    except TransientError as error:
        told = line("a fault", error=error)
    ours, theirs = told["exception"]
    assert (ours["type"], ours["code"], ours["message"]) == ("TransientError", "busy", "The server is busy.")
    assert (theirs["type"], list(theirs)) == ("ValueError", ["type", "at"])
    assert theirs["at"][0].endswith(
        " in test_an_exception_is_told_by_its_type_and_its_place_and_not_by_its_words"
    )
    assert "canary" not in json.dumps(told)
