"""Short forms of the runs in ``kill_runs``; the long ones are started from the command line."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.outbox_databases import PostgresqlDatabase, SqliteDatabase
from tests.support.outbox_post import Post
from tests.support.outbox_steps import killed_at
from tests.support.smtp_script import SmtpScript

from .outbox_kill_runs import drain, each_step, post_at, random_kills, set_up

pytestmark = pytest.mark.fault(35)


@pytest.fixture
def seed() -> int:
    """Shown where the test fails: it repeats the run."""
    return random.SystemRandom().randrange(10**6)


@pytest.fixture(params=["sqlite", "postgresql"])
def post(home: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    database = (
        SqliteDatabase(home)
        if request.param == "sqlite"
        else PostgresqlDatabase(request.getfixturevalue("postgresql_url"))
    )
    with SmtpScript() as server:
        for name, value in set_up(server, home).items():
            monkeypatch.setenv(name, value)
        with post_at(server, home, database) as one:
            yield one


def test_killed_at_random_moments(post: Post, seed: int) -> None:
    assert random_kills(post, 10, seed).kills == 10


def test_killed_at_a_few_of_all_steps_to_the_database(post: Post, seed: int) -> None:
    assert each_step(post, 16 if post.database.kind == "sqlite" else 28, seed).kills > 1


@pytest.mark.parametrize("post", ["postgresql"], indirect=True)
def test_two_workers_killed_again_and_again_while_they_drain_the_queue(post: Post, seed: int) -> None:
    assert drain(post, 100, 2, seed).messages == 100


@pytest.mark.parametrize("post", ["sqlite"], indirect=True)
def test_two_workers_at_one_file(post: Post, seed: int) -> None:
    assert drain(post, 40, 2, seed).messages == 40


def test_a_worker_that_is_not_killed_sends_all(post: Post) -> None:
    """The measure of the others: what is counted is what is sent."""
    post.add(2)
    assert killed_at(post, 0, "write" if post.database.kind == "sqlite" else "request") > 20
    post.judge()
