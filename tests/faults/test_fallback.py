"""A second account sends what the first certainly has not sent, and nothing else; counted at both servers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import oauth_mailer
from oauth_mailer import MailerError, Message, OutcomeUnknown, RejectedError, open_mailer
from oauth_mailer.accounts import Accounts
from oauth_mailer.outbox import Outbox, State
from tests.cli.mailbox import Mailbox, mailboxes
from tests.cli.program import run
from tests.support.mime_reader import read
from tests.support.smtp_script import close, then_close

ME, YOU = "me@corp.example", "you@corp.example"
HELLO = ("send", "--to", "ann@example.com", "--subject", "Hello", "--text", "It works.", "--json")


@pytest.fixture
def boxes(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Mailbox]]:
    """Two accounts; the first is the default one."""
    with mailboxes(home, monkeypatch, ME, YOU) as made:
        yield made


def untrusted(box: Mailbox) -> None:
    """Nothing vouches for its certificate any more."""
    accounts = Accounts()
    accounts.add(box.server.account(box.address, host="127.0.0.1", store="environment", ca_file=""))


def answers(step: str, reply: bytes) -> Callable[[Mailbox], None]:
    return lambda box: box.server.answer(step, reply + b"\r\n")


NOT_SENT: dict[str, Callable[[Mailbox], None]] = {
    "refused connection": Mailbox.stop,
    "no certificate": untrusted,
    "421": lambda box: box.server.answer("greeting", then_close(b"421 4.3.2 closing\r\n")),
    "a wrong code": answers("auth", b"535 5.7.8 no"),
    "the sender refused": lambda box: box.refuse_recipients(b"553 5.7.1 not owned by user me"),
    "greylisted": lambda box: box.refuse_recipients(b"450 4.2.0 later"),
    "lost before the end": lambda box: box.server.answer("data", close),
    "a daily quota": lambda box: box.refuse_recipients(b"550 5.4.5 Daily user sending limit exceeded"),
}


@pytest.mark.fault(34)
@pytest.mark.fault(34, program=True)
@pytest.mark.parametrize("happens", NOT_SENT.values(), ids=NOT_SENT.keys())
def test_what_was_certainly_not_sent_goes_out_by_the_fallback_once(
    happens: Callable[[Mailbox], None], boxes: list[Mailbox]
) -> None:
    first, second = boxes
    happens(first)
    done = run(*HELLO, "--fallback", YOU)
    assert (done.code, done.json["account"]) == (0, YOU), done
    assert [attempt["verdict"] for attempt in done.json["attempts"]] == ["not_sent", "sent"]
    assert f"It went out by a fallback; {ME} failed" in done.err
    with open_mailer(fallback=YOU) as mailer:  # one alone may be a text
        receipt = mailer.send(Message(to="ann@example.com", text="Hi"))
    assert (receipt.account, len(receipt.attempts)) == (YOU, 2)
    assert (len(first.messages), len(second.messages)) == (0, 2)
    part = read(second.messages[0].data)
    assert part.mailboxes("From") == [("", YOU)]
    assert part.mailboxes("Reply-To") == [("", ME)]


FINAL: dict[str, tuple[Callable[[Mailbox], None], type[MailerError], int]] = {
    "lost after the end": (Mailbox.hang_up_after_the_message, OutcomeUnknown, 76),
    "nonsense after the end": (
        lambda box: box.server.answer("dot", then_close(b"\x00\x00\r\n")),
        OutcomeUnknown,
        76,
    ),
    "the recipient refused": (
        lambda box: box.refuse_recipients(b"550 5.1.1 no such user"),
        RejectedError,
        69,
    ),
    "the message refused": (answers("dot", b"554 5.7.1 spam"), RejectedError, 69),
}


@pytest.mark.fault(34)
@pytest.mark.fault(34, program=True)
@pytest.mark.parametrize(("happens", "kind", "code"), FINAL.values(), ids=FINAL.keys())
def test_what_may_have_been_sent_or_was_rejected_goes_to_nobody_else(
    happens: Callable[[Mailbox], None], kind: type[MailerError], code: int, boxes: list[Mailbox]
) -> None:
    first, second = boxes
    happens(first)
    done = run(*HELLO, "--fallback", YOU)
    assert done.code == code, done
    assert [attempt["account"] for attempt in done.json["attempts"]] == [ME]
    with open_mailer(fallback=[YOU]) as mailer, pytest.raises(kind):
        mailer.send(Message(to="ann@example.com", text="Hi"))
    assert first.server.connections == 2
    assert (len(first.messages), second.server.connections) == (0, 0)


@pytest.mark.fault(34, program=True)
def test_when_both_fail_both_are_named(boxes: list[Mailbox]) -> None:
    for box in boxes:
        box.stop()
    done = run(*HELLO, "--fallback", YOU)
    assert done.code == 75
    for address in (ME, YOU):
        assert f"{address} by smtp" in done.err


@pytest.mark.fault(34)
@pytest.mark.parametrize("how", ["by default", "by argument", "by configuration"])
def test_only_a_policy_by_name_sends_again_what_may_have_been_sent(
    how: str, boxes: list[Mailbox], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = boxes
    monkeypatch.setattr(random, "uniform", lambda low, _high: low)  # the outbox waits no longer than it must
    if how == "by configuration":
        config = home / "config.toml"
        config.write_text(config.read_text("utf-8") + '\n[outbox]\non_unknown = "resend"\n', "utf-8")
    first.server.answer("dot", [close, b"250 queued\r\n"])
    with Outbox(on_unknown="resend" if how == "by argument" else None) as outbox:
        entry = outbox.add(oauth_mailer.Message(to="ann@example.com", text="Hi"), fallback=[YOU])
        outbox.run(once=True)
        again = how != "by default"
        assert outbox.get(entry.id).state == (State.SENT if again else State.UNKNOWN)
    assert (len(first.server.received), len(first.messages)) == (1 + again, int(again))
    assert second.server.connections == 0
