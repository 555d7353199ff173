"""Messages as JSON has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..inbox import Received
from .findings import blind, find
from .markup import shortened
from .names import safe_name
from .reading import Reading
from .words import field, read_header

__all__ = ["PICTURES", "detail", "summary"]

_LONGEST_SUBJECT = 300
_LONGEST_TEXT = 500_000  # characters; the whole is in the source
_LONGEST_VALUE = 20_000
_LONGEST_HREF = 2000
_PREVIEW = 90
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp", "image/svg+xml")


def summary(message: Received) -> dict[str, Any]:
    """A message as in the list: what can be told without taking it apart."""
    fields = read_header(message.data)
    hidden = blind(message)
    return {
        "id": message.id,
        "route": message.route,
        "account": message.account,
        "sender": message.sender,
        "from": shortened(field(fields, "From"), _LONGEST_SUBJECT),
        "recipients": [{"address": one, "bcc": one in hidden} for one in message.recipients],
        "subject": shortened(field(fields, "Subject"), _LONGEST_SUBJECT),
        "at": message.at.isoformat(timespec="milliseconds"),
        "size": len(message.data),
    }


def detail(message: Received, reading: Reading, listed: Mapping[str, Any]) -> dict[str, Any]:
    """All of a message but its octets. ``listed``: its summary."""
    address = f"/api/messages/{message.id}"
    markup = reading.markup
    text = reading.text
    html = reading.html
    return {
        **listed,
        "headers": [{"name": name, "value": value[:_LONGEST_VALUE]} for name, value in reading.fields],
        "text": text if text is None else text[:_LONGEST_TEXT],
        "text_cut": text is not None and len(text) > _LONGEST_TEXT,
        "html": None
        if html is None
        else {"url": f"{address}/html", "remote": sorted(one[:_LONGEST_HREF] for one in markup.remote)[:100]},
        "preview": _preview(markup.text or text or ""),
        "sizes": {
            "total": len(message.data),
            "text": reading.text_size,
            "html": reading.html_size,
            "attachments": sum(len(one.content) for one in reading.attachments),
        },
        "attachments": [
            {
                "number": number,
                "name": one.name[:_LONGEST_SUBJECT],
                "saved_as": safe_name(one.name),
                "media_type": one.media_type[:100],
                "size": len(one.content),
                "inline": one.content_id in markup.content_ids,
                "url": f"{address}/attachments/{number}",
            }
            for number, one in enumerate(reading.attachments)
        ],
        "links": [
            {"href": link.href[:_LONGEST_HREF], "text": link.text[:_LONGEST_SUBJECT], "problem": link.problem}
            for link in markup.links
        ],
        "warnings": [
            {"code": one.code, "text": one.text, "hint": one.hint} for one in find(message, reading)
        ],
        "raw": f"{address}/raw",
    }


def _preview(text: str) -> str:
    """What a phone shows of the text in its list."""
    line = shortened(text[: 50 * _PREVIEW])
    return line if len(line) <= _PREVIEW else line[:_PREVIEW].rstrip() + "…"
