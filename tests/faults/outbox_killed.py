"""What the tests of killed workers share: an outbox on either database, with accounts at scripted servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from oauth_mailer.accounts import Account, Accounts, secret_variable
from oauth_mailer.auth.google import Consent
from oauth_mailer.stores import Secret
from tests.support.google_account import REFRESH_TOKEN, client_at
from tests.support.halts import GmailScript
from tests.support.outbox_databases import OutboxDatabase, PostgresqlDatabase, SqliteDatabase
from tests.support.outbox_post import Post
from tests.support.smtp_script import CODE, EXTENSIONS, SmtpScript

# One command at a time, so that each is a step of its own; and room for a large message.
ONE_BY_ONE = tuple(one for one in EXTENSIONS if one not in ("PIPELINING", "SIZE 1000000"))


def database_of(kind: str, home: Path, request: pytest.FixtureRequest) -> OutboxDatabase:
    if kind == "sqlite":
        return SqliteDatabase(home)
    return PostgresqlDatabase(request.getfixturevalue("postgresql_url"))


@contextmanager
def smtp_post(
    home: Path, database: OutboxDatabase, server: SmtpScript, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Post]:
    """An outbox whose account is at this server."""
    _set_up(home, server.account(store="environment"), CODE, monkeypatch)
    with closing(Post(home, database, lambda: [mail.data for mail in server.accepted])) as post:
        yield post


@contextmanager
def gmail_post(
    home: Path, database: OutboxDatabase, server: GmailScript, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Post]:
    """An outbox whose account is at this server."""
    consent = Consent(client_at(server.url), Secret(REFRESH_TOKEN)).line().reveal()
    monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", server.url)
    _set_up(home, server.account(), consent, monkeypatch)
    with closing(Post(home, database, lambda: server.accepted)) as post:
        yield post


def _set_up(home: Path, account: Account, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTH_MAILER_STORE", "environment")
    monkeypatch.setenv(secret_variable(account.address), secret)
    Accounts(home).add(account)
