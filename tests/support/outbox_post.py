"""An outbox whose workers are killed, and the judge of what became of its messages."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oauth_mailer import Message
from oauth_mailer.outbox import Entry, Event, Outbox, State

from .outbox_databases import OutboxDatabase
from .outbox_processes import Job, Worker

RECIPIENTS = ("ann@example.com", "bob@example.com")


class Post:
    """``accepted``: gives each message that the provider took charge of, in order; ``events``: what the
    workers of this process told."""

    def __init__(self, home: Path, database: OutboxDatabase, accepted: Callable[[], Iterable[bytes]]) -> None:
        self.home = home
        self.database = database
        self._accepted = accepted
        self.entries: list[Entry] = []
        self.events: list[Event] = []
        self.outbox = Outbox(database.url, home=home)
        self.outbox.stats()  # so the tables are there

    def accepted(self) -> Counter[str]:
        """How often the provider took each Message-ID."""
        found = (re.search(rb"(?im)^Message-ID:\s*(<[^>]+>)", data) for data in self._accepted())
        return Counter(one[1].decode() for one in found if one)

    def add(self, count: int = 1, **fields: Any) -> None:
        for _ in range(count):
            given = {"to": RECIPIENTS, "subject": f"Number {len(self.entries)}", "text": "Hello"} | fields
            self.entries.append(self.outbox.add(Message(**given)))

    def job(self, **fields: Any) -> Job:
        return Job(**{"home": str(self.home), "url": self.database.url, **fields})

    @contextmanager
    def worker(self, **fields: Any) -> Iterator[Worker]:
        """A worker in a process of its own, which does not outlive the block."""
        worker = Worker(self.job(**fields))
        try:
            yield worker
        finally:
            worker.kill()

    def run(self, **options: Any) -> None:
        """Another worker, in this process, until nothing is to be done."""
        with Outbox(self.database.url, home=self.home, **options) as outbox:
            outbox.run(once=True, on_event=self.events.append)

    def run_until(self, events: int, **options: Any) -> None:
        """The same, for ever; but here until it has told so many events."""
        stop = threading.Event()

        def hear(event: Event) -> None:
            self.events.append(event)
            if len(self.events) >= events:
                stop.set()

        with Outbox(self.database.url, home=self.home, **options) as outbox:
            outbox.run(on_event=hear, stop=stop)

    def states(self) -> list[State]:
        return [self.outbox.get(entry.id).state for entry in self.entries]

    def judge(self, *, unknown: Sequence[int] = (), taken: Sequence[int] = ()) -> None:
        """All is done: these are unknown, and of these those were accepted; all others were sent, once.

        The numbers are those of ``entries``.
        """
        accepted = self.accepted()
        for number, added in enumerate(self.entries):
            entry = self.outbox.get(added.id)
            count = accepted[entry.message_id]
            history = self.outbox.history(added.id)
            assert entry.state is (State.UNKNOWN if number in unknown else State.SENT), history
            assert count == (1 if number not in unknown or number in taken else 0), (entry, count)
            if number in unknown:
                self.reported(entry)
        assert set(accepted) <= {entry.message_id for entry in self.entries}

    def reported(self, entry: Entry) -> None:
        """That this one may have been sent is told to whoever listens, looks at it or at its history."""
        assert entry.code == "worker-lost"
        assert "may have been sent" in entry.text
        assert entry.id in [event.entry.id for event in self.events if event.state is State.UNKNOWN]
        last = self.outbox.history(entry.id)[-1]
        assert (last.state, last.verdict, last.code) == (State.UNKNOWN, "unknown", "worker-lost")

    def close(self) -> None:
        self.outbox.close()
        self.database.close()
