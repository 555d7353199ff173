"""PostgreSQL as administrators set it up: another isolation of transactions, a pooler in front of it."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from oauth_mailer import Message
from oauth_mailer.accounts import Accounts, secret_variable
from oauth_mailer.outbox import Outbox
from tests.support.outbox_databases import PostgresqlDatabase
from tests.support.outbox_processes import until
from tests.support.smtp_script import CODE, SmtpScript

ME = "me@qq.com"


@pytest.mark.parametrize("level", ["repeatable%5C%20read", "serializable"])
def test_a_worker_that_waited_for_an_account_goes_on_with_what_stands_there_then(
    level: str, home: Path, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(secret_variable(ME), CODE)
    url = f"{postgresql_url}&options=-cdefault_transaction_isolation%3D{level}"
    failed: list[BaseException] = []

    def work() -> None:
        try:
            outbox.run(once=True)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion
            failed.append(error)

    with SmtpScript() as server, Outbox(url) as outbox, closing(PostgresqlDatabase(url)) as database:
        Accounts(home).add(server.account(ME, store="environment"))
        outbox.add(Message(to="ann@example.com", subject="Hi", text="Hello"), account=ME)
        with psycopg.connect(url) as held:
            assert held.execute("SHOW transaction_isolation").fetchone() != ("read committed",)
            held.execute("UPDATE oauth_mailer_lanes SET ready = 0")
            worker = threading.Thread(target=work)
            worker.start()
            until(database.locked, "a worker that waits for the account")
        worker.join(60)
        assert not failed
        assert len(server.accepted) == 1


def test_nothing_is_left_in_a_session_that_the_next_transaction_may_not_have(postgresql_url: str) -> None:
    """As it is behind PgBouncer, where each transaction may come to another session."""
    with Outbox(postgresql_url) as outbox, outbox.begin() as connection:
        for number in range(20):
            message = Message(to="ann@example.com", subject=f"{number}", text="Hello")
            outbox.add(message, account=ME, connection=connection)
        assert connection.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one() == 0
