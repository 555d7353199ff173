"""An e-mail backend for Django.

    EMAIL_BACKEND = "oauth_mailer.integrations.django.EmailBackend"
    OAUTH_MAILER = {"ACCOUNT": "shop@gmail.com", "FALLBACK": ["shop@qq.com"], "QUEUE": False}

``ACCOUNT``: the account, by default that in ``from_email`` if it is one of yours, else the default one;
``FALLBACK``: the addresses to try next, by default those of the account; ``QUEUE``: keep the mail in the
outbox, which a worker sends.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.mail.backends.base import BaseEmailBackend

from ..accounts import Accounts
from ..address import Address
from ..errors import MailerError
from ..local_mail import complete
from ..mailer import Mailer, open_mailer
from ..message import RawMessage

if TYPE_CHECKING:
    from ..outbox import Outbox

__all__ = ["EmailBackend"]

_log = logging.getLogger(__name__)


class EmailBackend(BaseEmailBackend):  # type: ignore[misc]
    """Sends what Django composes: bodies, alternatives, attachments and headers are as Django makes them.

    An address of this machine in From (``webmaster@localhost``, Django's default) becomes the account's.
    Errors are those of oauth_mailer; with ``fail_silently`` they are logged, and the mail does not count as
    sent.
    """

    def __init__(
        self,
        fail_silently: bool = False,
        *,
        alias: str | None = None,
        account: str = "",
        fallback: Sequence[str] | None = None,
        queue: bool | None = None,
        **options: Any,
    ) -> None:
        # Django 6.1 makes backends of MAILERS, with an alias, and refuses options that nobody knows. Before,
        # it hands over a user name and a password, which say nothing here.
        super().__init__(**({} if alias is None else {"alias": alias, **options}))
        self.fail_silently = fail_silently
        own = getattr(settings, "OAUTH_MAILER", {})
        self._account: str = account or own.get("ACCOUNT", "")
        self._fallback: Sequence[str] | None = own.get("FALLBACK") if fallback is None else fallback
        self._queue: bool = own.get("QUEUE", False) if queue is None else queue
        self._mailers: dict[str, Mailer] = {}
        self._outbox: Outbox | None = None
        self._kept = False  # by the caller, who will close it
        self._lock = threading.RLock()

    def open(self) -> bool:
        """Keep connections open from now on; whether they were not before."""
        with self._lock:
            opened, self._kept = not self._kept, True
            return opened

    def close(self) -> None:
        """Close the connections, that to the outbox too."""
        with self._lock:
            mailers, self._mailers, self._kept = self._mailers, {}, False
            outbox, self._outbox = self._outbox, None
        for mailer in mailers.values():
            mailer.close()
        if outbox is not None:
            outbox.close()

    def send_messages(self, email_messages: Iterable[Any]) -> int:
        """Send these messages of Django's; how many were sent.

        Raises ``MailerError`` at the first that was not, unless ``fail_silently`` is set: what came before it
        was sent.
        """
        messages = list(email_messages or ())
        if not messages:
            return 0
        opened = self.open()
        try:
            return sum(self._sent(one) for one in messages)
        finally:
            if opened:
                self.close()

    def _sent(self, django_message: Any) -> bool:
        recipients = [str(one) for one in django_message.recipients()]  # they may be lazy texts
        if not recipients:
            return False
        try:
            account = self._account_for(str(django_message.from_email))
            message = RawMessage(
                complete(django_message.message().as_bytes(), account, {}), recipients=recipients
            )
            if self._queue:
                self._opened_outbox().add(message, account=account, fallback=self._fallback)
            else:
                self._mailer(account).send(message)
        except MailerError as error:
            if not self.fail_silently:
                raise
            _log.warning("%s (%s): %s", error.verdict, error.code, error)
            return False
        return True

    def _account_for(self, from_email: str) -> str:
        """The account's address."""
        accounts = Accounts()
        if self._account:
            return accounts.get(self._account).address
        sender = Address.parse(from_email).email
        return accounts.get(sender if sender in accounts else "").address

    def _mailer(self, account: str) -> Mailer:
        with self._lock:
            if account not in self._mailers:
                self._mailers[account] = open_mailer(account, fallback=self._fallback)
            return self._mailers[account]

    def _opened_outbox(self) -> Outbox:
        from ..outbox import Outbox

        with self._lock:
            if self._outbox is None:
                self._outbox = Outbox()
            return self._outbox
