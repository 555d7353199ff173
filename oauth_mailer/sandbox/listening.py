"""The servers' loop, in a thread of its own, which always ends."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from collections.abc import Awaitable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from aiohttp import web

from .smtp import SmtpDesk, quiet

__all__ = ["HOST", "Listening", "Ports", "Taken"]

_T = TypeVar("_T")

HOST = "127.0.0.1"
_MOST_BODY = 64 << 20  # octets; a message of the greatest size in base64, and its JSON
_GRACE = 0.1  # seconds for answers that are being written when the sandbox stops
_STARTING = 60.0


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the servers listen: the web side, SMTP inside TLS, SMTP with STARTTLS."""

    web: int
    tls: int
    starttls: int


class Taken(Exception):
    """Nobody can listen on ``port``; ``reason`` is the system's."""

    def __init__(self, port: int, error: OSError) -> None:
        # asyncio puts a sentence of its own, with the address, where the system's reason was.
        self.reason = os.strerror(error.errno) if error.errno else str(error)
        self.port = port
        super().__init__(f"{port}: {self.reason}")


class Listening:
    """All servers of one sandbox.

    ``routes``: those of the web side; ``desk``: what judges SMTP; ``context``: the server's side of TLS.
    """

    def __init__(self, routes: Iterable[web.RouteDef], desk: SmtpDesk, context: ssl.SSLContext) -> None:
        self._routes = list(routes)
        self._desk = desk
        self._context = context
        self._ready: Future[Ports] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    def start(self, ports: Ports) -> Ports:
        """Listen on these, where 0 is any free one; returns which they are. Raises ``Taken``."""
        self._thread = threading.Thread(target=self._run, args=(ports,), name="sandbox", daemon=True)
        self._thread.start()
        return self._ready.result(_STARTING)

    def stop(self) -> None:
        """Drop all connections and wait for the end of the thread; may be called again."""
        if self._thread is None:
            return
        loop, self._loop = self._loop, None
        if loop is not None and self._stopping is not None:
            loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self, ports: Ports) -> None:
        try:
            # The same kind of loop on every system; Windows has another one by default.
            with quiet(), asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                runner.run(self._serve(ports))
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    async def _serve(self, ports: Ports) -> None:
        application = web.Application(client_max_size=_MOST_BODY)
        application.add_routes(self._routes)
        # A handler ends with its connection, so that one which waits for ever is none that stays for ever.
        runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=_GRACE
        )
        listeners: list[asyncio.Server] = []
        stopping = asyncio.Event()
        try:
            await runner.setup()
            await _on(ports.web, web.TCPSite(runner, HOST, ports.web).start())
            for port, starttls in ((ports.tls, False), (ports.starttls, True)):
                listeners.append(await _on(port, self._listen(port, starttls=starttls)))
            places = [runner.addresses[0], *(one.sockets[0].getsockname() for one in listeners)]
            self._loop, self._stopping = asyncio.get_running_loop(), stopping
            self._ready.set_result(Ports(*(place[1] for place in places)))
            await stopping.wait()
        finally:
            for listener in listeners:
                listener.close()
            self._desk.drop_all()
            await runner.cleanup()
            await _end_the_rest()

    async def _listen(self, port: int, *, starttls: bool) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(
            lambda: self._desk.protocol(starttls=starttls),
            HOST,
            port,
            ssl=None if starttls else self._context,
        )


async def _on(port: int, starting: Awaitable[_T]) -> _T:
    try:
        return await starting
    except OSError as error:
        raise Taken(port, error) from error


async def _end_the_rest() -> None:
    """End what still runs, such as TLS handshakes that nobody finishes, and let transports close."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    for _turn in range(3):
        await asyncio.sleep(0)
