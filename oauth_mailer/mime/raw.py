"""A finished message → envelope and content, changed only where a route has to."""

from __future__ import annotations

import re

from ..address import Address, unique
from ..errors import MessageError
from ..message import Envelope, RawMessage
from . import headers
from .content import Content

__all__ = ["raw_envelope", "render_raw"]

_Field = tuple[str, bytes]

_TAKEN_OUT = ("bcc", "resent-bcc", "return-path")
_MAILBOXES = (
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "resent-from",
    "resent-sender",
    "resent-to",
    "resent-cc",
)
# The name in front of the only address, as it is written, encoded words and all.
_NAME = rb'[ \t\r\n]*((?:"(?:[^"\\]|\\.)*"|[^"<>(),:;\\])*?)[ \t\r\n]*<[^<>]*>[ \t\r\n]*'


def render_raw(
    message: RawMessage, sender: Address, on_behalf_of: Address | None
) -> tuple[Envelope, Content]:
    """As ``render``."""
    fields = [(name, field) for name, field in message.fields if name not in _TAKEN_OUT]
    if not message.has("from"):
        fields.insert(0, ("from", headers.addresses("From", [sender])))
    elif on_behalf_of is not None:
        fields = _as_own(message, fields, sender)
    if not message.has("date"):
        fields.append(("date", headers.tokens("Date", [headers.date(message.date)])))
    if not message.has("message-id"):
        fields.append(("message-id", headers.tokens("Message-ID", [message.id])))
    if not any(name == "dkim-signature" for name, _field in fields):
        fields = [(name, field if field.isascii() else _encoded(name, field)) for name, field in fields]
    head = b"".join(field for _name, field in fields)
    content = Content(
        [head + b"\r\n", message.body],
        needs_8bit=not message.body.isascii(),
        needs_smtputf8=not head.isascii(),
    )
    return raw_envelope(message, sender), content


def raw_envelope(message: RawMessage, sender: Address) -> Envelope:
    """The envelope alone."""
    # Whoever is named is the same mailbox in both lists, however it was written when it was given.
    named = {one.key: one for one in unique(message.named)}
    recipients = unique(named.get(one.key, one) for one in message.recipients)
    return Envelope(sender, recipients, tuple(named.values()))


def _as_own(message: RawMessage, fields: list[_Field], sender: Address) -> list[_Field]:
    """From another address: the fallback's own in From, the original one in Reply-To."""
    original = next(field for name, field in fields if name == "from").partition(b":")[2]
    found = re.fullmatch(_NAME, original, re.S)
    own = b" ".join(part for part in (b"From:", found and found[1], b"<%b>" % sender.email.encode()) if part)
    fields = [(key, own + b"\r\n" if key == "from" else field) for key, field in fields]
    # A signature over the old From would only make the message look forged.
    fields = [(key, field) for key, field in fields if key not in ("sender", "dkim-signature")]
    if not message.has("reply-to"):
        fields.append(("reply-to", b"Reply-To:" + original))
    return fields


def _encoded(name: str, field: bytes) -> bytes:
    """A field with UTF-8 in it, as encoded words where it can be; few servers take it as it is (RFC 6532)."""
    label, _colon, value = field.partition(b":")
    text = value.replace(b"\r\n", b"").replace(b"\t", b" ").decode().strip(" ")
    if "=?" in text:  # part of it is encoded already
        return field
    if name in ("subject", "comments"):
        return headers.unstructured(label.decode(), text)
    if name in _MAILBOXES:
        try:
            return headers.addresses(label.decode(), Address.parse_list(text))
        except MessageError:
            return field
    return field
