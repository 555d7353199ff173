"""A stand-in for the Gmail API that takes every message unread: ``python gmail_api.py``; prints its port."""

from __future__ import annotations

import asyncio
from contextlib import suppress

_BODY = b'{"id": "19bench", "threadId": "19bench", "labelIds": ["SENT"]}'
_TAKEN = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: %d\r\n\r\n%b"
    % (len(_BODY), _BODY)
)
_REFUSED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"


class Api(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.head = b""
        self.left = 0  # of the body, in octets
        self.answer = b""

    def data_received(self, data: bytes) -> None:
        """Read heads, skip bodies, answer."""
        while data:
            if not self.left:
                self.head += data
                head, end, data = self.head.partition(b"\r\n\r\n")
                if not end:
                    return
                self.head = b""
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
                self.left = int(fields.get(b"content-length", b"0"))
                self.answer = _TAKEN if fields.get(b"authorization", b"").startswith(b"bearer ") else _REFUSED
            used = min(self.left, len(data))
            self.left -= used
            data = data[used:]
            if not self.left:
                self.transport.write(self.answer)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Api, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve())
