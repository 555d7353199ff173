"""Sending by SMTP over connections that are kept, each message built afresh."""

from __future__ import annotations

from collections.abc import Iterator

from ..job import Job
from ..measure import OURS, Bench
from ..servers import plain_sink, tls_sink
from ..table import Row, compared, shown

__all__ = ["run"]

_SOURCE, _FLOOR = "smtp-source", "the floor (bare socket, ready octets)"


def run(bench: Bench) -> Iterator[Row]:
    """Measure."""
    job, sink = plain_sink(bench)
    yield from _rows(bench, f"SMTP to {sink}, 1 connection", job.but(count=bench.count(1000)), {_SOURCE: 0.8})
    job = job.but(count=bench.count(2000), concurrency=8)
    yield from _rows(bench, f"SMTP to {sink}, 8 connections", job, {_SOURCE: 0.3})
    if bench.has("trustme"):
        job = tls_sink(bench).but(count=bench.count(500))
        yield from _rows(bench, "SMTP, TLS and login, 1 connection", job, {_FLOOR: 0.45})


def _rows(bench: Bench, what: str, job: Job, goals: dict[str, float]) -> Iterator[Row]:
    found = bench.race("smtp", job)
    rates = {name: [job.count / one["seconds"] for one in results] for name, results in found.items()}
    peers = sorted((name for name in rates if name != OURS), key=lambda name: (name not in goals, name))
    for peer in peers:
        yield Row(
            what=what,
            ours=shown(rates[OURS], "/s"),
            peer=peer,
            theirs=shown(rates[peer], "/s"),
            ratios=compared(rates[OURS], rates[peer]),
            goal=f">= {goals[peer]}" if peer in goals else "",
        )
