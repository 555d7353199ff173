"""Bad inputs and faults come in forty groups; each of them has a test in this folder.

A test says which it exercises by ``@pytest.mark.fault(26, 27)``, and with ``program=True`` that it does so by
the program, as a person at a terminal meets it.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

GROUPS = set(range(1, 35))  # up to 34; from 35 on it is the outbox
UNSEEN = {22}  # a command sends over a connection of its own, which does not grow old


def marks() -> Iterator[pytest.Mark]:
    """Those of all tests of the folder that are ever run."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        module = import_module(f"tests.faults.{path.stem}")
        common = getattr(module, "pytestmark", [])
        for name, value in vars(module).items():
            own = [*getattr(value, "pytestmark", []), *(common if isinstance(common, list) else [common])]
            if name.startswith("test_") and callable(value) and not any(one.name == "skip" for one in own):
                yield from (getattr(one, "mark", one) for one in own if one.name == "fault")


def test_each_group_has_a_test() -> None:
    assert {group for mark in marks() for group in mark.args} == GROUPS


def test_each_group_that_a_person_meets_at_a_terminal_has_one_that_runs_the_program() -> None:
    seen = {group for mark in marks() for group in mark.args if mark.kwargs == {"program": True}}
    assert seen == GROUPS - UNSEEN
