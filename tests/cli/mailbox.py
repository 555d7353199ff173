"""A small submission server on loopback, for the program under test: TLS, AUTH PLAIN, scripted faults."""

from __future__ import annotations

import base64
import re
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from oauth_mailer.accounts import Account, Accounts, secret_variable

CODE = "abcdefghijklmnop"
_PATIENCE = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Received:
    """One message, as it came."""

    sender: str
    recipients: list[str]
    data: bytes


@dataclass
class Mailbox:
    """What the server of this account saw, and how it behaves."""

    address: str
    ca_file: Path
    port: int
    messages: list[Received] = field(default_factory=list)
    logins: int = 0
    connections: int = 0
    _refusals: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    _silent_at: str = ""
    _after_message: str = ""
    _silence: threading.Event = field(default_factory=threading.Event)
    _arrived: threading.Event = field(default_factory=threading.Event)
    _listener: socket.socket | None = None

    @property
    def variable(self) -> str:
        """The environment variable with the account's code."""
        return secret_variable(self.address)

    def refuse(self, verb: str, reply: bytes, only: str = "") -> None:
        """Answer this command with this line; ``only``: where this word is in it."""
        self._refusals[verb] = (reply, only)

    def hang_up_after_the_message(self) -> None:
        """Take the message and close without a word."""
        self._after_message = "hang up"

    def keep_silent_after_the_message(self) -> None:
        """Take the message and never answer."""
        self._after_message = "silence"

    def keep_silent_at(self, verb: str) -> None:
        """Never answer this command."""
        self._silent_at = verb

    def wait_for_the_message(self) -> None:
        """Until a whole message has arrived."""
        assert self._arrived.wait(_PATIENCE)

    def wait_for_silence(self) -> None:
        """Until the client waits for the answer that never comes."""
        assert self._silence.wait(_PATIENCE)

    def stop(self) -> None:
        """Refuse connections from now on."""
        if self._listener is not None:
            with suppress(OSError):  # wakes the thread that accepts
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def talk(self, connection: socket.socket) -> None:
        """One session."""
        self.connections += 1
        with connection, connection.makefile("rwb") as stream:
            _say(stream, b"220 mail.test ESMTP")
            sender, recipients = "", list[str]()
            while line := stream.readline().rstrip(b"\r\n").decode("utf-8", "replace"):
                verb = line.split(" ")[0].upper()
                reply, only = self._refusals.get(verb, (b"", ""))
                if verb == self._silent_at:
                    self._silence.set()
                    stream.read()
                elif reply and only in line:
                    _say(stream, reply)
                elif verb == "EHLO":
                    _say(
                        stream,
                        b"250-me\r\n250-AUTH PLAIN\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 9999999",
                    )
                elif verb == "AUTH":
                    _say(stream, self._log_in(line, stream))
                elif verb == "MAIL":
                    sender, recipients = _path(line), []
                    _say(stream, b"250 ok")
                elif verb == "RCPT":
                    recipients.append(_path(line))
                    _say(stream, b"250 ok")
                elif verb == "DATA":
                    _say(stream, b"354 go on")
                    self.messages.append(Received(sender, recipients, _data(stream)))
                    self._arrived.set()
                    if self._after_message == "hang up":
                        return
                    if self._after_message == "silence":
                        stream.read()
                    _say(stream, b"250 queued as 42")
                else:
                    _say(stream, b"221 bye" if verb == "QUIT" else b"250 ok")
                    if verb == "QUIT":
                        return

    def _log_in(self, line: str, stream: object) -> bytes:
        self.logins += 1
        given = base64.b64decode(line.split(" ")[2]).split(b"\0")
        return b"235 welcome" if given[1:] == [self.address.encode(), CODE.encode()] else b"535 5.7.8 wrong"


@contextmanager
def mailboxes(home: Path, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> Iterator[list[Mailbox]]:
    """Accounts that are set up, each on a server of its own, their codes in the environment."""
    with ExitStack() as stack:
        made = [stack.enter_context(mailbox(address)) for address in addresses]
        for box in made:
            account = Account(
                address=box.address,
                host="127.0.0.1",
                port=box.port,
                security="tls",
                ca_file=str(box.ca_file),
                store="environment",
            )
            Accounts(home).add(account)
            monkeypatch.setenv(box.variable, CODE)
        yield made


@contextmanager
def mailbox(address: str) -> Iterator[Mailbox]:
    """A server for one account, which need not be set up."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        ca_file = Path(folder) / "ca.pem"
        authority.cert_pem.write_to_path(str(ca_file))
        box = Mailbox(address, ca_file, listener.getsockname()[1], _listener=listener)
        threading.Thread(target=_serve, args=(box, listener, context), daemon=True).start()
        try:
            yield box
        finally:
            box.stop()


def _serve(box: Mailbox, listener: socket.socket, context: ssl.SSLContext) -> None:
    with suppress(OSError):  # the listener was closed
        while True:
            connection, _peer = listener.accept()
            threading.Thread(target=_session, args=(box, connection, context), daemon=True).start()


def _session(box: Mailbox, connection: socket.socket, context: ssl.SSLContext) -> None:
    connection.settimeout(_PATIENCE)
    with suppress(OSError, ValueError), context.wrap_socket(connection, server_side=True) as secured:
        box.talk(secured)


def _say(stream: object, line: bytes) -> None:
    stream.write(line + b"\r\n")  # type: ignore[attr-defined]
    stream.flush()  # type: ignore[attr-defined]


def _path(line: str) -> str:
    found = re.search("<(.*?)>", line)
    return found[1] if found else ""


def _data(stream: object) -> bytes:
    lines = []
    while (line := stream.readline()) not in (b".\r\n", b""):  # type: ignore[attr-defined]
        lines.append(line[1:] if line.startswith(b".") else line)
    return b"".join(lines)
