"""Building a message: a small one with text and HTML, and one with an attachment."""

from __future__ import annotations

from collections.abc import Iterator

from ..job import Job
from ..measure import OURS, Bench
from ..table import Row, compared, shown

__all__ = ["run"]

_STDLIB, _BASE64 = "the standard library", "binascii.b2a_base64"


def run(bench: Bench) -> Iterator[Row]:
    """Measure."""
    count = bench.count(1000)
    found = bench.race("mime", Job(count=count), only=(OURS, _STDLIB))
    ours, theirs = ([one["seconds"] / count for one in found[name]] for name in (OURS, _STDLIB))
    yield Row(
        what="Build a small text+HTML message (ratio: times faster)",
        ours=shown(ours, "ms", 3, 1e3),
        peer="EmailMessage",
        theirs=shown(theirs, "ms", 3, 1e3),
        ratios=compared(theirs, ours),
        goal=">= 10",
        digits=1,
    )
    megabytes = 10
    found = bench.race("mime", Job(attachment=bench.file(megabytes)))
    times = {name: [one["seconds"] for one in results] for name, results in found.items()}
    what = f"Build with a {megabytes} MiB attachment"
    for peer, goal in ((_BASE64, "<= 3"), (_STDLIB, "")):
        yield Row(
            what=f"{what}, time",
            ours=shown(times[OURS], "ms", 0, 1e3),
            peer=peer,
            theirs=shown(times[peer], "ms", 0, 1e3),
            ratios=compared(times[OURS], times[peer]),
            goal=goal,
        )
    yield from grown(found, f"{what}, memory in MiB", _STDLIB, 2)


def grown(found: dict[str, list[dict[str, object]]], what: str, peer: str, most: int) -> Iterator[Row]:
    """A row on memory, where the system tells of it."""
    ours, theirs = ([_mebibytes(one["grown"]) for one in found.get(name, [])] for name in (OURS, peer))
    if ours and ours[0] is not None:
        values = [one for one in ours if one is not None]
        yield Row(
            what=what,
            ours=shown(values, "MiB", 1),
            peer=peer,
            theirs=shown([one for one in theirs if one is not None], "MiB", 1),
            ratios=values,
            goal=f"<= {most} MiB",
            digits=1,
        )


def _mebibytes(octets: object) -> float | None:
    return octets / (1 << 20) if isinstance(octets, int) else None
