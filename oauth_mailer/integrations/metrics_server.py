"""The metrics of one registry, served over HTTP for Prometheus to fetch."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from ..errors import ConfigError
from ..i18n import _, system_text
from .prometheus import Metrics

if TYPE_CHECKING:
    from ..outbox import Outbox

__all__ = ["served"]


@contextmanager
def served(outbox: Outbox, port: int, address: str = "127.0.0.1") -> Iterator[str]:
    """Count and serve while the block runs; gives the URL.

    ``port``: 0 takes any free one; ``address``: of the network that may ask. Raises ``ConfigError``.
    """
    from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app

    registry = CollectorRegistry()
    with Metrics(registry, outbox=outbox):
        ProcessCollector(registry=registry)
        server = _listening(port, address.strip("[]"), make_wsgi_app(registry))
        thread = threading.Thread(target=server.serve_forever, name="outbox-metrics", daemon=True)
        thread.start()
        try:
            host = server.server_name
            yield f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}/metrics"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _listening(port: int, address: str, metrics: Callable[..., Any]) -> _Server:
    try:
        family, _kind, _protocol, _name, bound = socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        kind = type("Server", (_Server,), {"address_family": family})
        return make_server(str(bound[0]), port, _for_us(metrics, str(bound[0])), kind, _Silent)
    except (OSError, OverflowError) as error:
        reason = system_text(getattr(error, "strerror", None)) or type(error).__name__
        raise ConfigError(
            _("The metrics cannot be served at {address}, port {port}: {reason}.").format(
                address=address, port=port, reason=reason
            ),
            code="metrics-port",
            hint=_("Name another port or address; --metrics-port 0 takes any free port."),
        ) from error


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    # On Windows this would let two programs have the same port.
    allow_reuse_address = os.name == "posix"

    def server_bind(self) -> None:
        """As in HTTPServer, without asking the DNS for a name of this machine."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(self.allow_reuse_address))
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever asked is gone, which is nothing to tell."""


class _Silent(WSGIRequestHandler):
    timeout = 10.0  # seconds for a client's next octet

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is called
        """Say nothing of each fetch."""


def _for_us(metrics: Callable[..., Any], address: str) -> Callable[..., Any]:
    """On a loopback address, no page of a browser gets an answer that made its own name point here."""
    if not ip_address(address.partition("%")[0]).is_loopback:
        return metrics

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        host = str(environ.get("HTTP_HOST", "localhost"))
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if name.strip("[]").lower() != "localhost":
            try:
                ip_address(name.strip("[]"))
            except ValueError:
                start_response("403 Forbidden", [("Content-Type", "text/plain")])
                return [b"Ask by the address of this machine.\n"]
        found: Iterable[bytes] = metrics(environ, start_response)
        return found

    return answer
