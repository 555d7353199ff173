"""An outbox of a test's own, on either database, with accounts at scripted servers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from oauth_mailer import Message
from oauth_mailer.accounts import Account, Accounts, secret_variable
from oauth_mailer.outbox import Entry, Outbox

from .smtp_script import CODE, SmtpScript

ME = "me@qq.com"
OTHER = "other@example.org"


def message(subject: str = "Hi", to: Any = "ann@example.com", **fields: Any) -> Message:
    """One that can be sent."""
    return Message(**{"to": to, "subject": subject, "text": "Hello"} | fields)


@dataclass
class Place:
    """``url``: of the database, None for the file of its own in ``home``."""

    home: Path
    url: str | None
    monkeypatch: pytest.MonkeyPatch

    @property
    def kind(self) -> str:
        return "postgresql" if self.url else "sqlite"

    @property
    def file(self) -> Path:
        """Where SQLite keeps it by default."""
        return self.home / "outbox.db"

    @property
    def engine_url(self) -> str:
        """As an application names the same database to SQLAlchemy."""
        return (
            self.url.replace("postgresql://", "postgresql+psycopg://")
            if self.url
            else f"sqlite:///{self.file}"
        )

    def outbox(self, **options: Any) -> Outbox:
        return Outbox(self.url, home=self.home, **options)

    def account(self, server: SmtpScript, address: str = ME, *, code: str = CODE, **fields: Any) -> Account:
        """An account at this server that is set up here."""
        account = server.account(address, store="environment", **fields)
        self.code(address, code)
        Accounts(self.home).add(account)
        return account

    def code(self, address: str, code: str) -> None:
        """The authorization code that the account has from now on."""
        self.monkeypatch.setenv(secret_variable(address), code)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What the database says to this."""
        with self.connected() as connection:
            return [tuple(row) for row in connection.execute(statement).fetchall()]

    def change(self, statement: str) -> None:
        """Do this to the database."""
        with self.connected() as connection:
            connection.execute(statement)

    @contextmanager
    def connected(self) -> Iterator[Any]:
        """A connection of the test's own; each statement is a transaction."""
        if self.url:
            import psycopg

            connection: Any = psycopg.connect(self.url, autocommit=True)
        else:
            connection = sqlite3.connect(self.file, isolation_level=None)
        try:
            yield connection
        finally:
            connection.close()

    def sound(self) -> None:
        """The database says of itself that nothing in it is broken."""
        if not self.url:
            assert self.rows("PRAGMA integrity_check") == [("ok",)]
            assert self.rows("PRAGMA foreign_key_check") == []


def add(outbox: Outbox, count: int, *, account: str = "", **options: Any) -> list[Entry]:
    """So many messages, each with a subject of its own."""
    return [outbox.add(message(f"Number {number}"), account=account, **options) for number in range(count)]


def subjects(server: SmtpScript) -> list[str]:
    """Of the messages that it took charge of, in order."""
    found = []
    for mail in server.accepted:
        line = next(line for line in mail.data.split(b"\r\n") if line.startswith(b"Subject: "))
        found.append(line.removeprefix(b"Subject: ").decode())
    return found


def recipients(server: SmtpScript) -> list[list[str]]:
    """To whom each of these messages went."""
    return [[_address(line) for line in mail.recipients] for mail in server.accepted]


def _address(line: str) -> str:
    return line.partition("<")[2].partition(">")[0]


__all__: Sequence[str] = ("ME", "OTHER", "Place", "add", "message", "recipients", "subjects")
