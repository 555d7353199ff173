"""What whoever operates the program sees of each try: records of ``logging``, and what observers are told."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from oauth_mailer import (
    Address,
    Mailer,
    MemoryTransport,
    Message,
    MessageError,
    OutcomeUnknown,
    RejectedError,
    Route,
    TransientError,
    capture,
)
from oauth_mailer.events import FIELDS, Observer, Tried, observe, show_recipients
from oauth_mailer.outbox import Outbox
from tests.support.smtp_script import CODE, SmtpScript
from tests.support.smtp_sending import Code
from tests.support.smtp_sending import transport as smtp_transport

ME, YOU = Address("me@gmail.com"), Address("me@qq.com")
SUBJECT, TEXT = "Canary of a subject", "Canary of a text"


def message() -> Message:
    return Message(
        to="Ann <Ann@example.com>", bcc="boss@example.com", subject=SUBJECT, text=TEXT, id="<1@corp.example>"
    )


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "oauth_mailer.attempts")
    return caplog


@pytest.fixture
def shown() -> Iterator[None]:
    yield
    show_recipients("count")


def fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}


def test_each_try_is_a_record_with_its_facts_and_no_word_of_the_message(
    heard: pytest.LogCaptureFixture,
) -> None:
    busy = MemoryTransport([TransientError("Busy.", code="busy", text="ann@example.com is busy")])
    good = MemoryTransport()
    mailer = Mailer([Route(sender=ME, transport=busy), Route(sender=YOU, transport=good)])
    mailer.send(message())
    first, second = [fields(record) for record in heard.records]
    assert first.pop("duration") >= 0
    assert second.pop("duration") >= 0
    assert first.pop("bytes") > 100  # the other is rendered for another sender
    assert second.pop("bytes") == len(good.sent[0].data)
    common: dict[str, Any] = {"event": "attempt", "message_id": "<1@corp.example>", "transport": "memory"}
    common |= {"recipients": 2, "refused": 0}
    assert first == common | {"account": "me@gmail.com", "verdict": "not_sent", "code": "busy", "attempt": 1}
    assert second == common | {"account": "me@qq.com", "verdict": "sent", "code": "", "attempt": 2}
    assert {record.levelname for record in heard.records} == {"INFO"}
    said = heard.text + repr([vars(record) for record in heard.records])
    for kept_back in (SUBJECT, TEXT, "ann@example.com", "boss@example.com", "Ann"):
        assert kept_back not in said
    line = heard.messages[1]
    assert line.startswith("<1@corp.example> by me@qq.com (memory): sent; ")
    assert " octets to 2 in " in line


def test_what_is_refused_before_it_is_sent_is_a_try_too(heard: pytest.LogCaptureFixture) -> None:
    mailer = Mailer(Route(sender=ME, transport=MemoryTransport(), max_recipients=1))
    with pytest.raises(MessageError):
        mailer.send(message())
    [record] = heard.records
    assert (fields(record)["verdict"], fields(record)["code"]) == ("not_sent", "too-many-recipients")
    assert fields(record)["recipients"] == 2


def test_recipients_who_were_refused_are_counted(heard: pytest.LogCaptureFixture) -> None:
    with SmtpScript(security="none", rcpt=[b"250 ok\r\n", b"550 5.1.1 no such user\r\n"]) as server:
        mailer = Mailer(Route(sender=ME, transport=smtp_transport(server, Code(CODE))))
        mailer.send(message())
        mailer.close()
    [record] = heard.records
    assert (fields(record)["verdict"], fields(record)["refused"]) == ("sent", 1)


@pytest.mark.usefixtures("shown")
def test_recipients_are_told_only_as_hashes_or_in_clear_if_that_is_asked_for(
    heard: pytest.LogCaptureFixture,
) -> None:
    mailer = Mailer(Route(sender=ME, transport=MemoryTransport()))
    show_recipients("hash", salt=b"salt of sixteen.")
    mailer.send(message())
    show_recipients("hash", salt=b"another salt....")
    mailer.send(message())
    show_recipients("clear")
    mailer.send(message())
    one, other, clear = [fields(record)["to"] for record in heard.records]
    assert len(one) == 2
    assert all(len(hashed) == 16 and "@" not in hashed for hashed in one)
    assert not set(one) & set(other)
    assert clear == ["Ann@example.com", "boss@example.com"]


def test_a_recipient_is_the_same_however_the_address_is_written(heard: pytest.LogCaptureFixture) -> None:
    show_recipients("hash")
    try:
        mailer = Mailer(Route(sender=ME, transport=MemoryTransport()))
        for written in ("ann@example.com", "ANN@EXAMPLE.COM"):
            mailer.send(Message(to=written, text="Hi"))
    finally:
        show_recipients("count")
    one, other = [fields(record)["to"] for record in heard.records]
    assert one == other


class Stopped(MemoryTransport):
    """A person presses Ctrl-C: before or after the first block was taken."""

    def __init__(self, *, after: bool) -> None:
        super().__init__()
        self._after = after

    def send(self, envelope: Any, content: Any) -> Any:
        if self._after:
            blocks = content.blocks()
            next(blocks)
            next(blocks, None)
        raise KeyboardInterrupt


@pytest.mark.parametrize(("after", "verdict"), [(False, "not_sent"), (True, "unknown")])
def test_a_try_that_is_broken_off_is_told_as_the_program_tells_it(
    heard: pytest.LogCaptureFixture, after: bool, verdict: str
) -> None:
    mailer = Mailer(Route(sender=ME, transport=Stopped(after=after)))
    with pytest.raises(KeyboardInterrupt):
        mailer.send(message(), progress=lambda _done, _total: None)
    [record] = heard.records
    assert (fields(record)["verdict"], fields(record)["code"]) == (verdict, "interrupted")


def test_where_nobody_sees_how_far_it_got_a_try_that_is_broken_off_is_unknown(
    heard: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        Mailer(Route(sender=ME, transport=Stopped(after=False))).send(message())
    assert fields(heard.records[0])["verdict"] == "unknown"


def test_nothing_is_recorded_where_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "oauth_mailer.attempts")
    Mailer(Route(sender=ME, transport=MemoryTransport())).send(message())
    assert not caplog.records


class Notes(Observer):
    """Writes down what it is told. ``where``: how the caller's request is called."""

    request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="")

    def __init__(self) -> None:
        self.told: list[Any] = []

    def send_begins(self, message_id: str, carried: Mapping[str, str]) -> str:
        self.told.append(("send", message_id, dict(carried), self.request.get()))
        return "a send"

    def send_ends(self, begun: object, error: BaseException | None) -> None:
        self.told.append(("ends", begun, type(error).__name__))

    def attempt_begins(self, account: str, transport: str) -> str:
        self.told.append(("try", account, transport))
        return "a try"

    def attempt_ends(self, begun: object, tried: Tried) -> None:
        self.told.append(("tried", begun, tried.verdict, tried.addresses))

    def carry(self) -> Mapping[str, str]:
        return {"request": self.request.get()}


@pytest.fixture
def notes() -> Iterator[Notes]:
    made = Notes()
    end = observe(made)
    yield made
    end()


def test_an_observer_is_told_of_the_send_around_its_tries(notes: Notes) -> None:
    script = [RejectedError("No.", code="rejected"), OutcomeUnknown("Perhaps.", code="lost")]
    mailer = Mailer(Route(sender=ME, transport=MemoryTransport(script)))
    with pytest.raises(RejectedError):
        mailer.send(message())
    people = ("Ann@example.com", "boss@example.com")
    assert notes.told == [
        ("send", "<1@corp.example>", {}, ""),
        ("try", "me@gmail.com", "memory"),
        ("tried", "a try", "not_sent", people),
        ("ends", "a send", "RejectedError"),
    ]
    notes.told.clear()
    with pytest.raises(OutcomeUnknown):
        mailer.send(message())
    assert notes.told[2][2] == "unknown"


def test_a_send_from_asyncio_is_in_the_context_of_its_caller(notes: Notes) -> None:
    async def handle() -> None:
        Notes.request.set("request 7")
        await Mailer(Route(sender=ME, transport=MemoryTransport())).asend(message())

    asyncio.run(handle())
    assert notes.told[0][3] == "request 7"


def test_what_is_carried_with_a_message_of_the_outbox_is_there_when_it_is_sent(
    home: Path, notes: Notes
) -> None:
    (home / "config.toml").write_text('[accounts."me@qq.com"]\nprovider = "qq"\n', "utf-8")
    with Outbox() as outbox, capture() as sent:
        token = Notes.request.set("request 7")
        entry = outbox.add(message(), account="me@qq.com", key="7")
        Notes.request.reset(token)
        assert outbox.add(message(), account="me@qq.com", key="7").id == entry.id, "it is the same message"
        outbox.run(once=True)
    assert len(sent) == 1
    assert notes.told[0] == ("send", "<1@corp.example>", {"request": "request 7"}, "")
    assert b"request 7" not in sent[0].data


class Faulty(Observer):
    def send_begins(self, message_id: str, carried: Mapping[str, str]) -> None:
        raise RuntimeError("no")

    send_ends = attempt_begins = attempt_ends = send_begins  # type: ignore[assignment]

    def carry(self) -> Mapping[str, str]:
        raise RuntimeError("no")


@pytest.mark.parametrize("given", [5, ["request"], {"request": "\ud800"}, {"request": object()}])
def test_what_an_observer_carries_is_no_reason_not_to_add_a_message(home: Path, given: Any) -> None:
    class Carrying(Observer):
        def carry(self) -> Mapping[str, str]:
            return given  # type: ignore[no-any-return]

    end = observe(Carrying())
    try:
        with Outbox() as outbox:
            assert outbox.add(message(), account="me@qq.com").state == "queued"
    finally:
        end()


def test_a_fault_of_an_observer_changes_nothing_of_what_is_sent(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    transport = MemoryTransport()
    end = observe(Faulty())
    try:
        assert Mailer(Route(sender=ME, transport=transport)).send(message()).status == "sent"
        (home / "config.toml").write_text('[accounts."me@qq.com"]\nprovider = "qq"\n', "utf-8")
        with Outbox() as outbox:
            assert outbox.add(message(), account="me@qq.com").state == "queued"
    finally:
        end()
    assert len(transport.sent) == 1
    assert "an observer of the sends failed" in caplog.text
    caplog.clear()
    Mailer(Route(sender=ME, transport=transport)).send(message())
    assert not caplog.records
