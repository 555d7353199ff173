"""A TCP or TLS connection to a web server: opened, perhaps through a proxy, kept, and read within a time."""

from __future__ import annotations

import http.client
import io
import select
import socket
import ssl
import time
from collections.abc import Callable
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors import TransientError
from ..i18n import _, system_text
from .endpoint import is_loopback
from .tls import certificate_error

__all__ = ["KeptConnection", "TimedReader", "connect", "reason"]

MAX_IDLE = 30.0
"""Seconds that a connection is kept for the next request: well below what servers and NAT keep."""


class KeptConnection:
    """One TCP or TLS connection to one host."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.idle_since = time.monotonic()

    def usable(self) -> bool:
        """Whether the server still holds it open: the end that a closing server sends is readable."""
        if time.monotonic() - self.idle_since > MAX_IDLE:
            return False
        try:
            readable, _writable, _error = select.select([self.sock], [], [], 0)
        except (OSError, ValueError):
            return False
        return not readable

    def close(self) -> None:
        """Close it; a peer that has gone is no error."""
        try:
            self.sock.close()
        except OSError:
            return


class TimedReader(io.RawIOBase):
    """Reads from a socket until a deadline for the whole answer, however slowly it drips."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        """See ``io.RawIOBase``."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """See ``io.RawIOBase``; raises ``TimeoutError`` once the deadline has passed."""
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the answer took too long")
        self._sock.settimeout(remaining)
        return self._sock.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What ``HTTPResponse`` asks a socket for."""
        return io.BufferedReader(self)


def connect(parts: SplitResult, timeout: float, context: Callable[[], ssl.SSLContext]) -> socket.socket:
    """Connect to the host of this address, through ``HTTPS_PROXY`` where it applies.

    ``timeout`` in seconds; ``context`` gives the TLS settings where they are needed. Nothing is sent yet.
    Raises ``TransientError``, or ``RouteError`` for a certificate that is not trusted.
    """
    host = parts.hostname or ""
    try:
        return _open(parts, host, timeout, context)
    except ssl.SSLCertVerificationError as error:
        raise certificate_error(error, host) from error
    except socket.gaierror as error:
        raise TransientError(
            _("The name {host} cannot be resolved.").format(host=host),
            code="dns",
            hint=_("Check the network and try again."),
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise TransientError(
            _("{host} cannot be reached: {reason}.").format(host=host, reason=reason(error)),
            code="connect",
            hint=_("Check the network (and HTTPS_PROXY) and try again."),
        ) from error


def _open(
    parts: SplitResult, host: str, timeout: float, context: Callable[[], ssl.SSLContext]
) -> socket.socket:
    if parts.scheme == "http":
        # endpoint.check_endpoint lets plain HTTP pass for loopback addresses only.
        plain = http.client.HTTPConnection(host, parts.port or 80, timeout=timeout)
        plain.connect()
        return _without_delay(plain.sock)
    proxy = _proxy_for(host)
    address = (proxy.hostname or "", proxy.port or 80) if proxy else (host, parts.port or 443)
    secure = http.client.HTTPSConnection(*address, timeout=timeout, context=context())
    if proxy:
        secure.set_tunnel(host, parts.port or 443, headers=_proxy_headers(proxy))
    try:
        secure.connect()
    except BaseException:
        secure.close()
        raise
    return _without_delay(secure.sock)


def _without_delay(sock: socket.socket) -> socket.socket:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _proxy_for(host: str) -> SplitResult | None:
    from urllib.request import getproxies, proxy_bypass

    proxy = getproxies().get("https", "")
    if not proxy or is_loopback(host) or proxy_bypass(host):
        return None
    return urlsplit(proxy if "//" in proxy else f"//{proxy}")


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    from base64 import b64encode

    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + b64encode(pair.encode()).decode()}


def reason(error: Exception) -> str:
    """What went wrong, in few words."""
    if isinstance(error, TimeoutError):
        return _("time-out")
    strerror = error.strerror if isinstance(error, OSError) else None
    return system_text(strerror or str(error)) or type(error).__name__
