"""A line between a client and a server on loopback that counts what a client costs its server."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Any, Self

__all__ = ["Relay"]

_APPLICATION_DATA = 23  # the type of a TLS record (RFC 8446 §5.1)


class Relay:
    """Passes octets on, to this port and back.

    ``turns``: how often the client began to say something after it had heard something: so often it waits for
    an answer; ``records``: TLS records with the client's own octets, one for each write of a small message;
    ``connections``: how many were made.
    """

    def __init__(self, port: int) -> None:
        self.turns = 0
        self.records = 0
        self.connections = 0
        self._target = port
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._stopping = False
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        socket.create_connection(("127.0.0.1", self.port)).close()  # wakes the thread that accepts
        for thread in list(self._threads):
            thread.join(10)
        for sock in (*self._open, self._socket):
            sock.close()

    def _start(self, target: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            client, _ = self._socket.accept()
            self._open.append(client)
            if self._stopping:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.append(server)
            self.connections += 1
            heard = threading.Event()
            heard.set()  # the first word is a turn too
            self._start(self._outward, client, server, heard)
            self._start(self._inward, server, client, heard)

    def _outward(self, client: socket.socket, server: socket.socket, heard: threading.Event) -> None:
        records = bytearray()
        while data := _received(client):
            with self._lock:
                if heard.is_set():
                    self.turns += 1
                    heard.clear()
                records += data
                self.records += _counted(records)
            server.sendall(data)
        _ended(server)

    def _inward(self, server: socket.socket, client: socket.socket, heard: threading.Event) -> None:
        while data := _received(server):
            heard.set()  # before the client can have read it
            try:
                client.sendall(data)
            except OSError:  # it has gone without listening
                break
        _ended(client)


def _received(sock: socket.socket) -> bytes:
    try:
        return sock.recv(1 << 16)
    except OSError:  # reset by its peer: the end all the same
        return b""


def _ended(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        return  # its peer was first


def _counted(octets: bytearray) -> int:
    """How many records of application data are whole here; they are taken out, with all other records."""
    count = 0
    while len(octets) >= 5 and len(octets) >= (end := 5 + int.from_bytes(octets[3:5])):
        count += octets[0] == _APPLICATION_DATA
        del octets[:end]
    return count
