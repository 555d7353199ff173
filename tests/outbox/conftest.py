from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.outbox_place import Place


@pytest.fixture(params=["sqlite", "postgresql"])
def place(home: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A folder and an empty database, of either kind."""
    url = request.getfixturevalue("postgresql_url") if request.param == "postgresql" else None
    return Place(home, url, monkeypatch)


@pytest.fixture
def sqlite_place(home: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The same, for what the kind of the database does not matter to."""
    return Place(home, None, monkeypatch)
