"""What a worker of an outbox needs, imported once for all of them."""

from __future__ import annotations

import importlib
from contextlib import suppress

for name in (
    "filelock",
    "google.auth",
    "googleapiclient.discovery",
    "googleapiclient.http",
    "oauth_mailer.auth.google",
    "oauth_mailer.auth.code",
    "oauth_mailer.outbox",
    "oauth_mailer.stores.environment",
    "oauth_mailer.transports.gmail",
    "oauth_mailer.transports.smtp",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.sqlite",
):
    importlib.import_module(name)
with suppress(ImportError):  # without it there are no workers on PostgreSQL
    importlib.import_module("psycopg")
