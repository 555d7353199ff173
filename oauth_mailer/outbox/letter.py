"""A message as it is kept: a document of its fields, and its large parts apart, each by its digest.

What is attached is read now: what goes out is what was there when the message was added. A part that several
messages share is kept once.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import Any

from ..address import Address
from ..errors import OutboxError
from ..events import carried
from ..i18n import _
from ..message import Attachment, Message, RawMessage
from ..mime import headers
from ..mime.bodies import EncodedFile

__all__ = ["Letter", "carried_with", "damaged", "pack", "subject_of", "unpack"]

_FORM = 1
_ADDRESSES = ("to", "cc", "bcc", "reply_to")
_TEXTS = ("subject", "text", "html", "from_name", "one_click", "priority")
_LISTS = ("in_reply_to", "references", "list_unsubscribe")
# What an encoded word may hide: controls, and halves of characters, which no database takes.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Letter:
    """``document``: JSON; ``parts``: by their digest (SHA-256, hexadecimal); ``fingerprint``: of all that the
    caller said, so without the Message-ID and the date that are made for each message."""

    document: bytes
    parts: Mapping[str, bytes]
    fingerprint: str

    @property
    def size(self) -> int:
        """Octets."""
        return len(self.document) + sum(map(len, self.parts.values()))


def pack(message: Message | RawMessage) -> Letter:
    """The message as it is kept. Raises ``MessageError`` where an attached file cannot be read any more."""
    parts: dict[str, bytes] = {}

    def part(data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        parts[digest] = data
        return digest

    if isinstance(message, RawMessage):
        said: dict[str, Any] = {
            "raw": part(b"".join(field for _name, field in message.fields) + b"\r\n" + message.body),
            "recipients": [one.email for one in message.recipients],
        }
        made: dict[str, Any] = {
            "missing": [name for name in ("message-id", "date") if not message.has(name)],
            "id": message.id,
            "date": message.date.isoformat(),
        }
    else:
        said = {name: [[one.email, one.name] for one in getattr(message, name)] for name in _ADDRESSES}
        said |= {name: getattr(message, name) for name in (*_TEXTS, *_LISTS, "headers")}
        said["attachments"] = [
            {
                "content": part(_octets(one)),
                "filename": one.filename,
                "media_type": one.media_type,
                "content_id": one.content_id,
            }
            for one in message.attachments
        ]
        made = {"id": message.id, "date": message.date.isoformat()}
    if context := carried():
        made["carried"] = context
    said_as_kept = _json(said)
    return Letter(
        # All of it as one object, of which what was said is written once only.
        document=b'{"form":%d,"made":%b,"said":%b}' % (_FORM, _json(made), said_as_kept),
        parts=parts,
        fingerprint=hashlib.sha256(said_as_kept).hexdigest(),
    )


def carried_with(letter: Letter) -> dict[str, str]:
    """What observers of the sends wanted kept with the message when it was added."""
    found = json.loads(letter.document)["made"].get("carried")
    return {str(name): str(text) for name, text in found.items()} if isinstance(found, dict) else {}


def unpack(letter: Letter) -> Message | RawMessage:
    """The message that was kept. Raises ``OutboxError`` where it is not what was added any more."""
    try:
        kept = json.loads(letter.document)
        if kept["form"] > _FORM:
            raise OutboxError(
                _("The message was kept by a newer version of oauth-mailer."),
                code="outbox-newer",
                hint=_("Upgrade oauth-mailer on this machine."),
            )
        said, made, parts = kept["said"], kept["made"], letter.parts
        prints = [letter.fingerprint, *parts]
        if prints != [hashlib.sha256(one).hexdigest() for one in (_json(said), *parts.values())]:
            raise ValueError("a disk changed what it was given")
        return _raw(said, made, parts) if "raw" in said else _composed(said, made, parts)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise damaged(error) from error


def damaged(error: Exception) -> OutboxError:
    """What is kept of a message cannot be read any more."""
    return OutboxError(
        _("The message in the outbox is damaged ({error}).").format(error=type(error).__name__),
        code="outbox-damaged",
        hint=_("Restore the outbox from a copy, or cancel this message and send it anew."),
    )


def _raw(said: Any, made: Any, parts: Mapping[str, bytes]) -> RawMessage:
    # As it would be put in when it is sent; so each attempt has the same.
    head = b""
    if "message-id" in made["missing"]:
        head += headers.tokens("Message-ID", [made["id"]])
    if "date" in made["missing"]:
        head += headers.tokens("Date", [headers.date(datetime.fromisoformat(made["date"]))])
    return RawMessage(head + parts[said["raw"]], recipients=[Address(one) for one in said["recipients"]])


def _composed(said: Any, made: Any, parts: Mapping[str, bytes]) -> Message:
    fields: dict[str, Any] = {name: said[name] for name in (*_TEXTS, *_LISTS)}
    fields |= {name: [Address(email, shown) for email, shown in said[name]] for name in _ADDRESSES}
    return Message(
        **fields,
        headers=[(name, value) for name, value in said["headers"]],
        attachments=[
            Attachment(
                parts[one["content"]],
                filename=one["filename"],
                media_type=one["media_type"],
                content_id=one["content_id"],
            )
            for one in said["attachments"]
        ],
        id=made["id"],
        date=datetime.fromisoformat(made["date"]),
    )


def subject_of(message: Message | RawMessage) -> str:
    """The subject as a person reads it."""
    if isinstance(message, Message):
        return message.subject
    field = next((field for name, field in message.fields if name == "subject"), b"")
    text = field.partition(b":")[2].decode("utf-8", "replace").replace("\r\n", "").strip()
    try:
        shown = str(make_header(decode_header(text)))
    except (LookupError, ValueError, HeaderParseError):  # an encoding that nobody knows, or not kept to
        shown = text
    return _UNFIT.sub("\ufffd", shown)


def _octets(attachment: Attachment) -> bytes:
    if isinstance(attachment.content, bytes):
        return attachment.content
    return b"".join(EncodedFile.of(attachment.content).plain())


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _json(value: object) -> bytes:
    return _ENCODER.encode(value).encode()
