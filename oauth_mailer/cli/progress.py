"""A bar for large uploads, on a terminal only."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ..i18n import _
from .output import is_terminal

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Upload"]

_LARGE = 1024 * 1024
"""Octets from which on a person would wonder what takes so long."""


class Upload:
    """Told of the octets handed over; a context manager. ``begun`` says whether there were any.

    ``shown``: whether a person wants to see it.
    """

    def __init__(self, *, shown: bool) -> None:
        """Octets handed over so far, and in all."""
        self.begun = False
        self._shown = shown and is_terminal(sys.stderr)
        self._bar: Progress | None = None

    def __call__(self, done: int, total: int) -> None:
        """Octets handed over so far, and in all."""
        self.begun = done > 0
        if self._shown and total > _LARGE:
            self._show(done, total)

    def _show(self, done: int, total: int) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                TimeRemainingColumn,
                TransferSpeedColumn,
            )

            self._bar = Progress(
                "[progress.description]{task.description}",
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._bar.add_task(_("Sending"), total=total)
        self._bar.update(self._bar.task_ids[0], completed=done, total=total)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
