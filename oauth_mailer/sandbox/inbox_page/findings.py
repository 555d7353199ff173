"""What is worth a look before a message goes to real people: a row for each, with what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ...i18n import _
from ..inbox import Received
from ..letters import Letter, LetterError
from .reading import Reading
from .words import field

__all__ = ["CLIPPED", "Finding", "blind", "find"]

CLIPPED = 102 * 1024
"""Octets of HTML after which Gmail shows no more."""

LARGE = 25 * 1024 * 1024
"""Octets of a message, above which many servers refuse it."""

BULK = 5
"""Recipients from which on a message counts as one to many."""

_PLACEHOLDER = re.compile(r"\{\{[^{}]{0,80}\}\}|\{%[^{}]{0,80}%\}")


@dataclass(frozen=True, slots=True)
class Finding:
    """``code``: what it is, for programs; ``text``: for people; ``hint``: what to do."""

    code: str
    text: str
    hint: str


def find(message: Received, reading: Reading) -> list[Finding]:
    """All findings of a message, the gravest first."""
    return [
        *_broken(reading),
        *_sender(message),
        *_subject(reading),
        *_size(message, reading),
        *_texts(reading),
        *_html(reading),
        *_bulk(message, reading),
    ]


def blind(message: Received) -> frozenset[str]:
    """Those of the recipients whom no other recipient sees."""
    try:
        seen = {one.lower() for one in Letter(message.data).addresses("To", "Cc")}
    except LetterError:
        seen = set()
    return frozenset(one for one in message.recipients if one.lower() not in seen)


def _broken(reading: Reading) -> Iterator[Finding]:
    if reading.defects:
        yield Finding(
            "mime-broken",
            _("The structure of the message is broken: {defects}.").format(
                defects=", ".join(reading.defects)
            ),
            _("Programs may show it in different ways, or not at all. Write it with a library."),
        )
    for charset in reading.garbled:
        yield Finding(
            "charset",
            _("A text is not in the encoding that it names ({charset}).").format(charset=charset),
            _("Others may read it as garbage. Name the encoding that it is in, best of all utf-8."),
        )


def _sender(message: Received) -> Iterator[Finding]:
    try:
        senders = Letter(message.data).addresses("From")
    except LetterError:
        senders = ()
    if message.account.lower() not in (one.lower() for one in senders):
        yield Finding(
            "from-not-account",
            _("From is {sender}, and not the account {account}.").format(
                sender=", ".join(senders) or "-", account=message.account
            ),
            _("Gmail puts the account in its place, unless it is an alias of it; others refuse the message."),
        )


def _subject(reading: Reading) -> Iterator[Finding]:
    if not field(reading.fields, "Subject").strip():
        yield Finding("no-subject", _("There is no subject."), _("Filters take that for spam. Give it one."))


def _size(message: Received, reading: Reading) -> Iterator[Finding]:
    if len(message.data) > LARGE:
        yield Finding(
            "large",
            _("The message is larger than 25 MB."),
            _("Many servers refuse it. Put the file somewhere and send a link."),
        )
    if reading.html_size > CLIPPED:
        yield Finding(
            "html-clipped",
            _("The HTML has {size} KB; Gmail cuts it off after 102 KB.").format(
                size=reading.html_size // 1024
            ),
            _("The end, where the link to unsubscribe is, will not be seen. Take out styles and comments."),
        )


def _texts(reading: Reading) -> Iterator[Finding]:
    if reading.html is not None and not (reading.text or "").strip():
        yield Finding(
            "no-text",
            _("There is HTML, and no text beside it."),
            _("Watches, screen readers, filters and some people read the text. Send both."),
        )
    said = "\n".join([field(reading.fields, "Subject"), reading.text or "", reading.markup.text])
    if found := _PLACEHOLDER.search(said):
        yield Finding(
            "placeholder",
            _("A placeholder was not filled in: {placeholder}").format(placeholder=found[0]),
            _("Look at the template and at the data that it was given."),
        )


def _html(reading: Reading) -> Iterator[Finding]:
    markup = reading.markup
    if markup.without_alt:
        yield Finding(
            "no-alt",
            _("Images without alt: {count} of {all}.").format(count=markup.without_alt, all=markup.images),
            _('Many people see no images at first, some never. Say what each shows (alt="" if nothing).'),
        )
    if broken := [link for link in markup.links if link.problem]:
        yield Finding(
            "links",
            _("Links that lead nowhere: {count} of {all}.").format(count=len(broken), all=len(markup.links)),
            _("They are marked in the list of links."),
        )
    there = {one.content_id for one in reading.attachments}
    if missing := sorted(markup.content_ids - there):
        yield Finding(
            "cid-missing",
            _("The HTML shows images that are not in the message: {names}.").format(
                names=", ".join(f"cid:{name}" for name in missing[:5])
            ),
            _("Attach each with the Content-ID by which the HTML asks for it."),
        )
    if markup.active:
        yield Finding(
            "active",
            _("The HTML has {elements}, which no mail program runs.").format(
                elements=", ".join(f"<{name}>" for name in sorted(markup.active))
            ),
            _("Filters take that for an attack. Take it out."),
        )


def _bulk(message: Received, reading: Reading) -> Iterator[Finding]:
    many = len(message.recipients) >= BULK
    listed = field(reading.fields, "List-Id") or field(reading.fields, "Precedence").lower() in (
        "bulk",
        "list",
    )
    if (many or listed) and not field(reading.fields, "List-Unsubscribe"):
        yield Finding(
            "no-unsubscribe",
            _("It goes to many, and has no List-Unsubscribe."),
            _("Gmail and others want it in mail to many, with List-Unsubscribe-Post; else it is spam."),
        )
