"""A TCP or TLS connection to a web server: opened, perhaps through a proxy, kept, and read within a time."""

from __future__ import annotations

import http.client
import io
import os
import socket
import ssl
import time
from collections.abc import Callable
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors import RouteError, TransientError
from ..i18n import _, system_text
from ..replies import readable
from .endpoint import is_loopback
from .tls import certificate_error

__all__ = ["AnswerReader", "KeptConnection", "TimedReader", "connect", "reason"]

MAX_IDLE = 30.0
"""Seconds that a connection is kept for the next request: well below what servers and NAT keep."""


class KeptConnection:
    """One TCP or TLS connection to one host."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.idle_since = time.monotonic()
        self._process = os.getpid()

    def usable(self) -> bool:
        """Whether the server still holds it open, and has said nothing that it was not asked.

        Not in a child that was forked off: two processes that speak on one connection would destroy it, or
        take each other's answers.
        """
        if self._process != os.getpid() or time.monotonic() - self.idle_since > MAX_IDLE:
            return False
        self.sock.settimeout(0)
        try:
            self.sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False  # its end, or an answer that would be taken for that to the next request

    def close(self) -> None:
        """Close it; a peer that has gone is no error."""
        try:
            self.sock.close()
        except OSError:
            return


class TimedReader(io.RawIOBase):
    """Reads from a socket until a deadline, however slowly it drips, and no more than ``limit`` octets."""

    def __init__(self, sock: socket.socket, deadline: float, limit: int) -> None:
        self._sock = sock
        self._deadline = deadline
        self._left = limit

    def readable(self) -> bool:
        """See ``io.RawIOBase``."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """See ``io.RawIOBase``; raises ``TimeoutError`` once the deadline has passed."""
        if self._left <= 0:
            return 0
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the answer took too long")
        self._sock.settimeout(remaining)
        got = self._sock.recv_into(buffer)
        self._left -= got
        return got

    def end(self) -> None:
        """Read nothing more."""
        self._left = 0


class AnswerReader(io.BufferedReader):
    """What ``HTTPResponse`` takes for a socket. It outlives a response, as several may come in a row."""

    def __init__(self, source: TimedReader) -> None:
        super().__init__(source)
        self._source = source

    def makefile(self, _mode: str) -> AnswerReader:
        """What ``HTTPResponse`` asks a socket for."""
        return self

    def close(self) -> None:
        """What a response does at its end; the next one may be in the buffer already."""

    def flush(self) -> None:
        """What a response does too, even long after this is gone; there is nothing to be written."""

    def surplus(self) -> bool:
        """Whether more has come than was read. Nothing more is read from now on."""
        self._source.end()
        return bool(self.peek(1))


def connect(parts: SplitResult, timeout: float, context: Callable[[], ssl.SSLContext]) -> socket.socket:
    """Connect to the host of this address, through ``HTTPS_PROXY`` where it applies.

    ``timeout`` in seconds; ``context`` gives the TLS settings where they are needed. Nothing is sent yet.
    Raises ``TransientError``, or ``RouteError`` for a certificate that is not trusted.
    """
    host, port = parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443)
    proxy = _proxy_for(host, port) if parts.scheme == "https" else None
    try:
        if parts.scheme == "http":  # endpoint.check_endpoint lets it pass for loopback addresses only
            return _connected(host, port, timeout)
        return _secure(host, port, proxy, timeout, context())
    except ssl.SSLCertVerificationError as error:
        raise certificate_error(error, host) from error
    except socket.gaierror as error:
        raise TransientError(
            _("The name {host} cannot be resolved.").format(host=proxy.hostname if proxy else host),
            code="dns",
            hint=_("Check the network (and HTTPS_PROXY) and try again."),
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        way = f" (HTTPS_PROXY {proxy.hostname}:{proxy.port or 80})" if proxy else ""
        raise TransientError(
            _("{host} cannot be reached: {reason}.").format(host=host + way, reason=reason(error)),
            code="connect",
            hint=_("Check the network (and HTTPS_PROXY) and try again."),
        ) from error


def _connected(host: str, port: int, timeout: float) -> socket.socket:
    sock = socket.create_connection((host, port), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _secure(
    host: str, port: int, proxy: SplitResult | None, timeout: float, context: ssl.SSLContext
) -> socket.socket:
    sock = _connected(*((proxy.hostname or "", proxy.port or 80) if proxy else (host, port)), timeout)
    try:
        if proxy:
            _tunnel(sock, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", proxy, timeout)
            sock.settimeout(timeout)
        return context.wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise


def _tunnel(sock: socket.socket, target: str, proxy: SplitResult, timeout: float) -> None:
    """Have the proxy connect to the target; its whole answer has ``timeout`` seconds."""
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}", *_authorization(proxy), "", ""]
    sock.sendall("\r\n".join(lines).encode("ascii"))
    reader = AnswerReader(TimedReader(sock, time.monotonic() + timeout, 65_536))
    response = http.client.HTTPResponse(reader, method="CONNECT")  # type: ignore[arg-type]
    response.begin()
    if not 200 <= response.status < 300:
        raise OSError(f"{response.status} {response.reason}")
    if reader.surplus():  # in TLS it is the client who speaks first
        raise OSError(_("the proxy says more than it was asked"))


def _proxy_for(host: str, port: int) -> SplitResult | None:
    from urllib.request import getproxies, proxy_bypass

    address = getproxies().get("https", "")
    if not address or is_loopback(host) or proxy_bypass(f"{host}:{port}"):
        return None
    try:
        proxy = urlsplit(address if "//" in address else f"//{address}")
        fit = proxy.scheme in ("", "http") and bool(proxy.hostname) and proxy.port != 0
    except ValueError:
        fit = False  # without the cause: its text shows a part of the address, and that could be the password
    if not fit:
        raise RouteError(
            _("HTTPS_PROXY does not hold the address of an http proxy, and no other kind can be used."),
            code="proxy-unfit",
            hint=_("Give one such as http://127.0.0.1:8080, or unset it."),
        )
    return proxy


def _authorization(proxy: SplitResult) -> list[str]:
    if not proxy.username:
        return []
    from base64 import b64encode

    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return ["Proxy-Authorization: Basic " + b64encode(pair.encode()).decode()]


def reason(error: Exception) -> str:
    """What went wrong, in few words."""
    if isinstance(error, TimeoutError):
        return _("time-out")
    strerror = error.strerror if isinstance(error, OSError) else None
    # Errors of http.client show what the server sent.
    text = readable((strerror or str(error)).encode("utf-8", "replace"))
    return system_text(text) or type(error).__name__
