"""How fast an account sends: its limits hold across all workers, and what fails is tried ever more seldom."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oauth_mailer import RejectedError, TransientError
from oauth_mailer.accounts import Accounts
from oauth_mailer.errors import LoginRequired, MailerError
from oauth_mailer.outbox import State, pacing, store
from oauth_mailer.outbox.claims import Claim
from oauth_mailer.outbox.letter import pack
from oauth_mailer.outbox.states import Cause
from oauth_mailer.outbox.verdicts import outcome_of_error
from tests.support.outbox_place import ME, OTHER, Place, add, message, subjects
from tests.support.outbox_processes import Job, Worker
from tests.support.smtp_script import SmtpScript

from .bench import START, Bench, outcome

HOUR, DAY = 3600.0, 86_400.0


@pytest.fixture
def bench(place: Place) -> Iterator[Bench]:
    made = Bench(place.home, place.url)
    yield made
    made.close()


@pytest.fixture
def lite(home: Path) -> Iterator[Bench]:
    """Where the kind of the database does not matter."""
    made = Bench(home)
    yield made
    made.close()


def fill(bench: Bench, count: int, account: str = ME) -> None:
    """Add so many messages in one go."""
    said = message()
    with bench.database.writing() as connection:
        for _number in range(count):
            new = store.New(
                letter=pack(said),
                account=account,
                fallback=None,
                key=None,
                message_id=said.id,
                subject=said.subject,
                recipients=["ann@example.com"],
                priority="normal",
                not_before=None,
                expires=None,
            )
            store.add(connection, new, bench.now)


def claimed(bench: Bench, worker: str = "one", account: str = ME) -> Claim:
    claim, _soonest = bench.claim(worker, accounts=[account])
    assert claim is not None
    return claim


def waits(bench: Bench, account: str = ME) -> float:
    """For how many seconds nothing can be sent."""
    claim, soonest = bench.claim("who asks", accounts=[account])
    assert claim is None
    assert soonest is not None
    return soonest - bench.now


def fail(bench: Bench, error: MailerError, account: str = ME) -> Claim:
    """The next message meets this error."""
    claim = claimed(bench, account=account)
    bench.settle(claim, outcome_of_error(error, account, claim.attempt, Path("/nowhere")))
    return claim


# Limits


def test_no_more_are_sent_in_a_span_of_time_than_the_limit_says(bench: Bench) -> None:
    bench.limit({60: 3})
    fill(bench, 10)
    for number in range(3):
        bench.settle(claimed(bench, f"worker {number % 2}"), outcome(Cause.SENT))
        bench.now += 10
    assert waits(bench) == 30
    bench.now += 30
    claimed(bench)
    assert waits(bench) == 10


def test_the_narrowest_of_several_limits_counts(bench: Bench) -> None:
    bench.limit({60: 2, 86_400: 3})
    fill(bench, 10)
    for _number in range(2):
        bench.settle(claimed(bench), outcome(Cause.SENT))
    assert waits(bench) == 60
    bench.now += 60
    bench.settle(claimed(bench), outcome(Cause.SENT))
    assert waits(bench) == DAY - 60


@pytest.mark.parametrize("cause", [Cause.LATER, Cause.REJECTED])
def test_what_was_certainly_not_sent_does_not_count(cause: Cause, bench: Bench) -> None:
    bench.limit({86_400: 1})
    fill(bench, 2)
    bench.settle(claimed(bench), outcome(cause, pause=HOUR))
    bench.settle(claimed(bench), outcome(Cause.SENT))


def test_what_may_have_been_sent_counts(bench: Bench) -> None:
    bench.limit({86_400: 2})
    fill(bench, 3)
    bench.settle(claimed(bench), outcome(Cause.UNKNOWN))
    claimed(bench)
    bench.lapse(bench.suspects()[0])
    assert waits(bench) == DAY


def test_what_a_late_result_proves_not_to_be_sent_counts_no_longer(bench: Bench) -> None:
    bench.limit({86_400: 1})
    fill(bench, 2)
    claim = claimed(bench)
    bench.lapse(bench.suspects()[0])
    assert waits(bench) == DAY
    bench.settle(claim, outcome(Cause.REJECTED))
    claimed(bench)


def test_it_counts_for_the_fallback_that_sent_it(bench: Bench) -> None:
    bench.limit({86_400: 1})
    bench.limit({86_400: 1}, OTHER)
    fill(bench, 2)
    fill(bench, 1, OTHER)
    bench.settle(claimed(bench), outcome(Cause.SENT, account=OTHER))
    assert waits(bench, OTHER) == DAY
    bench.settle(claimed(bench), outcome(Cause.SENT))
    fill(bench, 1)
    assert waits(bench) == DAY


def test_what_is_thrown_away_counts_nevertheless(bench: Bench) -> None:
    bench.limit({86_400: 1})
    fill(bench, 2)
    bench.settle(claimed(bench), outcome(Cause.SENT))
    bench.now += 1
    assert bench.purge({State.SENT}) == 1
    assert waits(bench) == DAY - 1


def test_what_counts_no_longer_is_forgotten(bench: Bench) -> None:
    bench.limit({60: 1, 3600: 5})
    fill(bench, 3)
    for _number in range(3):
        bench.settle(claimed(bench), outcome(Cause.SENT))
        bench.now += 60
    with bench.database.writing() as connection:
        pacing.forget_uses(connection, START + HOUR + 60)
    bench.now = START + HOUR
    fill(bench, 5)
    for _number in range(5):
        bench.settle(claimed(bench), outcome(Cause.SENT))
        bench.now += 60


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["one", "two"]),
            st.sampled_from([Cause.SENT, Cause.LATER, Cause.REJECTED, Cause.UNKNOWN, None]),
            st.floats(0, 40),
        ),
        min_size=20,
        max_size=60,
    )
)
def test_in_no_span_of_time_more_arrive_than_the_limit_says(
    steps: list[tuple[str, Cause | None, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever becomes of them, and whenever: None is what nobody hears of again."""
    bench = Bench(tmp_path_factory.mktemp("home"))
    limits = {60: 4, 300: 9}
    bench.limit(limits)
    fill(bench, 60)
    begun: list[float] = []
    for worker, cause, pause in steps:
        claim, _soonest = bench.claim(worker)
        if claim is not None:
            if cause in (Cause.SENT, Cause.UNKNOWN, None):
                begun.append(bench.now)
            if cause is not None:
                bench.settle(claim, outcome(cause, lane=None), worker)
        bench.now += pause
    bench.close()
    for seconds, most in limits.items():
        for first in begun:
            assert len([one for one in begun if first <= one < first + seconds]) <= most


def test_two_workers_keep_one_limit(place: Place) -> None:
    with SmtpScript() as server, place.outbox() as outbox:
        place.account(server, per_minute=3)
        add(outbox, 8)
        job = Job(home=str(place.home), url=place.url, threads=2)
        workers = [Worker(job), Worker(job)]
        assert [worker.wait() for worker in workers] == [0, 0]
        assert len(server.accepted) == 3
        assert outbox.stats().counts[State.QUEUED] == 5
        place.account(server, per_minute=4)  # a person allows one more
        outbox.run(once=True)
        assert len(server.accepted) == 4


def test_without_a_limit_all_go_at_once(sqlite_place: Place) -> None:
    with SmtpScript() as server, sqlite_place.outbox() as outbox:
        sqlite_place.account(server)
        add(outbox, 10)
        outbox.run(once=True, workers=3)
        assert sorted(subjects(server)) == sorted(f"Number {number}" for number in range(10))


# What has to wait


def test_a_message_is_not_tried_before_the_time_that_the_provider_names(lite: Bench) -> None:
    fill(lite, 2)
    claim = fail(lite, TransientError("Later.", code="try-later", retry_after=600.0))
    assert lite.entry(claim.entry.id).due.timestamp() >= lite.now + 600
    lite.now += 300
    assert claimed(lite).entry.id != claim.entry.id, "the next message need not wait for so long"


@pytest.mark.parametrize("code", ["rate-limit", "daily-limit", "connection-quota", "gmail-quota-exceeded"])
def test_no_message_is_tried_before_the_time_that_the_provider_names_for_the_account(
    code: str, lite: Bench
) -> None:
    fill(lite, 2)
    fill(lite, 1, OTHER)
    fail(lite, TransientError("Too many.", code=code, retry_after=1800.0))
    assert waits(lite) >= 1800
    claimed(lite, account=OTHER)


def test_the_time_until_the_next_try_grows_and_is_spread(lite: Bench) -> None:
    longest = 0.0
    for attempts in range(1, 60):
        bound = min(HOUR, 5.0 * 2.0 ** min(attempts, 20))
        pauses = [pacing.entry_pause(attempts, None) for _number in range(200)]
        assert 0 <= min(pauses) < bound / 4
        assert bound * 3 / 4 < max(pauses) <= bound
        longest = max(longest, *pauses)
        assert all(pause >= 900 for pause in (pacing.entry_pause(attempts, 900.0) for _number in range(20)))
    assert longest > HOUR / 2


def connection_refused() -> MailerError:
    return TransientError("Nobody is there.", code="connection-failed")


def test_a_server_that_is_down_is_not_stormed_by_a_long_queue(lite: Bench) -> None:
    """Two workers, 1,000 messages, six hours."""
    fill(lite, 1000)
    tries: list[float] = []
    end = lite.now + 6 * HOUR
    while lite.now < end:
        claim, soonest = lite.claim("one")
        if claim is None:
            assert soonest is not None
            lite.now = max(lite.now + 0.01, soonest)
            continue
        tries.append(lite.now - START)
        other, _soonest = lite.claim("two")
        if len(tries) > 1:
            assert other is None, "one probe at a time"
        for one in (claim, other):
            if one is not None:
                error = outcome_of_error(connection_refused(), ME, one.attempt, Path("/nowhere"))
                lite.settle(one, error)
    assert len(tries) < 600
    first, last = (len([at for at in tries if begin <= at < begin + HOUR]) for begin in (0, 5 * HOUR))
    assert last <= first + 10
    assert max(entry.attempts for entry in lite.entries().values()) < 60
    # It is back: then nothing waits any more.
    lite.now += HOUR
    lite.settle(claimed(lite), outcome(Cause.SENT, lane=True))
    for _number in range(20):
        claimed(lite)


def test_a_message_that_is_refused_holds_nobody_up(lite: Bench) -> None:
    fill(lite, 2)
    fail(lite, RejectedError("No.", code="recipient-refused"))
    claimed(lite)


# An account that waits for a person


def test_an_account_whose_login_is_refused_waits_an_hour_for_a_person(lite: Bench) -> None:
    fill(lite, 3)
    fill(lite, 1, OTHER)
    fail(lite, LoginRequired("No.", code="login-refused", hint="Run: oauth-mailer login"))
    assert waits(lite) == HOUR
    claimed(lite, account=OTHER)
    lite.now += HOUR
    fail(lite, LoginRequired("No.", code="login-refused"))
    assert waits(lite) == HOUR
    assert {entry.state for entry in lite.entries().values() if entry.account == ME} == {State.QUEUED}


def test_its_queue_is_kept_while_others_send_and_goes_out_after_the_login(place: Place) -> None:
    with SmtpScript() as server, place.outbox() as outbox:
        place.account(server, code="wrong")
        place.account(server, OTHER)
        add(outbox, 3)
        outbox.add(message("Of another account"), account=OTHER)
        for _run in range(2):
            outbox.run(once=True)
        assert subjects(server) == ["Of another account"]
        assert outbox.stats().paused == {ME: "login-refused"}
        assert outbox.stats().counts[State.QUEUED] == 3
        wrong = len(server.auths)
        outbox.run(once=True)
        assert len(server.auths) == wrong, "a wrong code is not shown again"
        # The person logs in.
        place.account(server, logged_in="2026-11-25T09:00:00+00:00")
        outbox.run(once=True)
        assert sorted(subjects(server)[1:]) == ["Number 0", "Number 1", "Number 2"]
        assert outbox.stats().paused == {}
        assert Accounts(place.home).get(ME).logged_in
