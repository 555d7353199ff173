"""A clock that is read over a network: the way to it takes time."""

from __future__ import annotations

import pytest

from oauth_mailer.outbox.clock import Clock


@pytest.mark.parametrize(("there", "back"), [(0.0, 0.0), (2.0, 0.0), (0.0, 2.0), (0.5, 1.0)])
def test_it_is_never_early_however_long_its_reading_takes(there: float, back: float) -> None:
    """Else what was just added would not be due yet for a worker with a faster way."""
    passed = 1000.0

    def read() -> float:
        nonlocal passed
        passed += there
        wall = passed
        passed += back
        return wall

    clock = Clock(read, every=30.0, steady=lambda: passed)
    for _reading in range(3):
        asked = passed
        assert asked + there <= clock.now() <= passed
        assert clock.now() <= passed, "not read again"
        passed += 31
