"""A line on which octets take time, and which counts round trips: ``python proxy.py PORT LOG``.

A turn is what a client sends after it got something, however many writes that are: so long it waits for an
answer. Each connection that has ended is a line in the log with its number of turns. Prints its port.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

_WAY = 0.004  # seconds in each direction: more than a client needs to write all that it has to say


class Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.turns = 0
        self.heard = True  # the first word is a turn too

    async def carry(self, port: int) -> None:
        """Until both sides have ended."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(
            self._pass(self.reader, writer, outward=True), self._pass(reader, self.writer, outward=False)
        )

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, outward: bool
    ) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                if outward and self.heard:
                    self.turns += 1
                    self.heard = False
                loop.call_later(_WAY, self._deliver, writer, data, outward)
        await asyncio.sleep(2 * _WAY)
        with suppress(OSError):
            writer.close()

    def _deliver(self, writer: asyncio.StreamWriter, data: bytes, outward: bool) -> None:
        if not writer.is_closing():
            self.heard = self.heard or not outward
            writer.write(data)


async def _serve(port: int, log: Path) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(reader, writer)
        await line.carry(port)
        with log.open("a", encoding="ascii") as file:
            file.write(f"{line.turns}\n")

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))
