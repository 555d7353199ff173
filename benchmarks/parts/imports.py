"""What it costs to have the library at hand: whole processes that import and end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from ..measure import OURS, ROOT, Bench
from ..table import Row, compared, shown

__all__ = ["run"]

_PROGRAMS = {
    OURS: "import oauth_mailer",
    "import smtplib, email.message": "import smtplib, email.message",
    "an empty program": "pass",
}


def run(bench: Bench) -> Iterator[Row]:
    """Measure."""

    def one(program: str) -> Callable[[], float]:
        return lambda: bench.whole([sys.executable, "-c", program], {"PYTHONPATH": str(ROOT.parent)})

    found = bench.in_turn({name: one(text) for name, text in _PROGRAMS.items()}, rounds=2 * bench.rounds + 1)
    for peer, goal in (("import smtplib, email.message", "<= 1.2"), ("an empty program", "")):
        yield Row(
            what="import oauth_mailer",
            ours=shown(found[OURS], "ms", 0, 1e3),
            peer=peer,
            theirs=shown(found[peer], "ms", 0, 1e3),
            ratios=compared(found[OURS], found[peer]),
            goal=goal,
        )
