"""What a worker does besides sending: it looks after accounts, entries, and workers that are no more."""

from __future__ import annotations

import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from ..accounts import Account, Accounts
from ..errors import ConfigError
from ..mailer import Mailer, capturing
from . import claims, pacing, results, rows, store
from .claims import Claim
from .database import Database
from .entry import Event
from .results import Outcome
from .schema import LANES
from .signs import Watch, dead, forget, is_dead
from .states import Cause, State
from .verdicts import login_mark

__all__ = ["Caretaker", "Settings"]

_log = logging.getLogger(__name__)

_EVERY = 5.0  # seconds between two looks


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``home``: the folder of the configuration; ``open_mailer``: makes the mailer for an account and its
    fallbacks; ``lease``: seconds without a sign of life after which others give this worker up; ``resend``:
    whether what may have been sent is sent again; ``keep``: seconds for which what is sent or cancelled is
    kept."""

    home: Path
    open_mailer: Callable[[str, tuple[str, ...] | None], Mailer]
    lease: float
    resend: bool
    keep: float


class Caretaker:
    """Looks around every few seconds, whichever thread asks.

    ``worker``: the name of the worker it belongs to; ``held``: whether that worker has a claim, by entry and
    attempt, in hand; ``tell``: is told what became of entries; ``starting``:
    whether a person has just started the program, and so may have mended something; ``watches``: whether
    another worker's lease is over that cannot be told to be dead: the clock may be wrong, so it is watched
    for as long as a lease lasts; ``accounts``: those that messages wait for; ``configured``: all there are.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        worker: str,
        *,
        held: Callable[[int, int], bool],
        tell: Callable[[Event], None],
    ) -> None:
        self._database = database
        self._settings = settings
        self._home = settings.home
        self._worker = worker
        self._held = held
        self._tell = tell
        self._watch = Watch()
        self._doubtful: set[tuple[int, int]] = set()
        self._looking = threading.Lock()
        self._looked = -math.inf
        self._turns = itertools.count()
        self.starting = False
        self.watches = False
        self.accounts: Mapping[str, Account] = {}
        self.configured: Accounts | None = None

    def doubt(self, claim: Claim) -> None:
        """It is not known whether this claim was committed; nothing of it was sent."""
        self._doubtful.add((claim.entry.id, claim.attempt))

    def turn(self) -> tuple[str, ...]:
        """The accounts, beginning with another one each time, so that none waits for a busy one."""
        accounts = tuple(self.accounts)
        at = next(self._turns) % max(len(accounts), 1)
        return accounts[at:] + accounts[:at]

    def knows(self, account: str) -> bool:
        """Whether this account can send from here; that of the first message is looked at, for its limits."""
        if account not in self.accounts:
            self.look_around(now=True)
        return account in self.accounts

    def look_around(self, *, now: bool = False) -> None:
        """Every few seconds: accounts that are new or were mended, workers that are no more, what expired.

        ``now``: however long ago the last time was.
        """
        with self._looking:
            if not now and time.monotonic() - self._looked < min(_EVERY, self._settings.lease / 2):
                return
            self._look_at_clock()
            self._look_at_accounts()
            self._look_at_workers()
            self._look_at_entries()
            self.starting = False
            self._looked = time.monotonic()

    def _look_at_clock(self) -> None:
        now = self._database.clock.now()
        with self._database.writing() as connection:
            if claims.turn_back(connection, now):
                _log.warning("the clock was set back: what was to wait until then waits no longer")

    def _look_at_accounts(self) -> None:
        if math.isinf(self._looked):  # somebody may have emptied the tables under a program that adds
            with self._database.writing() as connection:
                pacing.open_missing(connection)
        with self._database.reading() as connection:
            lanes = connection.execute(select(LANES)).all()
        configured = Accounts(self._home)
        known: dict[str, Account] = {}
        for lane in lanes:
            try:
                account = configured.get(lane.account)
            except ConfigError:
                if not capturing():  # it is another machine's
                    continue
                account = Account(address=lane.account)
            known[lane.account] = account
            acted = bool(lane.paused) and (self.starting or lane.mark != login_mark(lane.account, self._home))
            with self._database.writing() as connection:
                pacing.set_limits(connection, lane.account, account.limits)
                if acted:
                    pacing.resume(connection, lane.account)
        self.accounts, self.configured = known, configured

    def _look_at_workers(self) -> None:
        now = self._database.clock.now()
        with self._database.reading() as connection:
            found = claims.suspects(connection, now)
        self._watch.keep({(one.id, one.attempt) for one in found})
        self.watches = False
        for one in found:
            if one.worker == self._worker and (self._held(one.id, one.attempt) or self._released(one)):
                continue
            # Watched even before its lease ends: the clocks may have been set meanwhile.
            still = self._watch.stands_still((one.id, one.attempt), one.beat, one.span)
            if not still and not is_dead(one.worker, self._home):
                self.watches = self.watches or one.lapsed
                continue
            with self._database.writing() as connection:
                entry = results.lapse(connection, one, now, by=self._worker, resends=self._settings.resend)
            if entry is not None:
                _log.warning(
                    "entry %s (%s): its worker %s is no more", entry.id, entry.message_id, one.worker
                )
                self._tell(Event(state=State.UNKNOWN, entry=entry))
            else:
                self.watches = True  # somebody is about to settle it
        if gone := dead(self._home):
            with self._database.writing() as connection:
                left = claims.senders(connection)
            forget(gone - left, self._home)

    def _released(self, claimed: claims.Suspect) -> bool:
        """Give back a claim whose commit seemed to fail and did not: nothing of it was ever sent."""
        number, attempt = claimed.id, claimed.attempt
        if (number, attempt) not in self._doubtful:
            return False
        now = self._database.clock.now()
        with self._database.writing() as connection:
            claim = Claim(rows.entry(connection, number), attempt)
            outcome = Outcome(cause=Cause.LATER, code="claim-lost")
            results.settle(connection, claim, outcome, self._worker, now)
        self._doubtful.discard((number, attempt))
        return True

    def _look_at_entries(self) -> None:
        now = self._database.clock.now()
        with self._database.writing() as connection:
            expired = claims.expire(connection, now)
            pacing.forget_uses(connection, now)
            store.purge(connection, {State.SENT, State.CANCELLED}, now - self._settings.keep)
        for entry in expired:
            self._tell(Event(state=State.REJECTED, entry=entry))
