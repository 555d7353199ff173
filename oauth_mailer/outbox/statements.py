"""Statements that are said many times a second, put into words once for each database and driver.

SQLAlchemy Core remembers what it put into words too, but looking that up, and choosing how each value is
handed over, costs more than the statement itself. Here values go to the driver as they are: numbers, texts,
octets and None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, CursorResult, Dialect
from sqlalchemy.sql import ClauseElement

__all__ = ["Statement"]


class Statement:
    """A statement of SQLAlchemy's with a parameter for each value.

    ``columns``: what an insert or an update gives values for; ``others``: what another dialect needs.
    """

    def __init__(self, said: ClauseElement, *, columns: Sequence[str] = (), **others: ClauseElement) -> None:
        self._said = said
        self._columns = list(columns) or None
        self._others = others
        self._words: dict[tuple[str, str, str], _Words] = {}

    def run(self, connection: Connection, values: Mapping[str, Any]) -> CursorResult[Any]:
        """Execute it with these values, each by the name of its parameter."""
        if _elsewhere(connection):
            return connection.execute(self._for(connection.dialect), values)
        return connection.exec_driver_sql(*self._said_with(connection.dialect, values))

    def insert(self, connection: Connection, values: Mapping[str, Any]) -> int | None:
        """Execute this insert; the number of the new row, None where there is none."""
        simple = connection.dialect.driver == "pysqlite" and not _elsewhere(connection)
        if simple and connection.in_transaction():  # which SQLAlchemy would not notice to begin here
            # SQLite's own cursor: a result of SQLAlchemy's takes as long as the insert.
            cursor = connection.connection.cursor()
            cursor.execute(*self._said_with(connection.dialect, values))
            return cursor.lastrowid if cursor.rowcount else None
        done = self.run(connection, values)
        if done.returns_rows:
            number: int | None = done.scalar_one_or_none()
            return number
        return done.lastrowid if done.rowcount else None

    def _said_with(self, dialect: Dialect, values: Mapping[str, Any]) -> tuple[str, Any]:
        known_by = dialect.name, dialect.driver, dialect.paramstyle  # a driver has its own marks
        words = self._words.get(known_by) or self._put(known_by, dialect)
        given = {**words.known, **values} if words.known else values
        return words.text, given if words.order is None else tuple([given[name] for name in words.order])

    def _for(self, dialect: Dialect) -> Any:
        return self._others.get(dialect.name, self._said)

    def _put(self, known_by: tuple[str, str, str], dialect: Dialect) -> _Words:
        compiled: Any = self._for(dialect).compile(dialect=dialect, column_keys=self._columns)
        known = {name: value for name, value in compiled.params.items() if value is not None}
        order = compiled.positiontup if dialect.positional else None
        put = self._words[known_by] = _Words(str(compiled), order, known)
        return put


def _elsewhere(connection: Connection) -> bool:
    """Whether the caller's tables stand in another schema, which only SQLAlchemy itself can put in."""
    return "schema_translate_map" in connection.get_execution_options()


@dataclass(frozen=True, slots=True)
class _Words:
    """``order``: the parameters' names where the driver takes them by their places; ``known``: values that
    are the statement's own."""

    text: str
    order: Sequence[str] | None
    known: Mapping[str, Any]
