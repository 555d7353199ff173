"""Rows of the table: what was measured, beside what, and whether the goal is met."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["HEAD", "Row", "compared", "line", "shown"]

HEAD = ("What", "oauth_mailer", "Compared with", "its figure", "Ratio: median (min-max)", "Goal", "Met")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line. ``ratios``: of each round, ours to theirs unless ``what`` says otherwise.

    ``goal``: ``<=`` or ``>=`` and a number, or nothing: then it is told for comparison.
    """

    what: str
    ours: str
    peer: str
    theirs: str = ""
    ratios: Sequence[float] = ()
    goal: str = ""
    digits: int = 2
    raw: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the goal; None where there is none."""
        if not self.goal or not self.ratios:
            return None
        sign, number = self.goal.split()[:2]
        middle = statistics.median(self.ratios)
        return middle <= float(number) if sign == "<=" else middle >= float(number)

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "met": self.met}


def shown(values: Iterable[float], unit: str = "", digits: int = 0, scale: float = 1.0) -> str:
    """The median and the spread."""
    found = [value * scale for value in values]
    if not found:
        return "-"
    text = f"{statistics.median(found):,.{digits}f}"
    if len(found) > 1:
        text += f" ({min(found):,.{digits}f}-{max(found):,.{digits}f})"
    return f"{text} {unit}".strip()


def compared(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """The ratio of each round."""
    return [one / other for one, other in zip(ours, theirs, strict=False) if other]


def line(row: Row) -> str:
    """As Markdown."""
    met = {True: "yes", False: "**no**", None: ""}[row.met]
    cells = (
        row.what,
        row.ours,
        row.peer,
        row.theirs,
        shown(row.ratios, digits=row.digits) if row.ratios else "",
        row.goal,
        met,
    )
    return "| " + " | ".join(cells) + " |"
