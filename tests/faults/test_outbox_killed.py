"""A worker that is killed while it sends: nothing is lost, nothing is accepted twice, and what was on its way
is reported.

The server stands still at a step, the worker is killed there, the server goes on; then another worker does
what is left.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from oauth_mailer import Attachment, Message
from tests.support.halts import GmailScript, Stop, after, before, before_hello, within_content
from tests.support.outbox_databases import ENTRIES, HISTORY, USES, OutboxDatabase, PostgresqlDatabase
from tests.support.outbox_post import Post
from tests.support.outbox_processes import until
from tests.support.smtp_script import SmtpScript, Step, Talk

from .outbox_killed import ONE_BY_ONE, database_of, gmail_post, smtp_post

pytestmark = pytest.mark.fault(35)

OK = b"250 2.0.0 Ok\r\n"
LARGE = Attachment(bytes(3_600_000), filename="large.bin")
"""More than is buffered between a worker and a server that does not read."""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(home: Path, request: pytest.FixtureRequest) -> OutboxDatabase:
    return database_of(request.param, home, request)


@dataclass(frozen=True)
class Point:
    """Where the worker is killed. ``script``: of the server; ``unknown``: the messages that were on their way
    then; ``taken``: those of them that the server took nevertheless."""

    script: Callable[[Stop], dict[str, Step | list[Step]]]
    unknown: tuple[int, ...] = (0,)
    taken: tuple[int, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)
    security: str = "starttls"


SMTP = {
    "connected": Point(lambda stop: {"tls": before(stop, b"")}, security="tls"),
    "greeting": Point(lambda stop: {"greeting": before(stop, b"220 mx.example ESMTP\r\n")}),
    "ehlo": Point(lambda stop: {"ehlo": before_hello(stop)}),
    "starttls": Point(lambda stop: {"starttls": before(stop, b"220 go ahead\r\n")}),
    "handshake": Point(lambda stop: {"starttls": after(stop, b"220 go ahead\r\n")}),
    "second ehlo": Point(
        lambda stop: {"ehlo": [lambda talk: talk.say(talk.server.hello(talk)), before_hello(stop)]}
    ),
    "auth": Point(lambda stop: {"auth": before(stop, b"235 2.7.0 ok\r\n")}),
    "mail": Point(lambda stop: {"mail": before(stop, OK)}),
    "rcpt": Point(lambda stop: {"rcpt": before(stop, OK)}),
    "second rcpt": Point(lambda stop: {"rcpt": [OK, before(stop, OK)]}),
    "data": Point(lambda stop: {"data": before(stop, b"354 go\r\n")}),
    "content not read": Point(lambda stop: {"content": before(stop, b"")}, fields={"attachments": [LARGE]}),
    "midst of the content": Point(
        lambda stop: {"content": [within_content(stop, 1_000_000)]}, fields={"attachments": [LARGE]}
    ),
    "dot": Point(lambda stop: {"dot": before(stop, OK)}, taken=(0,)),
    "second message": Point(lambda stop: {"mail": [OK, before(stop, OK)]}, unknown=(1,)),
    "dot of the second message": Point(
        lambda stop: {"dot": [OK, before(stop, OK)]}, unknown=(1,), taken=(1,)
    ),
    "quit": Point(lambda stop: {"quit": before(stop, b"221 bye\r\n")}, unknown=()),
}


@pytest.mark.parametrize("name", SMTP)
def test_killed_at_a_step_of_smtp(
    name: str, database: OutboxDatabase, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point, stop = SMTP[name], Stop()
    server = SmtpScript(security=point.security, extensions=ONE_BY_ONE)
    for step, act in point.script(stop).items():
        server.answer(step, act)
    server.keep_little()
    with server, smtp_post(home, database, server, monkeypatch) as post:
        post.add(1, **point.fields)
        post.add(2)
        with post.worker() as worker:
            stop.wait()
            worker.kill()
        stop.go_on()
        assert server.parted.acquire(timeout=60)
        post.run()
        post.judge(unknown=point.unknown, taken=point.taken)


GMAIL = {
    "token": ({}, ()),
    "connected": ({}, (0,)),
    "head": ({"attachments": [LARGE]}, ()),
    "body": ({"attachments": [LARGE]}, ()),
    "whole": ({}, (0,)),
    "whole upload": ({"attachments": [LARGE]}, (0,)),
    "whole second": ({}, (1,)),
}


@pytest.mark.parametrize("name", GMAIL)
def test_killed_at_a_step_of_the_gmail_api(
    name: str, database: OutboxDatabase, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fields, taken), stop = GMAIL[name], Stop()
    number = 2 if name.endswith("second") else 1
    server = GmailScript(name.partition(" ")[0], stop, number)
    server.keep_little()
    with server, gmail_post(home, database, server, monkeypatch) as post:
        post.add(1, **fields)
        post.add(2)
        with post.worker() as worker:
            stop.wait()
            worker.kill()
        stop.go_on()
        for _connection in range(1 if name == "token" else 2):
            assert server.parted.acquire(timeout=60)
        post.run()
        post.judge(unknown=(number - 1,), taken=taken)


@dataclass(frozen=True)
class Halted:
    """Where a transaction of the worker stands still when it is killed; the others as above."""

    when: str
    unknown: tuple[int, ...] = ()
    taken: tuple[int, ...] = ()
    mail: tuple[Step, ...] = ()  # what the server says to the first ones


CLAIM, SENT, NOT_SENT = "NEW.state = 'sending'", "NEW.verdict = 'sent'", "NEW.verdict = 'not_sent'"
BEFORE_COMMIT = {
    "claim": Halted(CLAIM),
    "result": Halted(SENT, unknown=(0,), taken=(0,)),
    "result of a failure": Halted(NOT_SENT, unknown=(0,), mail=(b"451 4.3.0 later\r\n",)),
}
IN_COMMIT = {
    "claim": Halted(CLAIM, unknown=(0,)),
    "result": Halted(SENT),
}


def killed_while_halted(
    case: Halted,
    database: OutboxDatabase,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    at_commit: bool = False,
) -> None:
    with (
        SmtpScript(extensions=ONE_BY_ONE, mail=list(case.mail)) as server,
        smtp_post(home, database, server, monkeypatch) as post,
    ):
        post.add(3)
        with database.halt(HISTORY, case.when, at_commit=at_commit) as halt:
            with post.worker() as worker:
                halt.wait()
                worker.kill()
            halt.go_on()
        post.run()
        post.judge(unknown=case.unknown, taken=case.taken)


@pytest.mark.parametrize("name", BEFORE_COMMIT)
def test_killed_before_a_commit(
    name: str, database: OutboxDatabase, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_while_halted(BEFORE_COMMIT[name], database, home, monkeypatch)


@pytest.mark.parametrize("name", IN_COMMIT)
def test_killed_in_the_midst_of_a_commit_that_the_server_then_makes(
    name: str, home: Path, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = PostgresqlDatabase(postgresql_url)
    killed_while_halted(IN_COMMIT[name], database, home, monkeypatch, at_commit=True)


def test_another_worker_that_looks_around_in_the_midst_of_that_commit_reports_it_too(
    home: Path, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = PostgresqlDatabase(postgresql_url)
    with SmtpScript() as server, smtp_post(home, database, server, monkeypatch) as post:
        post.add(3)
        with database.halt(HISTORY, CLAIM, at_commit=True) as halt:
            with post.worker() as worker:
                halt.wait()
                worker.kill()
            other = threading.Thread(target=post.run)
            other.start()
            until(lambda: database.waiting() > 1, "the other one waits for the commit")
            halt.go_on()
            other.join()
        post.judge(unknown=(0,))


def test_killed_between_the_claim_and_the_reading_of_the_message(
    home: Path, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = PostgresqlDatabase(postgresql_url)
    with SmtpScript() as server, smtp_post(home, database, server, monkeypatch) as post:
        post.add(3)
        with database.hold(USES, "ACCESS EXCLUSIVE"), post.worker() as worker:
            until(database.locked, "the worker reads the message")
            worker.kill()
        post.run()
        post.judge(unknown=(0,))


def test_killed_between_the_reply_and_the_result(
    database: OutboxDatabase, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answered = Stop(), Stop()

    def dot(talk: Talk) -> bool:
        asked.reach()
        talk.say(OK)
        answered.reach()
        return True

    with SmtpScript(dot=[dot]) as server, smtp_post(home, database, server, monkeypatch) as post:
        post.add(3)
        with post.worker() as worker:
            asked.wait()
            with database.hold(ENTRIES):
                asked.go_on()
                answered.wait()
                worker.kill()
            answered.go_on()
        post.run()
        post.judge(unknown=(0,), taken=(0,))


def test_killed_while_it_gives_up_what_another_one_left(
    database: OutboxDatabase, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Stop()
    with (
        SmtpScript(extensions=ONE_BY_ONE, dot=[before(stop, OK)]) as server,
        smtp_post(home, database, server, monkeypatch) as post,
    ):
        post.add(3)
        with post.worker() as first:
            stop.wait()
            first.kill()
        stop.go_on()
        assert server.parted.acquire(timeout=60)
        with database.halt(HISTORY, "NEW.code = 'worker-lost'") as halt:
            with post.worker() as second:
                halt.wait()
                second.kill()
            halt.go_on()
        post.run()
        post.judge(unknown=(0,), taken=(0,))


ADDED: dict[str, Any] = {
    "to": "ann@example.com",
    "text": "Hello",
    "attachments": [Attachment(b"x" * 100_000)],
    "key": "k",
}


def added_again(post: Post) -> None:
    """Whoever does not know whether it was added adds it again, with the same key."""
    fields = {name: value for name, value in ADDED.items() if name != "key"}
    post.entries.append(post.outbox.add(Message(**fields), key=ADDED["key"]))


@pytest.mark.parametrize("table", [ENTRIES, USES])
def test_killed_while_a_message_is_added_leaves_nothing_of_it(
    table: str, database: OutboxDatabase, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SmtpScript() as server, smtp_post(home, database, server, monkeypatch) as post:
        with database.halt(table, "true") as halt:
            with post.worker(adds=[ADDED]) as adder:
                halt.wait()
                adder.kill()
            halt.go_on()
        assert not list(post.outbox.find())
        added_again(post)
        post.run()
        post.judge()


def test_killed_in_the_commit_of_a_message_that_is_added_leaves_it_whole(
    home: Path, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = PostgresqlDatabase(postgresql_url)
    with SmtpScript() as server, smtp_post(home, database, server, monkeypatch) as post:
        with database.halt(ENTRIES, "true", at_commit=True) as halt:
            with post.worker(adds=[ADDED]) as adder:
                halt.wait()
                adder.kill()
            halt.go_on()
        (left,) = post.outbox.find()
        added_again(post)
        assert [entry.id for entry in post.entries] == [left.id]
        post.run()
        post.judge()
        assert base64.b64encode(b"x" * 3000) in server.accepted[0].data.replace(b"\r\n", b"")
