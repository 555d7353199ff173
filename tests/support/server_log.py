"""Real server programs, started for a test, and what they say."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

PATIENCE = 30.0  # seconds that anything may take
SYSTEM_PATH = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
"""All that the programs see of the environment, where nothing else is said."""


class ServerLog:
    """A running program in the foreground, and what it says, line by line; its end ends every wait.

    ``end``: the signal that ends it; ``env``: all that it sees of the environment; ``options``: others of
    ``Popen``.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        end: signal.Signals = signal.SIGTERM,
        env: Mapping[str, str] = SYSTEM_PATH,
        **options: Any,
    ) -> None:
        self.lines: list[str] = []
        self._end = end
        self.program = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=env,
            **options,
        )
        self._ended = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait(self, enough: Callable[[list[str]], bool]) -> None:
        """Until these lines are enough."""
        with self._news:
            self._news.wait_for(lambda: self._ended or enough(self.lines), PATIENCE)
            if not enough(self.lines):
                raise AssertionError("\n".join(["it did not come:", *self.lines[-30:]]))

    def wait_for(self, pattern: str) -> None:
        self.wait(lambda lines: any(re.search(pattern, line) for line in lines))

    def stop(self) -> None:
        """End the program and all that it started."""
        self.program.send_signal(self._end)
        self._thread.join(10)  # the pipe ends when the last of them does
        with suppress(ProcessLookupError):
            os.killpg(self.program.pid, signal.SIGKILL)
        self.program.wait(PATIENCE)
        self._thread.join(PATIENCE)

    def _read(self) -> None:
        assert self.program.stdout
        with self.program.stdout as pipe:
            for line in pipe:
                with self._news:
                    self.lines.append(line.decode("utf-8", "replace").rstrip())
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()
