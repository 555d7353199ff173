"""An empty outbox for a test, in either kind of database."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .outbox_place import Place
from .postgresql import PostgreSQL

__all__ = ["place", "postgresql_database", "postgresql_schema", "sqlite_place"]

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="package")
def postgresql_database(postgresql_server: PostgreSQL) -> Iterator[str]:
    """One database for many tests: to make one takes longer than most of them."""
    with postgresql_server.database() as url:
        yield url


@pytest.fixture
def postgresql_schema(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Makes an empty schema in it; the URL that leads there."""

    def make() -> str:
        import psycopg

        url = request.getfixturevalue("postgresql_database")
        name = f"schema_{next(_NUMBERS)}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return f"{url}&options=-csearch_path%3D{name}"

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def place(
    home: Path,
    request: pytest.FixtureRequest,
    postgresql_schema: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> Place:
    """A folder and an empty outbox, in either kind of database."""
    return Place(home, postgresql_schema() if request.param == "postgresql" else None, monkeypatch)


@pytest.fixture
def sqlite_place(home: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The same, for what the kind of the database does not matter to."""
    return Place(home, None, monkeypatch)
