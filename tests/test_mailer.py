from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from email import message_from_bytes, policy
from itertools import groupby
from pathlib import Path

import pytest

import oauth_mailer
from oauth_mailer import (
    Acceptance,
    Address,
    ConfigError,
    FileTransport,
    LoginRequired,
    Mailer,
    MailerError,
    MemoryTransport,
    Message,
    MessageError,
    OutcomeUnknown,
    RawMessage,
    RejectedError,
    Route,
    RouteError,
    SendError,
    StoreError,
    TransientError,
    open_mailer,
)
from oauth_mailer.message import Envelope
from oauth_mailer.mime import Content

GMAIL = Address("me@gmail.com", "Me")
QQ = Address("me@qq.com", "Me")


def message() -> Message:
    return Message(to="Ann <ann@example.com>", bcc="boss@example.com", subject="季度报告", text="Hello")


def two_routes(*script: SendError | None) -> tuple[Mailer, MemoryTransport, MemoryTransport]:
    first, second = MemoryTransport(script), MemoryTransport()
    return Mailer([Route(sender=GMAIL, transport=first), Route(sender=QQ, transport=second)]), first, second


def test_a_message_goes_out_by_the_first_route_and_the_receipt_says_so() -> None:
    mailer, first, second = two_routes()
    sent = message()
    receipt = mailer.send(sent)
    assert (receipt.status, receipt.account, receipt.transport) == ("sent", "me@gmail.com", "memory")
    assert receipt.message_id == sent.id
    assert receipt.remote_id == "memory-1"
    assert [attempt.verdict for attempt in receipt.attempts] == ["sent"]
    assert sent.id in str(receipt)
    assert "\n" not in str(receipt)
    assert len(first.sent) == 1
    assert not second.sent


NOT_SENT: list[SendError] = [
    TransientError("Busy.", code="busy", hint="Later."),
    RouteError("Blocked.", code="blocked", hint="Ask."),
    LoginRequired("Who?", code="login", hint="Run: oauth-mailer login"),
]


@pytest.mark.parametrize("failure", NOT_SENT, ids=lambda error: type(error).__name__)
def test_what_was_proven_not_sent_goes_out_by_the_next_route_as_its_own_address(failure: SendError) -> None:
    mailer, first, second = two_routes(failure)
    sent = message()
    receipt = mailer.send(sent)
    assert not first.sent
    (delivery,) = second.sent
    assert delivery.envelope.sender.email == "me@qq.com"
    parsed = message_from_bytes(delivery.data, policy=policy.default)
    assert parsed["From"] == "Me <me@qq.com>"
    assert parsed["Reply-To"] == "Me <me@gmail.com>"
    assert parsed["Message-ID"] == sent.id == receipt.message_id
    assert [attempt.verdict for attempt in receipt.attempts] == ["not_sent", "sent"]
    assert receipt.attempts[0].code == failure.code


def test_the_date_and_the_message_id_are_the_same_on_every_attempt() -> None:
    mailer, _first, second = two_routes(NOT_SENT[0], None, NOT_SENT[0])
    sent = message()
    mailer.send(sent)
    mailer.send(message())
    mailer.send(sent)
    before, after = (message_from_bytes(delivery.data) for delivery in second.sent)
    assert before["Date"] == after["Date"]
    assert before["Message-ID"] == after["Message-ID"]


def test_a_reply_to_of_the_message_is_kept_by_a_fallback() -> None:
    mailer, _first, second = two_routes(NOT_SENT[0])
    mailer.send(Message(to="ann@example.com", reply_to="desk@example.com", text="Hi"))
    assert message_from_bytes(second.sent[0].data)["Reply-To"] == "desk@example.com"


FINAL: list[SendError] = [
    OutcomeUnknown("Hm.", code="no-answer", hint="Look."),
    RejectedError("No.", code="rejected", hint="Mend.", refused={"ann@example.com": "no"}),
]


@pytest.mark.parametrize("failure", FINAL, ids=lambda error: type(error).__name__)
def test_what_may_have_been_sent_or_was_refused_goes_to_no_other_route(failure: SendError) -> None:
    mailer, _first, second = two_routes(failure)
    with pytest.raises(type(failure)) as caught:
        mailer.send(message())
    assert not second.sent
    assert [attempt.verdict for attempt in caught.value.attempts] == [failure.verdict]


def test_a_fault_inside_a_transport_is_unknown_and_goes_to_no_other_route() -> None:
    class Broken(MemoryTransport):
        def send(self, envelope: Envelope, content: Content) -> Acceptance:
            super().send(envelope, content)
            raise ZeroDivisionError

    first, second = Broken(), MemoryTransport()
    mailer = Mailer([Route(sender=GMAIL, transport=first), Route(sender=QQ, transport=second)])
    with pytest.raises(OutcomeUnknown) as caught:
        mailer.send(message())
    assert caught.value.code == "internal"
    assert not second.sent


def test_a_secret_that_cannot_be_read_leaves_the_way_to_the_next_route() -> None:
    class Locked(MemoryTransport):
        def send(self, envelope: Envelope, content: Content) -> Acceptance:
            raise StoreError("Locked.", code="keyring-locked", hint="Unlock it.")

    second = MemoryTransport()
    mailer = Mailer([Route(sender=GMAIL, transport=Locked()), Route(sender=QQ, transport=second)])
    assert [attempt.code for attempt in mailer.send(message()).attempts] == ["keyring-locked", ""]


def test_when_every_route_fails_the_one_that_passes_soonest_is_reported_with_all_attempts() -> None:
    slow = TransientError("Full.", code="full", hint="Later.", retry_after=3600)
    soon = TransientError("Busy.", code="busy", hint="Soon.", retry_after=60)
    scripts: list[SendError] = [NOT_SENT[1], slow, soon]
    mailer = Mailer(
        Route(sender=Address(f"me{number}@example.com"), transport=MemoryTransport([error]))
        for number, error in enumerate(scripts)
    )
    with pytest.raises(TransientError) as caught:
        mailer.send(message())
    assert caught.value is soon
    assert [attempt.code for attempt in caught.value.attempts] == ["blocked", "full", "busy"]


def test_when_every_route_fails_for_good_the_first_is_reported() -> None:
    mailer = Mailer(
        Route(sender=Address(f"me{number}@example.com"), transport=MemoryTransport([error]))
        for number, error in enumerate(NOT_SENT[1:])
    )
    with pytest.raises(RouteError) as caught:
        mailer.send(message())
    assert caught.value.code == "blocked"


def test_too_large_or_too_many_is_refused_before_anything_is_tried() -> None:
    transport = MemoryTransport()
    mailer = Mailer(Route(sender=GMAIL, transport=transport, max_size=2000, max_recipients=2))
    with pytest.raises(MessageError) as large:
        mailer.send(Message(to="ann@example.com", text="x" * 3000))
    with pytest.raises(MessageError) as many:
        mailer.send(Message(to=[f"a{number}@example.com" for number in range(3)], text="x"))
    assert (large.value.code, many.value.code) == ("message-too-large", "too-many-recipients")
    assert "2000" in str(large.value)
    assert not transport.sent
    mailer.send(Message(to=["ann@example.com", "ANN@example.com", "bob@example.com"], text="x"))


def test_a_finished_message_from_another_address_is_not_tried_where_it_must_match() -> None:
    transport = MemoryTransport()
    eml = RawMessage(b"From: you@example.com\r\nTo: ann@example.com\r\nSubject: x\r\n\r\nHi\r\n")
    with pytest.raises(RouteError) as caught:
        Mailer(Route(sender=QQ, transport=transport, sender_must_match=True)).send(eml)
    assert caught.value.code == "sender-mismatch"
    assert not transport.sent
    Mailer(Route(sender=QQ, transport=transport)).send(eml)
    assert b"From: you@example.com" in transport.sent[0].data


def test_a_finished_message_goes_out_by_a_fallback_as_its_own_address() -> None:
    mailer, _first, second = two_routes(NOT_SENT[0])
    mailer.send(RawMessage(b"From: Me <me@gmail.com>\r\nTo: ann@example.com\r\nSubject: x\r\n\r\nHi\r\n"))
    parsed = message_from_bytes(second.sent[0].data)
    assert parsed.get_all("From") == ["Me <me@qq.com>"]
    assert "me@gmail.com" in parsed["Reply-To"]


def test_asend_is_send_for_asyncio_and_does_not_hold_up_the_loop() -> None:
    started, release = threading.Event(), threading.Event()

    class Slow(MemoryTransport):
        def send(self, envelope: Envelope, content: Content) -> Acceptance:
            started.set()
            assert release.wait(10)
            return super().send(envelope, content)

    async def main() -> str:
        mailer = Mailer(Route(sender=GMAIL, transport=Slow()))
        task = asyncio.create_task(mailer.asend(message()))
        while not started.is_set():
            await asyncio.sleep(0)  # the loop runs while the message is on its way
        release.set()
        return (await task).status

    assert asyncio.run(main()) == "sent"


def test_in_a_capture_nothing_leaves_and_everything_is_seen() -> None:
    with oauth_mailer.capture() as sent:
        receipt = oauth_mailer.send(to="ann@example.com", bcc="bob@example.com", subject="Hi", text="Hello")
        with open_mailer("me@gmail.com", fallback=["me@qq.com"]) as mailer:
            mailer.send(message())
    assert [delivery.envelope.sender.email for delivery in sent] == ["sender@example.com", "me@gmail.com"]
    assert {one.email for one in sent[0].envelope.recipients} == {"ann@example.com", "bob@example.com"}
    assert receipt.message_id.encode() in sent[0].data


def test_a_mailer_that_was_open_before_is_captured_too() -> None:
    transport = MemoryTransport()
    mailer = Mailer(Route(sender=GMAIL, transport=transport))
    with oauth_mailer.capture() as sent:
        mailer.send(message())
    mailer.send(message())
    assert (len(sent), len(transport.sent)) == (1, 1)


def test_files_are_whole_private_and_hold_the_envelope(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    receipt = Mailer(Route(sender=GMAIL, transport=FileTransport(folder))).send(message())
    eml, note = folder / receipt.remote_id, (folder / receipt.remote_id).with_suffix(".json")
    assert sorted(folder.iterdir()) == sorted([eml, note])
    assert b"boss@example.com" not in eml.read_bytes()
    envelope: Mapping[str, object] = json.loads(note.read_text("utf-8"))
    assert envelope == {"sender": "me@gmail.com", "recipients": ["ann@example.com", "boss@example.com"]}
    if hasattr(eml, "owner"):
        assert eml.stat().st_mode & 0o077 == note.stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_written_is_not_sent_and_leaves_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(TransientError) as caught:
        Mailer(Route(sender=GMAIL, transport=FileTransport(blocked))).send(message())
    assert caught.value.code == "file-unwritable"


def test_accounts_that_write_files_or_keep_in_memory_are_set_up_by_configuration(
    home: Path, tmp_path: Path
) -> None:
    (home / "config.toml").write_text(
        '[accounts."dev@example.com"]\ntransport = "file"\n'
        f"folder = {json.dumps(str(tmp_path / 'out'))}\n"
        'fallback = ["other@example.com"]\n'
        '[accounts."other@example.com"]\ntransport = "memory"\n'
        '[accounts."odd@example.com"]\ntransport = "pigeon"\n'
        '[accounts."bare@example.com"]\ntransport = "file"\n',
        "utf-8",
    )
    with open_mailer("dev@example.com") as mailer:
        assert [route.transport.name for route in mailer.routes] == ["file", "memory"]
        mailer.send(message())
    assert len(list((tmp_path / "out").glob("*.eml"))) == 1
    for address in ("odd@example.com", "bare@example.com", "absent@example.com"):
        with pytest.raises(ConfigError) as caught:
            open_mailer(address)
        assert caught.value.hint


def test_without_any_account_the_next_command_is_named() -> None:
    with pytest.raises(MailerError) as caught:
        oauth_mailer.send(to="ann@example.com", subject="Done", text="All green.")
    assert "oauth-mailer login" in caught.value.hint


def test_a_message_and_fields_at_once_are_a_programming_error() -> None:
    with pytest.raises(TypeError):
        oauth_mailer.send(message(), subject="twice")
    with pytest.raises(TypeError, match="name the fields"):
        oauth_mailer.send("ann@example.com", subject="Hi", text="Hello")  # type: ignore[arg-type]


def route(transport: MemoryTransport, address: str = "me@qq.com") -> Route:
    return Route(sender=Address(address), transport=transport)


def test_the_mailer_waits_for_nothing_unless_it_is_let() -> None:
    one = MemoryTransport([TransientError("Later.", code="later", hint="Wait.", retry_after=0.01)])
    with pytest.raises(TransientError):
        Mailer(route(one)).send(message())
    assert not one.sent


def test_a_caller_who_lets_it_wait_gets_the_message_out_once_and_every_try_told() -> None:
    later = [TransientError("Later.", code="later", hint="Wait.", retry_after=0.01) for _number in range(3)]
    one = MemoryTransport(later)
    receipt = Mailer(route(one)).send(message(), wait=30)
    assert len(one.sent) == 1
    assert [attempt.verdict for attempt in receipt.attempts] == ["not_sent"] * 3 + ["sent"]
    assert asyncio.run(Mailer(route(MemoryTransport(later))).asend(message(), wait=30)).status == "sent"


def test_waiting_asks_each_route_again_at_its_own_time_and_not_those_that_time_does_not_help() -> None:
    for_good = MemoryTransport([RouteError("No.", code="no", hint="Do.")])
    soon = MemoryTransport([TransientError("Later.", code="later", hint="Wait.", retry_after=0.01)])
    tomorrow = MemoryTransport([TransientError("Later.", code="day", hint="Wait.", retry_after=86_400)])
    mailer = Mailer([route(for_good, "a@qq.com"), route(tomorrow, "b@qq.com"), route(soon, "c@qq.com")])
    receipt = mailer.send(message(), wait=30)
    assert receipt.account == "c@qq.com"
    assert [attempt.account for attempt in receipt.attempts][3:] == ["c@qq.com"]
    assert not for_good.sent + tomorrow.sent


def test_waiting_ends_where_the_next_time_is_beyond_it_and_with_what_is_not_certain() -> None:
    too_late = MemoryTransport([TransientError("Later.", code="later", hint="Wait.", retry_after=3600)])
    with pytest.raises(TransientError) as caught:
        Mailer(route(too_late)).send(message(), wait=60)
    assert len(caught.value.attempts) == 1
    unknown = MemoryTransport(
        [
            TransientError("Later.", code="later", hint="Wait.", retry_after=0.01),
            OutcomeUnknown("Perhaps.", code="perhaps", hint="Look."),
        ]
    )
    with pytest.raises(OutcomeUnknown):
        Mailer(route(unknown)).send(message(), wait=60)
    assert len(unknown.sent) == 1


def test_progress_begins_anew_with_each_try() -> None:
    told: list[int] = []
    one = MemoryTransport([TransientError("Later.", code="later", hint="Wait.", retry_after=0.01)])
    Mailer(route(one)).send(message(), wait=30, progress=lambda done, _total: told.append(done))
    assert [done for done, _same in groupby(told)].count(0) == 2
    assert told[-1] > 0
