"""What to say and to whom."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from .address import Address, check_text
from .attachment import Attachment
from .errors import MessageError
from .fields import EITHER_WAY, PRIORITY, body, checked_date, header, message_ids, uris
from .i18n import _
from .message_id import new_message_id
from .raw_message import RawMessage
from .values import dataclass

__all__ = ["Attachment", "Envelope", "Message", "Priority", "RawMessage"]

_ONCE = frozenset((*EITHER_WAY, *PRIORITY))
"""Headers that a message has no more than once, whoever writes them."""

Priority = Literal["high", "normal", "low"]
Recipients = str | Address | Iterable[str | Address] | None
Files = str | os.PathLike[str] | Attachment | Iterable[str | os.PathLike[str] | Attachment] | None


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
class Message:
    """What to say and to whom; who says it is the account's to say.

    Texts arrive as they are given, every character of them, but for their line ends: CR, LF and CRLF all end
    a line, and a last line without an end is given one.

    ``to``, ``cc``, ``bcc``, ``reply_to``: an address, or several: texts such as ``"Ann <ann@example.com>"``
    (a text may hold several, separated by commas) or ``Address``; ``text``, ``html``: the body, either or
    both; ``attachments``: paths or ``Attachment``; ``headers``: further ones, as a mapping or as pairs;
    ``from_name``: the name beside the sending address; ``in_reply_to``, ``references``: Message-IDs of the
    thread (RFC 5322 §3.6.4); ``list_unsubscribe``: https or mailto URIs (RFC 2369), with ``one_click`` for
    RFC 8058; ``priority``: ``high``, ``normal`` or ``low``; ``id``: the Message-ID, ``date``: with a time
    zone; both are fixed here, and so the same on every attempt. Blanks around a header are not kept. Where
    there may be none, ``None`` says so too.

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
        attachments: Files = (),
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = (),
        from_name: str = "",
        in_reply_to: str | Iterable[str] | None = (),
        references: str | Iterable[str] | None = (),
        list_unsubscribe: str | Iterable[str] | None = (),
        one_click: bool = False,
        priority: Priority = "normal",
        id: str | None = None,  # noqa: A002 - the header's own name
        date: datetime | None = None,
    ) -> None:
        values: dict[str, Any] = {
            "to": _addresses(to),
            "cc": _addresses(cc),
            "bcc": _addresses(bcc),
            "subject": check_text(subject, lambda: _("The subject")),
            "text": body(text),
            "html": body(html),
            "reply_to": _addresses(reply_to),
            "attachments": _files(attachments),
            "headers": _headers(headers) if headers else (),
            "from_name": check_text(from_name, lambda: _("A display name")).strip(" ") if from_name else "",
            "in_reply_to": message_ids(in_reply_to or ()),
            "references": message_ids(references or ()),
            "list_unsubscribe": uris(list_unsubscribe or ()),
            "one_click": one_click,
            "priority": priority,
            "id": _one_id(id) if id else new_message_id(),
            "date": checked_date(date),
        }
        put = object.__setattr__
        for key, value in values.items():
            put(self, key, value)
        self._check()

    def _check(self) -> None:
        """What no field can say alone."""
        if not (self.to or self.cc or self.bcc):
            raise MessageError(
                _("The message has no recipient."), code="no-recipient", hint=_("Give at least one address.")
            )
        if self.priority not in ("high", "normal", "low"):
            raise MessageError(
                _("{value!r} is no priority.").format(value=self.priority),
                code="priority",
                hint=_("Use high, normal or low."),
            )
        if self.one_click and not any(uri.lower().startswith("https://") for uri in self.list_unsubscribe):
            raise MessageError(
                _("One-click unsubscription needs an https address (RFC 8058)."),
                code="one-click-without-https",
                hint=_("Give one in list_unsubscribe."),
            )
        if self.attachments:
            self._check_content_ids()
        if self.headers:
            self._check_headers()

    def _check_content_ids(self) -> None:
        for name in _twice([one.content_id for one in self.attachments if one.content_id]):
            raise MessageError(
                _("Two attachments have the content id {name!r}.").format(name=name),
                code="content-id",
                hint=_("Give each its own."),
            )

    def _check_headers(self) -> None:
        by_hand = [low for name, _value in self.headers if (low := name.lower()) in _ONCE]
        written = [low for low, field in EITHER_WAY.items() if getattr(self, field)]
        written += ["references"] if self.in_reply_to and not self.references else []
        written += PRIORITY if self.priority != "normal" else ()
        for name in _twice(written + by_hand):
            raise MessageError(
                _("The message has two headers {name}.").format(name=name),
                code="header-twice",
                hint=_("Leave one of them out."),
            )

    def __repr__(self) -> str:
        count = len(self.to) + len(self.cc) + len(self.bcc)
        return f"Message({self.id}, {self.subject!r}, recipients={count})"


def _addresses(value: Recipients) -> tuple[Address, ...]:
    if not value:
        return ()
    if isinstance(value, str):
        return Address.parse_list(value) if value.strip() else ()
    if isinstance(value, Address):
        return (value,)
    if isinstance(value, Mapping):  # its names would be lost
        raise TypeError("recipients must be texts or Address, not a mapping: Address(email, name)")
    found: list[Address] = []
    for one in value:
        found.extend((one,) if isinstance(one, Address) else Address.parse_list(one))
    return tuple(found)


def _headers(value: Mapping[str, str] | Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    pairs = value.items() if isinstance(value, Mapping) else value
    return tuple([header(name, text) for name, text in pairs])


def _files(value: Files) -> tuple[Attachment, ...]:
    if not value:
        return ()
    # The keys of a mapping, or the lines of an open file, would be taken for paths.
    if isinstance(value, Mapping | io.IOBase):
        raise _no_file(value)
    files = [value] if isinstance(value, str | bytes | os.PathLike | Attachment) else value
    found: list[Attachment] = []
    for one in files:
        if not isinstance(one, str | os.PathLike | Attachment):
            raise _no_file(one)
        found.append(one if isinstance(one, Attachment) else Attachment(one))
    return tuple(found)


def _no_file(value: object) -> TypeError:
    kind = type(value).__name__
    return TypeError(f"attachments must be paths or Attachment, not {kind}: Attachment(octets, filename=...)")


def _one_id(value: str) -> str:
    ids = message_ids(value)
    if len(ids) != 1:
        raise MessageError(
            _("A message has one Message-ID."), code="message-id", hint=_("Leave it off to have one made.")
        )
    return ids[0]


def _twice(names: list[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
