"""What people do with an outbox: add, look, change their mind, and have it sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oauth_mailer import Message, MessageError, OutboxError, RawMessage
from oauth_mailer.accounts import Accounts
from oauth_mailer.auth.google import Consent
from oauth_mailer.errors import ConfigError, RouteError
from oauth_mailer.outbox import Entry, Event, Outbox, State
from oauth_mailer.stores import Secret
from tests.support.google_account import REFRESH_TOKEN, client_at
from tests.support.halts import GmailScript
from tests.support.outbox_place import ME, OTHER, Place, add, message, recipients, subjects
from tests.support.outbox_processes import Job, Worker
from tests.support.smtp_script import SmtpScript, Talk, close, reset

HOUR = timedelta(hours=1)


@pytest.fixture
def server() -> Iterator[SmtpScript]:
    with SmtpScript() as running:
        yield running


@pytest.fixture
def outbox(place: Place, server: SmtpScript) -> Iterator[Outbox]:
    """On either database, with one account at the server."""
    place.account(server)
    with place.outbox() as opened:
        yield opened


@pytest.fixture
def lite(sqlite_place: Place, server: SmtpScript) -> Iterator[Outbox]:
    """The same, where the kind of the database does not matter."""
    sqlite_place.account(server)
    with sqlite_place.outbox() as opened:
        yield opened


def refused(call: Callable[[], object], code: str) -> OutboxError:
    with pytest.raises(OutboxError) as caught:
        call()
    assert caught.value.code == code
    assert caught.value.hint
    return caught.value


def run_until(outbox: Outbox, state: State) -> None:
    """Send until an entry came there."""
    stop = threading.Event()

    def listen(event: Event) -> None:
        if event.state is state:
            stop.set()

    outbox.run(stop=stop, on_event=listen)


# Adding and sending


def test_a_message_is_kept_and_sent_once(outbox: Outbox, server: SmtpScript) -> None:
    added = outbox.add(
        message("Hello", to=["ann@example.com", "Bob <bob@example.com>"], bcc="boss@example.com")
    )
    assert (added.state, added.account, added.attempts) == (State.QUEUED, ME, 0)
    assert added.recipients == ("ann@example.com", "bob@example.com", "boss@example.com")
    assert outbox.get(added.id) == added
    outbox.run(once=True)
    outbox.run(once=True)
    entry = outbox.get(added.id)
    assert (entry.state, entry.sent_as, entry.transport, entry.attempts) == (State.SENT, ME, "smtp", 1)
    assert entry.remote_id.endswith("4F2A")
    assert subjects(server) == ["Hello"]
    assert recipients(server) == [list(added.recipients)]
    assert added.message_id.encode() in server.accepted[0].data
    assert [record.state for record in outbox.history(added.id)] == [State.QUEUED, State.SENDING, State.SENT]
    assert outbox.history(added.id)[-1].verdict == "sent"


def test_a_finished_message_goes_out_as_it_is(lite: Outbox, server: SmtpScript) -> None:
    head = ["To: ann@example.com", f"From: {ME}", "Subject: As is", "Message-ID: <1@x.example>"]
    data = "\r\n".join([*head, "", "Hello", ""])
    added = lite.add(RawMessage(data.encode()))
    assert (added.subject, added.message_id) == ("As is", "<1@x.example>")
    lite.run(once=True)
    lines = server.accepted[0].data.decode().split("\r\n")
    assert [line for line in lines if not line.startswith("Date:")] == [*head, "", "Hello", ""]


def test_what_cannot_be_sent_is_refused_before_it_is_kept(
    lite: Outbox, sqlite_place: Place, server: SmtpScript
) -> None:
    from_another = RawMessage(b"From: x@y.example\r\nTo: ann@example.com\r\n\r\nHello")
    sqlite_place.account(server, "strict@qq.com", provider="qq")
    with pytest.raises(RouteError, match="may only send as itself") as caught:
        lite.add(from_another, account="strict@qq.com")
    assert caught.value.code == "sender-mismatch"
    assert not list(lite.find())


def test_without_a_default_account_one_has_to_be_named(sqlite_place: Place) -> None:
    with sqlite_place.outbox() as outbox:
        with pytest.raises(ConfigError):
            outbox.add(message())
        assert not sqlite_place.file.exists() or not list(outbox.find())


def test_an_account_is_known_however_it_is_spelled(lite: Outbox, server: SmtpScript) -> None:
    assert lite.add(message(), account="ME@QQ.com").account == ME
    lite.run(once=True)
    assert len(server.accepted) == 1


# Idempotency keys


@pytest.mark.fault(38)
def test_the_same_key_and_content_are_one_entry(outbox: Outbox, server: SmtpScript) -> None:
    first = outbox.add(message("Bill"), key="bill-1")
    assert outbox.add(message("Bill"), key="bill-1") == first
    assert outbox.by_key("bill-1") == first
    outbox.run(once=True)
    again = outbox.add(message("Bill"), key="bill-1")
    assert (again.id, again.state) == (first.id, State.SENT)
    outbox.run(once=True)
    assert subjects(server) == ["Bill"]
    assert outbox.by_key("bill-2") is None


@pytest.mark.fault(38)
def test_the_same_key_with_another_content_is_a_conflict(outbox: Outbox) -> None:
    first = outbox.add(message("Bill"), key="bill-1")
    error = refused(lambda: outbox.add(message("Bill, corrected"), key="bill-1"), "outbox-key-conflict")
    assert f"number {first.id}" in str(error)
    assert [entry.id for entry in outbox.find()] == [first.id]


@pytest.mark.fault(38)
def test_the_same_key_for_another_account_is_a_conflict(outbox: Outbox) -> None:
    outbox.add(message("Bill"), key="bill-1")
    refused(lambda: outbox.add(message("Bill"), key="bill-1", account=OTHER), "outbox-key-conflict")
    assert len(list(outbox.find())) == 1


@pytest.mark.fault(38)
def test_without_a_key_the_same_content_is_another_message(lite: Outbox, server: SmtpScript) -> None:
    assert lite.add(message("Hello")).id != lite.add(message("Hello")).id
    lite.run(once=True)
    assert subjects(server) == ["Hello", "Hello"]


@pytest.mark.fault(38)
def test_many_threads_and_processes_that_add_one_key_add_one_entry(outbox: Outbox, place: Place) -> None:
    fields: dict[str, Any] = {"to": "ann@example.com", "subject": "Hi", "text": "Hello"}
    outbox.stats()
    start = threading.Barrier(8)

    def one(_number: int) -> int:
        start.wait(60)
        return outbox.add(Message(**fields), key="once").id

    job = Job(home=str(place.home), url=place.url, adds=[{**fields, "key": "once"}] * 5)
    workers = [Worker(job) for _number in range(4)]
    with ThreadPoolExecutor(8) as pool:
        numbers = set(pool.map(one, range(8)))
    assert [worker.wait() for worker in workers] == [0] * 4
    (entry,) = outbox.find()
    assert numbers == {entry.id}


@pytest.mark.parametrize("key", ["", "报价 1", "\U0001f4e8" * 500])
@pytest.mark.fault(38)
def test_a_key_of_any_kind_is_kept(key: str, outbox: Outbox) -> None:
    first = outbox.add(message(), key=key)
    assert outbox.add(message(), key=key).id == first.id
    found = outbox.by_key(key)
    assert found is not None
    assert found.key == key


@pytest.mark.parametrize("key", ["a\0b", "\ud800", "k" * 501])
@pytest.mark.fault(38)
def test_a_key_that_no_database_keeps_is_refused_as_such(key: str, lite: Outbox) -> None:
    with pytest.raises(MessageError) as caught:
        lite.add(message(), key=key)
    assert caught.value.code == "key"
    assert caught.value.hint
    with pytest.raises(MessageError):
        lite.by_key(key)
    assert not list(lite.find())


# When


def test_it_is_not_sent_before_its_time(outbox: Outbox, server: SmtpScript) -> None:
    later = datetime.now(UTC) + HOUR
    entry = outbox.add(message("Later"), not_before=later)
    outbox.add(message("Now"), not_before=datetime.now(UTC) - HOUR)
    outbox.run(once=True)
    assert subjects(server) == ["Now"]
    stats = outbox.stats()
    assert (stats.due, stats.oldest) == (0, None)
    assert stats.next_due == entry.due
    assert abs(entry.due - later) < timedelta(milliseconds=1)
    assert outbox.deliver(entry.id).state is State.QUEUED
    outbox.retry(entry.id)
    outbox.run(once=True)
    assert subjects(server) == ["Now", "Later"]


@pytest.mark.parametrize("field", ["not_before", "expires"])
def test_a_time_without_a_zone_is_refused(field: str, lite: Outbox) -> None:
    moment: Any = {field: datetime.now()}
    with pytest.raises(MessageError) as caught:
        lite.add(message(), **moment)
    assert caught.value.code == "time-zone"
    assert not list(lite.find())


@pytest.mark.parametrize("moment", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)])
def test_the_end_of_time_is_a_time(moment: datetime, lite: Outbox) -> None:
    entry = lite.add(message(), not_before=moment, expires=datetime.max.replace(tzinfo=UTC))
    assert lite.get(entry.id) == entry
    assert (lite.stats().next_due is None) == (moment.year == 1)


def test_a_span_without_end_never_expires(lite: Outbox, server: SmtpScript) -> None:
    lite.add(message(), expires=timedelta.max)
    lite.run(once=True)
    assert len(server.accepted) == 1


@pytest.mark.parametrize("account", [ME, OTHER], ids=["an account", "an account that is set up elsewhere"])
@pytest.mark.parametrize(
    "expires", [timedelta(0), datetime(2001, 1, 1, tzinfo=UTC)], ids=["a span", "a moment"]
)
def test_what_was_not_sent_in_time_is_rejected_and_told(
    account: str, expires: timedelta | datetime, outbox: Outbox, server: SmtpScript
) -> None:
    entry = outbox.add(message(), account=account, expires=expires)
    events: list[Event] = []
    outbox.run(once=True, on_event=events.append)
    found = outbox.get(entry.id)
    assert (found.state, found.code, found.attempts) == (State.REJECTED, "expired", 0)
    assert [(event.state, event.entry.id) for event in events] == [(State.REJECTED, entry.id)]
    assert server.connections == 0


def test_a_span_counts_from_when_it_may_be_sent(outbox: Outbox) -> None:
    start = datetime(2100, 1, 1, tzinfo=UTC)
    assert outbox.add(message(), not_before=start, expires=HOUR).expires == start + HOUR
    entry = outbox.add(message(), expires=HOUR)
    assert entry.expires is not None
    assert abs(entry.expires - entry.created - HOUR) < timedelta(milliseconds=1)


def test_what_expired_can_be_sent_nevertheless(outbox: Outbox, server: SmtpScript) -> None:
    entry = outbox.add(message("Late"), expires=timedelta(0))
    outbox.run(once=True)
    assert outbox.retry(entry.id).expires is None
    outbox.run(once=True)
    assert subjects(server) == ["Late"]


def test_the_urgent_goes_first(outbox: Outbox, server: SmtpScript) -> None:
    outbox.add(message("Low"), priority="low")
    outbox.add(message("Normal 1"))
    outbox.add(message("Normal 2"))
    outbox.add(message("High", priority="high"))
    outbox.add(message("Low, though it says high", priority="high"), priority="low")
    outbox.run(once=True)
    assert subjects(server) == ["High", "Normal 1", "Normal 2", "Low", "Low, though it says high"]


def test_a_priority_that_there_is_not_is_refused(lite: Outbox) -> None:
    urgent: Any = "urgent"
    with pytest.raises(MessageError) as caught:
        lite.add(message(), priority=urgent)
    assert caught.value.code == "priority"
    assert not list(lite.find())


# A person's mind


def test_what_is_cancelled_is_not_sent(outbox: Outbox, server: SmtpScript) -> None:
    keep, drop = add(outbox, 2)
    assert outbox.cancel(drop.id).state is State.CANCELLED
    outbox.run(once=True)
    assert subjects(server) == [keep.subject]
    refused(lambda: outbox.cancel(keep.id), "outbox-move")
    assert outbox.retry(drop.id).state is State.QUEUED
    outbox.run(once=True)
    assert subjects(server) == [keep.subject, drop.subject]


def test_what_everybody_has_is_not_sent_again(outbox: Outbox) -> None:
    entry = outbox.add(message())
    outbox.run(once=True)
    refused(lambda: outbox.retry(entry.id), "outbox-sent")


def test_a_number_that_there_is_not_is_said(outbox: Outbox) -> None:
    for call in (outbox.get, outbox.history, outbox.message, outbox.retry, outbox.cancel, outbox.deliver):
        for number in (12, 0, -1, 10**20):
            error = refused(lambda: call(number), "outbox-no-entry")  # noqa: B023 - called at once
            assert str(number) in str(error)


def test_what_was_rejected_can_be_sent_when_the_cause_is_mended(lite: Outbox, server: SmtpScript) -> None:
    server.answer("rcpt", b"550 5.1.1 no such user\r\n")
    entry = lite.add(message())
    lite.run(once=True)
    rejected = lite.get(entry.id)
    assert (rejected.state, rejected.code) == (State.REJECTED, "recipient-refused")
    assert "no such user" in rejected.refused["ann@example.com"]
    server.answer("rcpt", b"250 ok\r\n")
    lite.retry(entry.id)
    lite.run(once=True)
    assert (lite.get(entry.id).state, lite.get(entry.id).refused) == (State.SENT, {})
    assert recipients(server) == [["ann@example.com"]]


def test_what_is_unknown_waits_for_a_person(lite: Outbox, server: SmtpScript) -> None:
    server.answer("dot", [close])
    entry = lite.add(message("Hello"))
    lite.run(once=True)
    lite.run(once=True)
    assert lite.get(entry.id).state is State.UNKNOWN
    assert len(server.received) == 1
    lite.retry(entry.id)
    lite.run(once=True)
    assert subjects(server) == ["Hello"]
    assert [record.verdict for record in lite.history(entry.id) if record.verdict] == ["unknown", "sent"]


def test_by_the_users_own_policy_what_is_unknown_is_sent_again_but_not_for_ever(
    sqlite_place: Place, server: SmtpScript
) -> None:
    server.answer("dot", close)
    sqlite_place.account(server)
    with sqlite_place.outbox(on_unknown="resend") as outbox:
        entry = outbox.add(message())
        for _number in range(6):
            outbox.run(once=True)
            if outbox.get(entry.id).state is State.QUEUED:
                outbox.retry(entry.id)  # now, in place of later
        assert outbox.get(entry.id).state is State.UNKNOWN
    assert len(server.received) == 4


# Some recipients refused


def partly_refused(outbox: Outbox, server: SmtpScript, **options: Any) -> Entry:
    server.answer("rcpt", [b"250 ok\r\n", b"550 5.1.1 no such user\r\n"])
    entry = outbox.add(message("Hello", to=["ann@example.com", "bob@example.com"]), **options)
    outbox.run(once=True)
    found = outbox.get(entry.id)
    assert (found.state, found.code, set(found.refused)) == (
        State.SENT,
        "partly-refused",
        {"bob@example.com"},
    )
    return found


def test_only_who_was_refused_gets_it_again(outbox: Outbox, server: SmtpScript) -> None:
    entry = partly_refused(outbox, server)
    assert outbox.retry(entry.id).recipients == ("bob@example.com",)
    outbox.run(once=True)
    assert recipients(server) == [["ann@example.com", "bob@example.com"], ["bob@example.com"]]
    both = {mail.data for mail in server.accepted}
    assert len(both) == 1, "it is the very same message"
    refused(lambda: outbox.retry(entry.id), "outbox-sent")


def test_who_is_refused_again_is_left_over_again(lite: Outbox, server: SmtpScript) -> None:
    entry = partly_refused(lite, server)
    for _number in range(2):
        server.answer("rcpt", b"550 5.1.1 no such user\r\n")
        lite.retry(entry.id)
        lite.run(once=True)
        assert lite.get(entry.id).state is State.REJECTED
    server.answer("rcpt", b"250 ok\r\n")
    lite.retry(entry.id)
    lite.run(once=True)
    assert recipients(server)[1:] == [["bob@example.com"]]


def test_a_retry_to_some_survives_what_comes_between(lite: Outbox, server: SmtpScript) -> None:
    entry = partly_refused(lite, server)
    lite.retry(entry.id)
    server.answer("mail", [b"451 4.3.0 later\r\n"])
    lite.run(once=True)
    assert lite.get(entry.id).state is State.QUEUED
    lite.cancel(entry.id)
    lite.retry(entry.id)
    run_until(lite, State.SENT)  # the account itself waits a moment, too
    assert recipients(server)[1:] == [["bob@example.com"]]


def test_gmail_as_a_fallback_does_not_send_to_all_what_only_some_lack(
    lite: Outbox, sqlite_place: Place, server: SmtpScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sends to everybody whom the headers name, so it is not asked."""
    with GmailScript() as gmail:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", gmail.url)
        account = replace(gmail.account(), store="environment")
        Accounts(sqlite_place.home).add(account)
        consent = Consent(client_at(gmail.url), Secret(REFRESH_TOKEN)).line().reveal()
        sqlite_place.code(account.address, consent)
        entry = partly_refused(lite, server, fallback=[account.address])
        sqlite_place.code(ME, "another code")
        lite.retry(entry.id)
        lite.run(once=True)
        tries = [(record.account, record.code) for record in lite.history(entry.id) if record.verdict]
        assert tries[1:] == [(ME, "login-refused"), (account.address, "gmail-partial-recipients")]
        assert gmail.accepted == []
    assert lite.get(entry.id).recipients == ("bob@example.com",)
    assert len(server.accepted) == 1


# Several at once


def test_what_is_added_in_one_transaction_is_kept_together(outbox: Outbox) -> None:
    with outbox.begin() as connection:
        for number in range(3):
            outbox.add(message(f"Number {number}"), connection=connection)
    assert len(list(outbox.find())) == 3


def test_or_not_at_all(outbox: Outbox) -> None:
    def fail() -> None:
        with outbox.begin() as connection:
            outbox.add(message("Number 1"), connection=connection)
            outbox.add(message("Number 2"), connection=connection)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not list(outbox.find())


def test_a_conflict_within_a_transaction_leaves_the_rest_to_the_caller(outbox: Outbox) -> None:
    outbox.add(message("Bill"), key="bill-1")
    with outbox.begin() as connection:
        outbox.add(message("Hello"), connection=connection)
        refused(
            lambda: outbox.add(message("Other"), key="bill-1", connection=connection), "outbox-key-conflict"
        )
        outbox.add(message("Hello again"), connection=connection)
    assert [entry.subject for entry in outbox.find()] == ["Bill", "Hello", "Hello again"]


# What happens is told


def test_each_result_is_told_once_it_is_kept(outbox: Outbox, server: SmtpScript) -> None:
    server.answer("dot", [b"250 ok\r\n", b"554 5.6.0 no\r\n", close, b"451 4.3.0 later\r\n"])
    entries = add(outbox, 4)
    told: list[tuple[str, State]] = []

    def listen(event: Event) -> None:
        assert outbox.get(event.entry.id) == event.entry
        told.append((event.entry.subject, event.state))

    outbox.run(once=True, on_event=listen)
    states = [State.SENT, State.REJECTED, State.UNKNOWN, State.QUEUED]
    assert told == [(entry.subject, state) for entry, state in zip(entries, states, strict=True)]


def test_a_listener_that_fails_changes_nothing(
    lite: Outbox, server: SmtpScript, caplog: pytest.LogCaptureFixture
) -> None:
    entries = add(lite, 2)

    def fail(_event: Event) -> None:
        raise ZeroDivisionError

    lite.run(once=True, on_event=fail)
    assert [lite.get(entry.id).state for entry in entries] == [State.SENT] * 2
    assert len(server.accepted) == 2
    assert "on_event failed" in caplog.text


# Looking, and throwing away


def test_entries_are_found_by_state_account_and_number(outbox: Outbox) -> None:
    mine = add(outbox, 3)
    others = add(outbox, 2, account=OTHER)
    outbox.cancel(mine[1].id)
    find = outbox.find
    assert [entry.id for entry in find()] == [entry.id for entry in (*mine, *others)]
    assert [entry.id for entry in find(account=OTHER.upper())] == [entry.id for entry in others]
    assert [entry.id for entry in find(states=["cancelled"])] == [mine[1].id]
    assert [entry.id for entry in find(states=[State.QUEUED], account=ME)] == [mine[0].id, mine[2].id]
    assert [entry.id for entry in find(after=mine[2].id)] == [entry.id for entry in others]
    with pytest.raises(ValueError, match="nowhere"):
        list(find(states=["nowhere"]))


def test_who_looks_through_many_may_change_them_meanwhile(outbox: Outbox) -> None:
    with outbox.begin() as connection:
        for number in range(450):
            outbox.add(message(f"Number {number}"), connection=connection)
    seen = 0
    for entry in outbox.find():
        seen += 1
        if seen % 50 == 0:
            outbox.cancel(entry.id)
    assert seen == 450
    assert outbox.stats().counts[State.CANCELLED] == 9


def test_the_outbox_at_a_glance(outbox: Outbox, server: SmtpScript) -> None:
    add(outbox, 2)
    outbox.run(once=True)
    outbox.add(message(), key="job-1/1", account=OTHER)
    outbox.add(message(), key="job-1/2", account=OTHER, not_before=datetime.now(UTC) + HOUR)
    outbox.add(message(), key="job-10/1", account=OTHER)
    stats = outbox.stats()
    assert stats.counts == {state: {State.SENT: 2, State.QUEUED: 3}.get(state, 0) for state in State}
    assert stats.due == 2
    assert outbox.stats(key_prefix="job-1/").counts[State.QUEUED] == 2
    assert outbox.stats(key_prefix="job-1/").counts[State.SENT] == 0


def test_only_what_is_settled_can_be_thrown_away(outbox: Outbox) -> None:
    sent, cancelled, queued = add(outbox, 2) + add(outbox, 1, account=OTHER)
    outbox.cancel(cancelled.id)
    outbox.run(once=True)
    assert outbox.purge() == 0, "it is not a month old"
    with pytest.raises(ValueError, match="settled"):
        outbox.purge(states=["queued"], older_than=timedelta(0))
    assert outbox.purge(older_than=timedelta(0), states=[State.CANCELLED]) == 1
    assert outbox.purge(older_than=timedelta(0)) == 1
    assert [entry.id for entry in outbox.find()] == [queued.id]
    refused(lambda: outbox.get(sent.id), "outbox-no-entry")


def test_a_key_is_free_again_when_its_entry_is_thrown_away(outbox: Outbox) -> None:
    first = outbox.add(message("Bill"), key="bill-1")
    outbox.cancel(first.id)
    outbox.purge(older_than=timedelta(0))
    assert outbox.add(message("Another bill"), key="bill-1").id > first.id


def test_a_worker_throws_away_what_is_kept_for_long_enough(sqlite_place: Place, server: SmtpScript) -> None:
    sqlite_place.account(server)
    with sqlite_place.outbox(keep=timedelta(0)) as outbox:
        sent = outbox.add(message())
        outbox.run(once=True)
        unknown = outbox.add(message())
        server.answer("dot", close)
        outbox.run(once=True)
        outbox.run(once=True)
        assert [entry.id for entry in outbox.find()] == [unknown.id], "what a person has to see stays"
        refused(lambda: outbox.get(sent.id), "outbox-no-entry")


# Sending one


def test_one_entry_that_is_asked_for_twice_at_once_is_sent_once(outbox: Outbox, server: SmtpScript) -> None:
    first, second = add(outbox, 2)
    start = threading.Barrier(2)

    def deliver(_number: int) -> State:
        start.wait(60)
        return outbox.deliver(second.id).state

    with ThreadPoolExecutor(2) as pool:
        states = list(pool.map(deliver, range(2)))
    assert State.SENT in states
    assert set(states) <= {State.SENT, State.SENDING, State.QUEUED}
    assert subjects(server) == [second.subject]
    assert outbox.get(first.id).state is State.QUEUED
    assert outbox.deliver(second.id).state is State.SENT
    assert len(server.accepted) == 1


# Where the account is


def test_a_message_waits_for_the_machine_that_has_its_account(
    outbox: Outbox, place: Place, server: SmtpScript
) -> None:
    entry = outbox.add(message("Hello"), account=OTHER)
    outbox.run(once=True)
    assert outbox.deliver(entry.id).state is State.QUEUED
    assert not server.accepted
    place.account(server, OTHER)
    outbox.run(once=True)
    assert outbox.get(entry.id).sent_as == OTHER
    assert subjects(server) == ["Hello"]


def test_a_configuration_that_is_broken_meanwhile_costs_no_message(
    outbox: Outbox, place: Place, server: SmtpScript
) -> None:
    place.account(server, OTHER)
    sound = (place.home / "config.toml").read_text("utf-8")

    def breaks(talk: Talk) -> bool:
        (place.home / "config.toml").write_text("[accounts", "utf-8")
        return talk.say(b"250 OK\r\n")

    server.answer("dot", breaks)
    one, two = (outbox.add(message(address), account=address) for address in (ME, OTHER))
    with pytest.raises(ConfigError):
        outbox.run(once=True)
    assert {outbox.get(entry.id).state for entry in (one, two)} == {State.SENT, State.QUEUED}
    (place.home / "config.toml").write_text(sound, "utf-8")
    server.answer("dot", b"250 OK\r\n")
    outbox.run(once=True)
    assert sorted(subjects(server)) == sorted([ME, OTHER])


def test_a_fallback_that_is_not_set_up_here_holds_nothing_up(lite: Outbox, server: SmtpScript) -> None:
    lite.add(message("One"), fallback=["nobody@example.org"])
    lite.add(message("Two"))
    lite.run(once=True)
    assert subjects(server) == ["One", "Two"]
    assert lite.stats().paused == {}


def test_the_fallback_sends_what_the_account_cannot(
    lite: Outbox, sqlite_place: Place, server: SmtpScript
) -> None:
    with SmtpScript(greeting=reset) as broken:
        sqlite_place.account(broken)
        sqlite_place.account(server, OTHER)
        first = lite.add(message("Hello"), fallback=[OTHER])
        second = lite.add(message("Hello"), fallback=OTHER)
        assert (first.fallback, second.fallback) == ((OTHER,), (OTHER,)), "one alone may be a text"
        for entry in (first, second):
            lite.deliver(entry.id)
    assert lite.get(first.id).sent_as == OTHER
    assert subjects(server)[:1] == ["Hello"]


@pytest.mark.parametrize("nobody", ["nobody", "\ud800@example.com", ""])
def test_a_fallback_that_is_no_address_is_refused(nobody: str, lite: Outbox) -> None:
    with pytest.raises(MessageError):
        lite.add(message(), fallback=[nobody])
    assert not list(lite.find())
