"""An SMTP provider with login by authorization code: aiosmtpd does the talking, this judges.

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
from typing import Any, AnyStr

from aiosmtpd.smtp import SMTP, AuthResult

from .inbox import Inbox, Received
from .letters import Letter, LetterError
from .plan import Plan
from .smtp_faults import LOGIN_FAILED, SMTP_STEPS, Stage, Step

__all__ = ["MOST_OCTETS", "SmtpDesk", "quiet"]

MOST_OCTETS = 73_400_320
"""Octets of a whole message, as QQ announces by SIZE."""

_LOG = logging.getLogger(__name__)
_ADDRESS = re.compile(r"[^@\s<>]+@[^@\s<>]+")
_LONGEST_LINE = 998  # octets without its end, RFC 5321, 4.5.3.1.6
_NOT_A_LINE = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")


class SmtpDesk:
    """Makes the connections' protocols, and is what aiosmtpd calls a handler.

    ``context``: the server's side of TLS; ``code``: the authorization code of every address.
    """

    def __init__(self, inbox: Inbox, context: ssl.SSLContext, *, code: str, plan: str) -> None:
        self.inbox = inbox
        self.transports: set[asyncio.BaseTransport] = set()
        self._context = context
        self._code = code
        stages = {name: step.stage for name, step in SMTP_STEPS.items()}
        self._plan = Plan("SMTP", plan, stages, end="dot")

    def protocol(self, *, starttls: bool) -> asyncio.Protocol:
        """The protocol of one new connection: plain at first if ``starttls``, else inside TLS already."""
        connection: asyncio.Protocol = _Connection(
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

    def next(self, stage: Stage) -> Step | None:
        """The step of the plan that this attempt meets now."""
        name = self._plan.next(stage)
        return SMTP_STEPS[name] if name else None

    def drop_all(self) -> None:
        """End every connection at once."""
        for transport in self.transports.copy():
            if isinstance(transport, asyncio.WriteTransport):
                with suppress(AttributeError):  # Python 3.11.2 of one inside TLS that is closing already
                    transport.abort()

    async def act(self, connection: _Connection, step: Step) -> str:
        """Do what the step says; the reply, if the connection goes on."""
        if step.then == "go on":
            return str(step.reply)
        transport = connection.transport
        if not isinstance(transport, asyncio.Transport):
            raise asyncio.CancelledError  # the other side is gone
        if step.reply:
            reply = step.reply
            transport.write(reply if isinstance(reply, bytes) else reply.encode() + b"\r\n")
        if step.then == "hang":
            # Nobody ever sets it: aiosmtpd cancels this when the other side is gone.
            await asyncio.get_running_loop().create_future()
        transport.close()
        raise asyncio.CancelledError

    def authenticate(
        self, connection: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any
    ) -> AuthResult:
        """One login: PLAIN or LOGIN, with an address and the code."""
        self.inbox.count("smtp.auth")
        step = self.next("auth")
        if step and step.then == "close":
            connection.transport.close()
            return AuthResult(success=False, handled=True)
        login = data.login.decode("utf-8", "replace")
        right = hmac.compare_digest(data.password, self._code.encode()) and _ADDRESS.fullmatch(login)
        if step or not right:
            self.inbox.count("smtp.auth.refused")
            return AuthResult(success=False, handled=False, message=str(step.reply) if step else LOGIN_FAILED)
        return AuthResult(success=True, auth_data=login)

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, _connection: Any, session: Any, _envelope: Any, hostname: str, replies: list[str]
    ) -> list[str]:
        """The extensions; aiosmtpd reads commands one by one, so they may come together."""
        session.host_name = hostname
        return [replies[0], "250-PIPELINING", *replies[1:]]

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, connection: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        """The sender, who must be who logged in."""
        self.inbox.count("smtp.mail")
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        if step := self.next("mail"):
            return await self.act(connection, step)
        if not address.isascii() and not envelope.smtp_utf8:
            return "553 5.6.7 This address needs SMTPUTF8"
        if address.lower() != session.auth_data.lower():
            return "553 Mail from must equal authorized user"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, connection: Any, _session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        """One recipient."""
        self.inbox.count("smtp.rcpt")
        if step := self.next("rcpt"):
            return await self.act(connection, step)
        if not address.isascii() and not envelope.smtp_utf8:
            return "553 5.6.7 This address needs SMTPUTF8"
        if not _ADDRESS.fullmatch(address):
            return "501 5.1.3 Bad recipient address syntax"
        if address not in envelope.rcpt_tos:
            envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, connection: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        """The message, complete."""
        self.inbox.count("smtp.dot")
        data: bytes = envelope.original_content
        if problem := _problem(data, session.auth_data):
            self.inbox.count("smtp.refused")
            return problem
        step = self.next("dot")
        if step and not step.accepts:
            return await self.act(connection, step)
        name = secrets.token_hex(8)
        self.inbox.add(
            Received(
                route="smtp",
                account=session.auth_data,
                sender=envelope.mail_from,
                recipients=tuple(envelope.rcpt_tos),
                data=data,
                at=datetime.now(UTC),
                id=name,
            )
        )
        return await self.act(connection, step) if step else f"250 OK: queued as {name}"

    async def handle_QUIT(self, connection: Any, _session: Any, _envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        """The end."""
        self.inbox.count("smtp.quit")
        step = self.next("quit")
        return await self.act(connection, step) if step else "221 Bye"

    async def handle_exception(self, error: Exception) -> str:
        """A mistake of the sandbox, or of aiosmtpd."""
        _LOG.error("the SMTP stand-in failed", exc_info=error)
        return "451 4.3.0 The sandbox failed"


class _Connection(SMTP):
    """One connection. aiosmtpd has no hooks for the greeting and for the command DATA."""

    def __init__(self, desk: SmtpDesk, **settings: Any) -> None:
        super().__init__(desk, **settings)
        self._desk = desk
        self._greeted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Called once more with the encrypted transport after STARTTLS.
        self._desk.transports.add(transport)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._desk.transports -= {self.transport, self._original_transport}
        super().connection_lost(error)

    async def push(self, status: AnyStr) -> None:
        if not self._greeted:
            self._greeted = True
            self._desk.inbox.count("smtp.connect")
            if step := self._desk.next("greeting"):
                await self._desk.act(self, step)
        await super().push(status)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        if self.envelope is not None and self.envelope.rcpt_tos and not arg:
            self._desk.inbox.count("smtp.data")
            if step := self._desk.next("data"):
                await self.push(await self._desk.act(self, step))
                return
        await super().smtp_DATA(arg)


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
