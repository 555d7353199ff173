"""Who may ask: this machine, by its own name, and no page of another site.

The server listens on loopback only, but every page in a browser on this machine can reach that too. A page
that got its name to point here (DNS rebinding) is known by the Host; any other by what the browser says of
where a request comes from. Programs that are no browsers say nothing, and may do all.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Literal
from urllib.parse import urlsplit

from aiohttp import web

from ...i18n import LANGUAGES, _, language, speaking

__all__ = ["HEADERS", "Handler", "guarded", "problem"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Kind = Literal["page", "picture", "data", "change"]

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-DNS-Prefetch-Control": "off",
    "X-Frame-Options": "DENY",
}
"""What every answer has that does not say otherwise."""

_NAMES = ("127.0.0.1", "localhost", "::1")
_MOST_LANGUAGES = 20


def guarded(handler: Handler, kind: Kind) -> Handler:
    """The handler behind the guard, in the language of who asks.

    ``kind``: ``page``, to which any site may link; ``picture``, asked for by a frame that belongs to no site;
    ``data``, for our own page only; ``change``, which no other site may bring about.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        with speaking(_language(request)):
            response = _refused(request, kind) or await handler(request)
        if not response.prepared:
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
        return response

    return answer


def problem(status: int, code: str, text: str, *, hint: str = "") -> web.Response:
    """An answer that says what is wrong."""
    return web.json_response({"error": {"code": code, "message": text, "hint": hint}}, status=status)


def _refused(request: web.Request, kind: Kind) -> web.Response | None:
    if not _is_loopback(request.headers.get("Host", "")):
        return problem(403, "foreign-host", _("The inbox is asked for by a name that is not this machine's."))
    if kind in ("page", "picture"):
        return None
    origin = request.headers.get("Origin")
    foreign = request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none")
    if foreign or (origin is not None and origin != f"http://{request.headers['Host']}"):
        return problem(403, "foreign-site", _("A page of another site asks for the inbox."))
    if kind == "change" and request.method == "POST" and request.content_type != "application/json":
        # A form could be sent from anywhere; JSON needs a permission that is never given.
        return problem(415, "not-json", _("The body must be JSON, and say so in its Content-Type."))
    return None


def _is_loopback(host: str) -> bool:
    try:
        parts = urlsplit(f"//{host}")
        return parts.hostname in _NAMES and parts.netloc == host and not parts.username and parts.port != 0
    except ValueError:
        return False


def _language(request: web.Request) -> str:
    """What the variable says, else the first of the browser's that there is, else the host's."""
    if os.environ.get("OAUTH_MAILER_LANG"):
        return language()
    for wanted in request.headers.get("Accept-Language", "").split(",")[:_MOST_LANGUAGES]:
        tag = wanted.partition(";")[0].strip().lower()
        for known in LANGUAGES:
            if tag[:2] == known[:2]:
                return known
    return language()
