"""Bad inputs and faults come in forty groups; each of them has a test, here or beside the outbox.

A test says which it exercises by ``@pytest.mark.fault(26, 27)``, and with ``program=True`` that it does so by
the program, as a person at a terminal meets it.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ALL = set(range(1, 41))
UNSEEN = {22}  # a command sends over a connection of its own, which does not grow old
TESTS = Path(__file__).parent.parent


def marks() -> Iterator[pytest.Mark]:
    """Those of all tests that are ever run."""
    for path in sorted([*TESTS.glob("faults/test_*.py"), *TESTS.glob("outbox/test_*.py")]):
        module = import_module(f"tests.{path.parent.name}.{path.stem}")
        common = getattr(module, "pytestmark", [])
        for name, value in vars(module).items():
            own = [*getattr(value, "pytestmark", []), *(common if isinstance(common, list) else [common])]
            if name.startswith("test_") and callable(value) and not any(one.name == "skip" for one in own):
                yield from (getattr(one, "mark", one) for one in own if one.name == "fault")


def test_each_group_has_a_test() -> None:
    tested = {group for mark in marks() for group in mark.args}
    assert tested == ALL


def test_each_group_that_a_person_meets_at_a_terminal_has_one_that_runs_the_program() -> None:
    tested = {group for mark in marks() for group in mark.args if mark.kwargs == {"program": True}}
    assert tested | UNSEEN == ALL
