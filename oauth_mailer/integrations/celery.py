"""The outbox delivered by Celery, which spreads the work over processes and machines.

    app = Celery("shop", broker="redis://broker")
    mail = OutboxTasks(app)
    mail.add(Message(to="ann@example.com", subject="Bill 7", text="..."))

Celery may run a task twice, lose it, or lose the process that runs it. So only the numbers of entries go
through the broker, and what was sent is known by the outbox alone: a task is a hint that an entry may be due.
What is due later, or was lost on the way, is found by the sweep that beat starts every few seconds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, OutboxError
from ..i18n import _
from ..message import Message, Priority, RawMessage

try:
    from celery import Celery, signals
    from celery.exceptions import SoftTimeLimitExceeded
    from kombu.exceptions import OperationalError
except ImportError as error:
    raise ConfigError(
        _("Delivering the outbox by Celery needs Celery, which is not installed."),
        code="extra-missing",
        hint=_("Run: pip install 'oauth-mailer[celery]'"),
    ) from error

from ..outbox import Entry, Event, Outbox, State
from .commits import after_commit

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["OutboxTasks"]

_log = logging.getLogger(__name__)

_FEW = 10
"""Entries that a sweep hands over in any case: the queue may be long with other work."""

_QUIET = 10.0
"""Seconds for which a broker that failed is not asked again: whoever adds a message is not to wait for it."""

_ONCE_MORE = {"max_retries": 1, "interval_start": 0.0, "interval_step": 0.0, "interval_max": 0.0}
"""A connection that was kept may be dead, and the next one alive."""

_OLDEST = 3600.0
"""Seconds after which a sweep that no worker took is not worth doing."""


class OutboxTasks:
    """The tasks of an application of Celery that deliver an outbox: ``deliver`` and ``sweep``.

    ``outbox``: makes the outbox, in each process that uses it; ``every``: seconds between two sweeps, which
    are put into the schedule of beat unless it has an entry of that name; ``batch``: how many entries may
    wait in the queue before sweeps hand over few; ``on_event``: told in the worker what became of each entry,
    after that is on disk; ``name``: what the names of the tasks begin with: another for a second outbox.
    """

    def __init__(
        self,
        app: Celery,
        *,
        outbox: Callable[[], Outbox] = Outbox,
        every: float = 5.0,
        batch: int = 1000,
        on_event: Callable[[Event], None] | None = None,
        name: str = "oauth_mailer",
    ) -> None:
        self._app = app
        self._make = outbox
        self._every = every
        self._batch = batch
        self._on_event = on_event
        self._made: Outbox | None = None
        self._lock = threading.Lock()
        self._quiet_until = 0.0
        self.deliver, self.sweep = self._tasks(name)
        self._sweep_name = f"{name}.sweep"
        app.on_after_configure.connect(self._schedule, weak=False)
        if app.configured:
            self._schedule(app)
        for signal in (signals.worker_process_shutdown, signals.worker_shutdown):
            signal.connect(self._close, weak=False)

    def _tasks(self, name: str) -> tuple[Any, Any]:
        def deliver(number: int) -> None:
            """Send this entry of the outbox, if it is due."""
            self._deliver(number)

        def sweep() -> None:
            """Hand over what is due in the outbox."""
            self._sweep()

        kept = {"ignore_result": True, "store_errors_even_if_ignored": False}
        return (
            # Acknowledged when it is done; if its process dies, somebody else is to see what became of it.
            # A failure is no reason to run it again at once: the sweep does so when it is time.
            self._app.task(
                name=f"{name}.deliver",
                acks_late=True,
                reject_on_worker_lost=True,
                acks_on_failure_or_timeout=True,
                **kept,
            )(deliver),
            self._app.task(name=f"{name}.sweep", **kept)(sweep),
        )

    @property
    def outbox(self) -> Outbox:
        """The outbox, made when it is first needed; a forked process may use its parent's."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

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
        """Add a message to the outbox, as ``Outbox.add`` does, and let a worker deliver it.

        With ``connection``, a worker is told after the caller's transaction is committed. A broker that
        cannot be reached is no error: the message is kept, and the next sweep finds it.
        """
        entry = self.outbox.add(
            message,
            account=account,
            fallback=fallback,
            key=key,
            not_before=not_before,
            expires=expires,
            priority=priority,
            connection=connection,
        )
        if entry.state is State.QUEUED and (not_before is None or not_before <= datetime.now(UTC)):
            if connection is None:
                self.enqueue(entry.id)
            else:
                after_commit(connection, partial(self.enqueue, entry.id))
        return entry

    def enqueue(self, number: int) -> bool:
        """Let a worker deliver this entry soon; False where the broker cannot be told: then a sweep does."""
        if time.monotonic() < self._quiet_until:
            return False
        try:
            self.deliver.apply_async((number,), retry=True, retry_policy=_ONCE_MORE)
        except Exception as error:  # noqa: BLE001 - the message is kept, and nobody may think otherwise
            self._quiet_until = time.monotonic() + _QUIET
            _log.warning(
                "entry %s waits for a sweep: no task could be enqueued (%s)",
                number,
                type(error).__name__,
                exc_info=not isinstance(error, OperationalError),
            )
            return False
        return True

    def _deliver(self, number: int) -> None:
        try:
            entry = self.outbox.deliver(number, on_event=self._on_event)
        except SoftTimeLimitExceeded:
            _log.warning("entry %s was sent past the soft time limit: its end was waited for", number)
            return
        except OutboxError as error:
            if error.code != "outbox-no-entry":
                raise
            _log.info("entry %s is not in the outbox: never committed, or purged", number)
            return
        _log.info("entry %s: %s", number, entry.state)

    def _sweep(self) -> None:
        numbers = self.outbox.sweep(limit=self._batch, on_event=self._on_event)
        if not numbers:
            return
        room = max(self._batch - self._waiting(), _FEW)
        with self._app.producer_or_acquire() as producer:
            for number in numbers[:room]:
                self.deliver.apply_async((number,), producer=producer)

    def _waiting(self) -> int:
        """How many tasks wait in the queue of these; what a worker has taken already is not counted."""
        queue = self._app.amqp.router.route({}, self.deliver.name)["queue"]
        with self._app.connection_for_write() as connection:
            try:
                declared = connection.default_channel.queue_declare(queue.name, passive=True)
            except connection.channel_errors:  # nothing was ever put into it
                return 0
            return int(declared.message_count)

    def _schedule(self, sender: Any, **_: object) -> None:
        """Put the sweep into beat's schedule."""
        entry = {"task": self._sweep_name, "schedule": self._every, "options": {"expires": _OLDEST}}
        sender.conf.beat_schedule = {self._sweep_name: entry, **sender.conf.beat_schedule}

    def _close(self, **_: object) -> None:
        """The process ends in good order."""
        if self._made is not None:
            self._made.close()
