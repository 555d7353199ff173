"""Workers that stall, that are asked to stop, and what a user's policy makes of what may have been sent."""

from __future__ import annotations

import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oauth_mailer.outbox import State
from tests.support.halts import Stop, before
from tests.support.outbox_databases import HISTORY, OutboxDatabase, PostgresqlDatabase
from tests.support.outbox_post import Post
from tests.support.smtp_script import SmtpScript

from .outbox_killed import ONE_BY_ONE, database_of, smtp_post

OK = b"250 2.0.0 Ok\r\n"
SHORT = {"lease": 1.0}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs signals of POSIX")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(home: Path, request: pytest.FixtureRequest) -> OutboxDatabase:
    return database_of(request.param, home, request)


def codes(post: Post) -> list[str]:
    """Of the first message's history."""
    return [record.code for record in post.outbox.history(post.entries[0].id) if record.code]


@pytest.mark.fault(37)
@pytest.mark.parametrize("reply", [OK, b"451 4.3.0 later\r\n"], ids=["taken", "not taken"])
def test_what_a_worker_says_after_it_was_given_up_is_taken_for_the_truth(
    reply: bytes, database: OutboxDatabase, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Stop()
    with (
        SmtpScript(extensions=ONE_BY_ONE, dot=[before(stop, reply)]) as server,
        smtp_post(home, database, server, monkeypatch) as post,
    ):
        post.add(3)
        with post.worker(options=SHORT) as stalled:
            stop.wait()
            stalled.stall()
            post.run_until(3, **SHORT)
            assert post.states() == [State.UNKNOWN, State.SENT, State.SENT]
            assert post.accepted().total() == 2
            post.reported(post.outbox.get(post.entries[0].id))
            stop.go_on()
            stalled.signal(signal.SIGCONT)
            assert stalled.wait() == 0
        if reply == OK:
            post.judge()
            assert codes(post) == ["worker-lost"]
        else:
            assert post.states()[0] is State.QUEUED
            due = post.outbox.get(post.entries[0].id).due
            assert due > datetime.now(UTC) + timedelta(seconds=30), "the server said later, so it is later"
            assert codes(post)[0] == "worker-lost"
            assert post.accepted().total() == 2


@pytest.mark.fault(37)
@pytest.mark.parametrize("step", ["mail", "data"])
def test_a_worker_that_stalls_before_the_message_leaves_sends_nothing_of_it(
    step: str, database: OutboxDatabase, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Stop()
    reply = OK if step == "mail" else b"354 go\r\n"
    with (
        SmtpScript(extensions=ONE_BY_ONE) as server,
        smtp_post(home, database, server, monkeypatch) as post,
    ):
        server.answer(step, [before(stop, reply)])
        post.add(3)
        with post.worker(options=SHORT) as stalled:
            stop.wait()
            stalled.stall()
            post.run_until(3, **SHORT)
            assert post.states() == [State.UNKNOWN, State.SENT, State.SENT]
            stop.go_on()
            stalled.signal(signal.SIGCONT)
            assert stalled.wait() == 0
        # It had not begun; so it was certain that nothing was sent, and it was tried again.
        assert codes(post) == ["worker-lost", "lease-lost"]
        post.judge()


@pytest.mark.fault(37)
def test_a_worker_that_stalls_in_a_transaction_does_not_hold_up_the_others(
    home: Path, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = f"{postgresql_url}&options=-c%20idle_in_transaction_session_timeout%3D1000"
    database = PostgresqlDatabase(postgresql_url)
    with SmtpScript() as server, smtp_post(home, database, server, monkeypatch) as post:
        with post.outbox.begin() as connection:
            shown = connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one()
        assert shown == "1min"
        post.add(3)
        with database.halt(HISTORY, "NEW.state = 'sending'") as halt, post.worker(url=soon) as stalled:
            halt.wait()
            stalled.stall()
            halt.go_on()
            post.run()
            post.judge()
            stalled.signal(signal.SIGCONT)
            stalled.wait()
        post.judge()


@pytest.mark.fault(35)
def test_what_may_have_been_sent_is_sent_again_only_by_the_users_policy_and_not_for_ever(
    database: OutboxDatabase, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops = [Stop() for _ in range(4)]
    policy = {"on_unknown": "resend"}
    with (
        SmtpScript(extensions=ONE_BY_ONE, dot=[before(stop, OK) for stop in stops]) as server,
        smtp_post(home, database, server, monkeypatch) as post,
    ):
        post.add()
        for stop in stops:
            with post.worker(options=policy) as worker:
                stop.wait()
                worker.kill()
            stop.go_on()
            assert server.parted.acquire(timeout=60)
        post.run(**policy)
        assert post.states() == [State.UNKNOWN]
        assert post.accepted().total() == 4
        assert codes(post) == [*(["worker-lost", "resend-policy"] * 3), "worker-lost"]
        post.run(**policy)
        assert post.accepted().total() == 4


@pytest.mark.fault(40)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("step", ["mail", "dot"])
def test_a_worker_that_is_asked_to_stop_ends_what_it_sends_and_begins_nothing_more(
    step: str, number: signal.Signals, database: OutboxDatabase, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Stop()
    with (
        SmtpScript(extensions=ONE_BY_ONE) as server,
        smtp_post(home, database, server, monkeypatch) as post,
    ):
        server.answer(step, [before(stop, OK)])
        post.add(25)
        with post.worker(once=False) as worker:
            stop.wait()
            worker.signal(number)
            stop.go_on()
            assert worker.wait() == (0 if number == signal.SIGTERM else 130)
        states = post.states()
        assert states[0] is State.SENT
        assert set(states) == {State.SENT, State.QUEUED}
        assert post.accepted().total() == states.count(State.SENT)
        post.run()
        post.judge()


@pytest.mark.fault(40)
def test_a_worker_that_is_not_waited_for_says_that_it_may_have_been_sent(
    database: OutboxDatabase, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Stop()
    with (
        SmtpScript(extensions=ONE_BY_ONE, dot=[before(stop, OK)]) as server,
        smtp_post(home, database, server, monkeypatch) as post,
    ):
        post.add(3)
        with post.worker(once=False) as worker:
            stop.wait()
            while worker.process.is_alive():  # the first one waits for the message, the second does not
                worker.signal(signal.SIGINT)
                worker.process.join(1)
            assert worker.wait() == 130
        stop.go_on()
        assert server.parted.acquire(timeout=60)
        assert post.states() == [State.UNKNOWN, State.QUEUED, State.QUEUED]
        assert codes(post) == ["interrupted"]
        post.run()
        assert post.states() == [State.UNKNOWN, State.SENT, State.SENT]
        assert set(post.accepted().values()) == {1}
        assert post.accepted().total() == 3
