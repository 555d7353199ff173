"""An SMTP server that takes every message and forgets it: ``python smtp_sink.py [KEY-AND-CHAIN]``.

With a certificate it speaks TLS from the first octet and insists on a login. Prints its port.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from contextlib import suppress

_END = b"\r\n.\r\n"
_REPLIES = {
    b"MAIL": b"250 2.1.0 Ok\r\n",
    b"RCPT": b"250 2.1.5 Ok\r\n",
    b"RSET": b"250 2.0.0 Ok\r\n",
    b"NOOP": b"250 2.0.0 Ok\r\n",
    b"DATA": b"354 Go on\r\n",
    b"QUIT": b"221 2.0.0 Bye\r\n",
    b"HELO": b"250 sink\r\n",
}
_HELLO = b"250-sink\r\n250-PIPELINING\r\n250-SIZE 70000000\r\n250-SMTPUTF8\r\n%b250 8BITMIME\r\n"


class Sink(asyncio.Protocol):
    """One connection."""

    secured = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.lines = bytearray()
        self.tail = b""  # of the content so far
        self.in_content = False
        self.may_send = not self.secured
        self.challenges: list[bytes] = []  # what is still to be asked
        self.waits = False  # for the answer to the latest of them
        transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer all that is complete in one write, as the client may have sent several commands so."""
        replies: list[bytes] = []
        while data:
            data = self._content(data, replies) if self.in_content else self._commands(data, replies)
        if replies:
            self.transport.write(b"".join(replies))
        if replies and replies[-1].startswith(b"221"):
            self.transport.close()

    def _content(self, data: bytes, replies: list[bytes]) -> bytes:
        seen = self.tail + data
        end = seen.find(_END)
        if end < 0:
            self.tail = seen[-4:]
            return b""
        self.in_content = False
        replies.append(b"250 2.0.0 Ok: taken as 1\r\n")
        return seen[end + len(_END) :]

    def _commands(self, data: bytes, replies: list[bytes]) -> bytes:
        self.lines += data
        while (end := self.lines.find(b"\r\n")) >= 0:
            line = bytes(self.lines[:end])
            del self.lines[: end + 2]
            replies.append(self._reply(line))
            if self.in_content:
                rest, self.lines = bytes(self.lines), bytearray()
                return rest
        return b""

    def _reply(self, line: bytes) -> bytes:
        if self.waits:
            return self._challenged()
        verb = line[:4].upper()
        if verb == b"EHLO":
            return _HELLO % (b"250-AUTH PLAIN LOGIN\r\n" if self.secured else b"")
        if verb == b"AUTH":
            words = line.upper().split()
            if words[1] == b"PLAIN":
                self.challenges = [] if len(words) > 2 else [b"334 \r\n"]
            else:
                self.challenges = [b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n"][len(words) - 2 :]
            return self._challenged()
        if verb in (b"MAIL", b"DATA") and not self.may_send:
            return b"530 5.7.0 Log in first\r\n"
        if verb == b"DATA":
            self.in_content, self.tail = True, b"\r\n"
        return _REPLIES.get(verb, b"500 5.5.2 What?\r\n")

    def _challenged(self) -> bytes:
        self.waits = bool(self.challenges)
        if self.waits:
            return self.challenges.pop(0)
        self.may_send = True
        return b"235 2.7.0 Welcome\r\n"


class LoginSink(Sink):
    """With TLS and a login; the answer to the last challenge is always the right one."""

    secured = True


async def _serve(pair: str = "") -> None:
    context = None
    if pair:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair)
    kind = LoginSink if pair else Sink
    server = await asyncio.get_running_loop().create_server(kind, "127.0.0.1", 0, ssl=context, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(*sys.argv[1:]))
