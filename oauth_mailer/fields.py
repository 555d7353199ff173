"""What may stand in the fields and the texts of a message, and how it is tidied up."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from .address import Address, check_text
from .errors import MessageError
from .i18n import _

__all__ = ["EITHER_WAY", "PRIORITY", "body", "checked_date", "form_of", "header", "message_ids", "uris"]

EITHER_WAY = {
    "in-reply-to": "in_reply_to",
    "references": "references",
    "list-unsubscribe": "list_unsubscribe",
    "list-unsubscribe-post": "one_click",
}
"""Fields that may be set by hand or by these arguments; a message has each of them once."""

PRIORITY = ("x-priority", "importance", "priority")
"""Fields that say how urgent a message is."""

_MAX_PART = 900
"""Octets of what cannot be folded: with a name in front it stays below the 998 of RFC 5322 §2.1.1."""

_FIELD_NAME = r"[!-9;-~]{1,76}"  # RFC 5322 §2.2: printable ASCII without the colon
_MSG_ID = r"<[!-;=?-~]+@[!-;=?-~]+>"  # §3.6.4, without comments and blanks
_URI = r"(?:https?://|mailto:)[!-;=?-~]+"

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
_MAILBOXES = (
    "disposition-notification-to",
    "errors-to",
    "mail-followup-to",
    "mail-reply-to",
    "return-receipt-to",
    "x-confirm-reading-to",
)


def form_of(name: str) -> str:
    """How the value of a field is written: as ``words``, as ``mailboxes`` or as free ``text``."""
    low = name.lower()
    if low in _MAILBOXES:
        return "mailboxes"
    # RFC 2047 §5: an encoded word in one of these is not read as such, and breaks a link or a thread.
    return "words" if low in EITHER_WAY or (low.startswith("list-") and low != "list-id") else "text"


def body(text: str | None) -> str | None:
    """The text, if it can be encoded."""
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


def header(name: str, value: str) -> tuple[str, str]:
    """A field that was set by hand."""
    if not isinstance(name, str) or not re.fullmatch(_FIELD_NAME, name):
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
    text = check_text(value, lambda: _("The header {name}").format(name=name)).strip(" ")
    if low in ("in-reply-to", "references"):
        return name, " ".join(message_ids(text))
    form = form_of(name)
    if form == "mailboxes":
        Address.parse_list(text)
    elif form == "words" and not (text.isascii() and all(len(one) <= _MAX_PART for one in text.split(" "))):
        raise MessageError(
            _("The header {name} has a part that cannot be sent as it is.").format(name=name),
            code="header-value",
            hint=_("Use ASCII, and at most {limit} characters without a blank.").format(limit=_MAX_PART),
        )
    return name, text


def message_ids(value: str | Iterable[str]) -> tuple[str, ...]:
    """The Message-IDs in a text, or in several."""
    if not value:
        return ()
    ids: list[str] = []
    for text in (value,) if isinstance(value, str) else value:
        check_text(text, lambda: _("A Message-ID"))
        ids.extend(text.replace("><", "> <").split())  # some programs leave out the blanks between them
    for one in ids:
        if not re.fullmatch(_MSG_ID, one) or len(one) > _MAX_PART:
            raise MessageError(
                _("{text!r} is no Message-ID.").format(text=one[:80]),
                code="message-id",
                hint=_("It looks like <1234.abcd@example.com>, with its angle brackets."),
            )
    return tuple(ids)


def uris(value: str | Iterable[str]) -> tuple[str, ...]:
    """The addresses to unsubscribe at, without their angle brackets."""
    if not value:
        return ()
    found: list[str] = []
    for text in (value,) if isinstance(value, str) else value:
        one = check_text(text, lambda: _("An address to unsubscribe at")).strip(" ").strip("<>")
        if not one and isinstance(value, str):
            continue
        if not re.fullmatch(_URI, one, re.I) or len(one) > _MAX_PART:
            raise MessageError(
                _("{text!r} is no address to unsubscribe at.").format(text=one[:80]),
                code="list-unsubscribe",
                hint=_("Give an https: or mailto: address in ASCII."),
            )
        found.append(one)
    return tuple(found)


def checked_date(date: datetime | None) -> datetime:
    """The date to the second, by default that of now."""
    moment = (date or datetime.now(UTC).astimezone()).replace(microsecond=0)
    if moment.utcoffset() is None:
        raise MessageError(
            _("The date has no time zone."),
            code="date-naive",
            hint=_("Use datetime.now().astimezone()."),
        )
    return moment
