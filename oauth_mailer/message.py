"""What to say and to whom."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from .address import Address, check_text
from .errors import MessageError
from .i18n import _
from .message_id import new_message_id
from .raw_message import RawMessage

__all__ = ["Attachment", "Envelope", "Message", "Priority", "RawMessage"]

Priority = Literal["high", "normal", "low"]
Recipients = str | Address | Iterable[str | Address]

_FIELD_NAME = re.compile(r"[!-9;-~]{1,76}")  # RFC 5322 §2.2: printable ASCII without the colon
_MSG_ID = re.compile(r"<[!-;=?-~]+@[!-;=?-~]+>")  # §3.6.4, without comments and blanks
_TOKEN_CHARS = r"[A-Za-z0-9!#$&^_.+-]"
_MEDIA_TYPE = re.compile(rf"{_TOKEN_CHARS}{{1,100}}/{_TOKEN_CHARS}{{1,100}}(?:; *[a-z-]+=[A-Za-z0-9._-]+)*")
_URI = re.compile(r"(?:https?://|mailto:)[!-;=?-~]+", re.I)

_OWN_FIELDS = {
    "from": "login, --from",
    "sender": "login, --from",
    "to": "to=",
    "cc": "cc=",
    "bcc": "bcc=",
    "subject": "subject=",
    "date": "date=",
    "message-id": "id=",
    "reply-to": "reply_to=",
}
_NOT_FOR_AUTHORS = ("mime-version", "return-path", "received", "dkim-signature")


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who a message is from and whom it goes to (RFC 5321 §2.3.1), apart from what its headers show.

    ``recipients``: each mailbox once; ``named``: the mailboxes that the To and Cc headers show. A recipient
    that is not named is a blind one.
    """

    sender: Address
    recipients: tuple[Address, ...]
    named: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True, init=False)
class Attachment:
    """A file that goes with a message.

    ``content``: the octets, or the path of a file, which is read as the message is sent; ``filename``: the
    name that recipients see, by default that of the file; ``media_type``: such as ``image/png``, by default
    guessed from the name; ``content_id``: for ``<img src="cid:logo">`` it is ``logo``.

    Raises ``MessageError`` where there is no such file, where it is no plain file, or where a name would
    break the message.
    """

    content: bytes | Path
    filename: str
    media_type: str
    content_id: str

    def __init__(
        self,
        content: bytes | str | os.PathLike[str],
        *,
        filename: str | None = None,
        media_type: str | None = None,
        content_id: str | None = None,
    ) -> None:
        data = bytes(content) if isinstance(content, bytes | bytearray | memoryview) else _file(Path(content))
        given = (
            filename if filename is not None else data.name if isinstance(data, Path) else "attachment.bin"
        )
        name = re.split(r"[/\\]", check_text(given, _("A file name")))[-1].strip()
        if name in ("", ".", "..") or len(name) > 1000:
            raise MessageError(
                _("{name!r} is no name for an attachment.").format(name=given[:80]),
                code="attachment-name",
                hint=_("Give it a name, such as report.pdf."),
            )
        kind = media_type or _guess(name)
        if not _MEDIA_TYPE.fullmatch(kind) or kind.lower().startswith(("multipart/", "message/")):
            raise MessageError(
                _("{kind!r} is no media type for an attachment.").format(kind=kind[:80]),
                code="media-type",
                hint=_("Leave it off, or give one such as application/pdf."),
            )
        cid = check_text(content_id or "", _("A content id")).strip("<>")
        if cid and not re.fullmatch(r"[!-;=?-~]{1,200}", cid):
            raise MessageError(
                _("{cid!r} is no content id.").format(cid=cid[:80]),
                code="content-id",
                hint=_("Use letters, digits, dots and @ only."),
            )
        for key, value in (("content", data), ("filename", name), ("media_type", kind), ("content_id", cid)):
            object.__setattr__(self, key, value)


@dataclass(frozen=True, slots=True, init=False)
class Message:
    """What to say and to whom; who says it is the account's to say.

    ``to``, ``cc``, ``bcc``, ``reply_to``: an address, or several: texts such as ``"Ann <ann@example.com>"``
    (a text may hold several, separated by commas) or ``Address``; ``text``, ``html``: the body, either or
    both; ``attachments``: paths or ``Attachment``; ``headers``: further ones, as a mapping or as pairs;
    ``from_name``: the name beside the sending address; ``in_reply_to``, ``references``: Message-IDs of the
    thread (RFC 5322 §3.6.4); ``list_unsubscribe``: https or mailto URIs (RFC 2369), with ``one_click`` for
    RFC 8058; ``priority``: ``high``, ``normal`` or ``low``; ``id``: the Message-ID, ``date``: with a time
    zone; both are fixed here, and so the same on every attempt.

    Raises ``MessageError`` for anything that cannot be sent as it is.
    """

    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    subject: str
    text: str | None
    html: str | None
    reply_to: tuple[Address, ...]
    attachments: tuple[Attachment, ...]
    headers: tuple[tuple[str, str], ...]
    from_name: str
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    list_unsubscribe: tuple[str, ...]
    one_click: bool
    priority: Priority
    id: str
    date: datetime

    def __init__(
        self,
        *,
        to: Recipients = (),
        cc: Recipients = (),
        bcc: Recipients = (),
        subject: str = "",
        text: str | None = None,
        html: str | None = None,
        reply_to: Recipients = (),
        attachments: Iterable[str | os.PathLike[str] | Attachment] = (),
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        from_name: str = "",
        in_reply_to: str | Iterable[str] = (),
        references: str | Iterable[str] = (),
        list_unsubscribe: str | Iterable[str] = (),
        one_click: bool = False,
        priority: Priority = "normal",
        id: str | None = None,  # noqa: A002 - the header's own name
        date: datetime | None = None,
    ) -> None:
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        files = [attachments] if isinstance(attachments, str | os.PathLike | Attachment) else attachments
        values: dict[str, Any] = {
            "to": _addresses(to),
            "cc": _addresses(cc),
            "bcc": _addresses(bcc),
            "subject": check_text(subject, _("The subject")),
            "text": _body(text),
            "html": _body(html),
            "reply_to": _addresses(reply_to),
            "attachments": tuple(one if isinstance(one, Attachment) else Attachment(one) for one in files),
            "headers": tuple(_header(name, value) for name, value in pairs),
            "from_name": check_text(from_name, _("A display name")).strip(),
            "in_reply_to": _ids(in_reply_to),
            "references": _ids(references),
            "list_unsubscribe": _uris(list_unsubscribe),
            "one_click": one_click,
            "priority": priority,
            "id": _one_id(id) if id else new_message_id(),
            "date": _date(date),
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)
        if not (self.to or self.cc or self.bcc):
            raise MessageError(
                _("The message has no recipient."), code="no-recipient", hint=_("Give at least one address.")
            )
        if priority not in ("high", "normal", "low"):
            raise MessageError(
                _("{value!r} is no priority.").format(value=priority),
                code="priority",
                hint=_("Use high, normal or low."),
            )
        if one_click and not any(uri.lower().startswith("https://") for uri in self.list_unsubscribe):
            raise MessageError(
                _("One-click unsubscription needs an https address (RFC 8058)."),
                code="one-click-without-https",
                hint=_("Give one in list_unsubscribe."),
            )

    def __repr__(self) -> str:
        count = len(self.to) + len(self.cc) + len(self.bcc)
        return f"Message({self.id}, {self.subject!r}, recipients={count})"


def _addresses(value: Recipients) -> tuple[Address, ...]:
    if isinstance(value, str):
        return Address.parse_list(value) if value.strip() else ()
    if isinstance(value, Address):
        return (value,)
    found: list[Address] = []
    for one in value:
        found.extend((one,) if isinstance(one, Address) else Address.parse_list(one))
    return tuple(found)


def _body(text: str | None) -> str | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise TypeError(f"a body must be a text, not {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise MessageError(
            _("The text contains half a character (U+{code:04X}).").format(code=ord(text[error.start])),
            code="lone-surrogate",
            hint=_("Read it with the right encoding."),
        ) from None
    return text


def _header(name: str, value: str) -> tuple[str, str]:
    if not isinstance(name, str) or not _FIELD_NAME.fullmatch(name):
        raise MessageError(
            _("{name!r} is no name for a header.").format(name=str(name)[:80]),
            code="header-name",
            hint=_("Use printable ASCII without blanks and colons, such as X-Ticket."),
        )
    low = name.lower()
    if low in _OWN_FIELDS or low in _NOT_FOR_AUTHORS or low.startswith(("content-", "resent-")):
        raise MessageError(
            _("The header {name} is not set by hand.").format(name=name),
            code="header-reserved",
            hint=_("Use {field} instead.").format(field=_OWN_FIELDS[low])
            if low in _OWN_FIELDS
            else _("It is written for you."),
        )
    return name, check_text(value, _("The header {name}").format(name=name)).strip(" ")


def _ids(value: str | Iterable[str]) -> tuple[str, ...]:
    ids = value.split() if isinstance(value, str) else [part for one in value for part in one.split()]
    for one in ids:
        if not _MSG_ID.fullmatch(one) or len(one) > 900:
            raise MessageError(
                _("{text!r} is no Message-ID.").format(text=one[:80]),
                code="message-id",
                hint=_("It looks like <1234.abcd@example.com>, with its angle brackets."),
            )
    return tuple(ids)


def _one_id(value: str) -> str:
    ids = _ids(value)
    if len(ids) != 1:
        raise MessageError(
            _("A message has one Message-ID."), code="message-id", hint=_("Leave it off to have one made.")
        )
    return ids[0]


def _uris(value: str | Iterable[str]) -> tuple[str, ...]:
    uris = tuple(one.strip().strip("<>") for one in ([value] if isinstance(value, str) and value else value))
    for one in uris:
        if not _URI.fullmatch(one) or len(one) > 900:
            raise MessageError(
                _("{text!r} is no address to unsubscribe at.").format(text=one[:80]),
                code="list-unsubscribe",
                hint=_("Give an https: or mailto: address in ASCII."),
            )
    return uris


def _date(date: datetime | None) -> datetime:
    now = (date or datetime.now().astimezone()).replace(microsecond=0)
    if now.tzinfo is None or now.utcoffset() is None:
        raise MessageError(
            _("The date has no time zone."),
            code="date-naive",
            hint=_("Use datetime.now().astimezone()."),
        )
    return now


def _file(path: Path) -> Path:
    """The path, if a plain file that may be read is there; looking does not wait, as opening a FIFO would."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            reason = _("it is no plain file")
        elif not os.access(path, os.R_OK):
            reason = _("you may not read it")
        else:
            return path.absolute()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    raise MessageError(
        _("{path} cannot be attached: {reason}.").format(path=path, reason=reason),
        code="attachment-unreadable",
        hint=_("Check the path and its permissions."),
    )


def _guess(name: str) -> str:
    import mimetypes

    kind, encoding = mimetypes.guess_type(name, strict=False)
    # A packed file is not what is in it; a message may not be encoded as such (RFC 2046 §5.2.1).
    if kind is None or encoding or kind.startswith(("multipart/", "message/")):
        return "application/octet-stream"
    return kind
