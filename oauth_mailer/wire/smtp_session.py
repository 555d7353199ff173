"""One conversation with a mail server, which knows how far it got.

The standard library's client cannot tell *not sent* from *unknown*, tries one login mechanism after another,
and drops in silence what an attacker puts behind the reply to STARTTLS; this one is for those three reasons.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from ..errors import RouteError, SendError
from ..i18n import _
from ..logs import Log
from ..providers import Server
from ..replies import Stage, decode_reply, readable
from ..values import dataclass, field
from .patience import Patience
from .smtp_auth import Login, authenticate, choose
from .smtp_channel import Channel, Reply
from .smtp_connect import FOREIGN, ascii_host, connect, fault, speaks_tls, tls_from_the_start
from .smtp_extensions import Mail, commands_for, extensions_in
from .smtp_transaction import Transaction

if TYPE_CHECKING:
    import ssl

__all__ = ["HELO", "Mail", "SmtpSession", "Taken"]

HELO = "[127.0.0.1]"
"""How we name ourselves: an address literal, as RFC 5321 §4.1.1.1 asks for where there is no name (its form:
§4.1.3). The host's own name or address would reach every recipient in a Received header, and may take long to
find out. Postfix's reject_invalid_helo_hostname and reject_non_fqdn_helo_hostname let it pass."""

QUIT_WAIT = 2.0
"""Seconds for the farewell: nothing depends on it, and some servers never answer it."""

_log = Log(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """The server took charge: its reply, and the reason for each recipient it refused."""

    remote_id: str
    refused: Mapping[str, str] = field(default_factory=dict)


class _Border:
    """What others raise in it becomes ours, and a connection that is out of step is closed after it."""

    __slots__ = ("_session",)

    def __init__(self, session: SmtpSession) -> None:
        self._session = session

    def __enter__(self) -> None:
        self._session.usable = False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session = self._session
        if not session.usable:
            session.abandon()
        if isinstance(error, FOREIGN):
            raise fault(error, session.step, session.server) from error


class SmtpSession:
    """One connection. ``timeout``: seconds for connecting, for TLS, for each block sent and for each reply.

    ``rows`` and ``address``: see ``replies.decode_reply``; ``helo``: the name to greet with. All methods that
    talk raise ``SendError`` only; ``step`` says what was under way, ``greeting`` and ``extensions`` what the
    server said of itself.
    """

    def __init__(
        self,
        server: Server,
        *,
        timeout: float,
        rows: str = "",
        address: str = "",
        helo: str = HELO,
    ) -> None:
        self.server = server
        self.step = "connect"
        self.greeting = ""
        self.usable = False
        self.messages = 0
        self.needs_reset = False
        self.opened_at = self.idle_since = time.monotonic()
        self._patience = Patience(timeout)
        self._rows = rows
        self._address = address
        self._helo = helo
        self._extensions: Mapping[str, str] = {}
        self._channel: Channel | None = None

    def connect(self, *, login: bool, context: Callable[[], ssl.SSLContext]) -> None:
        """Connect, encrypt and greet.

        ``login``: whether one follows; a server without EHLO takes none; ``context``: gives the TLS settings.
        It is not kept: a pool that nobody holds any more must not be held by its own sessions.
        """
        self._patience.begin()
        with _Border(self):
            sock = connect(self.server.host, self.server.port, self._patience.left())
            self._channel = Channel(sock, self._patience)
            if self.server.security == "tls":
                self._encrypt(context())
            self._greet(context)
            self._say_hello(login)
            if self.server.security == "starttls":
                self._start_tls(context())
                self._say_hello(login)
            self.usable = True

    def login(self, login: Login) -> None:
        """Prove who we are, by one mechanism and one attempt."""
        with _Border(self):
            offered = self._extensions.get("AUTH", "").upper().split()
            mechanism = choose(login.form, offered)
            if mechanism is None:
                raise RouteError(
                    _("{host} offers no way to log in that fits this account (it offers: {offered}).").format(
                        host=self.server.host, offered=readable(" ".join(offered).encode()) or _("none")
                    ),
                    code="auth-not-offered",
                    hint=_("Check the host and the port, or how the account logs in."),
                )
            self.step = "auth"
            answered = authenticate(self._open, mechanism, login, self.server)
            if not answered.reply.positive:
                stage: Stage = "token" if login.form == "bearer" else "auth"
                raise self._refusal(stage, answered.reply, answered.reason)
            _log.debug("%s: logged in by %s", self.server.host, mechanism)
            self.usable = True

    def deliver(self, mail: Mail) -> Taken:
        """Hand over one message.

        Raises a ``SendError`` whose verdict tells what became of it, and passes on what ``mail.blocks()``
        raises, after the connection was broken off without the end of the message.
        """
        commands = commands_for(mail, self._extensions, self.server.host)
        self.messages += 1
        self.needs_reset = True
        self._patience.begin(mail.size)
        with _Border(self):
            transaction = Transaction(self._open, self._refusal)
            try:
                reply, refused = transaction.run(commands, mail, pipelining="PIPELINING" in self._extensions)
            finally:
                self.step, self.usable = transaction.step, transaction.in_step
                self._patience.end()
        self.needs_reset = False
        return Taken(readable(reply.text), refused)

    def answers(self, timeout: float) -> bool:
        """Whether the server still answers, and has forgotten an earlier transaction (RSET)."""
        with suppress(*FOREIGN):
            self._open.write(b"RSET\r\n", timeout)
            return self._open.read_reply(timeout).positive
        return False

    def quiet(self) -> bool:
        """Whether the server said nothing unasked: neither the end of the connection nor a 421."""
        try:
            return not self._open.poll()
        except FOREIGN:
            return False

    def quit(self, wait: float = QUIT_WAIT) -> None:
        """Say farewell and close. Never raises; waits at most ``wait`` seconds, for whatever is answered."""
        if self._channel is not None:
            with suppress(*FOREIGN):
                self._channel.write(b"QUIT\r\n", wait)
                self._channel.read_reply(wait)
        self.abandon()

    def abandon(self) -> None:
        """Close without a word. Never raises."""
        self.usable = False
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    @property
    def extensions(self) -> Mapping[str, str]:
        """What the server offers, by keyword in capitals, with its parameters."""
        return self._extensions

    @property
    def _open(self) -> Channel:
        if self._channel is None:
            raise ConnectionError(_("the connection is closed"))
        return self._channel

    def _refusal(self, stage: Stage, reply: Reply, reason: bytes = b"") -> SendError:
        return decode_reply(
            self._rows,
            stage,
            reply.code,
            reply.text,
            host=self.server.host,
            address=self._address,
            reason=reason,
        )

    def _ask(self, stage: Stage, line: bytes) -> Reply:
        self.step = stage
        self._open.write(line + b"\r\n")
        return self._open.read_reply()

    def _encrypt(self, context: ssl.SSLContext) -> None:
        self.step = "tls"
        self._open.encrypt(context, ascii_host(self.server.host))

    def _greet(self, context: Callable[[], ssl.SSLContext]) -> None:
        self.step = "connect"
        patience = min(5.0, self._patience.left() / 3)
        # A port for TLS waits for the client to speak first, so both would wait until the time is up.
        silent = not self._open.encrypted and not self._open.wait(patience)
        if silent and speaks_tls(self.server, patience, context()):
            raise tls_from_the_start(self.server)
        reply = self._open.read_reply()
        self.greeting = readable(reply.text)
        if not reply.positive:
            raise self._refusal("connect", reply)

    def _say_hello(self, login: bool) -> None:
        reply = self._ask("ehlo", f"EHLO {self._helo}".encode())
        self._extensions = extensions_in(reply.lines)
        if reply.code in (500, 502) and not login and self.server.security != "starttls":
            # Without EHLO there is neither STARTTLS nor AUTH: only who needs none of them may go on.
            reply = self._ask("ehlo", f"HELO {self._helo}".encode())
            self._extensions = {}
        if not reply.positive:
            raise self._refusal("ehlo", reply)

    def _start_tls(self, context: ssl.SSLContext) -> None:
        if "STARTTLS" not in self._extensions:
            raise RouteError(
                _("{host} offers no encryption on port {port}; nothing was sent.").format(
                    host=self.server.host, port=self.server.port
                ),
                code="starttls-missing",
                hint=_("Use --security tls (port 465). If that fails too, somebody may be tampering."),
            )
        reply = self._ask("starttls", b"STARTTLS")
        if not reply.positive:
            raise self._refusal("starttls", reply)
        self._encrypt(context)
