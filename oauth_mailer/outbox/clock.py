"""The time of the outbox: the clock of the wall, but for its jumps.

A clock that is set wrong for some minutes (by hand, by a time server that errs, on a machine that wakes
without one) must neither make everything due at once nor let a message expire. So a jump is taken over only
once it has stood for a while.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

__all__ = ["Clock", "elapsed"]

JUMP = 60.0
"""Seconds by which the wall's clock may run away from the steady one before that counts as a jump."""

STANDING = 600.0
"""Seconds after which a jump is believed."""

_log = logging.getLogger(__name__)


_WHILE_ASLEEP = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
"""Linux's first one, macOS's second one go on while the machine sleeps; ``time.monotonic`` does there not."""


def elapsed() -> float:
    """Seconds since some moment, also those in which this machine slept and others did not."""
    return time.monotonic() if _WHILE_ASLEEP is None else time.clock_gettime(_WHILE_ASLEEP)


class Clock:
    """Seconds since 1970, from whichever thread.

    ``read``: the clock of the wall, by default this machine's; where reading it takes a way over the network,
    ``every``: seconds between two readings; ``steady``: a clock that never jumps.
    """

    def __init__(
        self,
        read: Callable[[], float] = time.time,
        *,
        every: float = 0.0,
        steady: Callable[[], float] = elapsed,
    ) -> None:
        self._read = read
        self._every = every
        self._steady = steady
        self._lock = threading.Lock()
        self._offset: float | None = None  # what the steady clock lacks
        self._looked = 0.0
        self._jump: tuple[float, float] | None = None  # since when the wall says otherwise, and what

    def now(self) -> float:
        """The time."""
        with self._lock:
            if self._offset is None:
                self._offset = self._measured()
            elif self._steady() - self._looked >= self._every:
                self._compare(self._measured())
            return self._steady() + self._offset

    def _measured(self) -> float:
        """What the steady clock lacks.

        That is looked at after the wall's: a way that takes time makes this clock late, never early. So what
        one program made due at once is due for the next one.
        """
        wall = self._read()
        self._looked = self._steady()
        return wall - self._looked

    def _compare(self, offset: float) -> None:
        if self._offset is None or abs(offset - self._offset) < JUMP:
            self._offset, self._jump = offset, None
        elif self._jump is None or abs(offset - self._jump[1]) >= JUMP:
            self._jump = self._looked, offset
            _log.warning(
                "the clock jumped by %+.0f s; believed if it stays so for %.0f s",
                offset - self._offset,
                STANDING,
            )
        elif self._looked - self._jump[0] >= STANDING:
            self._offset, self._jump = offset, None
