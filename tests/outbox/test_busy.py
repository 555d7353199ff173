"""Programs that have many connections in use, or take their time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import psycopg
import pytest

from oauth_mailer import Message
from oauth_mailer.outbox import Outbox, State

CONNECTIONS = 15  # that SQLAlchemy opens at most, by default


@pytest.mark.parametrize(
    "call",
    [
        lambda outbox: outbox.stats().counts[State.QUEUED] == 1,
        lambda outbox: outbox.cancel(1).state is State.CANCELLED,
        lambda outbox: outbox.sweep() == (),
        lambda outbox: outbox.run(once=True) is None,
    ],
    ids=["stats", "cancel", "sweep", "run"],
)
def test_each_call_needs_one_connection_at_a_time(
    call: Callable[[Outbox], bool], postgresql_schema: Callable[[], str]
) -> None:
    url = postgresql_schema()
    with Outbox(url) as other:
        other.add(Message(to="ann@example.com", subject="Hi", text="Hello"), account="me@qq.com")
    with Outbox(url) as outbox, ExitStack() as stack:
        for _number in range(CONNECTIONS - 1):
            stack.enter_context(outbox.begin())
        assert call(outbox)


def test_who_takes_their_time_with_what_they_find_keeps_no_transaction_open(
    postgresql_schema: Callable[[], str],
) -> None:
    url = postgresql_schema()
    with Outbox(url) as outbox, psycopg.connect(url, autocommit=True) as asking:
        for number in (1, 2):
            outbox.add(Message(to="ann@example.com", subject=f"{number}", text="Hello"), account="me@qq.com")
        found = outbox.find(newest=2)
        assert next(found).subject == "1"
        here = "state LIKE 'idle in transaction%' AND datname = current_database()"
        idle = asking.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {here}".encode()).fetchone()
        assert idle == (0,)
        assert [entry.subject for entry in found] == ["2"]
