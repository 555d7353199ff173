"""A person at a terminal: waits for what the program shows, and types."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from .program import ROOT

_PATIENCE = 60.0  # seconds; a program that says nothing for so long has failed

# getpass asks the controlling terminal, not standard input: that has to be made one.
_LAUNCHER = (
    "import fcntl, os, sys, termios;fcntl.ioctl(0, termios.TIOCSCTTY, 0);os.execv(sys.argv[1], sys.argv[1:])"
)


class Typist:
    """The program at a terminal of its own, so that it can ask without showing what is typed.

    ``screen``: everything that the terminal has shown; ``out``: where standard output goes, by default there
    too.
    """

    def __init__(self, *words: str, env: dict[str, str] | None = None, out: Path | None = None) -> None:
        import fcntl
        import pty
        import termios

        self._master, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, b"\x28\x00\x78\x00\x00\x00\x00\x00")  # 40 rows, 120 columns
        self.screen = ""
        self._seen = 0
        with (out or Path(os.devnull)).open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _LAUNCHER, sys.executable, "-m", "oauth_mailer", *words],
                cwd=ROOT,
                env={**os.environ, "TERM": "xterm", "PYTHONUTF8": "1", **(env or {})},
                stdin=terminal,
                stdout=terminal if out is None else file,
                stderr=terminal,
                start_new_session=True,
            )
        os.close(terminal)

    def wait_for(self, text: str) -> None:
        """Read until the screen shows this text, after what was waited for before."""
        while (at := self.screen.find(text, self._seen)) < 0:
            if not self._read():
                raise AssertionError(f"{text!r} never came:\n{self.screen}")
        self._seen = at + len(text)

    def type(self, line: str) -> None:
        """Type a line and press Enter."""
        os.write(self._master, line.encode() + b"\n")

    def answer(self, answers: Iterable[tuple[str, str]]) -> int:
        """Answer each question in turn; the exit code."""
        for question, line in answers:
            self.wait_for(question)
            self.type(line)
        return self.end()

    def press_ctrl_c(self) -> None:
        """As at a keyboard: the terminal sends SIGINT to the program."""
        os.write(self._master, b"\x03")

    def press_ctrl_d(self) -> None:
        """As at a keyboard: the end of what is typed."""
        os.write(self._master, b"\x04")

    @property
    def echoes(self) -> bool:
        """Whether the terminal shows what is typed."""
        import termios

        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._read():
            pass
        os.close(self._master)
        return self.process.wait(timeout=_PATIENCE)

    def _read(self) -> bool:
        deadline = time.monotonic() + _PATIENCE
        ready, _writable, _broken = select.select([self._master], [], [], deadline - time.monotonic())
        if not ready:
            self.process.kill()
            raise AssertionError(f"the program says nothing more:\n{self.screen}")
        data = b""
        with suppress(OSError):  # the other side is closed
            data = os.read(self._master, 65536)
        self.screen += data.decode("utf-8", "replace")
        return bool(data)
