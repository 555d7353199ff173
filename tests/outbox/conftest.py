from __future__ import annotations

from tests.support.outbox_fixtures import place, postgresql_database, postgresql_schema, sqlite_place

__all__ = ["place", "postgresql_database", "postgresql_schema", "sqlite_place"]
