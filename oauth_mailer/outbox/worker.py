"""The worker: claims an entry, sends it once, writes down what became of it; and looks after the others.

The order is what keeps the promise: the claim is committed, then the message leaves, then the result is
committed. Whatever ends the process in between leaves a claim behind, which others give up as *unknown*.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..errors import MailerError, OutboxError
from ..i18n import _
from . import claims, results
from .caretaker import Caretaker, Settings
from .claims import Claim, Suspect
from .clock import elapsed
from .database import Database
from .delivery import Delivery
from .entry import Entry, Event
from .results import Outcome
from .signs import WorkerLock
from .states import MOVES, Cause, State
from .tasks import begin, join

__all__ = ["Worker"]

_log = logging.getLogger(__name__)

_POLL = 1.0  # seconds between two looks whether something is due
_PATIENCE = 60.0  # seconds to go on trying to write a result down, once nothing else is to be done


class Worker:
    """One worker, of one process; its claims may be sent from several threads.

    ``on_event`` is called after each result is written down, from the thread that sent; ``stopping`` ends it.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        on_event: Callable[[Event], None] | None = None,
        stopping: threading.Event | None = None,
    ) -> None:
        self._database = database
        self._settings = settings
        self._on_event = on_event
        self._sign = WorkerLock(settings.home)
        # The claims that are committed, and by elapsed() when each last gave a sign of life.
        self._held: dict[tuple[int, int], float] = {}
        self._lock = threading.Lock()
        self.caretaker = Caretaker(
            database,
            settings,
            self.name,
            held=lambda number, attempt: (number, attempt) in self._held,
            tell=self._tell,
        )
        self._delivery = Delivery(database, settings, lambda: self.caretaker.configured)
        self._patience = _PATIENCE
        self.stopping = stopping or threading.Event()

    @property
    def name(self) -> str:
        """As it stands in the history."""
        return self._sign.name

    def run(self, *, once: bool, threads: int) -> None:
        """Send what is due, until ``stopping`` is set or, with ``once``, until nothing is due any more.

        A ``KeyboardInterrupt`` lets what is being sent end, and is raised then; a second one does not wait,
        and leaves it unknown. Raises ``OutboxError`` where the database fails and ``once`` is set.
        """
        self.caretaker.starting = not once
        self._patience = _PATIENCE if once else math.inf
        failures: list[BaseException] = []
        crew: list[threading.Event] = []
        try:
            with self.alive():
                try:
                    for number in range(threads):
                        crew.append(begin(lambda: self._work(once, failures), f"outbox-{number}"))
                    join(crew)
                except KeyboardInterrupt:
                    self.stopping.set()
                    join(crew)
                    raise
        finally:
            self.abandon()  # what is on its way still, because a person would not wait for it
        if failures:
            raise failures[0]

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Give signs of life while the block runs: what is sent in it may take longer than a lease."""
        done = threading.Event()

        def keep() -> None:
            while not done.wait(self._settings.lease / 4):
                self.renew()

        keeper = threading.Thread(target=keep, name="outbox-keeper", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            done.set()
            keeper.join()

    def _work(self, once: bool, failures: list[BaseException]) -> None:
        ends = False
        try:
            while not self.stopping.is_set():
                try:
                    # Before it ends it looks once more: somebody may have died meanwhile.
                    self.caretaker.look_around(now=ends)
                    claim, soonest = self.take()
                except MailerError as error:  # of the database, or of the configuration
                    if once:
                        raise
                    _log.warning("nothing can be sent now: %s", error)
                    self.stopping.wait(5 * _POLL)
                    continue
                if claim is not None:
                    ends = False
                    self.deliver(claim)
                elif once and not self.caretaker.watches:
                    if ends:
                        return
                    ends = True
                else:
                    left = _POLL if soonest is None else soonest - self._database.clock.now()
                    self.stopping.wait(min(_POLL, max(left, 0.01)))
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits for this one
            failures.append(error)
            self.stopping.set()

    def take(self, entry: Entry | None = None) -> tuple[Claim | None, float | None]:
        """Claim the next entry that is due, or this one; else say when there may be one."""
        soonest = math.inf
        # A transaction for each: who holds the row of one account must not wait for that of another.
        for account in self.caretaker.turn() if entry is None else (entry.account,):
            found, ready = self._take_of(account, None if entry is None else entry.id)
            if found is not None:
                return found, None
            soonest = min(soonest, math.inf if ready is None else ready)
        return None, None if math.isinf(soonest) else soonest

    def _take_of(self, account: str, number: int | None) -> tuple[Claim | None, float | None]:
        found: Claim | None = None
        expired: list[Entry] = []
        now, began = self._database.clock.now(), elapsed()
        try:
            with self._database.writing() as connection:
                found, soonest = claims.claim(
                    connection,
                    (account,),
                    self.name,
                    now,
                    lease=self._settings.lease,
                    number=number,
                    expired=expired,
                )
        except BaseException:
            if found is not None:
                self.caretaker.doubt(found)
            raise
        if found is not None:
            with self._lock:
                self._held[found.entry.id, found.attempt] = began
        for one in expired:
            self._tell(Event(state=State.REJECTED, entry=one))
        return found, soonest

    def deliver(self, claim: Claim) -> Entry:
        """Send what was claimed and write down what became of it; the entry as it is then.

        Raises ``OutboxError`` where that could not be written down: others will call it unknown.
        """
        begun = False

        def begins(done: int, total: int) -> None:
            nonlocal begun
            if done < total:  # until its last octet may have left, nothing of it was accepted
                self._check_lease(claim)
                begun = True

        try:
            outcome = self._delivery.send(claim, begins)
        except Exception as error:  # noqa: BLE001 - what it did is written down in any case
            _log.exception("a fault while entry %s was being sent", claim.entry.id)
            outcome = Outcome(
                cause=Cause.UNKNOWN if begun else Cause.REJECTED,
                code="internal",
                text=_("A fault in oauth-mailer itself ended the try ({error}).").format(
                    error=type(error).__name__
                ),
            )
        except BaseException:
            text = _("Stopped while it was being sent.")
            self._settle(
                claim, Outcome(cause=Cause.UNKNOWN if begun else Cause.LATER, code="interrupted", text=text)
            )
            raise
        return self._settle(claim, outcome)

    def _check_lease(self, claim: Claim) -> None:
        """A worker that stalled must not begin what others have given up meanwhile."""
        with self._lock:
            renewed = self._held.get((claim.entry.id, claim.attempt))
        if renewed is None or elapsed() - renewed > self._settings.lease:
            raise OutboxError(
                _("This worker stalled for so long that others may have given it up. Nothing was sent."),
                code="lease-lost",
                hint=_("It is tried again by itself."),
            )

    def _settle(self, claim: Claim, outcome: Outcome) -> Entry:
        began = time.monotonic()
        pause = 0.05
        while True:
            try:
                now = self._database.clock.now()
                with self._database.writing() as connection:
                    entry = results.settle(
                        connection, claim, outcome, self.name, now, resends=self._settings.resend
                    )
                break
            except OutboxError as error:
                _log.error(
                    "entry %s (%s): %s, but that could not be written down: %s",
                    claim.entry.id,
                    claim.entry.message_id,
                    outcome.cause,
                    error,
                )
                patience = _PATIENCE if self.stopping.is_set() else self._patience
                if time.monotonic() - began > patience:
                    with self._lock:  # without a sign of life it is given up, by this worker too
                        self._held.pop((claim.entry.id, claim.attempt), None)
                    raise
                time.sleep(pause)
                pause = min(2 * pause, 5 * _POLL)
        with self._lock:
            self._held.pop((claim.entry.id, claim.attempt), None)
        self._tell(Event(state=MOVES[State.SENDING, outcome.cause], entry=entry))
        return entry

    def _tell(self, event: Event) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception:  # noqa: BLE001 - a fault of the caller's changes nothing of what was sent
            _log.exception("on_event failed for entry %s", event.entry.id)

    def renew(self) -> None:
        """A sign of life for all that is held. A database that fails may be back before the lease ends."""
        with self._lock:
            held = list(self._held)
        if not held:
            return
        began = elapsed()
        try:
            now = self._database.clock.now()
            with self._database.writing() as connection:
                ours = claims.renew(connection, held, self.name, now)
        except OutboxError as error:
            _log.warning("no sign of life could be given: %s", error)
            return
        with self._lock:
            for one in held:
                if one in self._held:  # what others have given up meanwhile must not begin any more
                    self._held[one] = began if one in ours else -math.inf

    def abandon(self) -> None:
        """The process ends now, without waiting: what is being sent may have been sent."""
        with self._lock:
            held = list(self._held)
        for number, attempt in held:
            mine = Suspect(number, attempt, self.name, beat=0, span=0.0, lapsed=True)
            now = self._database.clock.now()
            with self._database.writing() as connection:
                entry = results.lapse(connection, mine, now, by=self.name, resends=self._settings.resend)
            if entry is not None:
                self._tell(Event(state=State.UNKNOWN, entry=entry))

    def close(self) -> None:
        """Close the connections to providers, and let go of the sign of life."""
        self._delivery.close()
        self._sign.close(orderly=not self._held)
