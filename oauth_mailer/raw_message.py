"""A finished message (``.eml``): read, checked, and otherwise passed on as it is."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from .address import Address
from .attachment import shown
from .errors import MessageError
from .i18n import _, system_text
from .message_id import new_message_id
from .values import dataclass

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RawMessage"]

MAX_SIZE = 64 << 20
"""Octets that are read: more than any provider takes."""

_MAX_HEADER = 4 << 20
_FIELD = rb"([!-9;-~]+):[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*"
_BLANK_LINE = rb"\r\n[ \t]+(?=\r\n)"
_CONTROL = "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]"
_BINARY = rb"^content-transfer-encoding:[ \t\r\n]*binary\b"
_MSG_ID = r"<[^<>\s]+>"
_ONCE = (
    *("from", "sender", "reply-to", "to", "cc", "message-id", "in-reply-to", "references", "date", "subject"),
    *("mime-version", "content-type", "content-transfer-encoding"),
)
_RESENT = ("resent-to", "resent-cc", "resent-bcc")


@dataclass(frozen=True, slots=True, init=False, repr=False)
class RawMessage:
    """A finished message with its own headers.

    ``content``: the octets, or the path of a file, which is read now; ``recipients``: whom it goes to, by
    default everyone in To, Cc and Bcc, or in the Resent- fields of the same names if there are any.

    All stays as it is, but for this: text outside ASCII in Subject and in the names beside addresses is sent
    as encoded words, because few servers take it as it is; line ends become CRLF (a CR or LF alone counts as
    one), the line that an mbox file puts in front goes, so do lines of blanks inside a header field and, when
    it is sent, Bcc and Return-Path; a missing From, Date or Message-ID is put in. A part that says it is
    ``binary`` must have CRLF line ends throughout, or LF throughout, since what is one and what is data
    cannot be told.

    Raises ``MessageError`` for anything that no server could take safely.
    """

    fields: tuple[tuple[str, bytes], ...]
    body: bytes
    id: str
    date: datetime
    sender: Address | None
    named: tuple[Address, ...]
    recipients: tuple[Address, ...]

    def __init__(
        self,
        content: bytes | Path,
        *,
        recipients: str | Address | Iterable[str | Address] | None = None,
    ) -> None:
        data = _normal(_read(content) if isinstance(content, os.PathLike) else bytes(content))
        put = object.__setattr__
        fields, body = _parse(data)
        put(self, "fields", fields)
        put(self, "body", body)
        put(self, "date", datetime.now().astimezone().replace(microsecond=0))
        found = re.search(_MSG_ID, self._text("message-id"))
        put(self, "id", found[0] if found else new_message_id())
        if not found:  # an empty one is worse than none
            put(self, "fields", tuple(field for field in fields if field[0] != "message-id"))
        put(self, "sender", self._sender())
        put(self, "named", self._addresses("to", "cc"))
        put(self, "recipients", self._named_recipients() if recipients is None else _given(recipients))
        if not self.recipients:
            raise MessageError(
                _("The message has no recipient."), code="no-recipient", hint=_("Give at least one address.")
            )

    def __repr__(self) -> str:
        return f"RawMessage({self.id}, recipients={len(self.recipients)})"

    def has(self, name: str) -> bool:
        """Whether there is a header of this name, given in lower case."""
        return any(one == name for one, _field in self.fields)

    def _text(self, name: str) -> str:
        """The headers of this name on one line, joined as a list."""
        values = (field.partition(b":")[2] for one, field in self.fields if one == name)
        return ", ".join(value.replace(b"\r\n", b"").decode().replace("\t", " ").strip() for value in values)

    def _addresses(self, *names: str) -> tuple[Address, ...]:
        # Their names are for reading only; the headers keep them.
        found = (one for name in names for one in Address.parse_list(self._text(name)))
        return tuple(Address(one.email) for one in found)

    def _sender(self) -> Address | None:
        """Who sent it: the mailbox in From, or that in Sender where From has several (RFC 5322 §3.6.2)."""
        if not self.has("from"):
            return None
        authors = self._addresses("from")
        senders = authors if len(authors) == 1 else self._addresses("sender")
        if not authors or len(senders) != 1:
            raise _malformed(_("it does not say which one mailbox it is from"))
        return senders[0]

    def _named_recipients(self) -> tuple[Address, ...]:
        if not any(map(self.has, _RESENT)):
            return (*self.named, *self._addresses("bcc"))
        names = [name for name, _field in self.fields]
        if any(names.count(name) > 1 for name in _RESENT):
            raise _malformed(_("it was sent on more than once, so its recipients have to be given"))
        return self._addresses(*_RESENT)


def _given(recipients: str | Address | Iterable[str | Address]) -> tuple[Address, ...]:
    some = (recipients,) if isinstance(recipients, str | Address) else recipients
    found: list[Address] = []
    for one in some:
        found.extend((one,) if isinstance(one, Address) else Address.parse_list(one))
    return tuple(found)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_SIZE + 1)
    except (OSError, ValueError) as error:
        raise MessageError(
            _("{path} cannot be read: {reason}.").format(
                path=shown(path), reason=system_text(getattr(error, "strerror", None)) or error
            ),
            code="eml-unreadable",
            hint=_("Check the path and its permissions."),
        ) from error


def _normal(data: bytes) -> bytes:
    """The octets with CRLF line ends: a bare CR or LF is read as an end by some servers and not by others."""
    if len(data) > MAX_SIZE:
        raise _malformed(_("it is larger than any provider takes"))
    if data.startswith(b"From "):  # the line that an mbox file puts in front
        data = data.partition(b"\n")[2]
    if b"\0" in data:
        raise _malformed(_("it contains NUL"))
    crlf, lf, cr = data.count(b"\r\n"), data.count(b"\n"), data.count(b"\r")
    if cr > crlf or 0 < crlf < lf:
        if re.search(_BINARY, data, re.I | re.M):
            raise _malformed(_("its binary content cannot be told from line ends"))
        if cr > crlf:
            # CR CR LF is what a program leaves that translates line ends twice.
            data = re.sub(rb"\r+\n|\r", b"\n", data)
    data = data.replace(b"\r\n", b"\n")
    if not data.endswith(b"\n"):
        data += b"\n"
    if max(map(len, io.BytesIO(data))) > 999:
        raise _malformed(_("a line is longer than 998 octets (RFC 5322 §2.1.1)"))
    return data.replace(b"\n", b"\r\n")


def _parse(data: bytes) -> tuple[tuple[tuple[str, bytes], ...], bytes]:
    """The header fields, each with its name in lower case and its octets, and what comes after them."""
    head, blank, body = (b"", b"\r\n", data[2:]) if data.startswith(b"\r\n") else data.partition(b"\r\n\r\n")
    if blank == b"\r\n\r\n":
        head += b"\r\n"
    if len(head) > _MAX_HEADER:
        raise _malformed(_("its header is too long"))
    try:
        if re.search(_CONTROL, head.decode()):
            raise _malformed(_("its header contains a control character"))
    except UnicodeDecodeError:
        raise _malformed(_("its header is neither ASCII nor UTF-8")) from None
    # Where blanks at the end of a line are cut off on the way, such a line would end the header.
    head = re.sub(_BLANK_LINE, b"", head)
    fields: list[tuple[str, bytes]] = []
    pattern, at = re.compile(_FIELD), 0
    while at < len(head):
        found = pattern.match(head, at)
        if not found:
            line = head[at:].partition(b"\r\n")[0][:60].decode("ascii", "backslashreplace")
            raise _malformed(_("{line!r} is no header").format(line=line))
        fields.append((found[1].decode("ascii").lower(), found[0]))
        at = found.end()
    names = [name for name, _field in fields]
    for name in _ONCE:
        if names.count(name) > 1:  # RFC 5322 §3.6: readers disagree on which one counts
            raise _malformed(_("it has more than one header {name}").format(name=name))
    return tuple(fields), body


def _malformed(reason: str) -> MessageError:
    return MessageError(
        _("The finished message cannot be sent: {reason}.").format(reason=reason),
        code="eml-malformed",
        hint=_("Save it anew from the program that wrote it."),
    )
