"""The way to a mail server: names, addresses, TCP; and what went wrong on it, or later, in our own words."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from ..errors import OutcomeUnknown, RouteError, SendError, TransientError
from ..i18n import _, system_text
from ..providers import Server
from ..replies import readable
from .smtp_channel import GarbledReply

if TYPE_CHECKING:
    import ssl

__all__ = ["FOREIGN", "ascii_host", "connect", "fault", "speaks_tls", "tls_from_the_start"]


class NoHostName(Exception):
    """The text is no name of a host."""


FOREIGN = (OSError, GarbledReply, NoHostName)
"""What may be raised on the way; ``OSError`` covers time-outs, name resolution and TLS."""


def ascii_host(host: str) -> str:
    """The name in the form that the resolver and the certificate have. Raises ``NoHostName``."""
    try:
        if not host.isascii():
            import idna

            host = idna.encode(host, uts46=True).decode("ascii")
    except UnicodeError as error:
        raise NoHostName from error
    if "\0" in host or not all(0 < len(label) <= 63 for label in host.removesuffix(".").split(".")):
        raise NoHostName
    return host


def connect(host: str, port: int, timeout: float) -> socket.socket:
    """A TCP connection to the first address of this host that takes one, IPv6 or IPv4, in the system's order.

    ``timeout``: seconds for all of them; each address gets its share, so that a dead one does not use it up.
    """
    deadline = time.monotonic() + timeout
    # As octets: a text would be encoded once more, by a codec that has to be imported first.
    addresses = socket.getaddrinfo(ascii_host(host).encode("ascii"), port, type=socket.SOCK_STREAM)
    failure: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
    for left, (family, kind, protocol, _name, address) in zip(
        range(len(addresses), 0, -1), addresses, strict=True
    ):
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # this system has no IPv6 (or no IPv4)
            failure = error
            continue
        try:
            sock.settimeout(max(0.01, (deadline - time.monotonic()) / left))
            sock.connect(address)
            # Commands are written whole; waiting to fill a packet would only cost time.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def speaks_tls(server: Server, timeout: float, context: ssl.SSLContext) -> bool:
    """Whether the port speaks TLS from the first octet: found out on a connection of its own."""
    import ssl

    deadline = time.monotonic() + timeout
    try:
        with connect(server.host, server.port, timeout) as sock:
            sock.settimeout(max(0.01, deadline - time.monotonic()))
            context.wrap_socket(sock, server_hostname=ascii_host(server.host)).close()
    except ssl.SSLCertVerificationError:
        return True
    except FOREIGN:
        return False
    return True


_PLAIN = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})
_TOO_OLD = frozenset(
    {"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE", "NO_SHARED_CIPHER"}
)


def fault(error: Exception, step: str, server: Server) -> SendError:
    """The error for what was raised at this step.

    ``step``: ``connect``, ``tls``, the command that was under way, ``data`` (the message is being handed
    over) or ``dot`` (its end may have left).
    """
    import ssl

    from .tls import certificate_error, tls_reason

    host, port = server.host, server.port
    if step == "dot":
        return OutcomeUnknown(
            _("{host} got the whole message but did not answer ({reason}): it may have been sent.").format(
                host=host, reason=_reason(error)
            ),
            code="outcome-unknown",
            hint=_("Ask the recipient, or look into the Sent folder, before you send it again."),
        )
    if isinstance(error, GarbledReply):
        return _garbled(error, step, server)
    if isinstance(error, ssl.SSLCertVerificationError):
        return certificate_error(error, host)
    if isinstance(error, ssl.SSLError) and step == "tls" and tls_reason(error) in _PLAIN:
        return RouteError(
            _("{host} does not speak TLS from the first octet on port {port}.").format(host=host, port=port),
            code="tls-not-spoken",
            hint=_("Use --security starttls (port 587 by custom), or the port for TLS, 465."),
        )
    if isinstance(error, ssl.SSLError) and step == "tls" and tls_reason(error) in _TOO_OLD:
        return RouteError(
            _("{host} has no TLS 1.2 or newer; older ones are not safe.").format(host=host),
            code="tls-too-old",
            hint=_("Ask whoever runs {host} to bring it up to date.").format(host=host),
        )
    if isinstance(error, NoHostName):
        return RouteError(
            _("{host!r} is no name of a host.").format(host=host),
            code="host-wrong",
            hint=_("Check the host in the configuration, or log in again with --host."),
        )
    if isinstance(error, socket.gaierror):
        return TransientError(
            _("The name {host} cannot be resolved.").format(host=host),
            code="dns",
            hint=_("Check the network and the name of the server, and try again."),
        )
    return _unreached(error, step, server)


def _unreached(error: Exception, step: str, server: Server) -> SendError:
    if step in ("connect", "tls"):
        return TransientError(
            _("{host} cannot be reached on port {port}: {reason}.").format(
                host=server.host, port=server.port, reason=_reason(error)
            ),
            code="timeout" if isinstance(error, TimeoutError) else "connect",
            hint=_("Nothing was sent. Check the network, the host and the port (465: tls, 587: starttls)."),
        )
    return TransientError(
        _("The connection to {host} broke before the message was complete ({reason}).").format(
            host=server.host, reason=_reason(error)
        ),
        code="timeout" if isinstance(error, TimeoutError) else "connection-lost",
        hint=_("Nothing was sent; try again."),
    )


def _garbled(error: GarbledReply, step: str, server: Server) -> SendError:
    text = readable(error.data[:200])
    if step == "tls":
        return RouteError(
            _("{host} sent something between its answer to STARTTLS and the encryption.").format(
                host=server.host
            ),
            code="starttls-injection",
            hint=_(
                "Somebody on the way may be tampering with the connection: use --security tls (port 465)."
            ),
            text=text,
        )
    if step == "connect" and error.data[:2] in (b"\x15\x03", b"\x16\x03"):
        return tls_from_the_start(server)
    if step == "connect":
        return RouteError(
            _("What answers on port {port} of {host} is no SMTP server.").format(
                host=server.host, port=server.port
            ),
            code="not-smtp",
            hint=_("Check the host and the port: 465 is for tls, 587 for starttls."),
            text=text,
        )
    return TransientError(
        _("{host} sent something that is no SMTP reply.").format(host=server.host),
        code="reply-garbled",
        hint=_("Nothing was sent; try again."),
        text=text,
    )


def tls_from_the_start(server: Server) -> RouteError:
    """The error for a port that speaks TLS where plain text was expected first."""
    return RouteError(
        _("Port {port} of {host} speaks TLS from the first octet, not STARTTLS.").format(
            host=server.host, port=server.port
        ),
        code="server-speaks-tls",
        hint=_("Use --security tls."),
    )


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return _("time-out")
    if isinstance(error, GarbledReply):
        return _("no SMTP reply: {text}").format(text=readable(error.data[:200]))
    import ssl

    from .tls import tls_reason

    if isinstance(error, ssl.SSLError):
        return tls_reason(error)
    strerror = error.strerror if isinstance(error, OSError) else None
    return system_text(strerror or str(error)) or type(error).__name__
