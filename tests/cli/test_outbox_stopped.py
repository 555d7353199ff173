"""A worker that is stopped: in good order, by a person who would not wait, or by force."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from oauth_mailer.outbox import State

from .mailbox import Mailbox, mailboxes
from .outbox_worker import Gate, Worker, entry, queue
from .program import run
from .typist import Typist

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals of POSIX")

ME = "me@corp.example"
TAKEN = b"250 queued\r\n"
STOPPING = "Stopping: what is being sent is finished first."


@pytest.fixture
def box(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with mailboxes(home, monkeypatch, ME) as [made]:
        yield made


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_being_sent_when_the_signal_comes_is_finished_and_recorded(box: Mailbox, number: int) -> None:
    sent = queue()
    gate = Gate(TAKEN)
    box.server.answer("dot", gate)
    with Worker() as worker:
        gate.wait()
        worker.stop(number)
        worker.wait_for(STOPPING)
        gate.open()
        assert worker.end() == 0, worker.said
    assert "1 sent, 0 to be tried later" in worker.said
    assert entry(sent).state is State.SENT
    assert len(box.messages) == 1


def test_a_second_signal_does_not_wait_and_the_message_is_told_to_be_unknown(box: Mailbox) -> None:
    lost = queue()
    box.keep_silent("dot")
    with Worker() as worker:
        box.wait_for_silence()
        worker.stop(signal.SIGINT)
        worker.wait_for(STOPPING)
        worker.stop(signal.SIGINT)
        assert worker.end() == 76, worker.said
    assert f"{lost} unknown " in worker.said
    assert "Traceback" not in worker.said
    assert entry(lost).state is State.UNKNOWN
    assert run("outbox", "run", "--once").code == 0, "and it is not sent again by itself"


def test_a_worker_with_nothing_to_do_ends_at_once_and_well(box: Mailbox) -> None:
    queue("--to", "ann@example.com", "--text", "later", "--at", "+1d")
    with Worker() as worker:
        worker.wait_for("Due now: 0; queued: 1.")
        worker.stop()
        assert worker.end() == 0, worker.said
    assert "Ctrl-C" not in worker.said, "there is no keyboard"


def test_a_worker_sends_what_is_added_while_it_runs(box: Mailbox) -> None:
    with Worker("--workers", "2") as worker:
        worker.wait_for("Due now: 0")
        number = queue()
        worker.wait_for(f"{number} sent <")
        worker.stop()
        assert worker.end() == 0, worker.said
    assert len(box.messages) == 1


def test_a_run_that_is_stopped_early_says_that_something_is_left(box: Mailbox) -> None:
    first, second = queue(), queue()
    gate = Gate(TAKEN)
    box.server.answer("dot", gate)
    with Worker("--once") as worker:
        gate.wait()
        worker.stop()
        worker.wait_for(STOPPING)
        gate.open()
        assert worker.end() == 75, worker.said
    assert [entry(first).state, entry(second).state] == [State.SENT, State.QUEUED]


def test_a_worker_that_was_killed_leaves_one_unknown_and_the_next_one_says_so(box: Mailbox) -> None:
    lost, left = queue(), queue()
    box.keep_silent("dot")
    with Worker() as worker:
        box.wait_for_silence()
        worker.stop(signal.SIGKILL)
        worker.end()
    box.answer_again("dot")
    done = run("outbox", "run", "--once")
    assert done.code == 76, done
    assert f"{lost} unknown " in done.err
    assert f"{left} sent " in done.err
    assert run("outbox", "run", "--once").code == 0, "told once"


def test_a_person_at_a_terminal_sees_how_far_it_is(box: Mailbox) -> None:
    queue()
    queue()
    gate = Gate(TAKEN, TAKEN)
    box.server.answer("dot", gate)
    typist = Typist("outbox", "run", "--once")
    gate.wait()
    typist.wait_for("1 sent, 0 later, 0 rejected, 0 unknown;")
    typist.wait_for("a minute")
    gate.open()
    assert typist.end() == 0, typist.screen
    assert "2 sent, 0 to be tried later" in typist.screen


def test_ctrl_c_at_a_terminal_ends_it_in_good_order(box: Mailbox) -> None:
    number = queue()
    gate = Gate(TAKEN)
    box.server.answer("dot", gate)
    typist = Typist("outbox", "run")
    gate.wait()
    typist.press_ctrl_c()
    typist.wait_for(STOPPING)
    gate.open()
    assert typist.end() == 0, typist.screen
    assert entry(number).state is State.SENT
