"""A clock that jumps, an hour that comes twice: no storm, nothing early or late, nobody given up alive."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from oauth_mailer.outbox import State
from oauth_mailer.outbox.clock import JUMP, STANDING, Clock
from tests.cli.program import ROOT, run
from tests.support import require_program
from tests.support.halts import Stop, before
from tests.support.outbox_place import OTHER, Place, message, subjects
from tests.support.outbox_processes import until
from tests.support.server_log import ServerLog
from tests.support.smtp_script import SmtpScript

pytestmark = [pytest.mark.fault(39), pytest.mark.fault(39, program=True)]

DAY = 86_400.0
HOUR = timedelta(hours=1)
OK = b"250 2.0.0 Ok\r\n"


class Clocks:
    """A clock on the wall that a test sets, and a steady one."""

    def __init__(self, every: float = 0.0) -> None:
        self.passed = 0.0
        self.wrong = 0.0
        self.read = 0
        self.clock = Clock(self._wall, every=every, steady=lambda: self.passed)

    def _wall(self) -> float:
        self.read += 1
        return 1_000_000_000.0 + self.passed + self.wrong

    def after(self, seconds: float) -> float:
        """How far the outbox's time is from the right one when so much time has passed."""
        self.passed += seconds
        return self.clock.now() - self.passed - 1_000_000_000.0


def test_a_clock_that_goes_a_little_wrong_is_followed() -> None:
    clocks = Clocks()
    assert clocks.after(0) == 0
    for _step in range(10):
        clocks.wrong += JUMP / 2
        assert clocks.after(1) == clocks.wrong


@pytest.mark.parametrize("jump", [DAY, -DAY, JUMP, 10 * 365 * DAY])
def test_a_jump_is_believed_once_it_has_stood_for_a_while(jump: float) -> None:
    clocks = Clocks()
    clocks.after(0)
    clocks.wrong = jump
    for _minute in range(int(STANDING // 60)):
        assert clocks.after(60) == 0
    assert clocks.after(60) == jump
    assert clocks.after(60) == jump


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_jump_that_does_not_last_is_as_none(jump: float) -> None:
    clocks = Clocks()
    clocks.after(0)
    for _time in range(5):
        clocks.wrong = jump
        assert clocks.after(STANDING - 1) == 0
        clocks.wrong = 0
        assert clocks.after(1) == 0


def test_of_several_jumps_the_one_is_believed_that_stands() -> None:
    clocks = Clocks()
    clocks.after(0)
    for jump in (DAY, -DAY, 2 * DAY):
        clocks.wrong = jump
        assert clocks.after(1) == 0
        assert clocks.after(STANDING - 1) == 0
    assert clocks.after(1) == 2 * DAY


def test_a_clock_that_is_far_away_is_asked_seldom() -> None:
    clocks = Clocks(every=30.0)
    for _second in range(100):
        clocks.after(1)
    assert clocks.read == 4


def test_time_never_goes_back_while_a_clock_jumps_to_and_fro() -> None:
    clocks = Clocks()
    last = clocks.after(0) + clocks.passed
    for number in range(50):
        clocks.wrong = DAY * (number % 3 - 1)
        now = clocks.after(7) + clocks.passed
        assert now == last + 7
        last = now


def test_a_jump_is_told(caplog: pytest.LogCaptureFixture) -> None:
    clocks = Clocks()
    clocks.after(0)
    clocks.wrong = -DAY
    for _second in range(5):
        clocks.after(1)
    assert caplog.messages == ["the clock jumped by -86400 s; believed if it stays so for 600 s"]


# A worker whose clock is set


class SetClock:
    """The clock of processes that see ``environ``; the steady one is left alone."""

    def __init__(self, file: Path) -> None:
        if sys.platform != "linux":
            pytest.skip("sets the clock of a process, as Linux lets it")
        faketime = require_program("faketime", "faketime")
        shown = subprocess.run(
            [faketime, "-f", "+0d", sys.executable, "-c", "import os; print(os.environ['LD_PRELOAD'])"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        self._file = file
        self.set("+0d")
        self.environ: Mapping[str, str] = {
            "LD_PRELOAD": shown.stdout.strip().replace("libfaketime.so", "libfaketimeMT.so"),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, by: str) -> None:
        """So far from the right time: ``+1d``."""
        self._file.write_text(f"{by}\n", "utf-8")


@pytest.fixture
def set_clock(tmp_path: Path) -> SetClock:
    return SetClock(tmp_path / "clock")


@contextmanager
def worker(place: Place, set_clock: SetClock, *words: str) -> Iterator[ServerLog]:
    """``oauth-mailer outbox run``, by that clock."""
    command = [sys.executable, "-m", "oauth_mailer", "outbox", "run", "-v", *words]
    env = {**os.environ, **set_clock.environ}
    if place.url:
        env["OAUTH_MAILER_OUTBOX_URL"] = place.url
    log = ServerLog(command, cwd=ROOT, env=env)
    try:
        yield log
    finally:
        log.stop()


@pytest.mark.parametrize("jump", ["+1d", "-1d"])
def test_a_worker_whose_clock_jumps_goes_on_as_before(
    jump: str, sqlite_place: Place, set_clock: SetClock
) -> None:
    """It neither sends nor lets expire what has its time in the day between, and has no break of a day."""
    with SmtpScript() as server, sqlite_place.outbox() as outbox:
        sqlite_place.account(server)
        now = datetime.now(UTC)
        early = outbox.add(message("Later"), not_before=now + HOUR)
        expiring = outbox.add(message("In time"), account=OTHER, expires=HOUR)
        outbox.add(message("First"))
        with worker(sqlite_place, set_clock) as log:
            until(lambda: subjects(server) == ["First"], "the first message")
            set_clock.set(jump)
            log.wait_for(re.escape(f"the clock jumped by {jump[0]}86"))
            # A failure, after which it waits for seconds and not for a day; and the next message.
            server.answer("mail", [b"451 4.3.0 later\r\n"])
            failed = outbox.add(message("Second"))
            until(lambda: outbox.get(failed.id).code == "try-later", "the second message")
            outbox.retry(failed.id)
            until(lambda: subjects(server) == ["First", "Second"], "the second message again")
            set_clock.set("+0d")
            outbox.add(message("Third"))
            until(lambda: subjects(server) == ["First", "Second", "Third"], "the third message")
        assert outbox.get(early.id).state is State.QUEUED
        assert outbox.get(expiring.id).state is State.QUEUED
        assert outbox.get(failed.id).attempts == 2, "there is no storm"


def test_on_a_server_the_servers_clock_counts(
    home: Path, postgresql_schema: Callable[[], str], monkeypatch: pytest.MonkeyPatch, set_clock: SetClock
) -> None:
    """A worker that starts with a wrong clock harms nobody where there is a right one."""
    place = Place(home, postgresql_schema(), monkeypatch)
    set_clock.set("+1d")
    with SmtpScript() as server, place.outbox() as outbox:
        place.account(server)
        early = outbox.add(message("Later"), not_before=datetime.now(UTC) + HOUR)
        expiring = outbox.add(message("In time"), account=OTHER, expires=HOUR)
        outbox.add(message("First"))
        with worker(place, set_clock, "--once") as log:
            log.program.wait(60)
        assert subjects(server) == ["First"]
        assert [outbox.get(entry.id).state for entry in (early, expiring)] == [State.QUEUED] * 2


def test_a_clock_that_was_set_back_between_two_runs_holds_nothing_up_but_what_waits_for_its_time(
    sqlite_place: Place, set_clock: SetClock
) -> None:
    with SmtpScript(mail=[b"451 4.3.0 later\r\n"]) as server, sqlite_place.outbox() as outbox:
        sqlite_place.account(server)
        later = outbox.add(message("Later"), not_before=datetime.now(UTC) + HOUR)
        failed = outbox.add(message("Failed once"))
        outbox.run(once=True)
        waits = outbox.get(failed.id).due - datetime.now(UTC)
        assert timedelta(0) < waits < HOUR
        outbox.add(message("Added"))
        set_clock.set("-1d")
        with worker(sqlite_place, set_clock) as log:
            log.wait_for("the clock was set back")
            until(lambda: subjects(server) == ["Added"], "the message that was due")
        assert outbox.get(later.id) == later
        there = datetime.now(UTC) - timedelta(days=1)  # by the clock that was set back
        assert timedelta(0) < outbox.get(failed.id).due - there < HOUR


@pytest.mark.parametrize("jump", ["+1d", "-1d"])
def test_a_worker_that_lives_is_not_given_up_by_one_with_another_clock(
    jump: str, sqlite_place: Place, set_clock: SetClock
) -> None:
    stop = Stop()
    with SmtpScript(dot=[before(stop, OK)]) as server, sqlite_place.outbox() as outbox:
        sqlite_place.account(server)
        set_clock.set("+0d")
        held = outbox.add(message("Held"))
        with worker(sqlite_place, set_clock, "--once") as first:
            stop.wait()
            outbox.add(message("Other"))
            set_clock.set(jump)
            with worker(sqlite_place, set_clock, "--once"):
                until(lambda: subjects(server) == ["Other"], "the other message")
                assert outbox.get(held.id).state is State.SENDING
                stop.go_on()
                assert first.program.wait(60) == 0
        assert outbox.get(held.id).state is State.SENT
        assert outbox.get(held.id).attempts == 1


# Hours that come twice, or not at all

NEW_YORK = "America/New_York"
without_windows = pytest.mark.skipif(sys.platform == "win32", reason="Windows does not know its rules")


@without_windows
def test_an_hour_that_comes_twice_is_two_hours(sqlite_place: Place) -> None:
    zone = ZoneInfo(NEW_YORK)
    with sqlite_place.outbox() as outbox:
        due = [
            outbox.add(message(), account=OTHER, not_before=moment).due
            for moment in (datetime(2100, 11, 7, 1, 30, fold=fold, tzinfo=zone) for fold in (0, 1))
        ]
    assert due == [datetime(2100, 11, 7, 5, 30, tzinfo=UTC), datetime(2100, 11, 7, 6, 30, tzinfo=UTC)]


@without_windows
@pytest.mark.parametrize(
    ("said", "due"),
    [
        ("2100-03-13 12:00", "2100-03-13T17:00:00"),  # the day before the clocks change: UTC-5
        ("2100-03-14 12:00", "2100-03-14T16:00:00"),  # UTC-4
        ("2100-11-07 12:00", "2100-11-07T17:00:00"),
        ("2100-11-07T01:30-05:00", "2100-11-07T06:30:00"),
    ],
)
def test_a_local_time_is_that_of_its_day(said: str, due: str, sqlite_place: Place) -> None:
    with SmtpScript() as server:
        sqlite_place.account(server)
    words = ("send", "--queue", "--at", said, "--to", "ann@example.com", "--text", "Hi", "--json")
    assert run(*words, env={"TZ": NEW_YORK}).code == 0
    with sqlite_place.outbox() as outbox:
        (entry,) = outbox.find()
    assert entry.due == datetime.fromisoformat(due).replace(tzinfo=UTC)


@without_windows
def test_a_span_is_as_long_as_it_says_whatever_the_clocks_do(sqlite_place: Place) -> None:
    zone = ZoneInfo(NEW_YORK)
    start = datetime(2100, 11, 6, 12, 0, tzinfo=zone)  # the clocks change in the night
    with sqlite_place.outbox() as outbox:
        entry = outbox.add(message(), account=OTHER, not_before=start, expires=timedelta(hours=24))
    assert entry.expires is not None
    assert entry.expires - entry.due == timedelta(hours=24)
