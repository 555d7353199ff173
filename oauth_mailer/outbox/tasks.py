"""Work in threads, waited for by one at which exceptions are thrown: by Ctrl-C, or by an engine's limit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

__all__ = ["begin", "join"]


def begin(work: Callable[[], object], name: str) -> threading.Event:
    """Do this in a thread of its own, for which the program's end does not wait; set once it is done."""
    done = threading.Event()

    def run() -> None:
        try:
            work()
        finally:
            done.set()

    threading.Thread(target=run, name=name, daemon=True).start()
    return done


def join(tasks: Iterable[threading.Event]) -> None:
    """Wait for all of them. What is thrown meanwhile is raised, and leaves them as they are.

    ``Thread.join`` cannot do that: what is thrown into it makes a thread that runs count as ended (Python
    3.11, 3.12).
    """
    for task in tasks:
        while not task.wait(0.2):  # in small portions, so that a signal is heard on Windows too
            pass
