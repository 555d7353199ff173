"""Workers that are killed at random moments, and whether anything is lost or accepted twice.

    python -m tests.faults.outbox_kill_runs kills 200 sqlite|postgresql
    python -m tests.faults.outbox_kill_runs drain 2000 WORKERS
    python -m tests.faults.outbox_kill_runs steps 1 sqlite|postgresql

``kills``: one worker is killed so many times, and each fourth time a program that adds; ``drain``: several
workers, each killed and started again, until so many messages have left PostgreSQL; ``steps``: a worker is
killed at each write to SQLite's file, or at each request to PostgreSQL and each answer (every so many of
them). ``--seed`` repeats a run.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from oauth_mailer import Message
from oauth_mailer.accounts import Accounts, secret_variable
from oauth_mailer.outbox import State
from tests.support.outbox_databases import OutboxDatabase, PostgresqlDatabase, SqliteDatabase
from tests.support.outbox_post import Post
from tests.support.outbox_processes import Worker, until
from tests.support.outbox_steps import Side, killed_at
from tests.support.postgresql import postgresql
from tests.support.smtp_script import CODE, SmtpScript

BATCH = 10


@dataclass(frozen=True)
class Report:
    """What became of all that was ever added."""

    seed: int
    kills: int
    messages: int
    sent: int
    unknown_taken: int
    unknown_not_taken: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.kills} kills, {self.messages} messages, {self.sent} sent once, "
            f"{self.unknown_taken} unknown and accepted once, {self.unknown_not_taken} unknown and not "
            f"accepted, none lost, none twice, {self.seconds:.0f} s"
        )


def set_up(server: SmtpScript, home: Path) -> dict[str, str]:
    """An account at this server; what has to stand in the environment for it."""
    account = server.account(store="environment")
    Accounts(home).add(account)
    return {"OAUTH_MAILER_STORE": "environment", secret_variable(account.address): CODE}


@contextmanager
def post_at(server: SmtpScript, home: Path, database: OutboxDatabase) -> Iterator[Post]:
    """An outbox whose account is at this server."""
    with closing(Post(home, database, lambda: [mail.data for mail in server.accepted])) as post:
        yield post


def report(post: Post, seed: int, kills: int, began: float) -> Report:
    """Every message is sent and was accepted once, or is reported unknown and was accepted once at most."""
    accepted = post.accepted()
    unknown = {True: 0, False: 0}
    added = {entry.id for entry in post.entries}
    found = list(post.outbox.find())
    assert {entry.id for entry in found} == added, "a message is lost"
    for entry in found:
        count = accepted.pop(entry.message_id, 0)
        story = (f"accepted {count} times", entry, post.outbox.history(entry.id))
        if entry.state is State.SENT:
            assert count == 1, story
        else:
            assert entry.state is State.UNKNOWN, story
            assert entry.code == "worker-lost", story
            assert count <= 1, story
            unknown[count == 1] += 1
    assert not accepted, "what nobody added was accepted"
    uncertain = sum(unknown.values())
    assert uncertain <= kills, "more are unknown than were on their way"
    assert post.outbox.stats().counts.get(State.UNKNOWN, 0) == uncertain
    return Report(
        seed,
        kills,
        len(added),
        len(added) - uncertain,
        unknown[True],
        unknown[False],
        time.monotonic() - began,
    )


def random_kills(post: Post, kills: int, seed: int) -> Report:
    """One worker after the other is killed, at any moment of the time that it takes to send a batch."""
    began, chance, pause = time.monotonic(), random.Random(seed), threading.Event()
    Worker(post.job()).wait()  # the first one takes longer
    post.add(BATCH)
    begins = time.monotonic()
    Worker(post.job()).wait()
    span = time.monotonic() - begins
    for number in range(kills):
        if number % 4 == 3:
            _kill_while_adding(post, f"{number}", chance.uniform(0, span))
            continue
        waiting = post.outbox.stats().counts.get(State.QUEUED, 0)
        post.add(max(BATCH - waiting, 0))
        worker = Worker(post.job())
        pause.wait(chance.uniform(0, span))
        worker.kill()
    post.run()
    return report(post, seed, kills, began)


def _kill_while_adding(post: Post, name: str, after: float) -> None:
    """What it added is there once it is added again, whenever it was killed."""
    fields = [
        {"to": "ann@example.com", "text": f"Key {name}-{n}", "key": f"{name}-{n}"} for n in range(BATCH)
    ]
    adder = Worker(post.job(adds=fields))
    threading.Event().wait(after)
    adder.kill()
    for one in fields:
        message = Message(to=one["to"], text=one["text"])
        post.entries.append(post.outbox.add(message, key=one["key"]))


def each_step(post: Post, every: int, seed: int) -> Report:
    """A worker is killed at each step between it and the database, or at every so-many-th one."""
    began, kills = time.monotonic(), 0
    sides: tuple[Side, ...] = ("write",) if post.database.kind == "sqlite" else ("request", "answer")
    post.add(2)
    steps = killed_at(post, 0, sides[0])
    assert steps > 20, "the steps are not seen"
    for number in range(1 + random.Random(seed).randrange(every), steps + 1, every):
        for side in sides:
            post.add(2)
            killed_at(post, number, side)
            kills += 1
            post.run()
    return report(post, seed, kills, began)


def drain(post: Post, messages: int, workers: int, seed: int, longest: float = 1.5) -> Report:
    """Workers side by side, each killed at a random moment and started again, until the queue is empty."""
    began, chance = time.monotonic(), random.Random(seed)
    with post.outbox.begin() as connection:
        for number in range(messages):
            message = Message(to="ann@example.com", subject=f"Number {number}", text="Hello")
            post.entries.append(post.outbox.add(message, connection=connection))
    empty = threading.Event()
    kills = [0] * workers
    moments = [[chance.uniform(0, longest) for _ in range(10_000)] for _ in range(workers)]

    def supervise(number: int) -> None:
        while not empty.is_set():
            worker = Worker(post.job(once=False))
            empty.wait(moments[number][kills[number]])
            worker.kill()
            kills[number] += 1

    threads = [threading.Thread(target=supervise, args=(number,)) for number in range(workers)]
    try:
        for thread in threads:
            thread.start()
        until(lambda: not post.outbox.stats().counts.get(State.QUEUED), "an empty queue", 1800)
    finally:
        empty.set()
        for thread in threads:
            thread.join()
    post.run()
    return report(post, seed, sum(kills), began)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.outbox_kill_runs", usage=__doc__)
    parser.add_argument("what", choices=["kills", "drain", "steps"])
    parser.add_argument("count", type=int)
    parser.add_argument("where", nargs="?", default="postgresql")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args(arguments)
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ["OAUTH_MAILER_HOME"] = str(home)
        database: OutboxDatabase = SqliteDatabase(home)
        if given.where != "sqlite":
            url = stack.enter_context(stack.enter_context(postgresql()).database())
            database = PostgresqlDatabase(url)
        server = stack.enter_context(SmtpScript())
        os.environ |= set_up(server, home)
        post = stack.enter_context(post_at(server, home, database))
        sys.stdout.write(f"seed {given.seed}\n")
        if given.what == "kills":
            done = random_kills(post, given.count, given.seed)
        elif given.what == "steps":
            done = each_step(post, given.count, given.seed)
        else:
            done = drain(post, given.count, int(given.where), given.seed)
        sys.stdout.write(f"{given.what} {given.count} {given.where}: {done}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
