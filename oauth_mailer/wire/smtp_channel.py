"""The two directions of an SMTP connection: octets out, replies in, each within a time and a size."""

from __future__ import annotations

import re
import select
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from ..i18n import _
from ..values import dataclass
from .patience import Patience

if TYPE_CHECKING:
    import ssl

__all__ = ["Channel", "GarbledReply", "PeerClosed", "Reply"]

MAX_LINE = 4096
"""Octets of one line of a reply; RFC 5321 §4.5.3.1.5 allows 512, and servers have been seen to take more."""

MAX_LINES = 256
"""Lines of one reply; the longest real ones, those to EHLO, have about 30."""

_READ = 16_384
"""Octets that one call asks for: a TLS record, so that none of it stays where the system does not see it."""

_LONGEST_WAIT = 86_400.0
"""Seconds; poll() counts milliseconds in an int."""

_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)


class PeerClosed(ConnectionError):
    """The server ended the connection."""


class GarbledReply(Exception):
    """What came is no SMTP reply; ``data`` is its beginning."""

    def __init__(self, data: bytes) -> None:
        super().__init__("no SMTP reply")
        self.data = data[:MAX_LINE]


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply (RFC 5321 §4.2): its code, and the text of its lines after the code."""

    code: int
    lines: tuple[bytes, ...]

    @property
    def text(self) -> bytes:
        """The lines, with line breaks between them."""
        return b"\n".join(self.lines)

    @property
    def positive(self) -> bool:
        """Whether it says that what was asked is done."""
        return 200 <= self.code < 300


class Channel:
    """An open connection. ``patience``: how long one write of a block and one whole reply may take.

    The socket itself never waits, so that what can be done at once costs one system call. What goes wrong is
    raised as it is: ``OSError`` (a server that ended the connection: ``PeerClosed``) or ``GarbledReply``.
    """

    def __init__(self, sock: socket.socket, patience: Patience) -> None:
        sock.settimeout(0)
        self._sock = sock
        self._tls: ssl.SSLSocket | None = None
        self._not_yet: tuple[type[OSError], ...] = (BlockingIOError,)
        self._comes = _waiter(sock, writing=False)
        self._patience = patience
        self._buffer = b""
        self.taken = 0
        """Octets of the latest write that the system took."""

    @property
    def encrypted(self) -> bool:
        """Whether it is a TLS connection; our contexts make none without verifying."""
        return self._tls is not None and self._tls.version() is not None

    def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """Begin TLS on the open connection (RFC 3207).

        Octets that came before it were not protected, so whoever sits on the way may have put them there to
        be taken for protected ones: they end the connection with ``GarbledReply``.
        """
        import ssl  # which a connection without encryption is spared

        if self._buffer:
            raise GarbledReply(self._buffer)
        self._sock.settimeout(self._patience.left())
        # wrap_socket() makes no handshake, and leaves a socket open, if the peer has gone: ask before and
        # after.
        self._sock.getpeername()
        self._not_yet = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
        self._sock = self._tls = context.wrap_socket(self._sock, server_hostname=host.encode("ascii"))
        if not self.encrypted:
            raise PeerClosed(_("the server ended the connection"))
        self._sock.settimeout(0)
        self._comes = _waiter(self._sock, writing=False)

    def write(self, data: bytes | bytearray, timeout: float | None = None) -> None:
        """Send these octets, all of them within the time."""
        deadline = self._patience.deadline(timeout)
        self.taken = 0
        _left(deadline)
        while self.taken < len(data):
            try:
                self.taken += self._sock.send(memoryview(data)[self.taken :] if self.taken else data)
            except self._not_yet as error:
                self._wait(error, deadline, writing=True)

    def read_reply(self, timeout: float | None = None) -> Reply:
        """The next reply, the whole of it within the time, however slowly it drips."""
        deadline = 0.0
        lines: list[bytes] = []
        code = b""
        while True:
            while (end := self._buffer.find(b"\n")) < 0:
                deadline = deadline or self._patience.deadline(timeout)
                self._fill(deadline)
            line = self._buffer[:end].removesuffix(b"\r")
            self._buffer = self._buffer[end + 1 :]
            found = _LINE.fullmatch(line)
            # RFC 5321 §4.2.1: the same code on all lines, so that a client may rely on any of them.
            if found is None or end > MAX_LINE or (code and found[1] != code) or len(lines) >= MAX_LINES:
                raise GarbledReply(b"\n".join([*lines[:1], line]))
            code, dash, text = found.groups(b"")
            lines.append(text)
            if dash != b"-":
                return Reply(int(code), tuple(lines))

    def must_go_on(self) -> None:
        """Raise ``TimeoutError`` if the time for the whole is over."""
        self._patience.left()

    def poll(self) -> bool:
        """Whether octets have come unasked; the end of the connection is ``PeerClosed``."""
        return self.wait(0)

    def wait(self, seconds: float) -> bool:
        """Whether the server says something within this time; nothing is taken from the connection."""
        if not self._buffer and self._comes(seconds):
            with suppress(*self._not_yet):  # what came was TLS's own
                self._take()
        return bool(self._buffer)

    def close(self) -> None:
        """Close it; a peer that has gone is no error."""
        try:
            self._sock.close()
        except OSError:
            return

    def _fill(self, deadline: float) -> None:
        """Until more has come."""
        if len(self._buffer) > MAX_LINE:
            raise GarbledReply(self._buffer)
        while self._comes(_left(deadline)):
            try:
                return self._take()
            except self._not_yet as error:
                self._wait(error, deadline, writing=False)
        raise TimeoutError("timed out")

    def _take(self) -> None:
        data = self._sock.recv(_READ)
        if not data:
            raise PeerClosed(_("the server ended the connection"))
        self._buffer += data

    def _wait(self, error: OSError, deadline: float, *, writing: bool) -> None:
        """Until what was not possible yet is worth another try; in TLS, to write may need to read first."""
        if not isinstance(error, BlockingIOError):
            import ssl

            writing = isinstance(error, ssl.SSLWantWriteError)
        if not _waiter(self._sock, writing=writing)(_left(deadline)):
            raise TimeoutError("timed out")


def _waiter(sock: socket.socket, *, writing: bool) -> Callable[[float], object]:
    """Waits so many seconds until the socket can be read from or written to, or failed; whether it did so."""
    if sys.platform == "win32":
        one, none = (sock,), ()
        reading, written = (none, one) if writing else (one, none)
        return lambda seconds: any(select.select(reading, written, none, seconds))
    else:  # noqa: RET505 - the type checker knows by it that this is not for Windows
        poller = select.poll()
        poller.register(sock, select.POLLOUT if writing else select.POLLIN)
        return lambda seconds: poller.poll(seconds * 1000)


def _left(deadline: float) -> float:
    if (seconds := deadline - time.monotonic()) <= 0:
        raise TimeoutError("timed out")
    return seconds
