"""Celery delivers the outbox, on a real broker and by real workers.

What the broker and the workers do (twice, late, not at all, killed in the midst of it) changes nothing of
what the outbox promises: each message is accepted once, or is unknown and told so.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("celery", reason="needs Celery: pip install 'oauth-mailer[celery]'")
from celery import Celery
from kombu import pools
from redis import Redis as Client
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from oauth_mailer import Attachment, Message
from oauth_mailer.accounts import Accounts
from oauth_mailer.integrations.celery import OutboxTasks
from oauth_mailer.outbox import Entry, Event, State
from tests.faults.outbox_killed import database_of, smtp_post
from tests.support.celery_app import make
from tests.support.celery_worker import CeleryWorker, celery_worker
from tests.support.halts import Stop, before
from tests.support.outbox_post import Post
from tests.support.outbox_processes import until
from tests.support.redis import Redis, redis
from tests.support.smtp_script import CODE, SmtpScript

OK = b"250 2.0.0 Ok\r\n"


@pytest.fixture(scope="module")
def broker() -> Iterator[Redis]:
    with redis() as server:
        yield server


@dataclass
class Shop:
    """A program that sends by Celery: the test. ``stop``: where the provider may stand still."""

    server: SmtpScript
    post: Post
    broker: Redis
    tasks: OutboxTasks
    stop: Stop = field(default_factory=Stop)

    def add(self, **fields: Any) -> Entry:
        """A message, by the tasks; fields other than the message's are those of ``add``."""
        given = {"to": "ann@example.com", "subject": f"Bill {len(self.post.entries)}", "text": "Hello"}
        options = {name: fields.pop(name) for name in ("connection", "not_before", "key") if name in fields}
        entry = self.tasks.add(Message(**given | fields), **options)
        self.post.entries.append(entry)
        return entry

    @contextmanager
    def worker(self, pool: str, *options: str, **settings: Any) -> Iterator[CeleryWorker]:
        """A worker in a process of its own; what it tells is kept."""
        with celery_worker(pool, *options, broker=self.broker.url, **settings) as worker:
            yield worker
            self.post.events += [
                Event(state=State(state), entry=self.post.outbox.get(number))
                for state, number in worker.events()
            ]

    def queue(self) -> list[int]:
        """The entries of the tasks that wait in the broker, in the order in which they are taken."""
        with Client(unix_socket_path=str(self.broker.socket)) as client:
            waiting: Any = client.lrange("celery", 0, -1)
        bodies = [base64.b64decode(json.loads(one)["body"]) for one in reversed(waiting)]
        return [number for body in bodies for number in json.loads(body)[0]]  # a sweep has none

    def judge_killed(self, kills: int) -> None:
        """Each message was accepted once, or is unknown and its history says why."""
        accepted = self.post.accepted()
        entries = [self.post.outbox.get(entry.id) for entry in self.post.entries]
        unknown = [entry for entry in entries if entry.state is State.UNKNOWN]
        for entry in entries:
            assert entry.state in (State.SENT, State.UNKNOWN), entry
            assert accepted[entry.message_id] in ((0, 1) if entry in unknown else (1,)), entry
        for entry in unknown:
            told = self.post.outbox.history(entry.id)[-1]
            assert (told.state, told.verdict, told.code) == (State.UNKNOWN, "unknown", "worker-lost")
        assert len(unknown) <= kills, "no more than what was on its way"
        assert set(accepted) <= {entry.message_id for entry in entries}


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def shop(
    kind: str, home: Path, broker: Redis, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shop]:
    with ExitStack() as stack:
        server = stack.enter_context(SmtpScript())
        database = database_of(kind, home, request)
        if database.url is not None:
            monkeypatch.setenv("OAUTH_MAILER_OUTBOX_URL", database.url)
        post = stack.enter_context(smtp_post(home, database, server, monkeypatch))
        yield stack.enter_context(shop_at(server, post, broker))


@contextmanager
def shop_at(server: SmtpScript, post: Post, broker: Redis, **settings: Any) -> Iterator[Shop]:
    app, tasks = make(broker.url, **settings)
    shop = Shop(server, post, broker, tasks)
    try:
        yield shop
    finally:
        shop.stop.go_on()
        tasks.outbox.close()
        app.close()
        pools.reset()  # type: ignore[no-untyped-call]  # they are shared by all with the same broker
        with Client(unix_socket_path=str(broker.socket)) as client:
            client.flushall()


only_sqlite = pytest.mark.parametrize("kind", ["sqlite"], indirect=True)


@only_sqlite
def test_a_number_goes_through_the_broker_and_nothing_else(shop: Shop) -> None:
    shop.add(
        to="Ann <ann@example.com>",
        bcc="boss@example.com",
        subject="A subject that nobody else reads",
        attachments=[Attachment(b"figures", filename="figures.txt")],
        key="bill-7",
    )
    assert shop.queue() == [1]
    with Client(unix_socket_path=str(shop.broker.socket)) as client:
        keys: Any = client.keys()
        tasks: Any = client.lrange("celery", 0, -1)
    [raw] = tasks
    assert [key for key in keys if not key.startswith(b"_kombu.binding")] == [b"celery"]
    task = json.loads(raw)
    seen = raw + base64.b64decode(task["body"])
    for word in (b"example.com", b"qq.com", b"subject", b"figures", b"bill-7", CODE.encode()):
        assert word not in seen
    assert task["headers"]["argsrepr"] == "(1,)"


@only_sqlite
def test_the_same_key_is_one_message_and_is_not_handed_over_once_it_is_sent(shop: Shop) -> None:
    message = {"id": "<7@shop.example>", "date": datetime(2025, 1, 1, tzinfo=UTC), "key": "bill-7"}
    first = shop.add(**message, subject="Bill 7")
    assert shop.add(**message, subject="Bill 7").id == first.id
    assert shop.queue() == [1, 1]
    shop.post.run()
    assert shop.add(**message, subject="Bill 7").state is State.SENT
    assert shop.queue() == [1, 1]


def test_a_message_and_data_are_committed_together_or_not_at_all(shop: Shop) -> None:
    def fail() -> None:
        with shop.post.outbox.begin() as connection:
            shop.add(connection=connection)
            raise RuntimeError("the caller's own")

    with pytest.raises(RuntimeError):
        fail()
    del shop.post.entries[:]
    assert (shop.queue(), list(shop.post.outbox.find())) == ([], [])

    with shop.post.outbox.begin() as connection:
        first = shop.add(connection=connection)
        second = shop.add(connection=connection)
        assert shop.queue() == [], "nobody is told before it is committed"
    assert shop.queue() == [first.id, second.id]


def test_in_a_transaction_of_the_callers_own(shop: Shop, home: Path) -> None:
    with closing_engine(shop.post.database.url or f"sqlite:///{home / 'outbox.db'}") as engine:
        with Session(engine) as session:
            rolled_back = shop.add(connection=session.connection())
            session.rollback()
            first = shop.add(connection=session.connection())
            session.commit()
        assert shop.queue() == [first.id]

        with engine.connect() as connection:
            second = shop.add(connection=connection)
            connection.commit()
            third = shop.add(connection=connection)  # kept and used again: now it is told of the one before
            assert shop.queue() == [first.id, second.id]
            with connection.begin_nested() as savepoint:
                undone = shop.add(connection=connection)
                savepoint.rollback()
            connection.commit()
        # The number of what was undone may be told: there is nothing behind it.
        assert [one for one in shop.queue() if one != undone.id] == [first.id, second.id, third.id]
    shop.post.entries = [one for one in shop.post.entries if one not in (rolled_back, undone)]
    with shop.worker("solo") as worker:
        worker.told("sent", third.id)
    shop.post.judge()


def test_a_commit_that_fails_tells_nobody(shop: Shop, home: Path) -> None:
    with closing_engine(shop.post.database.url or f"sqlite:///{home / 'outbox.db'}") as engine:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE customers (id INTEGER PRIMARY KEY)"))
            connection.execute(
                text(
                    "CREATE TABLE bills (customer INTEGER REFERENCES customers (id)"
                    " DEFERRABLE INITIALLY DEFERRED)"
                )
            )
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                connection.execute(text("PRAGMA foreign_keys = ON"))
            connection.execute(text("INSERT INTO bills VALUES (7)"))
            shop.add(connection=connection)
            with pytest.raises(IntegrityError):
                connection.commit()
    assert (shop.queue(), list(shop.post.outbox.find())) == ([], [])


@contextmanager
def closing_engine(url: str) -> Iterator[Engine]:
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    engine = create_engine(parsed)
    yield engine
    engine.dispose()


def test_what_the_broker_never_heard_of_is_found_by_the_sweep(
    shop: Shop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shop.server.answer("mail", [b"451 4.3.0 later, please\r\n"])  # the first one, whichever that is
    shop.broker.stop()
    try:
        shop.add()
        shop.add()
    finally:
        shop.broker.start()
    told = [record.getMessage() for record in caplog.records if "waits for a sweep" in record.message]
    assert len(told) == 1, "a broker that failed is not asked again at once: who adds does not wait for it"
    assert "ann@" not in told[0]
    shop.add(not_before=datetime.now(UTC) + timedelta(seconds=1))
    assert shop.post.states() == [State.QUEUED] * 3
    assert shop.queue() == []
    with shop.worker("threads", "--beat", "--schedule", str(tmp_path / "beat"), every=0.5) as worker:
        worker.log.wait_for("EVENT queued")
        [later] = [number for state, number in worker.events() if state == "queued"]
        shop.post.outbox.retry(later)  # no broker hears of that either
        for number in (1, 2, 3):
            worker.told("sent", number)
        worker.terminate()
        assert worker.wait() == 0
    assert shop.server.said("QUIT"), "it parted in good order"
    shop.post.judge()


def test_a_process_that_is_killed_while_it_sends(shop: Shop) -> None:
    shop.server.answer("dot", before(shop.stop, OK))
    with shop.worker("prefork", "--concurrency", "2") as worker:
        shop.add()
        shop.stop.wait()
        os.kill(sender(shop, 1), signal.SIGKILL)
        # The task was not acknowledged: it is given to another process, which finds what happened.
        worker.log.wait_for(r"entry 1: unknown$")
        shop.stop.go_on()
        assert len(set(taken := deliveries(worker))) == 1
        assert len(taken) == 2
        worker.told("unknown", 1)
        shop.add()
        worker.told("sent", 2)
    shop.post.judge(unknown=[0], taken=[0])


@only_sqlite
def test_a_worker_that_is_killed_with_all_its_processes(shop: Shop) -> None:
    shop.server.answer("dot", before(shop.stop, OK))
    with shop.worker("threads", visibility=0.1) as worker:
        shop.add()
        shop.stop.wait()
        worker.kill()
    shop.stop.go_on()
    with shop.worker("prefork", visibility=0.1) as other:
        other.log.wait_for(r"entry 1: unknown$")
        assert deliveries(other) == deliveries(worker), "the broker gave the same task out again"
    shop.post.judge(unknown=[0], taken=[0])


@only_sqlite
def test_a_time_limit_that_kills(shop: Shop) -> None:
    shop.server.answer("dot", before(shop.stop, OK))
    with shop.worker("prefork", "--concurrency", "1", "--time-limit", "1") as worker:
        shop.add()
        shop.stop.wait()
        worker.log.wait_for("exited with 'signal 9")
        shop.stop.go_on()
        shop.add()
        worker.told("sent", 2)
        worker.told("unknown", 1)
    shop.post.judge(unknown=[0], taken=[0])


@only_sqlite
def test_a_soft_time_limit_and_a_shutdown_wait_for_what_is_being_sent(shop: Shop) -> None:
    shop.server.answer("dot", before(shop.stop, OK))
    with shop.worker("prefork", "--concurrency", "1", "--soft-time-limit", "1") as worker:
        shop.add()
        shop.stop.wait()
        worker.log.wait_for("Soft time limit")
        worker.terminate()
        worker.log.wait_for("Warm shutdown")
        later = shop.add()
        shop.stop.go_on()
        assert worker.wait() == 0
        worker.told("sent", 1)
        worker.log.wait_for("entry 1 was sent past the soft time limit")
    assert len(shop.server.said("QUIT")) == 1, "it parted in good order"
    assert shop.queue() == [later.id]
    shop.post.run()
    shop.post.judge()


def test_tasks_that_are_given_out_many_times_send_once(shop: Shop) -> None:
    shop.server.answer("dot", before(shop.stop, OK))
    with (
        shop.worker("prefork", "--concurrency", "2") as one,
        shop.worker("threads", "--concurrency", "2") as other,
    ):
        entry = shop.add()
        for _ in range(5):
            assert shop.tasks.enqueue(entry.id)

        def left_alone() -> int:
            return sum(line.endswith("entry 1: sending") for line in [*one.log.lines, *other.log.lines])

        until(lambda: left_alone() >= 3, "tasks that find it being sent")
        shop.stop.go_on()
        until(lambda: len(done([one, other])) == 6, "the end of all tasks")
    assert [event.state for event in shop.post.events] == [State.SENT]
    shop.post.judge()


@only_sqlite
def test_a_sweep_hands_over_what_the_queue_lacks_and_the_limits_allow(shop: Shop) -> None:
    with shop_at(shop.server, shop.post, shop.broker, batch=20) as small:
        shop.post.add(50)
        small.tasks.sweep.apply().get()
        assert small.queue() == list(range(1, 21)), "in the order in which they are to go out"
        small.tasks.sweep.apply().get()
        assert len(small.queue()) == 30, "a queue that is long with whatever is not made much longer"
    account = Accounts().get("me@qq.com")
    Accounts().add(dataclasses.replace(account, per_minute=5))
    with shop_at(shop.server, shop.post, shop.broker) as limited:
        limited.tasks.sweep.apply().get()
        assert limited.queue() == [1, 2, 3, 4, 5]


@pytest.mark.timeout(300)
def test_workers_that_are_killed_at_random_while_many_messages_drain(shop: Shop) -> None:
    drain(shop, messages=100, kills=6, seed=random.randrange(10**6))


def drain(shop: Shop, *, messages: int, kills: int, seed: int) -> None:
    """Two workers, each with two processes; one of them, or all of one, is killed ``kills`` times."""
    chance = random.Random(seed)
    logging.getLogger(__name__).warning("seed %s", seed)  # shown where the test fails
    moments = sorted(chance.sample(range(messages * 5), kills))  # commands of SMTP seen until then
    with ExitStack() as stack:

        def start() -> CeleryWorker:
            return stack.enter_context(
                shop.worker("prefork", "--concurrency", "2", visibility=1.0, lease=10.0)
            )

        workers = [start(), start()]
        for _ in range(messages):
            shop.add()

        def settled() -> bool:
            if not shop.queue():  # the test is beat
                shop.tasks.sweep.apply_async()
            counts = shop.post.outbox.stats().counts
            return not counts[State.QUEUED] and not counts[State.SENDING]

        for moment in moments:
            until(lambda now=moment: len(shop.server.commands) >= now or settled(), "the next kill")  # type: ignore[misc]
            number = chance.randrange(2)
            target = workers[number]
            if chance.random() < 0.3:
                target.kill()
                workers[number] = start()
            elif children := processes_of(target.log.program.pid):
                with suppress(ProcessLookupError):  # it was replaced meanwhile
                    os.kill(chance.choice(children), signal.SIGKILL)
        until(settled, "the end of all messages")
    shop.judge_killed(kills * 2)


def sender(shop: Shop, number: int) -> int:
    """The process that sends this entry."""
    return int(shop.post.outbox.get(number).worker.split("-")[-2])


def deliveries(worker: CeleryWorker) -> list[str]:
    """The ids of the tasks that the worker took, each time that it did."""
    return re.findall(r"oauth_mailer\.deliver\[(\S+)\] received", "\n".join(worker.log.lines))


def done(workers: list[CeleryWorker]) -> list[str]:
    lines = "\n".join(line for worker in workers for line in worker.log.lines)
    return re.findall(r"oauth_mailer\.deliver\[(\S+)\] succeeded", lines)


def processes_of(parent: int) -> list[int]:
    found = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True, timeout=30
    )
    pairs = [line.split() for line in found.stdout.splitlines()]
    return [int(pid) for pid, above in pairs if int(above) == parent]


def test_the_sweep_stands_in_the_schedule_whenever_that_is_written() -> None:
    def schedule(act: Callable[[Celery], None], *, read_first: bool = False) -> dict[str, Any]:
        with closing(Celery("shop", set_as_current=False)) as app:
            if read_first:
                assert app.conf.beat_schedule == {}
            OutboxTasks(app, every=7)
            act(app)
            return dict(app.conf.beat_schedule)

    own = {"report": {"task": "report", "schedule": 60.0}}
    assert schedule(lambda app: None)["oauth_mailer.sweep"]["schedule"] == 7
    assert schedule(lambda app: None, read_first=True).keys() == {"oauth_mailer.sweep"}
    assert schedule(lambda app: setattr(app.conf, "beat_schedule", own)).keys() == {
        "oauth_mailer.sweep",
        "report",
    }
    assert schedule(lambda app: app.config_from_object({"beat_schedule": own})).keys() == {
        "oauth_mailer.sweep",
        "report",
    }
    mine = {"oauth_mailer.sweep": {"task": "oauth_mailer.sweep", "schedule": 1.0}}
    assert schedule(lambda app: app.config_from_object({"beat_schedule": mine})) == mine


def test_without_celery_it_says_what_to_install() -> None:
    program = (
        "import sys; import oauth_mailer.integrations; assert 'celery' not in sys.modules\n"
        "sys.modules['celery'] = None\n"
        "from oauth_mailer import ConfigError\n"
        "try: import oauth_mailer.integrations.celery\n"
        "except ConfigError as error: print(error.code, error.hint)"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == "extra-missing Run: pip install 'oauth-mailer[celery]'"
