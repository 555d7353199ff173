"""The doctor at the outbox: whether it opens, and what in it waits for a person."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from oauth_mailer.accounts import Accounts
from oauth_mailer.doctor import Finding, check_account, check_all
from oauth_mailer.message import Message
from oauth_mailer.outbox import Outbox
from oauth_mailer.stores import Secret, Slot
from oauth_mailer.stores.memory import MemoryStore
from tests.cli.program import run
from tests.support.patients import ADDRESS
from tests.support.smtp_script import CODE, SmtpScript, close

HELLO = Message(to="ann@example.com", subject="Hi", text="Hello")


@pytest.fixture
def smtp() -> Iterator[SmtpScript]:
    with SmtpScript() as made:
        yield made


def queue(smtp: SmtpScript, home: Path, *, run: bool = True) -> None:
    """One message in the outbox, and one try to send it."""
    Accounts(home).add(smtp.account(ADDRESS))
    store = MemoryStore()
    store.set(Slot(ADDRESS, "code"), Secret(CODE))
    with Outbox(home=home, store=store, timeout=5) as outbox:
        outbox.add(HELLO)
        if run:
            outbox.run(once=True)


def change(home: Path, statement: str) -> None:
    with closing(sqlite3.connect(home / "outbox.db")) as database:
        database.execute(statement)
        database.commit()


def look(home: Path, address: str = ADDRESS) -> dict[str, Finding]:
    found = [one for one in check_account(address, home=home, offline=True) if one.check.startswith("outbox")]
    assert len({one.check for one in found}) == len(found)
    return {one.check: one for one in found}


def test_where_there_is_no_outbox_nothing_is_said_and_none_is_made(smtp: SmtpScript, home: Path) -> None:
    Accounts(home).add(smtp.account(ADDRESS))
    assert look(home) == {}
    assert not (home / "outbox.db").exists()


def test_an_outbox_in_which_nothing_is_wrong(smtp: SmtpScript, home: Path) -> None:
    queue(smtp, home)
    assert len(smtp.accepted) == 1
    (one,) = look(home).values()
    assert (one.state, one.text) == ("ok", "It opens. Messages: sent: 1.")
    assert [one.check for one in check_all(home=home, offline=True)][-1] == "outbox"


def test_what_may_have_been_sent_and_what_was_refused_waits_for_a_person(
    smtp: SmtpScript, home: Path
) -> None:
    smtp.answer("dot", close)
    queue(smtp, home)
    smtp.answer("rcpt", b"550 5.1.1 no such user\r\n")
    queue(smtp, home)
    found = look(home)
    assert {word: one.state for word, one in found.items()} == {
        "outbox": "ok",
        "outbox-unknown": "warning",
        "outbox-rejected": "warning",
    }
    assert found["outbox-unknown"].text.endswith(": 1.")
    for state in ("unknown", "rejected"):
        hint = found[f"outbox-{state}"].hint
        assert hint == f"Run: oauth-mailer outbox list --state {state}"
        listed = run(*hint.removeprefix("Run: oauth-mailer ").split(), "--json")
        assert (listed.code, listed.out.count(f'"{state}"')) == (0, 1)


def test_messages_that_wait_for_a_login(home: Path) -> None:
    with SmtpScript(secrets=("another",)) as smtp:
        queue(smtp, home)
    one = look(home)["outbox-paused"]
    assert (one.state, one.hint) == ("warning", f"Run: oauth-mailer login {ADDRESS}")
    assert one.text == f"Messages of {ADDRESS} that wait until somebody acts: 1 (login-refused)."
    Accounts(home).add(smtp.account("you@corp.example"))
    assert "outbox-paused" not in look(home, "you@corp.example")


def test_messages_that_should_have_left_long_ago(smtp: SmtpScript, home: Path) -> None:
    queue(smtp, home, run=False)
    assert list(look(home)) == ["outbox"]
    change(home, "UPDATE oauth_mailer_entries SET due = due - 1200")
    one = look(home)["outbox-overdue"]
    assert (one.state, one.hint) == ("warning", "Run: oauth-mailer outbox run")
    assert "20 minutes ago" in one.text


def test_an_outbox_that_cannot_be_used(smtp: SmtpScript, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue(smtp, home)
    change(home, "UPDATE oauth_mailer_schema SET version = 99")
    assert look(home)["outbox"].code == "outbox-newer"
    for name in ("outbox.db", "outbox.db-wal", "outbox.db-shm"):
        (home / name).unlink(missing_ok=True)
    (home / "outbox.db").write_text("no database, and long enough to be looked at as one" * 40)
    assert look(home)["outbox"].code == "outbox-corrupt"
    monkeypatch.setenv("OAUTH_MAILER_OUTBOX_URL", "mysql://user:canary-pw@host/db")
    found = list(check_all(home=home))
    assert next(one for one in found if one.check == "outbox").code == "outbox-url"
    assert "canary" not in repr(found)


def test_a_database_elsewhere_is_asked_for_only_where_something_may_be(
    smtp: SmtpScript, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Accounts(home).add(smtp.account(ADDRESS, host="127.0.0.1"))
    monkeypatch.setenv("OAUTH_MAILER_OUTBOX_URL", "postgresql://user:canary-pw@127.0.0.1:9/db")
    assert look(home) == {}
    found = list(check_all(home=home, timeout=5))
    one = next(one for one in found if one.check == "outbox")
    assert (one.state, one.code) == ("failed", "outbox-unreachable")
    assert "canary" not in repr(found)
