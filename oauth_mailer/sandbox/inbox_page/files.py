"""The page itself: its files, with the texts in the language of who asks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

from aiohttp import web

from ...i18n import language
from .guard import problem
from .texts import texts

__all__ = ["page", "page_file"]

_FILES = {
    "page.css": "text/css",
    "icon.svg": "image/svg+xml",
    **dict.fromkeys(
        ("page.js", "parts.js", "list.js", "message.js", "check.js", "faults.js"), "text/javascript"
    ),
}
_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "frame-src 'self'",  # so that no link in a message leads its frame elsewhere
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",  # with the next: no text becomes HTML, ever
        "trusted-types 'none'",
    ]
)
_PLACE = re.compile(r"\{\{(\w+)\}\}")


def page(data: Mapping[str, Any]) -> web.Response:
    """The page. ``data``: what it is told besides its texts."""
    said = texts()
    told = json.dumps({**data, "language": language().replace("_", "-"), "texts": said}, ensure_ascii=False)
    values = {
        **{name: escape(text) for name, text in said.items()},
        "language": language().replace("_", "-"),
        "data": told.replace("<", "\\u003c"),  # inside <script>, nothing else could end it
    }
    html = _PLACE.sub(lambda found: values[found[1]], _read("page.html"))
    return web.Response(text=html, content_type="text/html", headers={"Content-Security-Policy": _POLICY})


async def page_file(request: web.Request) -> web.Response:
    """One of the files that the page is made of."""
    name = request.match_info["file"]
    if name not in _FILES:
        return problem(404, "not-found", name[:100])
    return web.Response(text=_read(name), content_type=_FILES[name])


def _read(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")
