"""One claimed entry, on its way out: read, sent by its account, and its end put into words."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ..accounts import Account, Accounts
from ..errors import ConfigError, MailerError, OutboxError
from ..events import carrying, observed
from ..mailer import Mailer, capturing
from . import pacing, store
from .caretaker import Settings
from .claims import Claim
from .database import Database
from .letter import carried_with, unpack
from .results import Outcome
from .states import Cause
from .verdicts import outcome_of_error, outcome_of_receipt

__all__ = ["Delivery"]

_log = logging.getLogger(__name__)


class Delivery:
    """Sends claimed entries, by mailers that it keeps. ``accounts``: gives the accounts as they are now."""

    def __init__(
        self, database: Database, settings: Settings, accounts: Callable[[], Accounts | None]
    ) -> None:
        self._database = database
        self._settings = settings
        self._accounts = accounts
        self._lock = threading.Lock()
        self._mailers: dict[tuple[str, tuple[str, ...] | None], tuple[object, Mailer]] = {}

    def send(self, claim: Claim, begins: Callable[[int, int], None]) -> Outcome:
        """Send what was claimed, once. ``begins`` is called before anything leaves, and may forbid it."""
        entry = claim.entry
        try:
            with self._database.reading() as connection:
                letter, only = store.letter(connection, entry.id)
            message = unpack(letter)
        except OutboxError as error:
            damaged = error.code == "outbox-damaged"
            return Outcome(
                cause=Cause.REJECTED if damaged else Cause.LATER,
                code=error.code,
                text=error.message,
                pause=0.0 if damaged else pacing.entry_pause(claim.attempt, None),
            )
        try:
            mailer = self._mailer(entry.account, entry.fallback)
            with carrying(carried_with(letter) if observed() else {}):
                return outcome_of_receipt(mailer.send(message, progress=begins, only=only))
        except OutboxError as error:  # of our own: the lease was over before anything left
            return Outcome(cause=Cause.LATER, code=error.code, text=error.message)
        except MailerError as error:
            return outcome_of_error(error, entry.account, claim.attempt, self._settings.home)

    def close(self) -> None:
        """Close the connections to providers."""
        with self._lock:  # a thread that was not waited for may be making one
            mailers = [mailer for _accounts, mailer in self._mailers.values()]
        for mailer in mailers:
            mailer.close()

    def _mailer(self, account: str, fallback: tuple[str, ...] | None) -> Mailer:
        """Kept for as long as its accounts stay as they are: a login may have changed one."""
        first = self._found(account)
        names = fallback or (first.fallback if first else ())
        others = {one: self._found(one, first) for one in names}
        if fallback is not None and not capturing():
            for one in (one for one, found in others.items() if found is None):
                _log.warning("%s, a fallback of messages of %s, is not set up here", one, account)
            fallback = tuple(one for one in fallback if others[one] is not None)
        key, known = (account, fallback), (first, *others.values(), capturing())
        with self._lock:
            if key not in self._mailers or self._mailers[key][0] != known:
                self._mailers[key] = (known, self._settings.open_mailer(account, fallback))
            return self._mailers[key][1]

    def _found(self, name: str, first: Account | None = None) -> Account | None:
        """The account of this address, or what ``first`` falls back on by this name."""
        accounts = self._accounts()
        try:
            if accounts is None:
                return None
            return accounts.stand_in(first, name) if first else accounts.get(name)
        except ConfigError:
            return None
