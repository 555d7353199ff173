"""Message and sender → envelope and finished content.

The writer is our own: it is given checked values, writes each octet once, and never has a file in memory.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..address import Address, unique
from ..fields import form_of
from ..message import Attachment, Envelope, Message, RawMessage
from . import headers
from .bodies import EncodedFile, EncodedOctets, encoded_base64, encoded_text
from .content import Content, Piece
from .raw import raw_envelope, render_raw

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Content", "envelope_of", "fits", "render"]

_WIDEST = 32  # octets of a character at most: four in UTF-8, as %XX or =XX each, in two parameters, folded
_FRAME = 200  # octets around a text at most
_SMALL = 65536  # octets that are encoded at once and lie together with what stands around them


def render(
    message: Message | RawMessage, sender: Address, *, on_behalf_of: Address | None = None
) -> tuple[Envelope, Content]:
    """The envelope and the content of this message when this mailbox sends it.

    ``on_behalf_of``: the original sender where ``sender`` is a fallback; replies go there unless the message
    says otherwise. The content has no Bcc header, whatever the route.

    Raises ``MessageError`` where an attached file cannot be read any more.
    """
    if isinstance(message, RawMessage):
        return render_raw(message, sender, on_behalf_of)
    envelope = envelope_of(message, sender)
    reply_to = message.reply_to or ((on_behalf_of,) if on_behalf_of else ())
    head = _head(message, envelope.sender, reply_to)
    return envelope, Content(_merged([head, *_body(message)]), needs_smtputf8=not head.isascii())


def envelope_of(message: Message | RawMessage, sender: Address) -> Envelope:
    """The envelope alone: whom this message goes to when this mailbox sends it."""
    if isinstance(message, RawMessage):
        return raw_envelope(message, sender)
    named = unique((*message.to, *message.cc))
    recipients = unique((*named, *message.bcc))
    author = Address(sender.email, message.from_name) if message.from_name else sender
    return Envelope(author, recipients, named)


def fits(message: Message | RawMessage, octets: float) -> bool:
    """Whether its content certainly has no more than so many octets, as is seen without making it.

    Nothing is certain of a message with files, or near the limit: that has to be rendered.
    """
    if isinstance(message, RawMessage) or any(
        not isinstance(one.content, bytes) for one in message.attachments
    ):
        return False
    mailboxes = (*message.to, *message.cc, *message.bcc, *message.reply_to)
    texts = [message.subject, message.text or "", message.html or "", message.from_name]
    texts += [text for field in message.headers for text in field]
    texts += [text for one in mailboxes for text in (one.email, one.name)]
    texts += [*message.in_reply_to, *message.references, *message.list_unsubscribe]
    texts += [text for one in message.attachments for text in (one.filename, one.media_type, one.content_id)]
    attached = sum(len(one.content) for one in message.attachments if isinstance(one.content, bytes))
    return _WIDEST * sum(map(len, texts)) + 2 * attached + _FRAME * (len(texts) + 10) <= octets


def _head(message: Message, author: Address, reply_to: tuple[Address, ...]) -> bytes:
    fields = [headers.addresses("From", [author])]
    for name, mailboxes in (("To", message.to), ("Cc", message.cc), ("Reply-To", reply_to)):
        if mailboxes:
            fields.append(headers.addresses(name, unique(mailboxes)))
    fields.append(headers.unstructured("Subject", message.subject))
    fields.append(headers.tokens("Date", [headers.date(message.date)]))
    fields.append(headers.tokens("Message-ID", [message.id]))
    if message.in_reply_to:
        fields.append(headers.tokens("In-Reply-To", message.in_reply_to))
    if message.references or message.in_reply_to:
        # RFC 5322 §3.6.4: the message that is replied to ends the list.
        earlier = (one for one in message.references if one not in message.in_reply_to)
        fields.append(headers.tokens("References", (*dict.fromkeys(earlier), *message.in_reply_to)))
    if uris := message.list_unsubscribe:
        listed = [f"<{uri}>{',' if number < len(uris) else ''}" for number, uri in enumerate(uris, 1)]
        fields.append(headers.tokens("List-Unsubscribe", listed))
    if message.one_click:
        fields.append(headers.tokens("List-Unsubscribe-Post", ["List-Unsubscribe=One-Click"]))
    if message.priority != "normal":
        high = message.priority == "high"
        fields.append(headers.tokens("X-Priority", ["1" if high else "5"]))
        fields.append(headers.tokens("Importance", [message.priority]))
        fields.append(headers.tokens("Priority", ["urgent" if high else "non-urgent"]))
    fields.extend(_by_hand(name, value) for name, value in message.headers)
    fields.append(b"MIME-Version: 1.0\r\n")
    return b"".join(fields)


def _by_hand(name: str, value: str) -> bytes:
    form = form_of(name)
    if form == "mailboxes":
        return headers.addresses(name, Address.parse_list(value))
    return headers.tokens(name, value.split()) if form == "words" else headers.unstructured(name, value)


def _body(message: Message) -> list[Piece]:
    """``mixed`` around ``related`` around ``alternative``, where each is needed (RFC 2046, RFC 2387)."""
    texts = [_text("plain", message.text)] if message.text is not None or message.html is None else []
    if message.html is not None:
        texts.append(_text("html", message.html))
    part = texts[0] if len(texts) == 1 else _multipart("alternative", texts)
    inline: list[Attachment] = []
    others: list[Attachment] = []
    for one in message.attachments:
        (inline if one.content_id and message.html is not None else others).append(one)
    if inline:
        root = "text/html" if len(texts) == 1 else "multipart/alternative"
        part = _multipart("related", [part, *map(_attachment, inline)], f'; type="{root}"')
    if others:
        part = _multipart("mixed", [part, *map(_attachment, others)])
    return part


def _text(kind: str, text: str | None) -> list[Piece]:
    encoding, data = encoded_text(text or "")
    charset = "us-ascii" if (text or "").isascii() else "utf-8"
    head = f"Content-Type: text/{kind}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return [head.encode() + data]


def _attachment(attachment: Attachment) -> list[Piece]:
    name = attachment.filename
    disposition = "inline" if attachment.content_id else "attachment"
    fields = [
        headers.parameters("Content-Type", attachment.media_type, [("name", name)]),
        headers.parameters("Content-Disposition", disposition, [("filename", name)]),
        b"Content-Transfer-Encoding: base64\r\n",
        f"Content-ID: <{attachment.content_id}>\r\n".encode() if attachment.content_id else b"",
        b"\r\n",
    ]
    return [b"".join(fields), _encoded(attachment.content)]


def _encoded(content: bytes | Path) -> Piece:
    if not isinstance(content, bytes):
        return EncodedFile.of(content)
    return encoded_base64(content) if len(content) <= _SMALL else EncodedOctets(content)


def _multipart(kind: str, parts: list[list[Piece]], parameter: str = "") -> list[Piece]:
    # "=_" stands in no base64 or quoted-printable line, and nobody can guess the rest.
    boundary = f"=_{os.urandom(16).hex()}"
    result: list[Piece] = [
        f'Content-Type: multipart/{kind}{parameter};\r\n boundary="{boundary}"\r\n\r\n'.encode()
    ]
    for part in parts:
        result.append(f"--{boundary}\r\n".encode())
        result.extend(part)
        result.append(b"\r\n")
    result.append(f"--{boundary}--\r\n".encode())
    return result


def _merged(part: list[Piece]) -> list[Piece]:
    """What lies together in memory goes out together."""
    merged: list[Piece] = []
    together: list[bytes] = []
    size = 0
    for piece in part:
        if together and not (isinstance(piece, bytes) and size + len(piece) <= 2 * _SMALL):
            merged.append(b"".join(together))
            together, size = [], 0
        if isinstance(piece, bytes):
            together.append(piece)
            size += len(piece)
        else:
            merged.append(piece)
    return [*merged, b"".join(together)] if together else merged
