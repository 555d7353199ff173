"""What ``outbox run`` says while it runs: each result, who waits for a person, how far it is."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ...errors import OutboxError
from ...i18n import _
from ..moments import shown
from ..output import Output, is_terminal
from .progress import Bar
from .shown import Waiting, iso, who_waits

if TYPE_CHECKING:
    from ...outbox import Event, Outbox, Stats

__all__ = ["Report"]

_LOOK = 0.2  # seconds between two looks whether it is to stop
_COUNT = 1.0  # and between two counts of what waits,
_SHARE = 20.0  # or so many times as long as a count takes: much is counted in a large outbox

_STYLES = {"sent": "green", "queued": "yellow", "rejected": "red", "unknown": "red"}


class Report:
    """Called with each event, from whichever thread. ``once``: whether the run ends by itself."""

    def __init__(self, outbox: Outbox, output: Output, *, once: bool) -> None:
        self._outbox = outbox
        self._output = output
        self._once = once
        self._lock = threading.Lock()
        self._sent = 0
        self._open: dict[int, str] = {}  # where entries are that were tried and are not sent
        self._told: set[str] = set()  # the accounts of which it was said that they wait
        self._bar = Bar(shown=not output.quiet and not output.json)
        self.somebody_waits = False
        self.tried = 0

    @property
    def left(self) -> Counter[str]:
        """How many of the entries that were tried are in each state, but for those that are sent."""
        with self._lock:
            return Counter(self._open.values())

    def __call__(self, event: Event) -> None:
        """A result is on disk."""
        entry = event.entry
        with self._lock:
            self.tried += 1
            self._open.pop(entry.id, None)
            if entry.state == "sent":
                self._sent += 1
            else:
                self._open[entry.id] = str(entry.state)
            if self._output.json:
                self._output.record(_fields(event), line=True)
            self._say(event)
            self._bar.count(str(event.state))
        if entry.state == "queued":
            self._count(who_waits=True)  # its account may wait now

    @contextmanager
    def watching(self, stop: threading.Event) -> Iterator[None]:
        """While the block runs, tell who waits, how far it is, and that it ends once ``stop`` is set."""
        done = threading.Event()
        self._begin()
        watcher = threading.Thread(target=self._watch, args=(stop, done), name="outbox-report", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()
            self._bar.stop()

    def tell_who_waits(self, stats: Stats) -> None:
        """The accounts that wait for a person, each once."""
        waiting = [one for one in who_waits(stats) if one.messages]
        with self._lock:
            self._tell_who_waits(waiting)

    def _tell_who_waits(self, waiting: Sequence[Waiting]) -> None:
        self.somebody_waits = bool(waiting)
        for one in waiting:
            if one.account not in self._told:
                self._told.add(one.account)
                self._output.warn(one.text)
                for line in one.hint.splitlines():
                    self._output.say("  " + line, style="cyan")
        self._told &= {one.account for one in waiting}

    def sum_up(self) -> None:
        """The last line."""
        left = self.left
        counts = {
            "sent": self._sent,
            "later": left["queued"],
            "rejected": left["rejected"],
            "unknown": left["unknown"],
        }
        if self._output.json:
            self._output.record({"summary": counts}, line=True)
        text = _("{sent} sent, {later} to be tried later, {rejected} rejected, {unknown} unknown.")
        good = not (left["rejected"] or left["unknown"] or left["queued"])
        self._output.say(text.format(**counts), style="green" if good else "yellow")
        if left["unknown"]:
            self._output.say(_("Run: oauth-mailer outbox list --state unknown"), style="cyan")

    def _begin(self) -> None:
        try:
            stats = self._outbox.stats()
        except OutboxError:
            if self._once:
                raise
            return  # it is waited for, and the worker says so
        if not self._once:  # else it is told at the end: a person may have acted since an account was paused
            self.tell_who_waits(stats)
            # A service has no keyboard; its journal should not speak of one.
            text = (
                _("Due now: {due}; queued: {queued}. Ctrl-C ends it.")
                if is_terminal(sys.stdin)
                else _("Due now: {due}; queued: {queued}.")
            )
            self._output.say(text.format(due=stats.due, queued=sum(stats.waiting.values())))

    def _watch(self, stop: threading.Event, done: threading.Event) -> None:
        stopping = False
        due = time.monotonic() + _COUNT
        while not done.wait(_LOOK):
            if stop.is_set() and not stopping:
                stopping = True
                self._output.say(
                    _("Stopping: what is being sent is finished first. Once more, and it is left unknown."),
                    style="yellow",
                )
            if (began := time.monotonic()) >= due:
                self._count(who_waits=not self._once)
                ended = time.monotonic()
                due = ended + max(_COUNT, _SHARE * (ended - began))

    def _count(self, *, who_waits: bool) -> None:
        try:
            stats = self._outbox.stats()
        except OutboxError:
            return  # the worker says so
        if who_waits:
            self.tell_who_waits(stats)
        self._bar.show(stats)

    def _say(self, event: Event) -> None:
        entry, state = event.entry, str(event.state)
        line = _line(event)
        if self._output.quiet and state in ("rejected", "unknown"):
            self._output.warn(line)
        else:
            self._output.say(line, style=_STYLES.get(state, ""))
        if state == "sent":
            for address, reason in entry.refused.items():
                self._output.warn(_("Not sent to {address}: {reason}").format(address=address, reason=reason))


def _line(event: Event) -> str:
    entry = event.entry
    words = {
        "sent": _("{id} sent {message_id} {account}"),
        "queued": _("{id} not sent {message_id} {account}"),
        "rejected": _("{id} rejected {message_id} {account}"),
        "unknown": _("{id} unknown {message_id} {account}"),
    }
    line = words[str(event.state)].format(
        id=entry.id, message_id=entry.message_id, account=entry.sent_as or entry.account
    )
    if event.state == "sent":
        return line
    if entry.code:
        line += f" ({entry.code}): {entry.text}"
    if entry.state == "queued" and entry.due > datetime.now(UTC):  # else it waits for its account alone
        line += " " + _("Not before {time}.").format(time=shown(entry.due, exactly=True))
    return line


def _fields(event: Event) -> dict[str, Any]:
    """One line for scripts. ``event``: what became of the try; ``state``: where the entry is since."""
    entry = event.entry
    return {
        "event": str(event.state),
        "entry": entry.id,
        "state": str(entry.state),
        "message_id": entry.message_id,
        "account": entry.sent_as or entry.account,
        "transport": entry.transport,
        "remote_id": entry.remote_id,
        "refused": dict(entry.refused),
        "attempts": entry.attempts,
        "due": iso(entry.due) if entry.state == "queued" else None,
        "code": entry.code,
        "text": entry.text,
    }
