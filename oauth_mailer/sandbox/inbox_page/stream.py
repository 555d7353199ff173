"""What happens, told as it happens: server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from aiohttp import web

from ..inbox import Event, Inbox
from ..plan import Plan
from .guard import HEADERS

__all__ = ["Stream", "happened", "plans_now"]

_MOST_WAITING = 1000
_BEAT = 15.0  # seconds; a comment, so that a reader that is gone is noticed


class Stream:
    """``arrived`` (a message), ``happened`` (all that was accepted or refused), ``plans`` (what is left of
    them), ``cleared``, and ``reset`` for a reader so slow that it has to ask for all anew.

    ``summary``: a message as in the list of them.
    """

    def __init__(
        self, inbox: Inbox, plans: Mapping[str, Plan], summary: Callable[[Any], Mapping[str, Any]]
    ) -> None:
        self._inbox = inbox
        self._plans = plans
        self._summary = summary
        self._readers: set[_Reader] = set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """All events from now on, until the other side is gone."""
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream; charset=utf-8"})
        reader = _Reader()
        end = self._inbox.listen(reader.hear)
        self._readers.add(reader)
        try:
            await response.prepare(request)
            shown = plans_now(self._plans)
            await response.write(b"retry: 1000\n\n" + _event("plans", shown))
            while True:
                text = bytearray()
                for happening in await reader.next(_BEAT):
                    text += self._told(happening)
                if (now := plans_now(self._plans)) != shown:
                    shown = now
                    text += _event("plans", now)
                await response.write(bytes(text) or b":\n\n")
        except ConnectionError:
            return response
        finally:
            self._readers.discard(reader)
            end()

    def plans_changed(self) -> None:
        """Tell the readers."""
        for reader in self._readers:
            reader.wake()

    def _told(self, happening: Event | str | None) -> bytes:
        if isinstance(happening, str):
            return _event(happening, {})
        if happening is None:
            return _event("cleared", {})
        told = _event("happened", happened(happening))
        return told + _event("arrived", self._summary(happening.message)) if happening.message else told


class _Reader:
    """What one reader has not read yet."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Event | str | None] = deque()
        self._ready = asyncio.Event()

    def hear(self, event: Event | None) -> None:
        """In any thread."""
        with suppress(RuntimeError):  # the loop has ended, and the reader with it
            self._loop.call_soon_threadsafe(self._put, event)

    def wake(self) -> None:
        """Have it look for what changed; in any thread."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._ready.set)

    async def next(self, patience: float) -> list[Event | str | None]:
        """What came, or nothing after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._ready.wait()
        self._ready.clear()
        came = list(self._waiting)
        self._waiting.clear()
        return came

    def _put(self, event: Event | None) -> None:
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.clear()
            self._waiting.append("reset")
        self._waiting.append(event)
        self._ready.set()


def happened(event: Event) -> dict[str, Any]:
    """An event as JSON has it."""
    return {
        "server": event.server,
        "what": event.what,
        "accepted": event.accepted,
        "text": event.text,
        "step": event.step,
        "account": event.account,
        "at": event.at.isoformat(timespec="milliseconds"),
        "message": event.message.id if event.message else None,
    }


def plans_now(plans: Mapping[str, Plan]) -> dict[str, str]:
    """What is left of each plan."""
    return {name: plans[name].text for name in ("smtp", "gmail", "token")}


def _event(name: str, data: Mapping[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
