"""The outbox: adding, draining, and whether it stays as fast and as small as it grows."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any

from ..job import Job
from ..measure import Bench
from ..servers import smtp_sink
from ..table import Row, compared, shown

__all__ = ["run"]

_DATABASES = "benchmarks.outbox_work"


def run(bench: Bench) -> Iterator[Row]:
    """Measure; PostgreSQL too where an empty database is named."""
    if not bench.has("sqlalchemy"):
        return
    sink = smtp_sink(bench)
    yield from _adds(bench, "")
    yield from _drains(bench, sink, "")
    yield from _memory(bench, sink)
    yield from _claims(bench, "")
    if bench.postgresql:
        if not bench.has("psycopg"):
            return
        yield from _adds(bench, bench.postgresql)
        yield from _drains(bench, sink, bench.postgresql)
        yield from _claims(bench, bench.postgresql)


def _work(bench: Bench, job: Job, what: str, url: str = "", **numbers: int) -> Callable[[], dict[str, Any]]:
    """A piece of ``benchmarks.outbox_work``, in a process and a folder of its own."""
    words = [f"{name}={number}" for name, number in numbers.items()]
    return lambda: dict(
        bench.python("-m", _DATABASES, what, str(bench.folder), url, *words, stdin=job.dump())
    )


def _name(url: str) -> str:
    return "PostgreSQL" if url else "SQLite"


def _adds(bench: Bench, url: str) -> Iterator[Row]:
    count = bench.count(1000)
    items = {what: _work(bench, Job(), what, url, count=count) for what in ("add", "insert")}
    found = bench.in_turn(items, needed=items)
    rates = {name: [count / one["seconds"] for one in results] for name, results in found.items()}
    yield Row(
        what=f"Outbox on {_name(url)}: durable adds, one at a time",
        ours=shown(rates["add"], "/s"),
        peer=f"raw inserts by {'psycopg' if url else 'sqlite3'}, same rows, tables and durability",
        theirs=shown(rates["insert"], "/s"),
        ratios=compared(rates["add"], rates["insert"]),
        goal=">= 0.5",
    )


def _drains(bench: Bench, job: Job, url: str) -> Iterator[Row]:
    count = bench.count(1000)
    items = {
        f"{workers}": _work(bench, job, "drain", url, count=count, workers=workers) for workers in (1, 2, 4)
    }
    items["none"] = _work(bench, job, "send", count=count)
    found = bench.in_turn(items, needed=items)
    rates = {name: [count / one["seconds"] for one in results] for name, results in found.items()}
    for workers in (1, 2, 4):
        yield Row(
            what=f"Outbox on {_name(url)}: drain by {workers} {'thread' if workers == 1 else 'threads'}",
            ours=shown(rates[f"{workers}"], "/s"),
            peer="Mailer.send without an outbox",
            theirs=shown(rates["none"], "/s"),
            ratios=compared(rates[f"{workers}"], rates["none"]),
        )


def _memory(bench: Bench, job: Job) -> Iterator[Row]:
    few, many = 1000, bench.count(100_000)
    items = {f"{queued}": _work(bench, job, "grow", queued=queued, count=200) for queued in (few, many)}
    found = bench.in_turn(items, rounds=min(bench.rounds, 3), warm=False, needed=items)
    # Beside the whole process: what it grows by alone is so little that its ratio says nothing.
    peaks = {name: [one["peak"] for one in results] for name, results in found.items()}
    if peaks and all(peaks[f"{few}"]):
        yield Row(
            what=f"Outbox: peak memory while 200 are sent, {many:,} queued",
            ours=shown(peaks[f"{many}"], "MiB", 1, 1 / (1 << 20)),
            peer=f"the same, {few:,} queued",
            theirs=shown(peaks[f"{few}"], "MiB", 1, 1 / (1 << 20)),
            ratios=compared(peaks[f"{many}"], peaks[f"{few}"]),
            goal="<= 1.05",
        )


def _claims(bench: Bench, url: str) -> Iterator[Row]:
    few, many = 1000, bench.count(1_000_000)
    items = {
        f"{settled}": _work(bench, Job(), "claims", url, settled=settled, count=300)
        for settled in (few, many)
    }
    found = bench.in_turn(items, rounds=min(bench.rounds, 3), warm=False, needed=items)
    for what, key in (("claim, without its commit", "claims"), ("claim and result, committed", "cycles")):
        medians = {name: [statistics.median(one[key]) for one in results] for name, results in found.items()}
        yield Row(
            what=f"Outbox on {_name(url)}: {what}, beside {many:,} settled",
            ours=shown(medians[f"{many}"], "ms", 3, 1e3),
            peer=f"the same beside {few:,} settled",
            theirs=shown(medians[f"{few}"], "ms", 3, 1e3),
            ratios=compared(medians[f"{many}"], medians[f"{few}"]),
            goal="<= 2",
        )
