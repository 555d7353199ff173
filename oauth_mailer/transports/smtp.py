"""SMTP submission (RFC 6409): by an authorization code, a password or a bearer token, over verified TLS.

There is no support for proxies: SMTP goes to the server itself.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from ..accounts import Account
from ..auth import Credential, Remembering
from ..errors import ConfigError, LoginRequired, SendError, TransientError
from ..i18n import _
from ..message import Envelope
from ..mime import Content
from ..stores import Secret
from ..wire.pool import Limits, Pool
from ..wire.smtp_auth import Login
from ..wire.smtp_session import HELO, Mail, SmtpSession, Taken
from . import Acceptance

if TYPE_CHECKING:
    import ssl

__all__ = ["SmtpTransport"]

_STALE = frozenset({"connection-lost", "timeout", "reply-garbled", "server-closing", "connection-quota"})
"""Errors of a kept connection, before any of the message left, that a new connection does not have."""


def open(account: Account, credential: Callable[[], Credential], timeout: float) -> SmtpTransport:  # noqa: A001
    """The transport of an account that sends by SMTP. Raises ``ConfigError`` where no server is known."""
    return SmtpTransport(account, credential, timeout=timeout)


class SmtpTransport:
    """Sends by SMTP over kept connections; may be used from several threads at once.

    ``credential`` gives the account's credential when first needed: never for ``auth = "none"``, nor for a
    connection without encryption (``security = "none"``), over which nothing secret is sent. ``timeout``:
    seconds for one step on the network; ``limits``: how long connections are kept. The account's option
    ``helo`` replaces the name we greet with, for the rare server that insists on one.
    """

    name = "smtp"

    def __init__(
        self,
        account: Account,
        credential: Callable[[], Credential],
        *,
        timeout: float,
        limits: Limits | None = None,
    ) -> None:
        self._account = account
        self._server = account.server
        self._helo = _helo(account)
        self._timeout = timeout
        self._needs_login = account.auth != "none" and self._server.security != "none"
        self._open_credential = credential
        self._credential: Credential | None = None
        self._context: ssl.SSLContext | None = None
        self._refused: tuple[Secret, LoginRequired] | None = None
        self._pool = Pool(limits)

    def send(self, envelope: Envelope, content: Content) -> Acceptance:
        """Send; see ``Transport.send``."""
        mail = Mail(
            sender=envelope.sender.email,
            recipients=tuple([one.email for one in envelope.recipients]),
            size=content.size,
            needs_8bit=content.needs_8bit,
            needs_smtputf8=content.needs_smtputf8,
            blocks=content.blocks,
            early=not content.is_watched,
        )
        with self._pool.turn:
            session = self._pool.take()
            taken = self._by_kept(session, mail) if session else None
            if taken is None:
                taken = self._deliver(self._connected(), mail)
        return Acceptance(remote_id=taken.remote_id, refused=taken.refused)

    def prove(self) -> None:
        """Connect, log in and part, without a message: whether the account works.

        Raises ``LoginRequired`` where the server refuses the login, else ``SendError`` or ``StoreError``.
        """
        self._connected().quit()

    def close(self) -> None:
        """Part from kept connections; a refused code may be tried again afterwards."""
        self._refused = None
        self._pool.close()

    def _by_kept(self, session: SmtpSession, mail: Mail) -> Taken | None:
        """None: the connection turned out to be dead before any of the message left it."""
        try:
            return self._deliver(session, mail)
        except TransientError as error:
            if session.step != "mail" or error.code not in _STALE:
                raise
        return None

    def _deliver(self, session: SmtpSession, mail: Mail) -> Taken:
        try:
            return session.deliver(mail)
        finally:
            self._pool.give(session)

    def _connected(self) -> SmtpSession:
        """A new session, logged in."""
        if not self._needs_login:
            return self._session()
        credential = self._ready()
        secret = self._unrefused(credential.get())
        try:
            return self._logged_in(secret, credential)
        except LoginRequired as error:
            if credential.form != "bearer" or error.code == "scope-missing":
                raise
            # A token may be revoked before its time: it is renewed once, and tried on a new connection.
            renewed = credential.renew(secret)
        return self._logged_in(renewed, credential)

    def _session(self) -> SmtpSession:
        session = SmtpSession(
            self._server,
            timeout=self._timeout,
            rows=self._account.preset.replies,
            address=self._account.address,
            helo=self._helo,
        )
        session.connect(login=self._needs_login, context=self._tls)
        return session

    def _logged_in(self, secret: Secret, credential: Credential) -> SmtpSession:
        session = self._session()
        done = False
        try:
            # One at a time: a wrong code is shown to the server once, not once by each thread.
            turn = credential.turn(secret) if isinstance(credential, Remembering) else nullcontext()
            with self._pool.logging_in, turn:
                self._unrefused(secret)
                try:
                    session.login(Login(self._account.login_name, secret, credential.form))
                except SendError as error:
                    if isinstance(credential, Remembering):
                        credential.note_refused(secret, error)
                    if isinstance(error, LoginRequired):
                        self._refused = (secret, error)
                    raise
            done = True
        finally:
            if not done:
                session.quit(0.1)
        return session

    def _unrefused(self, secret: Secret) -> Secret:
        """The secret, unless the server refused it before: then it is not asked again until somebody acts.

        Providers block an account or an IP address after a few failed logins.
        """
        if self._refused and self._refused[0] == secret:
            error = self._refused[1]
            raise LoginRequired(error.message, code=error.code, hint=error.hint, text=error.text)
        return secret

    def _ready(self) -> Credential:
        with self._pool.preparing:
            if self._credential is None:
                self._credential = self._open_credential()
            return self._credential

    def _tls(self) -> ssl.SSLContext:
        from ..wire.tls import client_context

        with self._pool.preparing:
            if self._context is None:
                self._context = client_context(self._account.ca_file)
            return self._context


def _helo(account: Account) -> str:
    helo: Any = account.options.get("helo", HELO)
    if not isinstance(helo, str) or not helo.isascii() or not helo.isprintable() or " " in helo or not helo:
        raise ConfigError(
            _("The configuration of {address} has a wrong value for {key!r}.").format(
                address=account.address, key="helo"
            ),
            code="config-value",
            hint=_("Give a host name such as mail.example.com, or leave it out."),
        )
    return helo
