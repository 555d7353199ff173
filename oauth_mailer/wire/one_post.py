"""One HTTP request, sent once, over a connection that knows how far it got.

The usual clients send a request again when a kept connection turns out to be closed, or after a time-out;
for a mail that means twice. This one never does. What it cannot finish it reports by how far it came:

- before the last octet of the body left: nothing can have been accepted (``TransientError``, ``RouteError``);
- after it, without an answer: ``OutcomeUnknown``.

Redirects are never followed, so that the bearer token stays with the host it was meant for.
"""

from __future__ import annotations

import http
import http.client
import socket
import ssl
import threading
import time
import weakref
import zlib
from collections.abc import Iterator, Mapping
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from ..errors import OutcomeUnknown, TransientError
from ..i18n import _
from ..values import dataclass, field, replace
from .http_connection import AnswerReader, KeptConnection, TimedReader, connect, reason
from .patience import Patience
from .tls import client_context

__all__ = ["Answer", "Body", "PostClient"]

MAX_ANSWER = 1 << 20
"""Octets of an answer's body that are kept; Gmail's are below 2 KiB."""

_BROKEN = (OSError, http.client.HTTPException, ValueError)
"""What ends the reading of an answer; http.client lets a ``ValueError`` out for some odd sizes of chunks."""


class Body(Protocol):
    """The octets of a request; ``len`` is exact, and each iteration starts afresh."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered.

    ``whole`` is False where its body broke off or was too long; ``taken`` is False where the server answered
    before the whole request had left, so that it cannot have acted on it. Its repr shows nothing of what it
    holds: that may be a token.
    """

    status: int
    reason: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    whole: bool = True
    taken: bool = True


class PostClient:
    """Posts to HTTPS hosts (and to HTTP on loopback addresses), from several threads at once.

    ``timeout``: seconds for connecting, for each block that is sent and for the whole answer, and ten times
    that, or more for a large body, for all of it;
    ``ca_file``: the certificates to trust, see ``tls.client_context``. ``HTTPS_PROXY`` is respected.
    """

    def __init__(self, *, timeout: float, ca_file: str = "") -> None:
        self._timeout = timeout
        self._ca_file = ca_file
        self._idle: dict[tuple[str, str], list[KeptConnection]] = {}
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        weakref.finalize(self, _close_all, self._idle)  # when nobody holds this any more

    def post(self, url: str, headers: Mapping[str, str], body: Body, method: str = "POST") -> Answer:
        """Send one request and read its answer, whatever its status.

        Raises ``TransientError`` or ``RouteError`` where the request cannot have been taken, and
        ``OutcomeUnknown`` where it may have been. What ``body`` raises while it is read passes through, after
        the connection was broken off before the request was complete.
        """
        parts = urlsplit(url)
        patience = Patience(self._timeout).begin(len(body))
        connection = self._take(parts) or KeptConnection(connect(parts, self._timeout, self._tls))
        done = False
        try:
            answer, keep = self._exchange(connection, parts, method, headers, body, patience=patience)
            done = True
        finally:
            if not done:
                connection.close()
        if keep:
            self._keep(parts, connection)
        else:
            connection.close()
        return answer

    def close(self) -> None:
        """Close the kept connections. Never raises."""
        with self._lock:
            _close_all(self._idle)

    def _take(self, parts: SplitResult) -> KeptConnection | None:
        with self._lock:
            kept = self._idle.get((parts.scheme, parts.netloc), [])
            for connection in tuple(kept):
                if not connection.usable():
                    kept.remove(connection)
                    connection.close()
            return kept.pop() if kept else None

    def _keep(self, parts: SplitResult, connection: KeptConnection) -> None:
        connection.idle_since = time.monotonic()
        with self._lock:
            self._idle.setdefault((parts.scheme, parts.netloc), []).append(connection)

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = client_context(self._ca_file)
        return self._context

    def _exchange(
        self,
        connection: KeptConnection,
        parts: SplitResult,
        method: str,
        headers: Mapping[str, str],
        body: Body,
        *,
        patience: Patience,
    ) -> tuple[Answer, bool]:
        """Send and read; what went wrong while sending matters only if no answer explains it."""
        host = parts.hostname or ""
        sending = _Sending(connection.sock, len(body), patience)
        broken = sending.run(_head(parts, method, headers, len(body)), body)
        try:
            answer, keep = self._answer(connection, method, patience.deadline())
        except _BROKEN as error:
            cause = broken or error
            raise sending.verdict(host, cause) from cause
        if broken:
            # A server that refuses early (401, 413) may answer and close before it has read all.
            return replace(answer, taken=sending.complete), False
        return answer, keep

    def _answer(self, connection: KeptConnection, method: str, deadline: float) -> tuple[Answer, bool]:
        reader = AnswerReader(TimedReader(connection.sock, deadline, 2 * MAX_ANSWER))
        while True:
            response = http.client.HTTPResponse(reader, method=method)  # type: ignore[arg-type]
            response.begin()
            # Others than 100 come before the answer too (RFC 9110 §15.2), which http.client does not know.
            if not 100 <= response.status < 200 or response.status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                break
        try:
            body = response.read(MAX_ANSWER)
            whole = not response.read(1)
        except _BROKEN as error:
            body, whole = getattr(error, "partial", b""), False
        if response.length:
            whole = False  # the connection ended before Content-Length was reached
        keep = whole and not response.will_close and response.status >= 200 and not reader.surplus()
        headers = {name.lower(): value for name, value in response.getheaders()}
        if headers.pop("content-encoding", "").strip().lower() in ("gzip", "x-gzip", "deflate"):
            body, whole = _unpacked(body, whole)
        return Answer(response.status, response.reason, headers, body, whole), keep


def _close_all(idle: dict[tuple[str, str], list[KeptConnection]]) -> None:
    for kept in idle.values():
        while kept:
            kept.pop().close()


class _Sending:
    """Sends a request and knows whether all of it may have left."""

    def __init__(self, sock: socket.socket, total: int, patience: Patience) -> None:
        self._sock = sock
        self._left = total
        self._patience = patience
        self.complete = False

    def run(self, head: bytes, body: Body) -> OSError | None:
        """Send it all; returns what the connection broke with. What ``body`` raises passes through."""
        pending = head  # goes out with the first block, in one packet where both are small
        for block in body:
            self._left -= len(block)
            if error := self._send(pending + block if pending else block):
                return error
            pending = b""
        if self._left:
            raise AssertionError(f"a body announced {self._left} octets more than it gave")
        return self._send(pending) if pending else None

    def _send(self, data: bytes) -> OSError | None:
        try:
            self._sock.settimeout(self._patience.left())
            # Set before the last octet leaves: an error from here on proves nothing.
            self.complete = self._left <= 0
            self._sock.sendall(data)
        except OSError as error:
            return error
        return None

    def verdict(self, host: str, error: Exception) -> TransientError | OutcomeUnknown:
        if self.complete:
            return OutcomeUnknown(
                _("{host} took the message but did not answer ({reason}): it may have been sent.").format(
                    host=host, reason=reason(error)
                ),
                code="no-answer",
                hint=_("Look into the Sent folder before you send it again."),
            )
        return TransientError(
            _("The connection to {host} broke before the message was complete ({reason}).").format(
                host=host, reason=reason(error)
            ),
            code="connection-lost",
            hint=_("Nothing was sent; try again."),
        )


def _unpacked(body: bytes, whole: bool) -> tuple[bytes, bool]:
    """Undo gzip or deflate, which some proxies apply unasked; bounded, as a few octets can hold gigabytes."""
    unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        return unpack.decompress(body, MAX_ANSWER), whole and unpack.eof
    except zlib.error:
        return b"", False


def _head(parts: SplitResult, method: str, headers: Mapping[str, str], length: int) -> bytes:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {length}"]
    lines += [
        f"{name}: {value}"
        for name, value in headers.items()
        if name.lower() not in ("host", "content-length")
    ]
    if any("\r" in line or "\n" in line for line in lines):
        raise AssertionError("a line break in an HTTP header")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
