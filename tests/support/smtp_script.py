"""An SMTP server on loopback that behaves, except where its script says otherwise, and counts what it took.

A script names a step and what is done there: octets are sent as they are, a function acts by itself and
returns whether the connection goes on, a list is used up in turn. The steps: ``greeting``, ``tls``, ``ehlo``,
``helo``, ``starttls``, ``auth`` (the final answer), ``mail``, ``rcpt``, ``data``, ``content`` (before it is
read), ``dot``, ``rset``, ``noop``, ``quit``.
"""

from __future__ import annotations

import hmac
import socket
import ssl
import struct
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from oauth_mailer.accounts import Account

from . import certificates

CODE = "abcdefghijklmnop"
EXTENSIONS = ("PIPELINING", "SIZE 1000000", "8BITMIME", "SMTPUTF8", "AUTH LOGIN PLAIN")


@dataclass(frozen=True)
class Mail:
    """One message whose end came: its envelope commands and its octets, without the extra dots."""

    sender: str
    recipients: tuple[str, ...]
    data: bytes


class Talk:
    """One connection."""

    def __init__(self, sock: socket.socket, server: SmtpScript) -> None:
        self.sock = sock
        self.server = server
        self.sender = ""
        self.recipients: list[str] = []
        self.buffer = b""

    def line(self) -> bytes | None:
        while b"\r\n" not in self.buffer:
            if not (data := self.sock.recv(65536)):
                return None
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def say(self, data: bytes) -> bool:
        self.sock.sendall(data)
        return True

    def encrypt(self) -> None:
        self.sock.getpeername()  # of a client that is gone, ssl would leave the socket open
        self.sock = self.server.context.wrap_socket(self.sock, server_side=True)
        self.server.opened.append(self.sock)


Act = Callable[[Talk], bool]
Step = bytes | Act


def close(talk: Talk) -> bool:
    """End the connection without an answer."""
    return False


def reset(talk: Talk) -> bool:
    """End the connection with RST."""
    talk.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def hang(talk: Talk) -> bool:
    """Say nothing more until the server stops."""
    talk.server.stopping.wait(60)
    return False


def then_close(data: bytes) -> Act:
    """Send this and end the connection."""

    def act(talk: Talk) -> bool:
        talk.say(data)
        return False

    return act


def drip(data: bytes, pause: float = 0.05) -> Act:
    """Send this without end, octet by octet, each so soon after the last that no single wait is long."""

    def act(talk: Talk) -> bool:
        while True:
            for octet in data:
                talk.say(bytes([octet]))
                if talk.server.stopping.wait(pause):
                    return False

    return act


def flood(data: bytes) -> Act:
    """Send this without end, as fast as it goes."""

    def act(talk: Talk) -> bool:
        while not talk.server.stopping.is_set():
            talk.say(data * 100)
        return False

    return act


class SmtpScript:
    """The server. ``security``: as an account's; ``extensions``: what EHLO offers besides STARTTLS."""

    def __init__(
        self,
        *,
        security: str = "tls",
        extensions: Sequence[str] = EXTENSIONS,
        context: ssl.SSLContext | None = None,
        secrets: Sequence[str] = (CODE,),
        **script: Step | list[Step],
    ) -> None:
        self.security = security
        self.extensions = list(extensions)
        self.context = context or certificates.server_context()
        self.secrets = secrets
        self.commands: list[str] = []
        self.auths: list[str] = []
        self.received: list[Mail] = []
        self.accepted: list[Mail] = []
        self.connections = 0
        self.stopping = threading.Event()
        self.parted = threading.Semaphore(0)
        self.opened: list[socket.socket] = []
        self._script = script
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def account(self, address: str = "me@qq.com", **fields: Any) -> Account:
        """An account at this server."""
        values = {"host": "localhost", "security": self.security, "ca_file": certificates.ca_file()} | fields
        return Account(address=address, port=self.port, **values)

    def answer(self, step: str, act: Step | list[Step]) -> None:
        """From now on, do this at this step."""
        with self._lock:
            self._script[step] = act

    def keep_little(self) -> None:
        """From now on, buffer little of what is not read yet."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)

    def said(self, verb: str) -> list[str]:
        """The commands that began with this."""
        return [line for line in self.commands if line.upper().startswith(verb)]

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
            for sock in self.opened:
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
                self.opened.append(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        talk = Talk(sock, self)
        try:
            if self.security == "tls":
                if not self._act(talk, "tls", b""):
                    return
                talk.encrypt()
            if self._act(talk, "greeting", b"220 mx.example ESMTP\r\n"):
                while (line := talk.line()) is not None and self._command(talk, line):
                    pass
        except OSError:
            return  # the client is gone, which is for its own test to judge
        finally:
            talk.sock.close()
            sock.close()
            self.parted.release()

    def _act(self, talk: Talk, step: str, default: Step) -> bool:
        with self._lock:
            act = self._script.get(step, default)
            if isinstance(act, list):
                act = act.pop(0) if act else default
        return talk.say(act) if isinstance(act, bytes) else act(talk)

    def _command(self, talk: Talk, line: bytes) -> bool:
        text = line.decode("utf-8", "replace")
        verb = text.split(" ")[0].split(":")[0].lower()
        with self._lock:
            self.commands.append(text)
        ok: Step = b"250 2.0.0 Ok\r\n"
        match verb:
            case "ehlo":
                return self._act(talk, verb, self.hello(talk))
            case "starttls":
                if not self._act(talk, verb, b"220 go ahead\r\n"):
                    return False
                talk.encrypt()
                return True
            case "auth":
                return self._auth(talk, text)
            case "mail":
                talk.sender, talk.recipients = text, []
                return self._act(talk, verb, ok)
            case "rcpt":
                talk.recipients.append(text)
                return self._act(talk, verb, ok)
            case "data":
                return self._data(talk)
            case "quit":
                self._act(talk, verb, b"221 bye\r\n")
                return False
            case "helo" | "rset" | "noop":
                return self._act(talk, verb, ok)
        return talk.say(b"500 what?\r\n")

    def hello(self, talk: Talk) -> bytes:
        """The answer to EHLO."""
        offered = list(self.extensions)
        if self.security == "starttls" and not isinstance(talk.sock, ssl.SSLSocket):
            offered = ["STARTTLS", *(one for one in offered if not one.startswith("AUTH"))]
        lines = ["mx.example", *offered]
        return b"".join(
            f"250{' ' if number == len(lines) else '-'}{line}\r\n".encode()
            for number, line in enumerate(lines, 1)
        )

    def takes(self, shown: bytes) -> bool:
        """Whether the one response of PLAIN, XOAUTH2 or OAUTHBEARER holds what is right."""
        return any(secret.encode() in shown for secret in self.secrets)

    def _auth(self, talk: Talk, text: str) -> bool:
        _verb, mechanism, *initial = text.split(" ")
        with self._lock:
            self.auths.append(text)

        def ask(challenge: bytes) -> bytes:
            talk.say(b"334 " + b64encode(challenge) + b"\r\n")
            return b64decode(talk.line() or b"")

        secrets = [secret.encode() for secret in self.secrets]
        if mechanism == "LOGIN":
            ask(b"Username:")
            right = ask(b"Password:") in secrets
        elif mechanism == "CRAM-MD5":
            nonce = b"<1.2@mx.example>"
            answer = ask(nonce).split(b" ")[-1]
            right = answer in [hmac.new(one, nonce, "md5").hexdigest().encode() for one in secrets]
        else:
            shown = b64decode(initial[0]) if initial else ask(b"")
            right = self.takes(shown)
            if mechanism == "XOAUTH2" and not right:
                talk.server.commands.append(
                    "empty answer" if not ask(b'{"status":"400","scope":"mail"}') else "?"
                )
        return self._act(talk, "auth", b"235 2.7.0 ok\r\n" if right else b"535 5.7.8 no\r\n")

    def _data(self, talk: Talk) -> bool:
        answered: list[bytes] = []
        default = b"354 go\r\n" if talk.recipients else b"503 5.5.1 no recipients\r\n"
        if not self._act(_Overheard(talk, answered.append), "data", default):
            return False
        if not b"".join(answered).startswith(b"3"):
            return True
        if not self._act(talk, "content", b""):
            return False
        lines: list[bytes] = []
        while (line := talk.line()) != b".":
            if line is None:
                return False
            lines.append(line.removeprefix(b".") if line.startswith(b".") else line)
        mail = Mail(talk.sender, tuple(talk.recipients), b"".join(line + b"\r\n" for line in lines))
        self.received.append(mail)

        def heard(data: bytes) -> None:
            if data.startswith(b"2"):
                self.accepted.append(mail)

        return self._act(_Overheard(talk, heard), "dot", b"250 2.0.0 Ok: queued as 4F2A\r\n")


class _Overheard(Talk):
    """Tells what is said, just before, so that the server knows what it did."""

    def __init__(self, talk: Talk, heard: Callable[[bytes], object]) -> None:
        super().__init__(talk.sock, talk.server)
        self._heard = heard

    def say(self, data: bytes) -> bool:
        self._heard(data)
        return super().say(data)
