"""Sending by the Gmail API in one process with a valid token: many small messages, and a large one."""

from __future__ import annotations

from collections.abc import Iterator

from ..measure import OURS, Bench
from ..servers import gmail
from ..table import Row, compared, shown
from .mime import grown

__all__ = ["run"]

_GOOGLE = "google-api-python-client"


def run(bench: Bench) -> Iterator[Row]:
    """Measure."""
    job = gmail(bench).but(count=bench.count(500))
    found = bench.race("gmail", job)
    rates = {name: [job.count / one["seconds"] for one in results] for name, results in found.items()}
    for peer in sorted((name for name in rates if name != OURS), key=lambda name: (name != _GOOGLE, name)):
        yield Row(
            what=f"Gmail, {job.count} small messages",
            ours=shown(rates[OURS], "/s"),
            peer=peer,
            theirs=shown(rates[peer], "/s"),
            ratios=compared(rates[OURS], rates[peer]),
            goal=">= 3" if peer == _GOOGLE else "",
        )
    megabytes = 4 if bench.quick else 24
    found = bench.race("gmail", job.but(count=1, attachment=bench.file(megabytes)))
    times = {name: [one["seconds"] for one in results] for name, results in found.items()}
    what = f"Gmail, a {megabytes} MiB attachment"
    for peer in sorted((name for name in times if name != OURS), key=lambda name: (name != _GOOGLE, name)):
        yield Row(
            what=f"{what}, time",
            ours=shown(times[OURS], "ms", 0, 1e3),
            peer=peer,
            theirs=shown(times[peer], "ms", 0, 1e3),
            ratios=compared(times[OURS], times[peer]),
            goal="<= 0.35" if peer == _GOOGLE else "",
        )
    yield from grown(found, f"{what}, memory in MiB", _GOOGLE, 8)
