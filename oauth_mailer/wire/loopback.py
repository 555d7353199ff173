"""The redirect listener: waits on this machine for the browser to bring the answer of a consent page.

RFC 8252 §7.3: on the loopback address only, on a free port. Whatever else comes in (a favicon, a port scan, a
connection that says nothing, an answer to another request) gets a short reply and changes nothing. ``state``
is compared before anything else is believed, and the page that the browser shows in the end says what really
became of the login: it is held back until that is known.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from ..errors import ConfigError
from ..i18n import _, system_text
from ..stores import Secret
from ..values import dataclass
from .result_page import page

__all__ = ["Answer", "Listener", "read_answer"]

_LONGEST_HEAD = 262_144  # octets of a request; a browser sends cookies of other ports on this host too
_PATIENCE = 10.0  # seconds for a request to be there whole
_MOST = 64  # connections at once: what comes when there are so many ends the one that has waited longest
_BREATH = 0.1  # seconds until accepting is tried again where it failed
_FAREWELL = 3.0  # seconds for the last page to get out


@dataclass(frozen=True, slots=True)
class Answer:
    """A code; or why there is none, in the protocol's word (RFC 6749 §4.1.2) and in the page's own."""

    code: Secret
    error: str = ""
    description: str = ""


def read_answer(query: str, state: Secret) -> Answer | None:
    """The answer in the query of the redirect address, if it is one to the request with this ``state``."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=50)
    except ValueError:
        return None
    values = dict(pairs)
    if len(values) != len(pairs):
        return None  # a parameter given twice can be read in two ways
    if not hmac.compare_digest(values.get("state", "").encode("utf-8", "replace"), state.reveal().encode()):
        return None
    error, code = values.get("error", ""), values.get("code", "")
    if bool(code) == bool(error):
        return None
    return Answer(Secret(code), error, values.get("error_description", "") if error else "")


class Listener:
    """Listens from ``with`` on, in a thread of its own; ``redirect_uri`` is where.

    ``state``: of the request whose answer is waited for; ``port``: 0 for any free one; ``timeout``: seconds
    to wait for the answer; ``redirect``: what the authority wants this place to be called, with ``{port}``.
    ``done`` is set when it is there or the time is over. Entering raises ``ConfigError`` where the port
    cannot be had.
    """

    def __init__(self, state: Secret, *, port: int, timeout: float, redirect: str = "") -> None:
        self.done = threading.Event()
        self.answer: Answer | None = None
        self.redirect_uri = ""
        self._redirect = redirect or "http://127.0.0.1:{port}/"
        self._state = state
        self._port = port
        self._deadline = time.monotonic() + timeout
        self._last_page: tuple[str, bytes] | None = None
        self._ready = threading.Event()
        self._connections: dict[asyncio.Task[None], socket.socket] = {}
        self._promised: set[asyncio.Task[Any]] = set()  # those of them that wait for the last page
        self._stop: Callable[[], None] = lambda: None
        self._settle: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name="oauth-mailer-consent", daemon=True)

    def wait(self) -> Answer | None:
        """The answer, or None when the time is over."""
        while not self.done.wait(min(0.5, max(0.0, self._deadline - time.monotonic()))):
            if time.monotonic() >= self._deadline:
                self.done.set()
        return self.answer

    def take(self, text: str) -> bool:
        """Take what a person copied from the browser: the address or its end. False if it is no answer."""
        address = text.strip().strip("<>\"'“”‘’")
        answer = read_answer(_query_of(address) or address, self._state)
        if answer is None:
            return False
        self._accept(answer)
        return True

    def show(self, title: str, text: str, *, good: bool) -> None:
        """What the browser shows in the end. The first word counts."""
        if self._last_page is None:
            self._last_page = ("200 OK" if good else "400 Bad Request", page(title, text, good=good))
            self._settle()

    def __enter__(self) -> Self:
        self._socket = _listening(self._port)
        self._port = self._socket.getsockname()[1]
        self.redirect_uri = self._redirect.format(port=self._port)
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.done.set()
        self._stop()
        self._thread.join(_FAREWELL + 1.0)

    @property
    def _names(self) -> tuple[str, ...]:
        """What a browser calls this listener; it leaves out port 80."""
        hosts = ("127.0.0.1", "localhost")
        return tuple(f"{host}:{self._port}" for host in hosts) + (hosts if self._port == 80 else ())

    def _accept(self, answer: Answer) -> None:
        if not self.done.is_set():
            self.answer = answer
            self.done.set()

    def _run(self) -> None:
        try:
            # The same kind of loop on every system; Windows has another one by default.
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                runner.run(self._serve())
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        stopped, self._settled = asyncio.Event(), asyncio.Event()

        def from_outside(event: asyncio.Event) -> Callable[[], None]:
            def tell() -> None:
                with suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(event.set)

            return tell

        self._stop, self._settle = from_outside(stopped), from_outside(self._settled)
        with self._socket:
            loop.add_reader(self._socket, self._accept_one, loop)
            # Whoever asks a person meanwhile looks at ``done`` only, and does not call ``wait``.
            loop.call_later(self._deadline - time.monotonic(), self.done.set)
            self._ready.set()
            await stopped.wait()
            loop.remove_reader(self._socket)
        # Whoever waits for the last page gets it; nobody else is waited for.
        if self._last_page is None:
            self._last_page = ("400 Bad Request", _over())
        self._settled.set()
        if self._promised:
            await asyncio.wait(self._promised, timeout=_FAREWELL)
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept_one(self, loop: asyncio.AbstractEventLoop) -> None:
        # Not loop.sock_accept: a connection that comes as that is cancelled would be lost unclosed.
        try:
            sock, _address = self._socket.accept()
        except (BlockingIOError, ConnectionError):  # it was gone before it was taken
            return
        except OSError:  # too many open files: it stays in the queue for now
            loop.remove_reader(self._socket)
            loop.call_later(_BREATH, self._accept_again, loop)
            return
        if len(self._connections) >= _MOST:
            next(iter(self._connections)).cancel()
        task = loop.create_task(self._talk(sock))
        self._connections[task] = sock
        task.add_done_callback(self._ended)

    def _accept_again(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._socket.fileno() >= 0:
            loop.add_reader(self._socket, self._accept_one, loop)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._connections.pop(task).close()
        self._promised.discard(task)

    async def _talk(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError, TimeoutError):
            head = await asyncio.wait_for(_head(sock), _PATIENCE)
            if b"\r\n\r\n" in head:
                await asyncio.wait_for(loop.sock_sendall(sock, await self._reply(head)), _PATIENCE)

    async def _reply(self, head: bytes) -> bytes:
        request, _line_end, rest = head.partition(b"\r\n\r\n")[0].decode("latin-1").partition("\r\n")
        method, _blank, target = request.partition(" ")
        target = target.partition(" ")[0]
        hosts = [line[5:].strip().lower() for line in rest.split("\r\n") if line[:5].lower() == "host:"]
        if hosts not in ([name] for name in self._names):
            # A page of the web that had its own name lead here (DNS rebinding) learns nothing.
            return _http("421 Misdirected Request")
        if method != "GET":
            return _http("405 Method Not Allowed", headers="Allow: GET\r\n")
        # A proxy's client names the host here too (RFC 9112 §3.2.2).
        for name in self._names:
            target = target.removeprefix(f"http://{name}")
        path, _mark, query = target.partition("?")
        if path != "/":
            return _http("404 Not Found")
        answer = read_answer(query, self._state)
        if answer is None:
            return _http("400 Bad Request", _not_this_one())
        if task := asyncio.current_task():
            self._promised.add(task)
        self._accept(answer)
        await self._settled.wait()
        status, content = self._last_page or ("400 Bad Request", _over())
        return _http(status, content)


def _query_of(address: str) -> str:
    try:
        return urlsplit(address).query or address.partition("?")[2]
    except ValueError:  # it is no address at all
        return ""


async def _head(sock: socket.socket) -> bytes:
    """What comes before the body of a request, or less where it does not come or is too long."""
    sock.setblocking(False)
    data = b""
    while b"\r\n\r\n" not in data and len(data) < _LONGEST_HEAD:
        if not (more := await asyncio.get_running_loop().sock_recv(sock, 4096)):
            break
        data += more
    return data


def _listening(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            # A port that was used a moment ago can be had again; one that is in use cannot.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            # There, SO_REUSEADDR would let two programs have one port; this forbids it.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)  # type: ignore[attr-defined]
        sock.bind(("127.0.0.1", port))
        sock.listen(_MOST)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise ConfigError(
            _("Port {port} of this computer cannot be listened on: {reason}.").format(
                port=port, reason=system_text(error.strerror) or error
            ),
            code="port-taken",
            hint=_("Leave --port out to have a free one chosen, or name another."),
        ) from error
    return sock


def _http(status: str, content: bytes = b"", headers: str = "") -> bytes:
    kind = "text/html; charset=utf-8" if content else "text/plain; charset=utf-8"
    content = content or status.encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
        "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n"
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
        f"{headers}Connection: close\r\n\r\n"
    )
    return head.encode() + content


def _not_this_one() -> bytes:
    return page(
        _("This is not the answer that is waited for"),
        _(
            "It may belong to an earlier login. Use the address that the terminal printed last; "
            "that login goes on."
        ),
        good=False,
    )


def _over() -> bytes:
    return page(_("The login has ended"), _("The terminal says why, and how to start it again."), good=False)
