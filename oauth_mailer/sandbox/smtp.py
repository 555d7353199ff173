"""An SMTP provider with login by authorization code or by token: aiosmtpd does the talking, this judges.

Login only inside TLS, the sender must be who logged in, and the octets are kept as they came.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import secrets
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from aiosmtpd.smtp import MISSING, AuthResult, TLSSetupException

from .grants import Grants
from .inbox import Inbox, Received
from .letters import Letter, LetterError
from .plan import Plan
from .smtp_connection import Connection
from .smtp_faults import LOGIN_FAILED, SMTP_STEPS, Stage, Step
from .smtp_tokens import TokenLogins

__all__ = ["MOST_OCTETS", "SmtpDesk", "quiet"]

MOST_OCTETS = 73_400_320
"""Octets of a whole message, as QQ announces by SIZE."""

_LOG = logging.getLogger(__name__)
_ADDRESS = re.compile(r"[^@\s<>]+@[^@\s<>]+")
_LONGEST_LINE = 998  # octets without its end, RFC 5321, 4.5.3.1.6
_NOT_A_LINE = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")


class SmtpDesk(TokenLogins):
    """Makes the connections' protocols, and is what aiosmtpd calls a handler.

    ``context``: the server's side of TLS; ``code``: the authorization code of every address; ``grants``: says
    what an access token is worth.
    """

    def __init__(
        self, inbox: Inbox, context: ssl.SSLContext, *, code: str, plan: str, grants: Grants
    ) -> None:
        self.inbox = inbox
        self.grants = grants
        self.transports: set[asyncio.BaseTransport] = set()
        self._context = context
        self._code = code
        stages = {name: step.stage for name, step in SMTP_STEPS.items()}
        self.plan = Plan("SMTP", plan, stages, end="dot")

    def protocol(self, *, starttls: bool) -> asyncio.Protocol:
        """The protocol of one new connection: plain at first if ``starttls``, else inside TLS already."""
        connection: asyncio.Protocol = Connection(
            self,
            data_size_limit=MOST_OCTETS,
            enable_SMTPUTF8=True,
            hostname="localhost",
            ident="ESMTP oauth_mailer sandbox",
            tls_context=self._context if starttls else None,
            require_starttls=starttls,
            # Inside implicit TLS aiosmtpd sees no TLS of its own, so it must not ask for it.
            auth_require_tls=starttls,
            authenticator=self.authenticate,
            loop=asyncio.get_running_loop(),
        )
        return connection

    def next(self, connection: Connection, stage: Stage) -> Step | None:
        """The step of the plan that this attempt meets now."""
        connection.step = self.plan.next(stage) or ""
        return SMTP_STEPS[connection.step] if connection.step else None

    def drop_all(self) -> None:
        """End every connection at once."""
        for transport in self.transports.copy():
            if isinstance(transport, asyncio.WriteTransport):
                with suppress(AttributeError):  # Python 3.11.2 of one inside TLS that is closing already
                    transport.abort()

    def authenticate(
        self, connection: Connection, _session: Any, _envelope: Any, _mechanism: str, data: Any
    ) -> AuthResult:
        """One login: PLAIN or LOGIN, with an address and the code."""
        connection.what = "login"
        self.inbox.count("smtp.auth")
        login = data.login.decode("utf-8", "replace")
        right = hmac.compare_digest(data.password, self._code.encode()) and _ADDRESS.fullmatch(login)
        if not right:
            self.inbox.count("smtp.auth.refused")
            return AuthResult(success=False, handled=False, message=LOGIN_FAILED)
        return AuthResult(success=True, auth_data=login)

    async def handle_AUTH(  # noqa: N802 - aiosmtpd's name
        self, connection: Connection, _session: Any, _envelope: Any, _words: list[str]
    ) -> Any:
        """A login that is not even looked at; else nothing."""
        connection.what = "login"
        if step := self.next(connection, "auth"):
            self.inbox.count("smtp.auth")
            self.inbox.count("smtp.auth.refused")
            return await connection.act(step)
        return MISSING

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, connection: Connection, session: Any, _envelope: Any, hostname: str, replies: list[str]
    ) -> list[str | bytes]:
        """The extensions; aiosmtpd reads commands one by one, so they may come together."""
        connection.what = "EHLO"
        if step := self.next(connection, "ehlo"):
            return [await connection.act(step)]
        session.host_name = hostname
        offered = [replies[0], "250-PIPELINING", *replies[1:]]
        return [self.offered(line) for line in offered if line[4:].split()[0] != connection.whole.lacks]

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, connection: Connection, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str | bytes:
        """The sender, who must be who logged in."""
        connection.what = "MAIL"
        self.inbox.count("smtp.mail")
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        if step := self.next(connection, "mail"):
            return await connection.act(step)
        if connection.spoke_too_soon:
            return "503 5.5.0 One command at a time: PIPELINING was not offered"
        if connection.whole.lacks == "8BITMIME" and "BODY=8BITMIME" in options:
            return "555 5.5.4 Unsupported option: BODY=8BITMIME"
        if not address.isascii() and not envelope.smtp_utf8:
            return "553 5.6.7 This address needs SMTPUTF8"
        if address.lower() != session.auth_data.lower():
            return "553 Mail from must equal authorized user"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, connection: Connection, _session: Any, envelope: Any, address: str, options: list[str]
    ) -> str | bytes:
        """One recipient."""
        connection.what = "RCPT"
        self.inbox.count("smtp.rcpt")
        if step := self.next(connection, "rcpt"):
            return await connection.act(step)
        if not address.isascii() and not envelope.smtp_utf8:
            return "553 5.6.7 This address needs SMTPUTF8"
        if not _ADDRESS.fullmatch(address):
            return "501 5.1.3 Bad recipient address syntax"
        if address not in envelope.rcpt_tos:
            envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, connection: Connection, session: Any, envelope: Any
    ) -> str | bytes:
        """The message, complete."""
        connection.what = "message"
        self.inbox.count("smtp.dot")
        data: bytes = envelope.original_content
        if problem := _problem(data, session.auth_data):
            self.inbox.count("smtp.refused")
            return problem
        if (step := self.next(connection, "dot")) and not step.accepts:
            return await connection.act(step)
        name = secrets.token_hex(8)
        reply = step.reply if step else f"250 OK: queued as {name}"
        self.inbox.add(
            Received(
                route="smtp",
                account=session.auth_data,
                sender=envelope.mail_from,
                recipients=tuple(envelope.rcpt_tos),
                data=data,
                at=datetime.now(UTC),
                id=name,
            ),
            text=reply if isinstance(reply, str) else "",
            step=connection.step,
        )
        connection.step = ""
        return await connection.act(step) if step else reply

    async def handle_QUIT(  # noqa: N802 - aiosmtpd's name
        self, connection: Connection, _session: Any, _envelope: Any
    ) -> str | bytes:
        """The end."""
        connection.what = "QUIT"
        self.inbox.count("smtp.quit")
        step = self.next(connection, "quit")
        return await connection.act(step) if step else "221 Bye"

    async def handle_exception(self, error: Exception) -> str:
        """A mistake of the sandbox, or of aiosmtpd; but not a client that ends the handshake."""
        if not isinstance(error, TLSSetupException):
            _LOG.error("the SMTP stand-in failed", exc_info=error)
        return "451 4.3.0 The sandbox failed"


def _problem(data: bytes, login: str) -> str:
    """The reply to a message that no server should take, or nothing."""
    if _NOT_A_LINE.search(data):
        # Others end a message there: the door of SMTP smuggling.
        return "550 5.6.11 Bare CR, bare LF or NUL in the message"
    if any(len(line) > _LONGEST_LINE for line in data.split(b"\r\n")):
        return "500 5.6.0 Line too long"  # aiosmtpd allows a few octets more
    try:
        letter = Letter(data)
        senders = letter.addresses("From")
        letter.addresses("Sender", "Reply-To", "To", "Cc")
    except LetterError as error:
        return f"550 5.6.0 {error}"
    if not senders:
        return '550 The "From" header is missing or invalid'
    if [one.lower() for one in senders] != [login.lower()]:
        return "554 DT:SUM envelope sender and From differ"
    return ""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep aiosmtpd from logging in this thread: it would log all of each message, and some wrong logins."""
    here = threading.get_ident()

    def ours(record: logging.LogRecord) -> bool:
        return record.thread != here

    log = logging.getLogger("mail.log")
    log.addFilter(ours)
    try:
        yield
    finally:
        log.removeFilter(ours)
