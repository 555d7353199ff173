"""Workers that are killed or stall, as a person at a terminal meets them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.mailbox import Mailbox, mailboxes
from tests.cli.program import ROOT, Ended, run
from tests.support.smtp_script import Talk

ME = "me@corp.example"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to stop one with")


@pytest.fixture
def box(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with mailboxes(home, monkeypatch, ME) as [made]:
        yield made


def queue(count: int) -> None:
    for number in range(count):
        to = f"u{number}@example.com"
        assert run("send", "--queue", "--to", to, "--subject", f"n{number}", "--text", "x").code == 0


def worker(*words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "oauth_mailer", "outbox", "run", "--once", *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def states() -> dict[int, str]:
    entries = json.loads(run("outbox", "list", "--all", "--json").out)["entries"]
    return {entry["entry"]: entry["state"] for entry in entries}


def received(box: Mailbox) -> list[str]:
    return sorted(mail.recipients[0].partition("<")[2].rstrip("> ") for mail in box.server.received)


@pytest.mark.fault(35, program=True)
@pytest.mark.parametrize("step", ["mail", "dot"])
def test_a_worker_that_is_killed_leaves_one_message_unknown_and_no_other(box: Mailbox, step: str) -> None:
    queue(3)
    box.keep_silent(step)
    process = worker()
    box.wait_for_silence()
    process.kill()
    process.communicate(timeout=60)
    box.answer_again(step)
    done: Ended = run("outbox", "run", "--once")
    assert done.code == 76, done
    assert states() == {1: "unknown", 2: "sent", 3: "sent"}
    once = ["u1@example.com", "u2@example.com"]
    assert received(box) == (["u0@example.com", *once] if step == "dot" else once)
    shown = run("outbox", "show", "1")
    assert "worker-lost" in shown.out
    assert "oauth-mailer outbox retry 1" in shown.out + shown.err


@pytest.mark.fault(37, program=True)
def test_a_worker_that_stalls_is_given_up_and_its_late_result_counts(box: Mailbox) -> None:
    queue(1)
    reached, go = threading.Event(), threading.Event()

    def late(talk: Talk) -> bool:
        reached.set()
        assert go.wait(60)
        return talk.say(b"250 2.0.0 Ok: queued as LATE\r\n")

    box.server.answer("dot", late)
    process = worker("--lease", "5")
    try:
        assert reached.wait(60)
        os.kill(process.pid, signal.SIGSTOP)
        command = [sys.executable, "-m", "oauth_mailer", "outbox", "run", "--json"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            assert json.loads(other.stdout.readline())["state"] == "unknown"
            other.terminate()
            assert other.wait(60) == 0
        assert states() == {1: "unknown"}
        os.kill(process.pid, signal.SIGCONT)
        go.set()
        _out, err = process.communicate(timeout=60)
    finally:
        go.set()
        process.kill()
        process.wait()
    assert states() == {1: "sent"}, err.decode()
    assert received(box) == ["u0@example.com"]
