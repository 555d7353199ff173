"""An outbox of another version: an older one is brought up to date, a newer one is left as it is."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine

from oauth_mailer import OutboxError
from oauth_mailer.outbox import Event, Outbox, State
from oauth_mailer.outbox.schema import VERSION
from tests.cli.program import run
from tests.support import outbox_version_1
from tests.support.outbox_place import ME, OTHER, Place, add, message, subjects
from tests.support.outbox_processes import Job, Worker, until
from tests.support.smtp_script import SmtpScript

pytestmark = pytest.mark.fault(40)

CONTENT = b"kept since the first version"


@pytest.fixture
def server() -> Iterator[SmtpScript]:
    with SmtpScript() as running:
        yield running


def first_version(place: Place) -> None:
    """A full queue: three messages of one account here, two with the same attachment, and one of another."""
    statements = outbox_version_1.tables(place.kind)
    for number, account, part in ((1, ME, CONTENT), (2, ME, CONTENT), (3, ME, b""), (4, OTHER, b"")):
        statements += outbox_version_1.entry(place.kind, number, account, part)
    with place.connected() as connection:
        for statement in statements:
            connection.execute(statement)


def version(place: Place) -> list[tuple[int]]:
    return place.rows("SELECT version FROM oauth_mailer_schema")


def test_a_full_queue_of_the_first_version_is_sent(place: Place, server: SmtpScript) -> None:
    first_version(place)
    place.account(server)
    with place.outbox() as outbox:
        outbox.run(once=True)
        assert version(place) == [(VERSION,)]
        found = states(outbox)
        assert found == {1: State.SENT, 2: State.SENT, 3: State.SENT, 4: State.QUEUED}
    assert subjects(server) == ["Number 1", "Number 2", "Number 3"]
    attached = base64.b64encode(CONTENT)
    assert [attached in mail.data for mail in server.accepted] == [True, True, False]
    place.sound()


def test_what_the_first_version_left_is_added_to_limited_and_thrown_away(
    place: Place, server: SmtpScript
) -> None:
    first_version(place)
    place.account(server, per_minute=2)
    with place.outbox() as outbox:
        assert outbox.add(message("Number 5"), key="key-5").id == 5
        outbox.run(once=True)
        assert subjects(server) == ["Number 1", "Number 2"]
        outbox.cancel(3)
    place.sound()


def test_several_programs_bring_it_up_to_date_at_one_moment(place: Place, server: SmtpScript) -> None:
    first_version(place)
    place.account(server)
    start = threading.Barrier(4)

    def look(_number: int) -> int:
        with place.outbox() as outbox:
            start.wait(60)
            return len(list(outbox.find()))

    job = Job(home=str(place.home), url=place.url, adds=[{"to": "a@b.example", "key": "new"}])
    workers = [Worker(job) for _number in range(2)]
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(look, range(4)))
    assert [worker.wait() for worker in workers] == [0, 0]
    assert found <= {4, 5}
    assert version(place) == [(VERSION,)]
    place.sound()


def test_several_programs_make_it_at_one_moment(place: Place) -> None:
    start = threading.Barrier(4)

    def look(number: int) -> int:
        with place.outbox() as outbox:
            start.wait(60)
            return outbox.add(message(f"Number {number}"), account=OTHER).id

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(look, range(4))) == [1, 2, 3, 4]
    assert version(place) == [(VERSION,)]


def test_a_program_that_ended_while_it_made_the_tables_is_followed_by_one_that_does(place: Place) -> None:
    """In a transaction of a caller's, SQLite may keep the tables without the row that says their version."""
    with place.outbox() as outbox:
        outbox.stats()
    place.change("DELETE FROM oauth_mailer_schema")
    with place.outbox() as outbox:
        outbox.add(message(), account=OTHER)
    assert version(place) == [(VERSION,)]


@pytest.mark.fault(40, program=True)
def test_a_person_upgrades_and_all_goes_out(sqlite_place: Place, server: SmtpScript) -> None:
    first_version(sqlite_place)
    sqlite_place.account(server)
    shown = json.loads(run("outbox", "list", "--json").out)
    assert [entry["key"] for entry in shown["entries"]] == ["key-1", "key-2", "key-3", "key-4"]
    run("outbox", "run", "--once")
    assert subjects(server) == ["Number 1", "Number 2", "Number 3"]


# A newer version


def newer(place: Place) -> None:
    place.change(f"UPDATE oauth_mailer_schema SET version = {VERSION + 1}")


def refused(call: Callable[[], object]) -> None:
    with pytest.raises(OutboxError) as caught:
        call()
    assert caught.value.code == "outbox-newer"
    assert f"({VERSION + 1} > {VERSION})" in str(caught.value)
    assert "Upgrade oauth-mailer" in caught.value.hint


def test_a_newer_version_is_refused_and_left_as_it_is(place: Place, server: SmtpScript) -> None:
    place.account(server)
    with place.outbox() as outbox:
        add(outbox, 1)
    newer(place)
    before = place.rows("SELECT * FROM oauth_mailer_entries")
    with place.outbox() as outbox:
        calls: list[Callable[[], object]] = [
            lambda: outbox.add(message()),
            lambda: outbox.run(once=True),
            lambda: outbox.deliver(1),
            lambda: outbox.cancel(1),
            lambda: outbox.get(1),
            lambda: list(outbox.find()),
            outbox.stats,
        ]
        for call in calls:
            refused(call)
    engine = create_engine(place.engine_url)
    with engine.begin() as connection, place.outbox() as outbox:
        refused(lambda: outbox.add(message(), connection=connection))
    engine.dispose()
    assert place.rows("SELECT * FROM oauth_mailer_entries") == before
    assert server.connections == 0


@pytest.mark.fault(40, program=True)
@pytest.mark.parametrize(
    "words",
    [
        ("send", "--queue", "--to", "ann@example.com", "--text", "Hi"),
        ("outbox", "run", "--once"),
        ("outbox", "list"),
        ("outbox", "cancel", "1"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_person_with_an_older_program_is_told_to_upgrade(
    words: tuple[str, ...], sqlite_place: Place, server: SmtpScript
) -> None:
    sqlite_place.account(server)
    with sqlite_place.outbox() as outbox:
        add(outbox, 1)
    newer(sqlite_place)
    done = run(*words)
    assert (done.code, "Traceback" in done.err) == (78, False), done
    assert "Upgrade oauth-mailer" in done.err


def test_who_has_it_open_meanwhile_changes_nothing_any_more(place: Place, server: SmtpScript) -> None:
    place.account(server)
    with place.outbox() as outbox:
        entry, other = add(outbox, 2)
        outbox.cancel(other.id)
        newer(place)
        calls: list[Callable[[], object]] = [
            lambda: outbox.add(message()),
            lambda: outbox.run(once=True),
            lambda: outbox.retry(entry.id),
            lambda: outbox.cancel(entry.id),
            outbox.purge,
        ]
        for call in calls:
            refused(call)
    assert server.connections == 0


def test_a_worker_that_runs_sends_nothing_any_more_but_keeps_the_result_it_has(
    place: Place, server: SmtpScript, caplog: pytest.LogCaptureFixture
) -> None:
    place.account(server)
    stop = threading.Event()
    told: list[Event] = []
    with place.outbox() as outbox:
        first, second = add(outbox, 2)

        def upgrade(talk: object) -> bool:
            newer(place)
            return True

        server.answer("content", [upgrade])
        worker = threading.Thread(target=outbox.run, kwargs={"stop": stop, "on_event": told.append})
        worker.start()
        try:
            until(lambda: "newer version of oauth-mailer" in caplog.text, "the worker says so")
        finally:
            stop.set()
            worker.join(60)
        assert [(event.state, event.entry.id) for event in told] == [(State.SENT, first.id)]
        assert states(outbox) == {first.id: State.SENT, second.id: State.QUEUED}
    assert len(server.accepted) == 1


def states(outbox: Outbox) -> dict[int, State]:
    return {entry.id: entry.state for entry in outbox.find()}
