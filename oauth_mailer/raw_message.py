"""A finished message (``.eml``): read, checked, and otherwise passed on as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from .address import Address
from .errors import MessageError
from .i18n import _
from .message_id import new_message_id

__all__ = ["RawMessage"]

MAX_SIZE = 64 << 20
"""Octets that are read: more than any provider takes."""

_MAX_HEADER = 1 << 20
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:((?:[^\r\n]|\r\n[ \t])*)\r\n")
_MSG_ID = re.compile(r"<[^<>\s]+>")


class RawMessage:
    """A finished message with its own headers.

    ``content``: the octets, or the path of a file, which is read now; ``recipients``: whom it goes to, by
    default everyone in To, Cc and Bcc. Line ends are made CRLF, Bcc headers are taken out, a missing From,
    Date or Message-ID is put in; all else stays as it is.

    Raises ``MessageError`` for anything that no server could take safely.
    """

    __slots__ = ("body", "date", "fields", "id", "named", "recipients", "sender")

    def __init__(
        self,
        content: bytes | Path,
        *,
        recipients: Iterable[str | Address] | None = None,
    ) -> None:
        data = _normal(_read(content) if isinstance(content, Path) else bytes(content))
        self.fields, self.body = _parse(data)
        self.date = datetime.now().astimezone().replace(microsecond=0)
        found = _MSG_ID.search(self._text("message-id"))
        self.id = found[0] if found else new_message_id()
        senders = Address.parse_list(self._text("from"))
        self.sender = Address(senders[0].email) if senders else None
        self.named = self._addresses("to", "cc")
        if recipients is None:
            self.recipients = (*self.named, *self._addresses("bcc"))
        else:
            given = (one if isinstance(one, Address) else Address.parse(one) for one in recipients)
            self.recipients = tuple(given)
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
        values = [field.partition(b":")[2] for one, field in self.fields if one == name]
        try:
            return ", ".join(
                value.replace(b"\r\n", b"").decode().replace("\t", " ").strip() for value in values
            )
        except UnicodeDecodeError:
            raise _malformed(_("the header {name} is neither ASCII nor UTF-8").format(name=name)) from None

    def _addresses(self, *names: str) -> tuple[Address, ...]:
        # Their names are for reading only; the headers keep them.
        found = (one for name in names for one in Address.parse_list(self._text(name)))
        return tuple(Address(one.email) for one in found)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SIZE + 1)
    except OSError as error:
        raise MessageError(
            _("{path} cannot be read: {reason}.").format(path=path, reason=error.strerror or error),
            code="eml-unreadable",
            hint=_("Check the path and its permissions."),
        ) from error
    if len(data) > MAX_SIZE:
        raise _malformed(_("it is larger than any provider takes"))
    return data


def _normal(data: bytes) -> bytes:
    """The octets with CRLF line ends: a bare CR or LF is read as an end by some servers and not by others."""
    if data.startswith(b"From "):  # the line that an mbox file puts in front
        data = data.partition(b"\n")[2]
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not data.endswith(b"\n"):
        data += b"\n"
    if b"\0" in data:
        raise _malformed(_("it contains NUL"))
    if any(len(line) > 998 for line in data.split(b"\n")):
        raise _malformed(_("a line is longer than 998 octets (RFC 5322 §2.1.1)"))
    return data.replace(b"\n", b"\r\n")


def _parse(data: bytes) -> tuple[tuple[tuple[str, bytes], ...], bytes]:
    """The header fields, each with its name in lower case and its octets, and what comes after them."""
    head, blank, body = (b"", b"\r\n", data[2:]) if data.startswith(b"\r\n") else data.partition(b"\r\n\r\n")
    if blank == b"\r\n\r\n":
        head += b"\r\n"
    if len(head) > _MAX_HEADER:
        raise _malformed(_("its header is too long"))
    fields: list[tuple[str, bytes]] = []
    at = 0
    while at < len(head):
        found = _FIELD.match(head, at)
        if not found:
            line = head[at:].partition(b"\r\n")[0][:60].decode("ascii", "backslashreplace")
            raise _malformed(_("{line!r} is no header").format(line=line))
        fields.append((found[1].decode("ascii").lower(), found[0]))
        at = found.end()
    names = [name for name, _field in fields]
    for name in ("from", "sender", "reply-to", "message-id", "date", "subject", "to", "cc"):
        if names.count(name) > 1:  # RFC 5322 §3.6: readers disagree on which one counts
            raise _malformed(_("it has more than one header {name}").format(name=name))
    return tuple(fields), body


def _malformed(reason: str) -> MessageError:
    return MessageError(
        _("The finished message cannot be sent: {reason}.").format(reason=reason),
        code="eml-malformed",
        hint=_("Save it anew from the program that wrote it."),
    )
