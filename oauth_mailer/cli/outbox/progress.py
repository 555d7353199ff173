"""How far ``outbox run`` is: a line on a terminal, and nothing elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING

from ...i18n import _
from ..output import is_terminal

if TYPE_CHECKING:
    from rich.progress import Progress

    from ...outbox import Stats

__all__ = ["Bar"]

_SPAN = 60.0  # seconds of which the rate is told


class Bar:
    """Counts results and shows them, from the first one on. ``shown``: whether a person wants to see it."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown and is_terminal(sys.stderr)
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._times: deque[float] = deque()
        self._began = time.monotonic()
        self._progress: Progress | None = None

    def count(self, state: str) -> None:
        """An entry came to this state."""
        if self._shown:
            with self._lock:
                self._counts[state] += 1
                self._times.append(time.monotonic())

    def show(self, stats: Stats) -> None:
        """The state of the outbox."""
        if not self._shown or not self._counts:
            return
        with self._lock:
            counts = Counter(self._counts)
            rate = self._rate()
        done = sum(counts.values())
        told = _(
            "{sent} sent, {later} later, {rejected} rejected, {unknown} unknown; {rate} a minute; due: {due}"
        ).format(
            sent=counts["sent"],
            later=counts["queued"],
            rejected=counts["rejected"],
            unknown=counts["unknown"],
            rate=round(rate),
            due=stats.due,
        )
        progress = self._open()
        progress.update(progress.task_ids[0], completed=done, total=done + stats.due, told=told)

    def stop(self) -> None:
        """Take it away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _rate(self) -> float:
        now = time.monotonic()
        while self._times and now - self._times[0] > _SPAN:
            self._times.popleft()
        return len(self._times) * 60 / min(max(now - self._began, 1.0), _SPAN)

    def _open(self) -> Progress:
        if self._progress is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                TextColumn("{task.fields[told]}"),
                console=Console(stderr=True),
                transient=True,
                redirect_stdout=False,
            )
            self._progress.add_task(_("Sending"), total=None, told="")
            self._progress.start()
        return self._progress
