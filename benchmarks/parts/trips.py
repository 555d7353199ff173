"""How often a client waits for a distant server; counted, so once is enough."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ..job import Job
from ..measure import OURS, Bench, Contender
from ..servers import proxy, smtp_sink, tls_sink
from ..table import Row

__all__ = ["run"]

_MORE = 5


def run(bench: Bench) -> Iterator[Row]:
    """Count. What is not told of is the connection itself and the greeting, which count too."""
    yield from _rows(bench, "plain", smtp_sink(bench), first=5)
    if bench.has("trustme"):
        yield from _rows(bench, "TLS and login", tls_sink(bench), first=8)


def _rows(bench: Bench, how: str, job: Job, first: int) -> Iterator[Row]:
    log = bench.folder / "turns"
    slow = proxy(bench, job, log)
    # Connecting is one; over TLS the greeting comes with the end of the handshake.
    begin = 1 if job.security == "tls" else 2

    def trips(contender: Contender, count: int) -> int:
        log.unlink(missing_ok=True)
        bench.run(contender, "smtp", slow.but(count=count))
        lines: list[str] = []
        for _ in range(100):  # the proxy writes when both sides have ended
            time.sleep(0.05)
            before, lines = lines, log.read_text("ascii").splitlines() if log.exists() else []
            if lines and lines == before:
                break
        return sum(int(line) + begin for line in lines)

    counts: dict[str, tuple[int, float]] = {}
    for name, contender in bench.contenders.items():
        if contender.can("smtp", slow):
            try:
                one, many = trips(contender, 1), trips(contender, 1 + _MORE)
            except RuntimeError as error:
                bench.failed.append(f"{name}: {(str(error).splitlines() or ['?'])[-1]}")
            else:
                counts[name] = one, (many - one) / _MORE
    ours = counts.pop(OURS)
    others = sorted(counts.items(), key=lambda item: (item[1][1], item[1][0]))
    # The figure to reach is that of a client that says no farewell; ours counts one trip for it.
    yield Row(
        what=f"Round trips, first message, {how}, QUIT included",
        ours=str(ours[0]),
        peer=", ".join(name for name, _count in others),
        theirs=", ".join(str(count[0]) for _name, count in others),
        ratios=[ours[0]],
        goal=f"<= {first + 1}",
        digits=0,
    )
    yield Row(
        what=f"Round trips, a further message, {how}",
        ours=f"{ours[1]:g}",
        peer=", ".join(name for name, _count in others),
        theirs=", ".join(f"{count[1]:g}" for _name, count in others),
        ratios=[ours[1]],
        goal="<= 2",
        digits=0,
    )
