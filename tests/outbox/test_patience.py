"""How long messages, and whole accounts, wait for a later try."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import pytest

from oauth_mailer.outbox.pacing import entry_pause
from oauth_mailer.outbox.states import State
from oauth_mailer.outbox.verdicts import outcome_of_error
from oauth_mailer.replies import decode_reply
from oauth_mailer.stores import Secret
from oauth_mailer.transports._gmail_errors import refusal
from oauth_mailer.wire.one_post import Answer
from tests.support.outbox_place import ME, Place

from .bench import Bench


@pytest.fixture
def bench(place: Place) -> Iterator[Bench]:
    with closing(Bench(place.home, place.url)) as made:
        yield made


def test_mailboxes_that_are_full_do_not_hold_up_what_goes_to_others(bench: Bench, place: Place) -> None:
    """Twenty in a row, and the next message is tried within seconds all the same."""
    reply = decode_reply("", "rcpt", 452, b"4.2.2 over quota", address=ME)
    for number in [bench.add().id for _number in range(20)]:
        bench.now += 5
        claim, _soonest = bench.claim()
        assert claim is not None
        entry = bench.settle(claim, outcome_of_error(reply, ME, claim.attempt, place.home))
        assert (entry.id, entry.state, entry.code) == (number, State.QUEUED, "recipient-later")


GOOGLES = {
    "dailyLimitExceeded": 86_400,
    "quotaExceeded": 86_400,
    "rateLimitExceeded": 60,
    "userRateLimitExceeded": 60,
    "RESOURCE_EXHAUSTED": 60,
    "": 60,
}


@pytest.mark.parametrize("reason", GOOGLES)
def test_where_gmail_says_later_of_an_account_all_its_messages_wait(
    reason: str, bench: Bench, place: Place
) -> None:
    body = json.dumps({"error": {"errors": [{"reason": reason}]}}).encode()
    error = refusal(Answer(429, "Too Many Requests", {}, body), ME, Secret(""))
    bench.add()
    bench.add()
    claim, _soonest = bench.claim()
    assert claim is not None
    bench.settle(claim, outcome_of_error(error, ME, claim.attempt, place.home))
    nothing, soonest = bench.claim()
    assert nothing is None
    assert soonest == bench.now + GOOGLES[reason]


def test_what_is_put_off_again_and_again_is_tried_less_often() -> None:
    """Also where it is known how long to wait at least."""
    pauses = [entry_pause(12, 300.0) for _number in range(200)]
    assert min(pauses) >= 300
    assert max(pauses) > 900, "twice an hour, not twelve times"
