"""For an engine of the caller's own: what is due, and one entry delivered, undisturbed.

Engines deliver a job twice, kill its process, and throw time limits and interrupts into the thread that runs
it. The first two are the database's business; the last is kept away from a send here.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from functools import partial
from typing import TypeVar

from . import claims, rows
from .caretaker import Settings
from .database import Database
from .entry import Entry, Event
from .tasks import begin, join
from .worker import Worker

__all__ = ["Engine", "Hearer"]

Hearer = Callable[[Event], None]

_T = TypeVar("_T")
_HEARER: ContextVar[Hearer | None] = ContextVar("_HEARER", default=None)


class Engine:
    """The worker of this process, made when it is first needed. ``settings``: makes those of the worker."""

    def __init__(self, database: Database, settings: Callable[[], Settings]) -> None:
        self._database = database
        self._settings = settings
        self._lock = threading.Lock()
        self._made: tuple[int, Worker] | None = None

    def deliver(self, number: int, on_event: Hearer | None) -> Entry:
        """See ``Outbox.deliver``."""

        def work() -> Entry:
            _HEARER.set(on_event)
            return self._deliver(number)

        return _undisturbed(work)

    def sweep(self, limit: int, on_event: Hearer | None) -> tuple[int, ...]:
        """See ``Outbox.sweep``."""

        def work() -> tuple[int, ...]:
            _HEARER.set(on_event)
            caretaker = self._worker().caretaker
            caretaker.look_around()
            now = self._database.clock.now()
            with self._database.reading() as connection:
                return claims.ready(connection, caretaker.turn(), now, limit)

        return _undisturbed(work)

    def close(self) -> None:
        """Let go of the worker, if it is this process's."""
        with self._lock:
            if self._made is not None and self._made[0] == os.getpid():
                self._made[1].close()
            self._made = None

    def _deliver(self, number: int) -> Entry:
        worker = self._worker()
        worker.caretaker.look_around()
        with self._database.reading() as connection:
            entry = rows.entry(connection, number)
        if worker.caretaker.knows(entry.account):
            claim, _soonest = worker.take(entry)
            if claim is not None:
                with worker.alive():
                    return worker.deliver(claim)
        with self._database.reading() as connection:
            return rows.entry(connection, number)

    def _worker(self) -> Worker:
        """A forked child must not pass for its parent."""
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                self._made = (os.getpid(), Worker(self._database, self._settings(), on_event=_tell))
            return self._made[1]


def _tell(event: Event) -> None:
    """Whoever made the call in which it happened."""
    hearer = _HEARER.get()
    if hearer is not None:
        hearer(event)


def _undisturbed(work: Callable[[], _T]) -> _T:
    """Do this in a thread of its own; what it gives, or raises.

    What is thrown at the caller meanwhile is raised once the work is done, so that no result is lost; a
    second throw does not wait.
    """
    given: list[_T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            given.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits for this one
            raised.append(error)

    # In the caller's context: what traces the job sees the send in it.
    task = begin(partial(copy_context().run, run), "outbox-engine")
    try:
        join([task])
    except BaseException as thrown:
        join([task])
        if raised:
            raise thrown from raised[0]
        raise
    if raised:
        raise raised[0]
    return given[0]
