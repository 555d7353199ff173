"""Where a message may be and every way from there: the table, and that nothing goes another way."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, precondition, rule

from oauth_mailer import OutboxError
from oauth_mailer.outbox import Entry, State
from oauth_mailer.outbox.claims import Claim
from oauth_mailer.outbox.states import FINAL, MOVES, Cause, moved
from tests.support.outbox_place import ME, Place

from .bench import VERDICTS, Bench, outcome

Q, S = State.QUEUED, State.SENDING
SENT, REJECTED, UNKNOWN, CANCELLED = State.SENT, State.REJECTED, State.UNKNOWN, State.CANCELLED

# The columns in the order of ``Cause``: claim, sent, later, rejected, unknown, expired, cancel, retry.
TABLE: dict[State, tuple[State | None, ...]] = {
    Q: (S, SENT, Q, REJECTED, UNKNOWN, REJECTED, CANCELLED, Q),
    S: (None, SENT, Q, REJECTED, UNKNOWN, None, None, None),
    SENT: (None, SENT, SENT, SENT, SENT, None, None, Q),
    REJECTED: (None, SENT, REJECTED, REJECTED, UNKNOWN, None, None, Q),
    UNKNOWN: (None, SENT, Q, REJECTED, UNKNOWN, None, CANCELLED, Q),
    CANCELLED: (None, SENT, CANCELLED, CANCELLED, CANCELLED, None, None, Q),
}


@pytest.mark.parametrize(("state", "cause"), list(itertools.product(State, Cause)))
def test_there_is_this_way_and_no_other(state: State, cause: Cause) -> None:
    expected = TABLE[state][list(Cause).index(cause)]
    assert MOVES.get((state, cause)) is expected
    if expected is not None:
        assert moved(state, cause, 7) is expected
        return
    with pytest.raises(OutboxError) as caught:
        moved(state, cause, 7)
    assert caught.value.code == "outbox-move"
    assert "Message 7 " in str(caught.value)
    assert "outbox show 7" in caught.value.hint


def test_only_a_claim_begins_a_send() -> None:
    assert {key for key, state in MOVES.items() if state is S} == {(Q, Cause.CLAIM)}


def test_only_a_person_or_proof_that_it_was_not_sent_queues_it_again() -> None:
    assert {cause for (_state, cause), state in MOVES.items() if state is Q} == {Cause.LATER, Cause.RETRY}


def test_what_was_sent_stays_so() -> None:
    """But for those recipients who were refused."""
    left = {cause: state for (was, cause), state in MOVES.items() if was is SENT and state is not SENT}
    assert left == {Cause.RETRY: Q}


class Life(RuleBasedStateMachine):
    """Workers, a person and the clock do what they can in any order, some too late, some twice."""

    entries = Bundle("entries")
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.bench = Bench(self.folder)
        self.known: dict[int, Entry] = {}
        self.ended: set[tuple[int, int]] = set()  # the attempts whose own result is known
        self.delivered: set[int] = set()  # to all of its recipients
        self.partial: set[int] = set()  # to some, and a person had it sent to the others

    def teardown(self) -> None:
        self.bench.close()
        shutil.rmtree(self.folder)

    def end(self, claim: Claim, cause: Cause, refused: dict[str, str] | None = None) -> None:
        key = (claim.entry.id, claim.attempt)
        said = f"attempt {claim.attempt}"
        before = self.bench.entries().get(claim.entry.id)
        result = outcome(cause, said=said, lane=None, refused=refused or {})
        self.bench.settle(claim, result, claim.entry.worker)
        after = self.bench.entries().get(claim.entry.id)
        if before is None or after is None:
            assert before is after is None
            return
        if key in self.ended:
            if before.attempts == claim.attempt:
                assert before == after, "the same result twice changes nothing"
            return
        self.ended.add(key)
        assert (after.state is before.state) or (before.state, cause) in MOVES
        if cause is Cause.SENT:
            if not refused:
                self.delivered.add(claim.entry.id)
            if claim.entry.id not in self.partial:
                assert after.state in (SENT, S), "what is known to be sent is not tried again"
        if before.state is S and claim.attempt == before.attempts and claim.entry.id not in self.delivered:
            assert after.state is MOVES[S, cause]

    @precondition(lambda self: len(self.known) < 3)  # so that much happens to each
    @rule(
        target=entries,
        expires=st.sampled_from([None, None, 5, 50]),
        not_before=st.sampled_from([None, None, 5, 50]),
        priority=st.sampled_from(["high", "normal", "low"]),
    )
    def add(self, expires: int | None, not_before: int | None, priority: str) -> int:
        now = self.bench.now
        times: dict[str, Any] = {
            "expires": None if expires is None else now + expires,
            "not_before": None if not_before is None else now + not_before,
        }
        return self.bench.add(priority=priority, **times).id

    @rule(target=claims, worker=st.sampled_from(["one", "two"]), number=st.none() | entries)
    def claim(self, worker: str, number: int | None) -> Any:
        claim, _soonest = self.bench.claim(worker, number)
        if claim is None:
            return multiple()
        before = self.known[claim.entry.id]
        assert (claim.attempt, before.state) == (before.attempts + 1, Q)
        assert before.due.timestamp() <= self.bench.now
        assert before.expires is None or before.expires.timestamp() > self.bench.now
        assert claim.entry.id not in self.delivered, "what everybody has is not sent again"
        return claim

    @rule(claim=claims, cause=st.sampled_from(list(VERDICTS)))
    def result(self, claim: Claim, cause: Cause) -> None:
        """In time, late, or once more."""
        self.end(claim, cause)

    @rule(claim=claims)
    def partly_refused(self, claim: Claim) -> None:
        self.end(claim, Cause.SENT, {"bob@example.com": "no such user"})

    @precondition(lambda self: any(entry.state is S for entry in self.known.values()))
    @rule(by=st.sampled_from(["one", "two", "three"]), resends=st.booleans(), data=st.data())
    def lapse(self, by: str, *, resends: bool, data: st.DataObject) -> None:
        suspect = data.draw(st.sampled_from(self.bench.suspects()))
        entry = self.bench.lapse(suspect, by, resends=resends)
        assert entry is not None
        assert entry.state is UNKNOWN or (resends and entry.state is Q)
        assert self.bench.lapse(suspect, by, resends=resends) is None

    @rule(number=entries, cause=st.sampled_from([Cause.RETRY, Cause.CANCEL]))
    def person(self, number: int, cause: Cause) -> None:
        before = self.known.get(number)
        try:
            after = self.bench.change(number, cause)
        except OutboxError as error:
            said = {"outbox-no-entry"} if before is None else {"outbox-move", "outbox-sent"}
            assert error.code in said  # noqa: PT017 - it need not be one
            if error.code == "outbox-move":
                assert before is not None
                assert (before.state, cause) not in MOVES
            return
        assert before is not None
        assert after.state is MOVES[before.state, cause]
        if before.state is SENT:
            assert set(after.recipients) == set(before.refused) != set()
            self.partial.add(number)
        if cause is Cause.RETRY:
            self.delivered.discard(number)

    @rule(seconds=st.sampled_from([5, 100]))
    def time_passes(self, seconds: int) -> None:
        self.bench.now += seconds

    @rule()
    def expire(self) -> None:
        for entry in self.bench.expire():
            assert self.known[entry.id].state is Q
            assert entry.state is REJECTED

    @precondition(lambda self: any(entry.state in FINAL for entry in self.known.values()))
    @rule(states=st.sets(st.sampled_from(sorted(FINAL)), min_size=1))
    def purge(self, states: set[State]) -> None:
        gone = {
            number
            for number, entry in self.known.items()
            if entry.state in states and entry.changed and entry.changed.timestamp() < self.bench.now
        }
        assert self.bench.purge(states) == len(gone)
        for number in gone:
            del self.known[number]

    @invariant()
    def it_all_agrees(self) -> None:
        entries = self.bench.entries()
        assert set(self.known) <= set(entries), "nothing disappears but by a purge"
        for number, entry in entries.items():
            before = self.known.get(number)
            assert before is None or entry.attempts - before.attempts in (0, 1)
            history = self.bench.history(number)
            assert history[-1].state is entry.state
            begun = [record for record in history if record.state is S and not record.verdict]
            assert len(begun) == entry.attempts
            own = [record.text for record in history if record.text.startswith("attempt ")]
            assert set(own) <= {f"attempt {one}" for one in range(1, entry.attempts + 1)}
            assert bool(entry.worker) == (entry.state is S)
        on_the_way = {suspect.id for suspect in self.bench.suspects()}
        assert on_the_way == {number for number, entry in entries.items() if entry.state is S}
        self.known = entries


Life.TestCase.settings = settings(max_examples=15, stateful_step_count=40, deadline=None, derandomize=True)
TestLife = Life.TestCase


def test_what_a_late_result_proves_to_be_sent_is_not_tried_again(place: Place) -> None:
    """The worker stalled, a person had it sent again, and then it came out that the first try had worked."""
    bench = Bench(place.home, place.url)
    number = bench.add().id
    first, _soonest = bench.claim("one")
    assert first is not None
    bench.lapse(bench.suspects()[0])
    bench.change(number, Cause.RETRY)
    second, _soonest = bench.claim("two")
    assert second is not None
    assert bench.settle(first, outcome(Cause.SENT), "one").state is S
    entry = bench.settle(second, outcome(Cause.LATER, code="try-later"), "two")
    assert (entry.state, entry.sent_as, entry.transport) == (SENT, ME, "smtp")
    verdicts = [record.verdict for record in bench.history(number) if record.verdict]
    assert verdicts == ["unknown", "sent", "not_sent"]
    assert bench.claim("one") == (None, None)
    bench.close()


def test_what_was_sent_to_some_only_by_a_late_result_can_be_sent_to_the_others(place: Place) -> None:
    bench = Bench(place.home, place.url)
    number = bench.add().id
    first, _soonest = bench.claim("one")
    assert first is not None
    bench.lapse(bench.suspects()[0], resends=True)
    second, _soonest = bench.claim("two")
    assert second is not None
    bench.settle(first, outcome(Cause.SENT, refused={"bob@example.com": "no such user"}), "one")
    entry = bench.settle(second, outcome(Cause.REJECTED, code="spam"), "two")
    assert (entry.state, entry.code, set(entry.refused)) == (SENT, "", {"bob@example.com"})
    assert bench.change(number, Cause.RETRY).recipients == ("bob@example.com",)
    bench.close()


def test_a_late_result_counts_whenever_it_comes(place: Place) -> None:
    """Also when the second try was not sent, and waits for a third."""
    bench = Bench(place.home, place.url)
    bench.add()
    first, _soonest = bench.claim("one")
    assert first is not None
    bench.lapse(bench.suspects()[0], resends=True)
    second, _soonest = bench.claim("two")
    assert second is not None
    assert bench.settle(second, outcome(Cause.LATER), "two").state is Q
    assert bench.settle(first, outcome(Cause.SENT), "one").state is SENT
    bench.close()


def test_who_was_refused_once_is_not_called_so_when_he_has_it(place: Place) -> None:
    """All were refused, a person had it sent again, and all took it."""
    bench = Bench(place.home, place.url)
    number = bench.add().id
    for cause, refused in ((Cause.REJECTED, {"ann@example.com": "no such user"}), (Cause.SENT, {})):
        claim, _soonest = bench.claim()
        assert claim is not None
        entry = bench.settle(claim, outcome(cause, refused=refused))
        assert entry.refused == refused
        if cause is Cause.REJECTED:
            bench.change(number, Cause.RETRY)
    with pytest.raises(OutboxError) as caught:
        bench.change(number, Cause.RETRY)
    assert caught.value.code == "outbox-sent"
    bench.close()
