"""Servers that stand still at a step until the test lets them go on."""

from __future__ import annotations

import base64
import json
import socket
import threading
from urllib.parse import urlsplit

from oauth_mailer.accounts import Account

from .google_account import google_account
from .http_script import Exchange, HttpScript, answer
from .smtp_script import Act, Talk

PATIENCE = 60.0


class Stop:
    """A place where a server stands still, the first time that somebody comes there."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._released = threading.Event()

    def reach(self) -> None:
        """For the server: stand still here, once."""
        if not self._reached.is_set():
            self._reached.set()
            assert self._released.wait(PATIENCE), "the test has forgotten the server"

    def pass_by(self) -> None:
        """For the server: tell that somebody was here, and go on."""
        self._reached.set()

    def wait(self) -> None:
        """For the test: until a server stands still here."""
        assert self._reached.wait(PATIENCE), "nobody came to this step"

    def go_on(self) -> None:
        self._released.set()


def before(stop: Stop, reply: bytes) -> Act:
    """The step of a scripted SMTP server at which it stands still before it answers."""

    def act(talk: Talk) -> bool:
        stop.reach()
        return talk.say(reply)

    return act


def before_hello(stop: Stop) -> Act:
    """The same for EHLO, whose answer is made of what the server can do."""

    def act(talk: Talk) -> bool:
        stop.reach()
        return talk.say(talk.server.hello(talk))

    return act


def after(stop: Stop, reply: bytes) -> Act:
    """It stands still when it has answered."""

    def act(talk: Talk) -> bool:
        talk.say(reply)
        stop.reach()
        return True

    return act


def within_content(stop: Stop, octets: int) -> Act:
    """It stands still when it has read so many octets of the message."""

    def act(talk: Talk) -> bool:
        while len(talk.buffer) < octets:
            talk.buffer += talk.sock.recv(65536)
        stop.reach()
        return True

    return act


class GmailScript(HttpScript):
    """Google's token endpoint and Gmail's API. ``accepted``: each message that it took charge of.

    ``stop``: where it stands still, at ``step``: ``token``, ``connected`` (nothing is read yet), ``head``,
    ``body`` (a part of it is read), ``whole``, each of the message of this ``number``.
    """

    def __init__(self, step: str = "", stop: Stop | None = None, number: int = 1) -> None:
        super().__init__(self._step)
        self.accepted: list[bytes] = []
        self._at = step
        self._number = number
        self._stop = stop or Stop()
        self._connections_seen = 0
        self.parted = threading.Semaphore(0)

    def account(self, address: str = "me@gmail.com") -> Account:
        return google_account(self.url, address)

    def _reach(self, step: str) -> None:
        if step == self._at:
            self._stop.reach()

    def _serve(self, sock: socket.socket) -> None:
        try:
            with self._lock:
                self._connections_seen += 1
                first = self._connections_seen == 1
            if not first:  # that is for the token
                sock.recv(1, socket.MSG_PEEK)  # so it has come, the head and a small body in one
                self._reach("connected")
            super()._serve(sock)
        finally:
            self.parted.release()

    def _step(self, exchange: Exchange) -> bool:
        if exchange.head.split(b" ")[1] == b"/token":
            self._reach("token")
            return answer(body={"access_token": "ya29.one", "expires_in": 3599})(exchange)
        self._number -= 1
        this = self._number == 0
        if this:
            self._reach("head")
        if this and self._at == "body":
            exchange.read(1 << 20)
            self._stop.reach()
        request = exchange.read_all()
        if request is None:
            return False
        if this:
            self._reach("whole")
        upload = urlsplit(request.path).path.startswith("/upload/")
        raw = request.body if upload else base64.urlsafe_b64decode(json.loads(request.body)["raw"])
        self.accepted.append(raw)
        exchange.say("200 OK", {"id": "18c0ffee"})
        return True
