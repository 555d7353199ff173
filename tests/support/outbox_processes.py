"""Workers of an outbox in processes of their own, to be killed, stopped and continued.

They are forked from a process that has imported everything already, where the system can do that: so a test
waits for what they do and not for Python to start.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

PATIENCE = 60.0  # seconds that anything may take


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a process does: it runs an outbox, or adds messages to it.

    ``home``, ``url``: of the outbox; ``options``: more for ``Outbox``; ``adds``: fields of messages to add,
    each with its ``key``; nothing is run then; ``waits``: it stops itself (SIGSTOP) before it begins;
    ``environ``: all that it sees of the environment.
    """

    home: str
    url: str | None
    options: Mapping[str, Any] = field(default_factory=dict)
    once: bool = True
    threads: int = 1
    adds: Sequence[Mapping[str, Any]] = ()
    waits: bool = False
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


def work(job: Job) -> None:
    """In the process."""
    os.environ.clear()
    os.environ.update(job.environ)
    from oauth_mailer import Message
    from oauth_mailer.outbox import Outbox

    if job.waits:
        os.kill(os.getpid(), signal.SIGSTOP)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Outbox(job.url, home=job.home, **job.options) as outbox:
        for fields in job.adds:
            rest = {name: value for name, value in fields.items() if name != "key"}
            outbox.add(Message(**rest), key=fields["key"])
        if not job.adds:
            try:
                outbox.run(once=job.once, workers=job.threads, stop=stop)
            except KeyboardInterrupt:
                raise SystemExit(130) from None


class Worker:
    """One such process."""

    def __init__(self, job: Job) -> None:
        context: Any = _context()
        self.process: BaseProcess = context.Process(target=work, args=(job,), daemon=True)
        self.process.start()

    def signal(self, number: signal.Signals) -> None:
        assert self.process.pid
        os.kill(self.process.pid, number)

    def stall(self) -> None:
        """SIGSTOP, and wait until it stands still: one thread has to notice it first, the others run on."""
        self.signal(signal.SIGSTOP)
        until(self._stands_still, "the worker to stand still")

    def _stands_still(self) -> bool:
        threads = Path(f"/proc/{self.process.pid}/task")
        if threads.is_dir():  # Linux
            states = [(one / "stat").read_text().rpartition(")")[2].split()[0] for one in threads.iterdir()]
        else:
            command = ["ps", "-o", "state=", "-p", str(self.process.pid)]
            states = [subprocess.run(command, capture_output=True, text=True, check=True).stdout[:1]]
        return set(states) <= {"T", "t"}

    def kill(self) -> None:
        """SIGKILL, and wait until it is no more."""
        self.process.kill()
        self.wait()

    def wait(self) -> int | None:
        """Until it has ended; its exit code."""
        self.process.join(PATIENCE)
        assert self.process.exitcode is not None, "the worker does not end"
        return self.process.exitcode


_made: list[BaseContext] = []


def _context() -> BaseContext:
    if not _made:
        if "forkserver" in get_all_start_methods():
            context = get_context("forkserver")
            context.set_forkserver_preload([__name__, f"{__package__}.outbox_imports"])
            _made.append(context)
        else:
            _made.append(get_context("spawn"))
    return _made[0]


def until(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Ask again and again until it is so: for what only a database can tell."""
    pause = threading.Event()
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"it did not come: {what}"
        pause.wait(0.01)
