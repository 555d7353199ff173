"""How long to wait for one step on the network, and for all of them together."""

from __future__ import annotations

import math
import time

from ..values import dataclass

__all__ = ["Patience"]

SLOWEST = 16_384
"""Octets a second: a line on which a message is still worth sending."""


@dataclass(slots=True)
class Patience:
    """``step``: seconds for one step; ``until``: when all must be done, by the monotonic clock.

    Without the second, a server that answers each step a moment before its time is up could hold a message
    with a hundred recipients for hours.
    """

    step: float
    until: float = math.inf

    def begin(self, size: int = 0) -> Patience:
        """From now on there is a time for the whole: that of ten steps, and of so many octets."""
        self.until = time.monotonic() + 10 * self.step + size / SLOWEST
        return self

    def end(self) -> None:
        """The whole is done."""
        self.until = math.inf

    def deadline(self, seconds: float | None = None) -> float:
        """When this step must be done, by the monotonic clock."""
        return min(time.monotonic() + (self.step if seconds is None else seconds), self.until)

    def left(self) -> float:
        """The seconds that a step has from now on. Raises ``TimeoutError`` where there are none."""
        if (seconds := self.deadline() - time.monotonic()) <= 0:
            raise TimeoutError("the whole took too long")
        return seconds
