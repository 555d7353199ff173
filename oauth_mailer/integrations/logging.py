"""A handler for ``logging`` that mails what goes wrong: gathered, at most so often, and never about itself.

logging.getLogger().addHandler(MailHandler(to="ops@example.com", level=logging.ERROR))
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable
from functools import cache

from ..errors import MailerError
from ..i18n import _
from ..mailer import open_mailer
from ..message import Message

__all__ = ["MailHandler"]

_LONGEST_SUBJECT = 120


class MailHandler(logging.Handler):
    """Mails log records, from a thread of its own: who logs never waits.

    ``to``: an address or several; ``account``: who sends, by default the default account; ``subject``: with
    ``{level}``, ``{name}``, ``{message}`` of the first record and ``{more}``, how many others there are;
    ``gather``: seconds to wait for more after the first record; ``every``: seconds between two mails at
    least; ``capacity``: records in one mail, of those beyond it only the number is told; ``queue``: hand the
    mail to the outbox; ``level``: as for every handler.

    Records of oauth_mailer itself are left out, so that a mail that fails does not make another. A mail that
    is not sent is told to ``handleError``; what passes with time is tried again with the next mail, a minute
    later at least.
    """

    def __init__(
        self,
        to: str | Iterable[str],
        *,
        account: str = "",
        subject: str = "{level} {name}: {message}{more}",
        gather: float = 5.0,
        every: float = 300.0,
        capacity: int = 100,
        queue: bool = False,
        level: int = logging.ERROR,
    ) -> None:
        super().__init__(level)
        self._to = [to] if isinstance(to, str) else list(to)
        Message(to=self._to)  # an address that is none is told now, not when something goes wrong
        self._account = account
        self._subject = subject
        self._gather = gather
        self._every = every
        self._queue = queue
        self._records: deque[logging.LogRecord] = deque(maxlen=capacity)
        self._last = -every  # when the last mail went out, by the steady clock
        self._closing = False
        self._begin_anew()
        _all_handlers().add(self)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        atexit.register(self.close)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record for the next mail; returns at once."""
        if record.name.partition(".")[0] == "oauth_mailer" or threading.current_thread() is self._thread:
            return
        with self._news:
            if self._closing:
                return
            if len(self._records) == self._records.maxlen:
                self._dropped += 1
            else:
                self._records.append(record)
            self._start()
            self._news.notify_all()

    def flush(self) -> None:
        """Send what is there now, and wait for it, half a minute at most."""
        with self._news:
            if not self._records or threading.current_thread() is self._thread:
                return
            self._flushing += 1
            try:
                self._start()
                self._news.notify_all()
                self._news.wait_for(lambda: not self._records, timeout=30.0)
            finally:
                self._flushing -= 1

    def close(self) -> None:
        """Send what is there, then end."""
        if not self._closing:
            self.flush()
            with self._news:
                self._closing = True
                self._news.notify_all()
            atexit.unregister(self.close)
        super().close()

    def _begin_anew(self) -> None:
        """Also in a forked child: it has no thread, and what its parent was told is the parent's to mail."""
        self._records.clear()
        self._dropped = 0
        self._news = threading.Condition()  # a thread of the parent's may have held the old one
        self._flushing = 0
        self._thread: threading.Thread | None = None

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="oauth-mailer-log", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._records or self._closing)
                if not self._records:
                    return
                due = max(time.monotonic() + self._gather, self._last + self._every)
                while not (self._flushing or self._closing) and (left := due - time.monotonic()) > 0:
                    self._news.wait(left)
                records, dropped = list(self._records), self._dropped
            kept = self._mail(records, dropped)
            with self._news:
                self._last = time.monotonic() + (max(60.0 - self._every, 0.0) if kept else 0.0)
                if not kept or self._closing or self._flushing:
                    for _record in records:
                        self._records.popleft()
                    self._dropped -= dropped
                self._news.notify_all()

    def _mail(self, records: list[logging.LogRecord], dropped: int) -> bool:
        """Send one mail; whether its records are kept for the next one because this could not be sent yet."""
        try:
            message = Message(
                to=self._to, subject=self._title(records, dropped), text=self._text(records, dropped)
            )
            if self._queue:
                from ..outbox import Outbox

                with Outbox() as outbox:
                    outbox.add(message, account=self._account)
            else:
                with open_mailer(self._account) as mailer:
                    mailer.send(message)
        except MailerError as error:
            self.handleError(records[0])
            return error.retry_later
        except Exception:  # noqa: BLE001 - a record that cannot be formatted must not end the thread
            self.handleError(records[0])
        return False

    def _title(self, records: list[logging.LogRecord], dropped: int) -> str:
        first = records[0]
        more = len(records) - 1 + dropped
        text = self._subject.format(
            level=first.levelname,
            name=first.name,
            message=first.getMessage(),
            more=f" (+{more})" if more else "",
        )
        line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        return line if len(line) <= _LONGEST_SUBJECT else line[: _LONGEST_SUBJECT - 1] + "…"

    def _text(self, records: list[logging.LogRecord], dropped: int) -> str:
        lines = [self.format(record) for record in records]
        if dropped:
            lines.append(_("... and {count} more.").format(count=dropped))
        return "\n\n".join(lines).replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


@cache
def _all_handlers() -> weakref.WeakSet[MailHandler]:
    handlers: weakref.WeakSet[MailHandler] = weakref.WeakSet()

    def begin_anew() -> None:
        for handler in list(handlers):
            handler._begin_anew()

    if hasattr(os, "register_at_fork"):  # where there is no fork, nothing is to be done
        os.register_at_fork(after_in_child=begin_anew)
    return handlers
