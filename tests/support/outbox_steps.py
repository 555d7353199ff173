"""A worker is killed at one chosen step between it and its database: a write to SQLite's file, a request to
PostgreSQL, or the answer to it.
"""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from . import require_program, unavailable
from .outbox_post import Post
from .outbox_processes import PATIENCE, Worker, until

Side = Literal["write", "request", "answer"]
_WRITES = "pwrite64,fdatasync,fsync,ftruncate"


def killed_at(post: Post, number: int, side: Side) -> int:
    """Run a worker until its so-many-th step, or with 0 to its end; how many steps it made.

    ``side``: a ``write`` to SQLite's file that it does not live to make; a ``request`` that does not come to
    PostgreSQL, or one that is done but whose ``answer`` does not come back.
    """
    return _at_write(post, number) if side == "write" else _at_request(post, number, side)


def _at_write(post: Post, number: int) -> int:
    if sys.platform != "linux":
        unavailable("needs Linux: a process is killed at a system call")
    strace = require_program("strace", "strace")
    file = post.home / "outbox.db"
    with tempfile.NamedTemporaryFile() as log, post.worker(waits=True) as worker:
        command = [strace, "-f", "-o", log.name, "-p", str(worker.process.pid), "-e", f"trace={_WRITES}"]
        command += [part for name in ("", "-wal") for part in ("-P", f"{file}{name}")]
        if number:
            command += ["-e", f"inject={_WRITES}:signal=SIGKILL:when={number}"]
        until(lambda: _stopped(worker), "a worker that waits")
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr
            said = tracer.stderr.readline()
            if "attached" not in said:
                tracer.wait(PATIENCE)
                unavailable(f"strace may not look at other processes here: {said.strip()}")
            worker.signal(signal.SIGCONT)
            worker.wait()
            tracer.stderr.read()
        return len(re.findall(rf"^\d+ +(?:{_WRITES.replace(',', '|')})\(", Path(log.name).read_text(), re.M))


def _stopped(worker: Worker) -> bool:
    status = Path(f"/proc/{worker.process.pid}/stat").read_text()
    return status.rpartition(")")[2].split()[0] in ("T", "t")


def _at_request(post: Post, number: int, side: Side) -> int:
    assert post.database.url
    with Proxy(post.database.url, number, side) as proxy, post.worker(url=proxy.url) as worker:
        until(lambda: proxy.reached.is_set() or not worker.process.is_alive(), "the request")
        worker.kill()
        proxy.killed.set()
        return proxy.requests


class Proxy:
    """Hands on what a client and PostgreSQL say to each other, until its so-many-th request."""

    def __init__(self, url: str, number: int, side: Side) -> None:
        self.reached = threading.Event()
        self.killed = threading.Event()
        self.requests = 0
        self._number = number
        self._side = side
        self._lock = threading.Lock()
        parts = urlsplit(url)
        (self._port,) = parse_qs(parts.query)["port"]
        (self._behind,) = parse_qs(parts.query)["host"]
        self._stack = ExitStack()
        beside = Path(self._behind).parent
        self._folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="om-", dir=beside))
        self.url = parts._replace(query=f"host={self._folder}&port={self._port}").geturl()
        self._threads: list[threading.Thread] = []
        self._cut: socket.socket | None = None  # the server whose next answer does not come back

    def __enter__(self) -> Proxy:
        self._socket = self._stack.enter_context(socket.socket(socket.AF_UNIX))
        self._socket.bind(self._path(self._folder))
        self._socket.listen()
        self._begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.killed.set()
        with socket.socket(socket.AF_UNIX) as last:  # closing does not wake a thread that accepts
            last.connect(self._path(self._folder))
        for thread in self._threads:
            thread.join(PATIENCE)
        self._stack.close()

    def _path(self, folder: str) -> str:
        return f"{folder}/.s.PGSQL.{self._port}"

    def _begin(self, target: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            client, _ = self._socket.accept()
            if self.killed.is_set():
                client.close()
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._path(self._behind))
            self._begin(self._requests, client, server)
            self._begin(self._answers, client, server)

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with client:
            for data in _said(client):
                with self._lock:
                    self.requests += 1
                    this = self.requests == self._number
                    if this and self._side == "request":
                        self._stand_still()
                    if self.reached.is_set():
                        break
                    if this:
                        self._cut = server
                server.sendall(data)
            with suppress(OSError):  # it has parted already
                server.shutdown(socket.SHUT_WR)

    def _answers(self, client: socket.socket, server: socket.socket) -> None:
        with server:
            for data in _said(server):
                if self._cut is server:
                    self._stand_still()
                if self.reached.is_set():
                    continue  # whoever asked is no more
                with suppress(OSError):  # it was killed
                    client.sendall(data)

    def _stand_still(self) -> None:
        self.reached.set()
        self.killed.wait(PATIENCE)


def _said(sock: socket.socket) -> Iterator[bytes]:
    try:
        while data := sock.recv(1 << 20):
            yield data
    except OSError:
        return  # it was killed
