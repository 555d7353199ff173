"""Which messages ``outbox list`` finds, by the program."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from oauth_mailer import Message, OutboxError
from oauth_mailer.outbox import Outbox

from .mailbox import Mailbox, mailboxes
from .outbox_worker import call


@pytest.fixture
def box(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with mailboxes(home, monkeypatch, "me@corp.example") as [made]:
        yield made


def listed(*words: str) -> list[int]:
    done = call("outbox", "list", "--json", *words)
    return [one["entry"] for one in json.loads(done.out)["entries"]]


def test_the_list_is_asked_for_those_whose_keys_begin_alike(box: Mailbox) -> None:
    with Outbox() as outbox:
        for key in ("invoice-7", "invoice-8", "invoice", "Invoice-9", None):
            outbox.add(Message(to="ann@example.com", subject="Hello", text="x"), key=key)
        assert [one.key for one in outbox.find(key_prefix="invoice-")] == ["invoice-7", "invoice-8"]
    assert listed("--key-prefix", "invoice-") == [1, 2]
    assert listed("--key-prefix", "invoice-", "--state", "sent") == []


def test_a_row_that_is_damaged_is_shown_so_and_ends_no_list(box: Mailbox, home: Path) -> None:
    with Outbox() as outbox:
        for _ in range(4):
            outbox.add(Message(to="ann@example.com", subject="Hello", text="x"))
    with sqlite3.connect(home / "outbox.db") as database:
        database.execute("UPDATE oauth_mailer_entries SET recipients = '[\"ann' WHERE id IN (2, 4)")
    database.close()

    table = call("outbox", "list")
    rows = [line.split() for line in table.out.splitlines()[1:]]
    assert [row[:2] for row in rows] == [["1", "queued"], ["2", "damaged"], ["3", "queued"], ["4", "damaged"]]
    assert rows[1][-1] == "outbox-damaged"
    assert (table.code, table.err.count("damaged")) == (75, 1), table
    done = call("outbox", "list", "--json")
    assert [one["entry"] for one in json.loads(done.out)["entries"]] == [1, 2, 3, 4]
    assert [one["state"] for one in json.loads(done.out)["entries"]] == ["queued", "damaged"] * 2
    assert "Restore the outbox" in done.err

    assert call("outbox", "cancel", "--all", "--state", "queued", "--yes").code == 0
    assert listed("--state", "cancelled") == [1, 3]
    with Outbox() as outbox, pytest.raises(OutboxError):
        list(outbox.find())


def test_a_row_that_is_damaged_holds_up_none_of_those_behind_it(box: Mailbox, home: Path) -> None:
    with Outbox() as outbox:
        for number in range(4):
            outbox.add(
                Message(to="ann@example.com", subject=f"no. {number}", text="x"), expires=timedelta(days=1)
            )
    with sqlite3.connect(home / "outbox.db") as database:
        database.execute("UPDATE oauth_mailer_entries SET refused = '{' WHERE id IN (1, 3)")
        database.execute("UPDATE oauth_mailer_entries SET expires = 1 WHERE id = 3")
    database.close()

    done = call("outbox", "run", "--once")
    assert "2 sent" in done.err
    assert len(box.messages) == 2
    assert listed("--state", "sent") == [2, 4]
    assert listed("--state", "rejected") == [1, 3]
    assert call("outbox", "purge", "--state", "rejected", "--older-than", "0s").code == 0
    assert listed("--all") == [2, 4]
