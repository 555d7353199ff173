"""A worker of the outbox as a process of its own, and a server's step that waits for the test."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from types import TracebackType
from typing import Any, Self

from oauth_mailer.cli import main
from oauth_mailer.outbox import Entry, Outbox
from tests.support.smtp_script import Talk

from .program import ROOT, Ended, run

_PATIENCE = 60.0  # seconds

HELLO = ("--to", "ann@example.com", "--subject", "Hello", "--text", "It works.")


def queue(*words: str) -> int:
    """Keep a message; the number of its entry."""
    done = run("send", "--queue", "--json", *(words or HELLO))
    assert done.code == 0, done
    number: int = done.json["entry"]
    return number


def call(*words: str) -> Ended:
    """The same as ``run`` without a process of its own, where many ways to say something are tried."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(words)
    return Ended(code, out.getvalue(), err.getvalue())


def entry(number: int) -> Entry:
    """The entry as it is now."""
    with Outbox() as outbox:
        return outbox.get(number)


def lines(out: str) -> list[Any]:
    """What was printed as a line of JSON each."""
    import json

    return [json.loads(line) for line in out.splitlines()]


class Worker:
    """``oauth-mailer outbox run WORDS``, until it ends or is told to."""

    def __init__(self, *words: str) -> None:
        self.said = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "oauth_mailer", "outbox", "run", *words],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def wait_for(self, text: str) -> None:
        """Until it says this."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line
            if text in line:
                return
        raise AssertionError(f"{text!r} never came:\n{self.said}")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Until it has ended; its exit code."""
        _out, err = self.process.communicate(timeout=_PATIENCE)
        self.said += err
        return self.process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()


class Gate:
    """A server's step that gives these answers, and from the last one on waits until the test lets it go."""

    def __init__(self, *answers: bytes) -> None:
        self._answers: Sequence[bytes] = answers
        self._came = 0
        self._reached = threading.Event()
        self._opened = threading.Event()

    def __call__(self, talk: Talk) -> bool:
        answer = self._answers[min(self._came, len(self._answers) - 1)]
        self._came += 1
        if self._came >= len(self._answers):
            self._reached.set()
            assert self._opened.wait(_PATIENCE), "the test has forgotten the server"
        return talk.say(answer)

    def wait(self) -> None:
        """Until the server waits."""
        assert self._reached.wait(_PATIENCE), "nobody came to this step"

    def open(self) -> None:
        """Let it go on."""
        self._opened.set()
