"""A finished message → envelope and content, changed only where a route has to."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..address import Address
from ..message import Envelope, RawMessage
from . import headers
from .content import Content

__all__ = ["render_raw"]

_TAKEN_OUT = ("bcc", "resent-bcc", "return-path")


def render_raw(
    message: RawMessage,
    sender: Address,
    on_behalf_of: Address | None,
    unique: Callable[[tuple[Address, ...]], tuple[Address, ...]],
) -> tuple[Envelope, Content]:
    """As ``render``. ``unique`` leaves each mailbox in a list once."""
    fields = [(name, field) for name, field in message.fields if name not in _TAKEN_OUT]
    if not message.has("from"):
        fields.insert(0, ("from", headers.addresses("From", [sender])))
    elif on_behalf_of is not None:
        fields = _as_own(message, fields, sender)
    if not message.has("date"):
        fields.append(("date", headers.tokens("Date", [headers.date(message.date)])))
    if not message.has("message-id"):
        fields.append(("message-id", headers.tokens("Message-ID", [message.id])))
    head = b"".join(field for _name, field in fields)
    content = Content(
        [head + b"\r\n", message.body],
        needs_8bit=not message.body.isascii(),
        needs_smtputf8=not head.isascii(),
    )
    return Envelope(sender, unique(message.recipients), unique(message.named)), content


def _as_own(message: RawMessage, fields: list[tuple[str, bytes]], sender: Address) -> list[tuple[str, bytes]]:
    """From another address: the fallback's own in From, the original one in Reply-To."""
    original = next(field for name, field in fields if name == "from").partition(b":")[2]
    # The name is kept as it is written, encoded words and all.
    name = re.match(rb"\s*(.*?)\s*<[^<>]*>\s*$", original, re.S)
    own = (name[1] + b" " if name and name[1] else b"") + b"<" + sender.email.encode() + b">"
    fields = [(key, b"From: " + own + b"\r\n" if key == "from" else field) for key, field in fields]
    # A signature over the old From would only make the message look forged.
    fields = [(key, field) for key, field in fields if key not in ("sender", "dkim-signature")]
    if not message.has("reply-to"):
        fields.append(("reply-to", b"Reply-To:" + original))
    return fields
