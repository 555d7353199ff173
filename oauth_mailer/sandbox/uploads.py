"""The two ways of Google's uploads that take some reading: multipart/related, and in parts.

Source: Google's guide to uploading ("Upload attachments" of the Gmail API); RFC 2387; RFC 9110, 14.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from email.message import Message
from typing import Generic, TypeVar

from .faults import Refused, google_error

__all__ = ["MOST_OCTETS", "Uploads", "read_related", "too_large"]

MOST_OCTETS = 36_700_160
"""Octets of a whole message (the discovery document's ``maxSize``)."""

_Owner = TypeVar("_Owner")
_RANGE = re.compile(r"bytes (?:(\d{1,15})-(\d{1,15})|\*)/(\d{1,15}|\*)")
_UNIT = 256 * 1024
"""Octets that every part but the last must be a multiple of."""


def too_large() -> Refused:
    """The refusal of a message over the limit."""
    message = f"Message size exceeds fixed limit of {MOST_OCTETS} bytes."
    return Refused(google_error(413, "uploadTooLarge", message))


def read_related(content_type: str, body: bytes) -> tuple[bytes, str, bytes]:
    """The JSON, the second part's media type and its exact octets. Raises ``Refused``.

    ``content_type``: the request's field, with its boundary.
    """
    head = Message()
    head["Content-Type"] = content_type
    boundary = head.get_boundary()
    if not boundary:
        raise _bad("Missing boundary in the Content-Type.")
    # The line break before a boundary belongs to it. Google's own client writes bare line feeds.
    mark = re.escape(boundary.encode("utf-8", "surrogateescape"))
    parts = re.split(rb"(?:\A|\r?\n)--" + mark + rb"[ \t]*(?:--[ \t]*(?:\r?\n|\Z)|\r?\n)", body)
    if len(parts) != 4:
        raise _bad("A multipart upload has two parts: JSON and the message.")
    kind, metadata = _part(parts[1])
    if kind != "application/json":
        raise _bad("The first part must be application/json.")
    return metadata, *_part(parts[2])


def _part(data: bytes) -> tuple[str, bytes]:
    found = re.search(rb"(?:\A|\r?\n)\r?\n", data)
    if found is None:
        raise _bad("A part has no end of its header.")
    head = Message()
    for line in data[: found.start()].splitlines():
        name, _colon, value = line.decode("latin-1").partition(":")
        head[name] = value.strip()
    encoding = str(head.get("Content-Transfer-Encoding", "binary")).lower()
    if encoding not in ("binary", "7bit", "8bit"):
        raise _bad(f"The Content-Transfer-Encoding {encoding[:40]} is not supported.")
    return head.get_content_type(), data[found.end() :]


@dataclass(slots=True)
class _Upload(Generic[_Owner]):
    owner: _Owner
    total: int | None
    data: bytearray = field(default_factory=bytearray, repr=False)


class Uploads(Generic[_Owner]):
    """Uploads in parts, each with its owner, whatever that is."""

    def __init__(self) -> None:
        self._open: dict[str, _Upload[_Owner]] = {}

    def open(self, owner: _Owner, length: str) -> str:
        """Begin one; its name. ``length``: the announced octets, or nothing. Raises ``Refused``."""
        if length and not re.fullmatch(r"\d{1,15}", length):
            raise _bad("Invalid X-Upload-Content-Length.")
        total = int(length) if length else None
        if total is not None and total > MOST_OCTETS:
            raise too_large()
        name = secrets.token_urlsafe(32)
        self._open[name] = _Upload(owner, total)
        return name

    def put(self, name: str, content_range: str, data: bytes) -> int | None:
        """Keep a part: how many octets are there by now, or None when that is all. Raises ``Refused``."""
        upload = self._named(name)
        if not content_range:
            if upload.data:
                raise _bad("Content-Range is missing.")
            upload.data += data
            self._check_end(upload, len(data))
            return None
        found = _RANGE.fullmatch(content_range)
        if found is None:
            raise _bad("Invalid Content-Range.")
        first, last, whole = found.groups()
        total = None if whole == "*" else int(whole)
        if first is None:  # how far did we get?
            if data:
                raise _bad("A question has no body.")
            return None if total == len(upload.data) else len(upload.data)
        if int(first) != len(upload.data) or int(last) - int(first) + 1 != len(data):
            raise _bad("Content-Range does not fit the octets that came.")
        upload.data += data
        if total is not None and len(upload.data) == total:
            self._check_end(upload, total)
            return None
        if len(data) % _UNIT:
            raise _bad(f"A part that is not the last must be a multiple of {_UNIT} octets.")
        if len(upload.data) > MOST_OCTETS:
            raise too_large()
        return len(upload.data)

    def close(self, name: str) -> tuple[_Owner, bytes]:
        """What came, and whose it is. Raises ``Refused``."""
        upload = self._named(name)
        del self._open[name]
        return upload.owner, bytes(upload.data)

    def _named(self, name: str) -> _Upload[_Owner]:
        if (upload := self._open.get(name)) is None:
            raise _bad("No such upload.", 404)
        return upload

    def _check_end(self, upload: _Upload[_Owner], total: int) -> None:
        if upload.total is not None and upload.total != total:
            raise _bad("The upload is not as long as was announced.")
        if total > MOST_OCTETS:
            raise too_large()


def _bad(message: str, status: int = 400) -> Refused:
    return Refused(google_error(status, "badRequest" if status == 400 else "notFound", message))
