"""The outbox as its callers see it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ..accounts import Accounts
from ..errors import ConfigError, OutboxError
from ..i18n import _
from ..mailer import Mailer, open_mailer
from ..message import Message, Priority, RawMessage
from ..stores import Secret, TokenStore
from ..transports import TIMEOUT
from . import queries as _queries
from . import rows as _rows
from . import store as _store
from .caretaker import Settings
from .database import Database
from .engine import Engine, Hearer
from .entry import Entry, Record, Stats
from .letter import pack, subject_of, unpack
from .pacing import open_lane
from .senders import Senders, addresses
from .states import Cause, State
from .worker import Worker

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Outbox"]

LEASE, KEEP = 60.0, timedelta(days=30)


class Outbox:
    """Messages in a database, and what becomes of them. Safe with many threads, processes and machines.

    ``url``: ``sqlite:////folder/outbox.db`` or ``postgresql://user@host/database``; by default
    ``OAUTH_MAILER_OUTBOX_URL``, else the file ``outbox.db`` in the folder of the configuration; ``home``:
    that folder; ``store``: a token store in place of those configured; ``on_unknown``: what is done with a
    message that may have been sent: ``hold`` keeps it for a person, ``resend`` sends it again and so may
    deliver it twice; by default what the configuration says in ``[outbox]``, else ``hold``; ``timeout``:
    seconds for one step on the network; ``lease``: seconds after which a worker without a sign of life is
    given up; ``keep``: for how long what was sent or cancelled is kept; ``ask_passphrase``: see
    ``open_mailer``.

    Raises ``ConfigError`` for a wrong value. Connects to nothing until it is used.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        home: Path | str | None = None,
        store: TokenStore | None = None,
        on_unknown: str | None = None,
        timeout: float = TIMEOUT,
        lease: float = LEASE,
        keep: timedelta = KEEP,
        ask_passphrase: Callable[[str], Secret] | None = None,
    ) -> None:
        accounts = Accounts(home)
        configured = accounts.settings("outbox").get("on_unknown", "hold")
        policy = configured if on_unknown is None else on_unknown
        if policy not in ("hold", "resend"):
            raise ConfigError(
                _("{value!r} is no policy for messages that may have been sent.").format(value=policy),
                code="outbox-policy",
                hint=_("Set on_unknown to hold or resend."),
            )
        self.home = accounts.home
        self._store = store
        self._timeout = timeout
        self._ask_passphrase = ask_passphrase
        self._resend = policy == "resend"
        self._senders = Senders(self.home, lambda address: self._mailer(address, ()))
        self._lanes: set[str] = set()  # those that are known to be there
        self._lease = lease
        self._keep = keep
        where = os.environ.get("OAUTH_MAILER_OUTBOX_URL", "") if url is None else url
        self._database = Database(where, self.home)
        self._engine = Engine(self._database, self._settings)

    def add(
        self,
        message: Message | RawMessage,
        *,
        account: str = "",
        fallback: Sequence[str] | None = None,
        key: str | None = None,
        not_before: datetime | None = None,
        expires: datetime | timedelta | None = None,
        priority: Priority | None = None,
        connection: Connection | None = None,
    ) -> Entry:
        """Add a message; returns once it is on disk with all that is attached, as it is now.

        ``account``: who sends it, by default the default account; ``fallback``: the addresses to try next, by
        default those of the account when it is sent; ``key``: an idempotency key: the same key with the same
        content gives the entry that is there; ``not_before``: when it may be sent, with a time zone;
        ``expires``: when it is no longer worth sending, or for how long; ``priority``: what is sent first, by
        default that of the message; ``connection``: a connection of SQLAlchemy to the same database, with the
        caller's own transaction open: then the message is there if, and only if, that is committed.

        Raises ``MessageError`` where the message cannot be sent as it is, ``ConfigError`` where no account is
        named and there is no default one, ``OutboxError`` where the key stands for another content or the
        message could not be kept. Then nothing is.
        """
        _rows.check(key, priority)
        account, recipients = self._senders.check(message, account)
        now = self._database.clock.now()
        start = None if not_before is None else _rows.seconds(not_before)
        new = _store.New(
            letter=pack(message),
            account=account,
            fallback=addresses(fallback),
            key=key,
            message_id=message.id,
            subject=subject_of(message),
            recipients=recipients,
            priority=priority or (message.priority if isinstance(message, Message) else "normal"),
            not_before=start,
            expires=_rows.end(expires, max(now, start or 0.0)),
        )
        if connection is not None and self._database.kind == "postgresql" and account not in self._lanes:
            # Else all who add or send by a new account would wait for the end of the caller's transaction.
            with self._database.writing() as own:
                open_lane(own, account)
            self._lanes.add(account)
        with self._database.writing(connection) as own:
            entry, _added = _store.add(own, new, now, lane_known=account in self._lanes)
        if connection is None:
            self._lanes.add(account)
        return entry

    def begin(self) -> AbstractContextManager[Connection]:
        """A transaction of the outbox's own: what is added by this ``connection`` is kept together or not."""
        return self._database.begin()

    def get(self, number: int) -> Entry:
        """The entry of this number. Raises ``OutboxError`` where there is none."""
        with self._database.reading() as connection:
            return _rows.entry(connection, number)

    def by_key(self, key: str) -> Entry | None:
        """The entry that was added with this idempotency key, if there is one.

        Raises ``MessageError`` for a key that none can have.
        """
        _rows.check(key)
        with self._database.reading() as connection:
            return _queries.by_key(connection, key)

    def find(
        self,
        *,
        states: Collection[State | str] = (),
        account: str = "",
        key_prefix: str = "",
        after: int = 0,
        newest: int = 0,
        on_damaged: Callable[[int, OutboxError], None] | None = None,
    ) -> Iterator[Entry]:
        """Entries in the order in which they were added, read a few at a time.

        ``states``, ``account``: those in one of these, of this one; ``key_prefix``: how their keys begin;
        ``after``: of higher numbers; ``newest``: so many, the last; ``on_damaged``: told of unreadable ones.
        """
        which = _queries.Which([State(one) for one in states], account, key_prefix)
        yield from _queries.find(self._database.reading, which, after, newest, on_damaged)

    def history(self, number: int) -> tuple[Record, ...]:
        """All that happened to this entry, in order. Raises ``OutboxError`` where there is none."""
        with self._database.reading() as connection:
            return _queries.history(connection, number)

    def message(self, number: int) -> Message | RawMessage:
        """The message of this entry, as it was when it was added."""
        with self._database.reading() as connection:
            _rows.entry(connection, number)
            letter, _only = _store.letter(connection, number)
        return unpack(letter)

    def retry(self, number: int) -> Entry:
        """Let it be sent now, or again: what is unknown may then arrive twice.

        Of what was sent to some recipients and refused for others, only the others get it. Raises
        ``OutboxError`` where it is being sent, or was sent to all.
        """
        return self._change(number, Cause.RETRY, "retried")

    def cancel(self, number: int) -> Entry:
        """Let it not be sent any more. Raises ``OutboxError`` where it is being sent, or was."""
        return self._change(number, Cause.CANCEL, "cancelled")

    def purge(
        self, *, older_than: timedelta = KEEP, states: Collection[State | str] = (State.SENT, State.CANCELLED)
    ) -> int:
        """Delete for good what has been in one of these states for so long; how many entries that were.

        Their keys are free again. Only what is settled can be purged: ``ValueError`` else.
        """
        before = self._database.clock.now() - older_than.total_seconds()
        chosen = {State(one) for one in states}
        count = 0
        while True:
            with self._database.writing() as connection:
                gone = _store.purge(connection, chosen, before)
            count += gone
            if not gone:
                return count

    def stats(self, *, key_prefix: str = "") -> Stats:
        """How many entries are in each state, what is due, and which accounts wait for a person.

        ``key_prefix``: only entries whose key begins with this are counted by their states.
        """
        now = self._database.clock.now()
        with self._database.reading() as connection:
            return _queries.stats(connection, now, key_prefix)

    def run(
        self,
        *,
        once: bool = False,
        workers: int = 1,
        on_event: Hearer | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """Send what is due, for ever; or, with ``once``, until nothing is due any more.

        ``workers``: how many messages are sent at a time; ``on_event``: called after each result is on disk,
        from the thread that sent; ``stop``: ends the run in good order when it is set.

        A ``KeyboardInterrupt`` lets what is being sent end, and is raised then. Raises ``OutboxError`` where
        the database fails and ``once`` is set; without, it is waited for.
        """
        worker = Worker(self._database, self._settings(), on_event=on_event, stopping=stop)
        try:
            worker.run(once=once, threads=workers)
        finally:
            worker.close()

    def deliver(self, number: int, *, on_event: Hearer | None = None) -> Entry:
        """Send this entry now, if it is due; the entry as it is then. For an engine of one's own.

        An entry that is not due, that waits for its account, or that somebody else sends, stays as it is; so
        whoever delivers a job twice sends once. ``on_event``: told what this call brings about. Raises
        ``OutboxError``, and what is thrown at this thread meanwhile (a time limit), once the result is kept.
        """
        return self._engine.deliver(number, on_event)

    def sweep(self, *, limit: int = 1000, on_event: Hearer | None = None) -> tuple[int, ...]:
        """Give up workers that are no more and what expired; then the numbers of what can be sent now.

        For an engine of one's own, which delivers them: so many at most, and of each account no more than its
        limits allow. ``on_event``: told what this call brings about. Raises ``OutboxError``.
        """
        return self._engine.sweep(limit, on_event)

    def close(self) -> None:
        """Close what is open. The outbox may be used again afterwards."""
        self._engine.close()
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _change(self, number: int, cause: Cause, code: str) -> Entry:
        now = self._database.clock.now()
        with self._database.writing() as connection:
            return _store.change(connection, number, cause, now, code=code)

    def _settings(self) -> Settings:
        return Settings(
            home=self.home,
            open_mailer=self._mailer,
            lease=self._lease,
            resend=self._resend,
            keep=self._keep.total_seconds(),
        )

    def _mailer(self, account: str, fallback: tuple[str, ...] | None) -> Mailer:
        return open_mailer(
            account,
            fallback=fallback,
            home=self.home,
            store=self._store,
            timeout=self._timeout,
            ask_passphrase=self._ask_passphrase,
        )
