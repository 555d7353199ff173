"""Pieces of work for the outbox, each in a process of its own.

``python -m benchmarks.outbox_work WHAT FOLDER URL NAME=NUMBER...``, the job on standard input; ``URL`` empty:
a new SQLite file below the folder. Prints what it found as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text

from oauth_mailer import Account, Accounts, Message, Outbox, open_mailer
from oauth_mailer.outbox import claims, pacing, results, store
from oauth_mailer.outbox.database import Database
from oauth_mailer.outbox.letter import pack
from oauth_mailer.outbox.schema import ENTRIES, HISTORY, PARTS, SCHEMA, USAGE, USES
from oauth_mailer.outbox.states import Cause, State

from .child import memory
from .job import Job

__all__: list[str] = []

_SPAN = 3600.0


class Work:
    """What all pieces need: an outbox in a folder, and an account without limits for the job's server."""

    def __init__(self, folder: str, url: str, job: Job) -> None:
        self.home = Path(tempfile.mkdtemp(dir=folder, prefix="outbox-"))
        self.url = url or f"sqlite:///{self.home / 'outbox.db'}"
        self.job = job
        account = Account(
            address=job.sender, host=job.host, port=job.port or 25, security="none", auth="none"
        )
        Accounts(self.home).add(account)
        self.database = Database(self.url, self.home)
        if url:
            self._empty()

    def message(self, number: int = 0) -> Message:
        """A small one."""
        return Message(
            to=self.job.to, subject=self.job.subject(number), text=self.job.text, html=self.job.html
        )

    def add(self, count: int) -> dict[str, Any]:
        """As an application adds: one message after the other, each on disk when ``add`` returns."""
        messages = [self.message(number) for number in range(count)]
        with Outbox(self.url, home=self.home) as outbox:
            outbox.add(self.message())
            began = time.perf_counter()
            for message in messages:
                outbox.add(message)
            return {"seconds": time.perf_counter() - began}

    def insert(self, count: int) -> dict[str, Any]:
        """The same rows by the driver alone, made before: a transaction each, the same settings."""
        row = self._row(State.QUEUED)
        with self.database.writing():
            pass  # makes the tables
        connection: Any = self.database._ready().raw_connection().driver_connection
        mark = "?" if self.database.kind == "sqlite" else "%s"
        statement = f"INSERT INTO {ENTRIES.name} ({_names(row)}) VALUES ({', '.join([mark] * len(row))})"
        values = list(row.values())
        began = time.perf_counter()
        for _ in range(count):
            if mark == "?":  # psycopg begins a transaction by itself
                connection.execute("BEGIN IMMEDIATE")
            connection.execute(statement, values)
            connection.commit()
        return {"seconds": time.perf_counter() - began}

    def drain(self, count: int, workers: int) -> dict[str, Any]:
        """Send all that is queued."""
        self._fill(State.QUEUED, count)
        with Outbox(self.url, home=self.home) as outbox:
            began = time.perf_counter()
            outbox.run(once=True, workers=workers)
            seconds = time.perf_counter() - began
            left = count - outbox.stats().counts[State.SENT]
        if left:
            raise RuntimeError(f"{left} were not sent")
        return {"seconds": seconds}

    def send(self, count: int) -> dict[str, Any]:
        """The same messages without an outbox."""
        with open_mailer(self.job.sender, home=self.home) as mailer:
            began = time.perf_counter()
            for number in range(count):
                mailer.send(self.message(number))
            return {"seconds": time.perf_counter() - began}

    def grow(self, queued: int, count: int) -> dict[str, Any]:
        """The most memory that is used while so many of those that are queued are sent."""
        self._fill(State.QUEUED, queued)
        if memory("VmRSS") is not None:
            Path("/proc/self/clear_refs").write_text("5", "ascii")
        stop, sent = threading.Event(), 0

        def hear(_event: Any) -> None:
            nonlocal sent
            sent += 1
            if sent >= count:
                stop.set()

        with Outbox(self.url, home=self.home) as outbox:
            outbox.run(on_event=hear, stop=stop)
        return {"peak": memory("VmHWM"), "sent": sent}

    def claims(self, settled: int, count: int) -> dict[str, Any]:
        """How long claims, and claims with their results, take beside so many that are settled."""
        self._fill(State.SENT, settled)
        self._fill(State.QUEUED, count)
        taken: list[float] = []
        cycles: list[float] = []
        for _ in range(count):
            began = time.perf_counter()
            with self.database.writing() as connection:
                claim, _soonest = claims.claim(
                    connection, (self.job.sender,), "bench", time.time(), lease=_SPAN
                )
                taken.append(time.perf_counter() - began)
            if claim is None:
                raise RuntimeError("nothing was due")
            with self.database.writing() as connection:
                outcome = results.Outcome(cause=Cause.REJECTED, code="bench")
                results.settle(connection, claim, outcome, "bench", time.time())
            cycles.append(time.perf_counter() - began)
        return {"claims": taken, "cycles": cycles}

    def _row(self, state: State) -> dict[str, Any]:
        """An entry as ``add`` writes it, as a row."""
        message = self.message()
        now = time.time()
        new = store.New(
            letter=pack(message),
            account=self.job.sender,
            fallback=None,
            key=None,
            message_id=message.id,
            subject=message.subject,
            recipients=[self.job.to],
            priority="normal",
            not_before=None,
            expires=None,
        )
        with self.database.writing() as connection:
            entry, _ = store.add(connection, new, now)
            found = connection.execute(ENTRIES.select().where(ENTRIES.c.id == entry.id)).one()
            connection.execute(ENTRIES.delete().where(ENTRIES.c.id == entry.id))
        row = {name: value for name, value in found._mapping.items() if name not in ("id", "key")}
        settled = state is not State.QUEUED
        more = {"attempts": 1, "settled": 1, "sent_as": self.job.sender} if settled else {}
        return row | {"state": state.value} | more

    def _fill(self, state: State, count: int) -> None:
        """So many entries at once, as no caller could add them: by SQL within the database."""
        if not count:
            return
        row = self._row(state)
        if state is not State.QUEUED and count > 1000:
            row["document"] = b"{}"  # what is settled is not read again; so a million have room
        with self.database.begin() as connection:
            pacing.open_lane(connection, self.job.sender)
            connection.execute(insert(ENTRIES), row)
            names = _names(row)
            connection.execute(
                text(
                    f"WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i <= {count}) "
                    f"INSERT INTO {ENTRIES.name} ({names}) SELECT {names} FROM n, "
                    f"(SELECT * FROM {ENTRIES.name} ORDER BY id DESC LIMIT 1) AS one WHERE i <= {count}"
                )
            )
            if state is not State.QUEUED:
                columns = "entry, at, state, worker, account, transport, verdict, code, text"
                connection.execute(
                    text(
                        f"INSERT INTO {HISTORY.name} ({columns}) "
                        f"SELECT id, changed, state, 'bench', account, 'smtp', 'sent', '', '' "
                        f"FROM {ENTRIES.name}"
                    )
                )
        with self.database.begin() as connection:
            connection.execute(text("ANALYZE"))

    def _empty(self) -> None:
        with self.database.begin() as connection:
            for table in (USES, PARTS, HISTORY, USAGE, ENTRIES):
                connection.execute(table.delete())
            connection.execute(SCHEMA.update().values(seen=0.0))


def _names(row: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in row)


def _main(what: str, folder: str, url: str, *words: str) -> None:
    os.environ["OAUTH_MAILER_STORE"] = "environment"
    numbers = {name: int(number) for name, _, number in (word.partition("=") for word in words)}
    work = Work(folder, url, Job.load(sys.stdin.read()))
    try:
        with closing(work.database):
            found = getattr(work, what)(**numbers)
    finally:
        shutil.rmtree(work.home, ignore_errors=True)  # the largest have some hundred megabytes
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
