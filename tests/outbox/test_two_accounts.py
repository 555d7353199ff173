"""Workers that send by several accounts: none holds up another account while it waits for one."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from oauth_mailer import Message
from oauth_mailer.accounts import Accounts, secret_variable
from oauth_mailer.outbox import Outbox
from tests.support.outbox_databases import PostgresqlDatabase
from tests.support.outbox_processes import until
from tests.support.smtp_script import CODE, SmtpScript

LANE = "SELECT account FROM oauth_mailer_lanes WHERE account = %s FOR UPDATE NOWAIT"
ONE, OTHER = "one@qq.com", "other@qq.com"


def test_who_waits_for_one_account_holds_up_no_other(
    home: Path, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        SmtpScript() as server,
        closing(Outbox(postgresql_url)) as outbox,
        closing(PostgresqlDatabase(postgresql_url)) as database,
    ):
        for address in (ONE, OTHER):
            monkeypatch.setenv(secret_variable(address), CODE)
            Accounts(home).add(server.account(address, store="environment"))
        for address, subject in ((ONE, "First"), (OTHER, "Second")):
            outbox.add(Message(to="ann@example.com", subject=subject, text="Hello"), account=address)
        outbox.cancel(1)  # nothing is to be sent by the first account, so a worker goes on to the other
        with psycopg.connect(postgresql_url) as held, psycopg.connect(postgresql_url) as asking:
            held.execute(LANE, (OTHER,))
            worker = threading.Thread(target=outbox.run, kwargs={"once": True})
            worker.start()
            until(database.locked, "a worker that waits for the other account")
            assert asking.execute(LANE, (ONE,)).fetchone() == (ONE,)
        worker.join(60)
        assert [mail.data.count(b"Second") for mail in server.accepted] == [1]
