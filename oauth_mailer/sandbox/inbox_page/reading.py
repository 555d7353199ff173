"""A message taken apart for people: its fields, texts and attachments. Whatever came can be read, somehow."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field as attribute
from email import message_from_bytes
from email.message import Message
from email.policy import compat32
from functools import cached_property
from typing import Any

from .markup import Markup, read_markup
from .words import Field, plain_words, read_header

__all__ = ["Attachment", "Reading", "read_message"]

_MOST_PARTS = 1000
_CRLF = compat32.clone(linesep="\r\n")
_ODD = (ValueError, LookupError, TypeError, AttributeError, AssertionError)
"""What the standard library raises for parameters and texts that are not as they should be."""

_SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "iso8859-1": "cp1252"}
"""What mail programs read instead."""

_NO_TEXT = {"idna", "punycode", "unicode_escape", "raw-unicode-escape", "undefined"}
"""Encodings of Python that no message has; some take very long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A part that is not the text. ``content_id``: without angle brackets; empty where it has none."""

    name: str
    media_type: str
    content: bytes = attribute(repr=False)
    content_id: str


@dataclass(frozen=True, kw_only=True)
class Reading:
    """``text``, ``html``: None where there is no such part; ``defects``: the parser's names for what is wrong
    with the structure; ``garbled``: the encodings that texts say they are in, and are not."""

    fields: list[Field]
    text: str | None = None
    html: str | None = attribute(default=None, repr=False)
    html_size: int = 0
    text_size: int = 0
    attachments: tuple[Attachment, ...] = ()
    defects: tuple[str, ...] = ()
    garbled: tuple[str, ...] = ()

    @cached_property
    def markup(self) -> Markup:
        """What the HTML consists of."""
        return read_markup(self.html or "")


def read_message(data: bytes) -> Reading:
    """Take a message apart. Never raises: what cannot be understood is left out and is among the defects."""
    fields = read_header(data)
    try:
        whole = message_from_bytes(data)
        leaves = list(_leaves(whole))
    except RecursionError:
        return Reading(fields=fields, defects=("nested too deeply",))
    defects = dict.fromkeys(type(one).__name__ for one in whole.defects)
    bodies: dict[str, tuple[str, int]] = {}
    garbled: dict[str, None] = {}
    attachments: list[Attachment] = []
    for part in leaves[:_MOST_PARTS]:
        defects |= dict.fromkeys(type(one).__name__ for one in part.defects)
        kind = _media_type(part)
        if kind in ("text/plain", "text/html") and kind not in bodies and not _is_attached(part):
            octets = _octets(part)
            text, stray = _text(octets, part)
            bodies[kind] = text, len(octets)
            if stray:
                garbled[stray] = None
        else:
            attachments.append(_attachment(part, kind, len(attachments) + 1))
    if len(leaves) > _MOST_PARTS:
        defects["too many parts"] = None
    text_body, html_body = bodies.get("text/plain"), bodies.get("text/html")
    return Reading(
        fields=fields,
        text=text_body[0] if text_body else None,
        html=html_body[0] if html_body else None,
        text_size=text_body[1] if text_body else 0,
        html_size=html_body[1] if html_body else 0,
        attachments=tuple(attachments),
        defects=tuple(defects),
        garbled=tuple(garbled),
    )


def _leaves(whole: Message[Any, Any]) -> Iterator[Message[Any, Any]]:
    """The parts that have no parts; an attached message is one of them."""
    waiting = [whole]
    while waiting:
        part = waiting.pop()
        payload: Any = part.get_payload()
        if isinstance(payload, list) and part.get_content_maintype() == "multipart":
            waiting.extend(reversed(payload))
        else:
            yield part


def _media_type(part: Message[Any, Any]) -> str:
    kind = part.get_content_type()
    # A multipart without parts: all of it is text.
    return "text/plain" if kind.startswith("multipart/") else kind


def _is_attached(part: Message[Any, Any]) -> bool:
    try:
        return part.get_content_disposition() == "attachment" or bool(part.get_filename())
    except _ODD:
        return False


def _attachment(part: Message[Any, Any], kind: str, number: int) -> Attachment:
    try:
        name = plain_words(part.get_filename() or "")
    except _ODD:
        name = ""
    content_id = plain_words(part.get("Content-ID", "")).strip("<> ")
    if not name:
        name = f"{number}{'.eml' if kind == 'message/rfc822' else ''}"
    return Attachment(name=name, media_type=kind, content=_octets(part), content_id=content_id)


def _octets(part: Message[Any, Any]) -> bytes:
    try:
        payload: Any = part.get_payload()
        if isinstance(payload, list):  # an attached message
            return b"".join(one.as_bytes(policy=_CRLF) for one in payload)
        octets = part.get_payload(decode=True)
        return octets if isinstance(octets, bytes) else b""
    except (*_ODD, RecursionError):
        return b""


def _text(octets: bytes, part: Message[Any, Any]) -> tuple[str, str]:
    """The text, and the encoding that it says it is in if it is not."""
    try:
        named = part.get_content_charset("us-ascii")
        codec = codecs.lookup(named).name
    except _ODD:
        named = codec = "?"
    text, stray = "", named
    for name in (_SUPERSETS.get(codec, codec), "utf-8", "gb18030"):
        try:
            if name not in _NO_TEXT:
                text = octets.decode(name)
                stray = "" if name == _SUPERSETS.get(codec, codec) else named
                break
        except _ODD:
            continue
    else:
        text = octets.decode("utf-8", "replace")
    return re.sub(r"\r\n?", "\n", text), stray
