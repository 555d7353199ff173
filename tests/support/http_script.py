"""A web server on loopback that follows a script, one step a request, and keeps what it received."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Request:
    """One request that was received whole."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Exchange:
    """One request under way: a step reads it as far as it likes, and answers or not."""

    def __init__(self, sock: socket.socket, server: HttpScript) -> None:
        self.sock = sock
        self.server = server
        self._buffer = b""
        self.head = b""

    def read_head(self) -> bool:
        while b"\r\n\r\n" not in self._buffer:
            if not (data := self.sock.recv(65536)):
                return False
            self._buffer += data
        self.head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return True

    def read(self, octets: int) -> None:
        """So much of the body, and no more than comes with it."""
        while len(self._buffer) < octets and (data := self.sock.recv(65536)):
            self._buffer += data

    def say(self, status: str, body: bytes | Mapping[str, Any] | list[Any] = b"", **headers: str) -> None:
        self.sock.sendall(_raw(status, body, headers))

    def read_all(self) -> Request | None:
        method, path, _version = self.head.split(b"\r\n")[0].decode().split(" ")
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers.get("content-length", "0"))
        while len(self._buffer) < length:
            if not (data := self.sock.recv(1 << 20)):
                return None
            self._buffer += data
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        request = Request(method, path, headers, body)
        self.server.requests.append(request)
        return request

    def reset(self) -> None:
        """Close with RST rather than FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


Step = Callable[[Exchange], bool]
"""Does its part with one request; True keeps the connection for the next."""


def answer(status: str = "200 OK", body: bytes | Mapping[str, Any] | list[Any] = b"", **headers: str) -> Step:
    """Read the whole request and answer it; ``Retry_After="5"`` gives the header Retry-After."""

    def step(exchange: Exchange) -> bool:
        if exchange.read_all() is None:
            return False
        exchange.say(status, body, **headers)
        return True

    return step


def early(status: str, body: bytes | Mapping[str, Any] | list[Any] = b"") -> Step:
    """Answer after the head alone, and close with the body unread."""

    def step(exchange: Exchange) -> bool:
        exchange.sock.sendall(_raw(status, body, {"Connection": "close"}))
        return False

    return step


def raw(data: bytes) -> Step:
    """Read the whole request, send just these octets and close."""

    def step(exchange: Exchange) -> bool:
        exchange.read_all()
        exchange.sock.sendall(data)
        return False

    return step


def close(exchange: Exchange) -> bool:
    """Read the whole request and close without an answer."""
    exchange.read_all()
    return False


def reset_midway(exchange: Exchange) -> bool:
    """Break the connection before the body was read."""
    exchange.reset()
    return False


def hang(exchange: Exchange) -> bool:
    """Read the whole request and say nothing until the server stops."""
    exchange.read_all()
    exchange.server.stopping.wait(60)
    return False


def close_when_idle(exchange: Exchange) -> bool:
    """Answer as one that keeps the connection, and close it at once."""
    answer(body={"id": "m1"})(exchange)
    return False


def _raw(status: str, body: bytes | Mapping[str, Any] | list[Any], headers: Mapping[str, str]) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + data


class HttpScript:
    """The server; once the script has run out, its last step is repeated."""

    def __init__(self, *steps: Step) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._steps = list(steps)
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []

    def keep_little(self) -> None:
        """From now on, buffer little of what is not read yet."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        # Closing does not wake a thread that accepts; a connection does.
        socket.create_connection(self._socket.getsockname()[:2]).close()
        with self._lock:
            for sock in self._open:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # closed by its own step
        for thread in self._threads:
            thread.join(10)
        self._socket.close()

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            sock, _ = self._socket.accept()
            if self.stopping.is_set():
                sock.close()
                return
            with self._lock:
                self.connections += 1
                self._open.append(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        exchange = Exchange(sock, self)
        try:
            while exchange.read_head() and self._next()(exchange):
                pass
        except OSError:
            return  # the client is gone, which is for its own test to judge
        finally:
            sock.close()

    def _next(self) -> Step:
        with self._lock:
            return self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
