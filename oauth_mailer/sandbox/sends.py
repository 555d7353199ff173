"""Where the message stands in a request to send, and what is wrong with a request where it stands nowhere."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from binascii import Error as BadBase64
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from .faults import Refused, google_error
from .uploads import read_related, too_large

__all__ = [
    "Send",
    "check_kind",
    "invalid",
    "read_body",
    "read_json",
    "read_media",
    "read_multipart",
    "read_thread",
]

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*={0,2}")
_STANDARD_TO_URL = str.maketrans("+/", "-_")


@dataclass(frozen=True, slots=True)
class Send:
    """A message to send: the id of the thread that it shall belong to, or nothing, and its octets."""

    thread: str
    data: bytes = field(repr=False)


def invalid(message: str) -> Refused:
    """The message is not right."""
    return Refused(google_error(400, "invalidArgument", message))


def check_kind(kind: str) -> None:
    """Raises ``Refused`` for a media type that is no message."""
    if not kind.startswith("message/"):
        raise _unsupported(kind, "message/*")


async def read_body(request: web.Request) -> bytes:
    """The whole body; the request keeps it, so that the next call gives the same. Raises ``Refused``."""
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise too_large() from None


async def read_thread(request: web.Request) -> str:
    """The thread in a body of JSON without the message. Raises ``Refused``."""
    return _thread_of(await _read_object(request))


async def read_json(request: web.Request) -> Send:
    """A message inside JSON, in base64url; the standard alphabet will do. Raises ``Refused``."""
    value = await _read_object(request)
    raw = value.get("raw") or ""
    if not raw:
        raise invalid("'raw' RFC822 payload message string or uploading message via /upload/* URL required")
    if not isinstance(raw, str) or not _BASE64URL.fullmatch(raw := raw.translate(_STANDARD_TO_URL)):
        raise _bad_raw()
    digits = raw.rstrip("=")
    try:
        return Send(_thread_of(value), urlsafe_b64decode(digits + "=" * (-len(digits) % 4)))
    except BadBase64:
        raise _bad_raw() from None


async def read_media(request: web.Request) -> Send:
    """A message that is the body. Raises ``Refused``."""
    if request.query.get("uploadType") != "media":
        raise _bad_request("The uploadType must be media, multipart or resumable.")
    check_kind(request.content_type)
    return Send("", await read_body(request))


async def read_multipart(request: web.Request) -> Send:
    """A message behind its JSON. Raises ``Refused``."""
    if request.content_type != "multipart/related":
        raise _unsupported(request.content_type, "multipart/related")
    metadata, kind, data = read_related(request.headers["Content-Type"], await read_body(request))
    check_kind(kind)
    return Send(_thread_of(_parse(metadata)), data)


async def _read_object(request: web.Request) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise _unsupported(request.content_type, "application/json")
    return _parse(await read_body(request))


def _parse(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Refused(google_error(400, "parseError", "Parse Error"))
    return value


def _thread_of(value: dict[str, Any]) -> str:
    thread = value.get("threadId", "")
    if not isinstance(thread, str):
        raise _bad_request("Invalid value at 'message.thread_id' (TYPE_STRING)")
    return thread


def _bad_raw() -> Refused:
    return _bad_request("Invalid value at 'message.raw' (TYPE_BYTES), Base64 decoding failed")


def _bad_request(message: str) -> Refused:
    return Refused(google_error(400, "badRequest", message))


def _unsupported(kind: str, valid: str) -> Refused:
    message = f"Media type '{kind[:80]}' is not supported. Valid media types: [{valid}]"
    return Refused(google_error(400, "badContent", message))
