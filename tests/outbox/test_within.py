"""An outbox within a larger program: its own transactions, its processes, its tests."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.orm import Session

from oauth_mailer import Attachment, Message, OutboxError, capture
from oauth_mailer.outbox import Outbox, State
from tests.support import unavailable
from tests.support.outbox_place import ME, Place, add, message, subjects
from tests.support.smtp_script import SmtpScript


@pytest.fixture
def engine(place: Place) -> Iterator[Engine]:
    """The application's own, as it is made by default, and with a table of the application's."""
    made = create_engine(place.engine_url)
    with made.begin() as connection:
        connection.execute(text("CREATE TABLE orders (number INTEGER)"))
    yield made
    made.dispose()


@pytest.fixture
def outbox(place: Place) -> Iterator[Outbox]:
    with place.outbox() as opened:
        yield opened


@pytest.fixture(params=["new", "in use"])
def age(request: pytest.FixtureRequest, outbox: Outbox) -> str:
    """Whether the outbox has its tables already."""
    if request.param == "in use":
        outbox.stats()
    return str(request.param)


def order(connection: Connection, outbox: Outbox, number: int, **options: Any) -> None:
    connection.execute(text(f"INSERT INTO orders VALUES ({number})"))
    outbox.add(message(f"Order {number}"), account=ME, connection=connection, **options)


def orders(place: Place, outbox: Outbox) -> tuple[list[int], list[str]]:
    """The application's orders, and the messages."""
    numbers = [number for (number,) in place.rows("SELECT number FROM orders ORDER BY number")]
    return numbers, [entry.subject for entry in outbox.find()]


@pytest.mark.usefixtures("age")
def test_a_message_is_kept_with_the_data_it_is_about(engine: Engine, outbox: Outbox, place: Place) -> None:
    with engine.begin() as connection:
        order(connection, outbox, 1)
        order(connection, outbox, 2)
    assert orders(place, outbox) == ([1, 2], ["Order 1", "Order 2"])
    place.sound()


@pytest.mark.usefixtures("age")
def test_or_neither_is(engine: Engine, outbox: Outbox, place: Place) -> None:
    def fail() -> None:
        with engine.begin() as connection:
            order(connection, outbox, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert orders(place, outbox) == ([], [])
    with engine.begin() as connection:
        order(connection, outbox, 2)
    assert orders(place, outbox) == ([2], ["Order 2"])


@pytest.mark.usefixtures("age")
def test_the_transaction_may_be_that_of_an_orm_session(engine: Engine, outbox: Outbox, place: Place) -> None:
    with Session(engine) as session:
        order(session.connection(), outbox, 1)
        session.rollback()
        order(session.connection(), outbox, 2)
        session.commit()
    assert orders(place, outbox) == ([2], ["Order 2"])


def test_nobody_sends_it_before_it_is_committed(engine: Engine, outbox: Outbox, place: Place) -> None:
    with SmtpScript() as server:
        place.account(server)
        with engine.begin() as connection:
            order(connection, outbox, 1)
            if place.kind == "postgresql":  # a file has one writer at a time: the worker would wait
                with place.outbox() as worker:
                    worker.run(once=True)
            assert not server.accepted
        outbox.run(once=True)
        assert subjects(server) == ["Order 1"]


def test_a_conflict_leaves_the_callers_transaction(engine: Engine, outbox: Outbox, place: Place) -> None:
    with engine.begin() as connection:
        order(connection, outbox, 1, key="order")
    with engine.begin() as connection:
        with pytest.raises(OutboxError) as caught:
            order(connection, outbox, 2, key="order")
        assert caught.value.code == "outbox-key-conflict"
        order(connection, outbox, 3)
    assert orders(place, outbox) == ([1, 2, 3], ["Order 1", "Order 3"])


def test_a_savepoint_takes_a_message_back(engine: Engine, outbox: Outbox, place: Place) -> None:
    outbox.stats()
    with engine.begin() as connection:
        order(connection, outbox, 1)
        savepoint = connection.begin_nested()
        order(connection, outbox, 2)
        savepoint.rollback()
    assert orders(place, outbox) == ([1], ["Order 1"])


def test_a_driver_of_the_callers_may_have_other_marks_for_values(
    postgresql_schema: Callable[[], str],
) -> None:
    import psycopg

    if not hasattr(psycopg, "RawCursor"):
        unavailable("needs psycopg 3.2")
    url = postgresql_schema()
    engine = create_engine(
        url.replace("postgresql://", "postgresql+psycopg://"),
        paramstyle="numeric_dollar",
        connect_args={"cursor_factory": psycopg.RawCursor},  # takes $1 and no %s, as asyncpg does
    )
    with Outbox(url) as outbox:
        for number in range(2):
            outbox.add(message(f"Its own {number}"), account=ME)
            with engine.begin() as connection:
                outbox.add(message(f"Another's {number}"), account=ME, connection=connection)
        found = [entry.subject for entry in outbox.find()]
        assert found == ["Its own 0", "Another's 0", "Its own 1", "Another's 1"]
    engine.dispose()


def test_where_the_callers_tables_have_another_schema_the_whole_message_is_kept_there(
    postgresql_schema: Callable[[], str],
) -> None:
    here, there = postgresql_schema(), postgresql_schema()
    schema = there.rpartition("%3D")[2]
    engine = create_engine(
        here.replace("postgresql://", "postgresql+psycopg://"),
        execution_options={"schema_translate_map": {None: schema}},
    )
    file = Attachment(b"terms", filename="terms.pdf")
    with Outbox(here) as outbox, Outbox(there) as tenants:
        tenants.add(message("Before", attachments=[file]), account=ME)
        with engine.begin() as connection:
            outbox.add(message("Hello", attachments=[file]), account=ME, connection=connection)
        assert list(outbox.find()) == []
        kept = [tenants.message(entry.id) for entry in tenants.find()]
        assert [len(one.attachments) for one in kept if isinstance(one, Message)] == [1, 1]
    engine.dispose()


def test_a_transaction_that_lasts_holds_up_nobody_who_deletes_what_it_shares(
    postgresql_schema: Callable[[], str],
) -> None:
    url = f"{postgresql_schema()}%20-clock_timeout%3D10000"  # whoever waits fails
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    terms = Attachment(b"t" * 1000, filename="terms.pdf")
    with Outbox(url) as outbox:
        old = outbox.add(message("Old", attachments=[terms]), account=ME)
        outbox.cancel(outbox.add(message("No files"), account=ME).id)
        outbox.cancel(old.id)
        with engine.begin() as connection:
            new = outbox.add(message("New", attachments=[terms]), account=ME, connection=connection)
            assert outbox.purge(older_than=timedelta(0)) == 1
        assert outbox.purge(older_than=timedelta(0)) == 1
        kept = outbox.message(new.id)
        assert isinstance(kept, Message)
        assert [one.content for one in kept.attachments] == [b"t" * 1000]
    engine.dispose()


def test_a_transaction_that_lasts_holds_up_nobody_who_sends_by_the_same_new_account(
    postgresql_schema: Callable[[], str],
) -> None:
    url = f"{postgresql_schema()}%20-clock_timeout%3D10000"  # whoever waits fails
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with Outbox(url) as outbox, Outbox(url) as other:
        with engine.begin() as connection:
            outbox.add(message("Within"), account=ME, connection=connection)
            other.add(message("At the same time"), account=ME)
        assert [entry.subject for entry in outbox.find()] == ["Within", "At the same time"]
    engine.dispose()


# In the tests of a program


def test_while_a_test_captures_nothing_leaves_and_no_account_is_needed(sqlite_place: Place) -> None:
    with sqlite_place.outbox() as outbox, capture() as sent:
        outbox.add(message("Hello"))
        entry = outbox.add(message("Hello, you"), account=ME)
        outbox.run(once=True)
        assert outbox.deliver(entry.id).state is State.SENT
    assert len(sent) == 2
    assert b"Subject: Hello, you" in sent[1].data
    assert sent[1].envelope.sender.email == ME


def test_what_was_captured_once_is_sent_for_real_afterwards(sqlite_place: Place) -> None:
    with SmtpScript() as server, sqlite_place.outbox() as outbox:
        sqlite_place.account(server)
        with capture() as sent:
            assert outbox.deliver(outbox.add(message("A test")).id).state is State.SENT
        assert outbox.deliver(outbox.add(message("In earnest")).id).state is State.SENT
        assert len(sent) == 1
        assert subjects(server) == ["In earnest"]


def test_tables_that_are_emptied_between_two_tests_lose_nothing_of_the_second(place: Place) -> None:
    with SmtpScript() as server, place.outbox() as outbox:
        place.account(server)
        for subject in ("One", "Two"):
            outbox.add(message(subject))
            outbox.run(once=True)
            for table in ("history", "usage", "entries", "lanes"):
                place.change(f"DELETE FROM oauth_mailer_{table}")
        assert subjects(server) == ["One", "Two"]


# In a process that divides


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # it does divide, with threads and all
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_connections_of_its_own(outbox: Outbox, place: Place) -> None:
    with SmtpScript() as server:
        place.account(server)
        first, second = add(outbox, 2)
        outbox.deliver(first.id)

        def child() -> None:
            outbox.deliver(second.id)
            for number in range(5):
                outbox.add(message(f"Child {number}"))

        ended = forked(child)
        for number in range(5):
            outbox.add(message(f"Parent {number}"))
        assert ended() == 0
        outbox.run(once=True)
        assert len(server.accepted) == 12
        workers = {record.worker for number in (first.id, second.id) for record in outbox.history(number)}
        assert len(workers - {""}) == 2, "a child is a worker of its own"
    place.sound()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_what_a_forked_child_keeps_stays_when_its_parent_closes_the_outbox(place: Place) -> None:
    with place.outbox() as outbox, place.outbox() as other:
        outbox.add(message("Parent"), account=ME)  # so there is a connection that the child could inherit
        closed, tell_closed = os.pipe()
        added, tell_added = os.pipe()

        def child() -> None:
            outbox.add(message("Child, before"), account=ME)
            os.write(tell_added, b"1")
            os.read(closed, 1)
            outbox.add(message("Child, after"), account=ME)

        ended = forked(child)
        os.read(added, 1)
        outbox.close()
        os.write(tell_closed, b"1")
        assert ended() == 0
        for end in (closed, tell_closed, added, tell_added):
            os.close(end)
        assert [entry.subject for entry in other.find()] == ["Parent", "Child, before", "Child, after"]
    place.sound()


def forked(work: Callable[[], None]) -> Callable[[], int]:
    """Do this in a child of this process; gives its exit code once it has ended."""
    number = os.fork()
    if number == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - told, for there is nobody above
            traceback.print_exc()
        finally:
            os._exit(code)
    return lambda: os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
