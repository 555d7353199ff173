"""What an HTTP server can do instead of the usual, and how Google words an error."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from aiohttp import web

from .elsewhere import address_elsewhere

__all__ = ["Fault", "Refused", "google_error"]

_DRIP = 1.0
"""Seconds from octet to octet of an answer that drips, which never ends."""

_LATE = 1.0
"""Seconds that a late answer takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One answer that is not the usual one.

    ``body``: None for the usual one; ``without``: fields that are left out of it; ``act``: whether to answer,
    at once, late, or with a redirect to another host; to close the connection, at once or in the middle of
    the answer; to let the answer drip; or to say nothing until the other side gives up. ``zipped``: whether
    the body is sent in gzip, asked for or not; ``accepts``: whether what was asked is done all the same;
    ``label``: what is answered, in few words; ``text``: what it does, for people, where ``label`` is not
    enough.
    """

    status: int = 200
    body: str | None = ""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    act: Literal["answer", "late", "redirect", "close", "cut", "drip", "hang"] = "answer"
    without: tuple[str, ...] = ()
    zipped: bool = False
    accepts: bool = False
    label: str = ""
    text: str = ""

    async def befall(self, request: web.Request, usual: Mapping[str, Any] | None = None) -> web.Response:
        """Let it happen to this request. ``usual``: the fields of the usual answer."""
        left = {name: value for name, value in (usual or {}).items() if name not in self.without}
        body = (json.dumps(left) if self.body is None else self.body).encode()
        headers = dict(self.headers)
        match self.act:
            case "hang":
                # Nobody ever sets it: the server cancels this when the other side is gone, or when it stops.
                await asyncio.get_running_loop().create_future()
            case "drip":
                await _drip(request, self.status)
            case "close" if request.transport is not None:
                request.transport.close()
            case "cut" if request.transport is not None and isinstance(
                request.transport, asyncio.WriteTransport
            ):
                head = f"HTTP/1.1 {self.status} OK\r\nContent-Type: {self.content_type}\r\n"
                request.transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
                request.transport.write(body[: len(body) // 2])
                request.transport.close()
            case "late":
                await asyncio.sleep(_LATE)
            case "redirect":
                headers["Location"] = address_elsewhere(request)
        if self.zipped:
            body = gzip.compress(body)
            headers["Content-Encoding"] = "gzip"
        return web.Response(status=self.status, body=body, content_type=self.content_type, headers=headers)


async def _drip(request: web.Request, status: int) -> NoReturn:
    """A header line that comes octet by octet and has no end, until the other side is gone."""
    transport = request.transport
    if isinstance(transport, asyncio.WriteTransport):
        transport.write(f"HTTP/1.1 {status} OK\r\nX-Patience: ".encode())
        while not transport.is_closing():
            transport.write(b".")
            await asyncio.sleep(_DRIP)
    raise asyncio.CancelledError


class Refused(Exception):
    """A request that is not right; ``fault`` is the answer to it."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.status)
        self.fault = fault


def google_error(
    status: int,
    reason: str,
    message: str,
    *,
    headers: Mapping[str, str] | None = None,
    domain: str = "global",
    name: str = "",
    accepts: bool = False,
    **more: Any,
) -> Fault:
    """An error in the form of Google's JSON APIs.

    ``name``: its canonical status, by default that of the HTTP status; ``accepts``: as in ``Fault``;
    ``more``: what else stands in it.
    """
    error: dict[str, Any] = {
        "code": status,
        "message": message,
        "errors": [{"message": message, "domain": domain, "reason": reason}],
    }
    if name or status in _NAMES:
        error["status"] = name or _NAMES[status]
    return Fault(
        status=status,
        body=json.dumps({"error": error | more}, indent=2),
        headers=headers or {},
        accepts=accepts,
        label=f"{status} {reason}: {message}",
    )


_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
