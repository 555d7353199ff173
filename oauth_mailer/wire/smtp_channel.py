"""The two directions of an SMTP connection: octets out, replies in, each within a time and a size."""

from __future__ import annotations

import re
import socket
import ssl
import time

from ..i18n import _
from ..values import dataclass
from .patience import Patience

__all__ = ["Channel", "GarbledReply", "PeerClosed", "Reply"]

MAX_LINE = 4096
"""Octets of one line of a reply; RFC 5321 §4.5.3.1.5 allows 512, and servers have been seen to take more."""

MAX_LINES = 256
"""Lines of one reply; the longest real ones, those to EHLO, have about 30."""

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

    What goes wrong is raised as it is: ``OSError`` (a server that ended the connection: ``PeerClosed``) or
    ``GarbledReply``.
    """

    def __init__(self, sock: socket.socket, patience: Patience) -> None:
        self._sock = sock
        self._patience = patience
        self._buffer = bytearray()
        self.taken = 0
        """Octets of the latest write that the system took."""

    @property
    def encrypted(self) -> bool:
        """Whether it is a TLS connection; our contexts make none without verifying."""
        return isinstance(self._sock, ssl.SSLSocket) and self._sock.version() is not None

    def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """Begin TLS on the open connection (RFC 3207).

        Octets that came before it were not protected, so whoever sits on the way may have put them there to
        be taken for protected ones: they end the connection with ``GarbledReply``.
        """
        if self._buffer:
            raise GarbledReply(bytes(self._buffer))
        self._sock.settimeout(self._patience.left())
        # wrap_socket() makes no handshake, and leaves a socket open, if the peer has gone: ask before and
        # after.
        self._sock.getpeername()
        self._sock = context.wrap_socket(self._sock, server_hostname=host)
        if not self.encrypted:
            raise PeerClosed(_("the server ended the connection"))

    def write(self, data: bytes | bytearray, timeout: float | None = None) -> None:
        """Send these octets, all of them within the time."""
        deadline = self._patience.deadline(timeout)
        self.taken = 0
        view = memoryview(data)
        while self.taken < len(data):
            self._wait_until(deadline)
            self.taken += self._sock.send(view[self.taken :])

    def read_reply(self, timeout: float | None = None) -> Reply:
        """The next reply, the whole of it within the time, however slowly it drips."""
        deadline = self._patience.deadline(timeout)
        lines: list[bytes] = []
        code = b""
        while True:
            line = self._read_line(deadline)
            found = _LINE.fullmatch(line)
            # RFC 5321 §4.2.1: the same code on all lines, so that a client may rely on any of them.
            if found is None or (code and found[1] != code) or len(lines) >= MAX_LINES:
                raise GarbledReply(b"\n".join([*lines[:1], line]))
            code = found[1]
            lines.append(found[3] or b"")
            if found[2] != b"-":
                return Reply(int(code), tuple(lines))

    def must_go_on(self) -> None:
        """Raise ``TimeoutError`` if the time for the whole is over."""
        self._patience.left()

    def poll(self) -> bool:
        """Whether octets have come unasked; the end of the connection is ``PeerClosed``."""
        if not self._buffer:
            self._sock.settimeout(0)
            try:
                self._fill()
            except (BlockingIOError, ssl.SSLWantReadError):
                return False
        return True

    def wait(self, seconds: float) -> bool:
        """Whether the server says something within this time; nothing is taken from the connection."""
        if self._buffer:
            return True
        self._sock.settimeout(seconds)
        try:
            self._fill()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Close it; a peer that has gone is no error."""
        try:
            self._sock.close()
        except OSError:
            return

    def _read_line(self, deadline: float) -> bytes:
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > MAX_LINE:
                raise GarbledReply(bytes(self._buffer))
            self._wait_until(deadline)
            self._fill()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        if len(line) > MAX_LINE:
            raise GarbledReply(line)
        return line.removesuffix(b"\r")

    def _fill(self) -> None:
        data = self._sock.recv(MAX_LINE)
        if not data:
            raise PeerClosed(_("the server ended the connection"))
        self._buffer += data

    def _wait_until(self, deadline: float) -> None:
        if (left := deadline - time.monotonic()) <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
