"""One SMTP connection: aiosmtpd does the talking; what a plan does to it is done here."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from aiosmtpd.smtp import SMTP

from .inbox import Event
from .smtp_faults import Step

if TYPE_CHECKING:
    from .smtp import SmtpDesk

__all__ = ["Connection"]

_DRIP = 1.0
"""Seconds from octet to octet of a reply that drips."""

_SHOWN = 500
"""Characters of a reply that the inbox keeps."""

_FLOOD = 1 << 12
"""Lines in one write of a reply without an end."""


class Connection(SMTP):
    """aiosmtpd has no hooks for the connection itself, the greeting, STARTTLS and the command DATA.

    ``whole``: the step of the plan that holds for all of it; ``step``: the name of the latest one;
    ``what``: what is being answered, such as ``MAIL``.
    """

    def __init__(self, desk: SmtpDesk, **settings: Any) -> None:
        super().__init__(desk, **settings)
        self.whole = Step("connection")
        self.step = ""
        self.what = "connection"
        self._desk = desk
        self._greeted = False
        self._injected = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As in asyncio; called once more with the encrypted transport after STARTTLS."""
        if self._original_transport is None:
            self.whole = self._desk.next(self, "connection") or self.whole
            self.enable_SMTPUTF8 = self.whole.lacks != "SMTPUTF8"
            self.data_size_limit = self.whole.size or self.data_size_limit
            if self.step:
                self.note()
        self._desk.transports.add(transport)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """As in asyncio."""
        self._desk.transports -= {self.transport, self._original_transport}
        super().connection_lost(error)

    def note(self, text: str | bytes = "", *, accepted: bool = False) -> None:
        """Tell the inbox what became of it, and by which step of the plan, if by one."""
        said = text if isinstance(text, str) else text.decode("gb18030", "backslashreplace")
        account = str(getattr(self.session, "auth_data", None) or "")
        self._desk.inbox.note(
            Event(
                server="smtp",
                what=self.what,
                accepted=accepted,
                text=said[:_SHOWN],
                step=self.step,
                account=account,
            )
        )
        self.step = ""

    async def push(self, status: str | bytes) -> None:
        """Send a reply."""
        if not self._greeted:
            self._greeted = True
            self._desk.inbox.count("smtp.connect")
            if step := self._desk.next(self, "greeting"):
                status = await self.act(step)
        said = status if isinstance(status, bytes) else status.encode()
        if said[:1] in (b"4", b"5") or said[:3] == b"235":
            self.note(said, accepted=said[:1] == b"2")
        if self._injected and said[:3] == b"220":
            said, self._injected = said + b"\r\n" + self._injected, b""
        await super().push(said)

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """The command."""
        self.what = "STARTTLS"
        if step := self._desk.next(self, "starttls"):
            if not step.injects:
                await self.push(await self.act(step))
                return
            self.note(step.injects)
            self._injected = step.injects
        await super().smtp_STARTTLS(arg)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """The command, and the message behind it."""
        self.what = "DATA"
        if self.envelope is not None and self.envelope.rcpt_tos and not arg:
            self._desk.inbox.count("smtp.data")
            if step := self._desk.next(self, "data"):
                await self.push(await self.act(step))
                return
        await super().smtp_DATA(arg)

    async def act(self, step: Step) -> str | bytes:
        """Do what the step says; the reply, if the connection goes on."""
        if step.then == "go on":
            return step.reply
        if not step.accepts:  # else the inbox knows already
            self.note(step.reply)
        transport = self.transport
        if not isinstance(transport, asyncio.Transport):
            raise asyncio.CancelledError  # the other side is gone
        reply = step.reply if isinstance(step.reply, bytes) else step.reply.encode()
        match step.then:
            case "drip":
                transport.write(reply)
                await self._without_end(b".", _DRIP)
            case "flood":
                await self._without_end((reply + b"\r\n") * _FLOOD, 0)
            case "hang":
                # Nobody ever sets it: aiosmtpd cancels this when the other side is gone.
                await asyncio.get_running_loop().create_future()
        if reply:
            transport.write(reply if isinstance(step.reply, bytes) else reply + b"\r\n")
        transport.close()
        raise asyncio.CancelledError

    async def _without_end(self, data: bytes, pause: float) -> NoReturn:
        with suppress(ConnectionError):
            while isinstance(self.transport, asyncio.WriteTransport) and not self.transport.is_closing():
                self.transport.write(data)
                await self._writer.drain()
                await asyncio.sleep(pause)
        raise asyncio.CancelledError

    @property
    def spoke_too_soon(self) -> bool:
        """Whether more commands are here than were asked for, at a server that takes one at a time."""
        return self.whole.lacks == "PIPELINING" and bool(self._reader._buffer)  # type: ignore[attr-defined]  # nobody else knows
