"""For the tests of applications that send mail: what would have gone out, and words to say what should have.

    with oauth_mailer.testing.mailbox() as mailbox:
        shop.sell("7")                                            # sends a mail, somewhere deep inside
        mailbox.assert_sent(to="ann@example.com", subject="Bill 7", text="Dear Ann")

Nothing leaves the process, and no account needs to be set up. With pytest, ask for the fixture ``mailbox``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property
from tempfile import TemporaryDirectory
from typing import cast

from .mailer import capture
from .transports.memory import Delivery

__all__ = ["Mailbox", "Sent", "SentAttachment", "mailbox"]

Wanted = str | re.Pattern[str]


@dataclass(frozen=True, slots=True)
class SentAttachment:
    """A file that went with a message."""

    filename: str
    media_type: str
    content: bytes


class Sent:
    """A message that would have gone out, read as a recipient's program reads it.

    ``recipients``: everyone who gets it, blind ones too; ``parsed``: the whole of it, by the standard
    library.
    """

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self.recipients: tuple[str, ...] = tuple(one.email for one in delivery.envelope.recipients)
        self.sender: str = delivery.envelope.sender.email
        self.data: bytes = delivery.data

    @cached_property
    def parsed(self) -> EmailMessage:
        """Headers and parts."""
        return message_from_bytes(self.data, policy=policy.default)

    @property
    def subject(self) -> str:
        """As it is read."""
        return str(self.parsed["subject"] or "")

    @property
    def bcc(self) -> tuple[str, ...]:
        """Those who get it and stand in no header."""
        named = set(self.to) | set(self.cc)
        return tuple(one for one in self.recipients if one not in named)

    @property
    def to(self) -> tuple[str, ...]:
        """The addresses in To."""
        return self._addresses("to")

    @property
    def cc(self) -> tuple[str, ...]:
        """The addresses in Cc."""
        return self._addresses("cc")

    @property
    def text(self) -> str:
        """The plain text, empty where there is none."""
        return self._body("plain")

    @property
    def html(self) -> str:
        """The HTML, empty where there is none."""
        return self._body("html")

    @property
    def attachments(self) -> tuple[SentAttachment, ...]:
        """The files, inline images too."""
        parts = [part for part in self.parsed.walk() if part.get_filename()]
        return tuple(
            SentAttachment(
                str(part.get_filename()),
                part.get_content_type(),
                cast(bytes, part.get_payload(decode=True) or b""),
            )
            for part in parts
        )

    def __repr__(self) -> str:
        files = "".join(f", {one.filename!r}" for one in self.attachments)
        return f"<Sent {self.subject!r} to {', '.join(self.recipients)}{files}>"

    def _addresses(self, header: str) -> tuple[str, ...]:
        found = self.parsed[header]
        return tuple(one.addr_spec for one in found.addresses) if found is not None else ()

    def _body(self, kind: str) -> str:
        part = self.parsed.get_body((kind,))
        return str(part.get_content()).replace("\r\n", "\n") if part is not None else ""


class Mailbox(Sequence[Sent]):
    """All that would have gone out so far, in order; and what a test has to say of it."""

    def __init__(self, deliveries: list[Delivery]) -> None:
        self._deliveries = deliveries
        self._read: dict[int, Sent] = {}

    def __len__(self) -> int:
        return len(self._deliveries)

    def __getitem__(self, index: int | slice) -> Sent | list[Sent]:  # type: ignore[override]
        if isinstance(index, slice):
            return [self._at(number) for number in range(*index.indices(len(self)))]
        return self._at(range(len(self))[index])

    def __iter__(self) -> Iterator[Sent]:
        return (self._at(number) for number in range(len(self)))

    def __repr__(self) -> str:
        return "Mailbox(" + "".join(f"\n  {one!r}" for one in self) + ")"

    @property
    def last(self) -> Sent:
        """The message that went out last. Raises ``AssertionError`` where there is none."""
        if not self:
            raise AssertionError("nothing was sent")
        return self._at(len(self) - 1)

    def sent(
        self,
        *,
        to: str | Sequence[str] | None = None,
        cc: str | Sequence[str] | None = None,
        bcc: str | Sequence[str] | None = None,
        subject: Wanted | None = None,
        text: Wanted | None = None,
        html: Wanted | None = None,
        attachment: Wanted | None = None,
        sender: str | None = None,
        headers: Mapping[str, Wanted] | None = None,
    ) -> list[Sent]:
        """The messages of which all of this is true.

        ``to``: an address, or several, that get it, in whichever way; ``cc``: those of them that stand in Cc;
        ``bcc``: that stand in no header; ``subject`` and ``headers``: the whole text; ``text``, ``html``: a
        part of it; ``attachment``: the name of a file; each also as a compiled regular expression, which is
        searched for; ``sender``: the account's address.
        """
        return [
            one
            for one in self
            if _among(to, one.recipients)
            and _among(cc, one.cc)
            and _among(bcc, one.bcc)
            and _is(subject, one.subject)
            and _has(text, one.text)
            and _has(html, one.html)
            and (attachment is None or any(_is(attachment, file.filename) for file in one.attachments))
            and (sender is None or one.sender.lower() == sender.lower())
            and all(_is(value, str(one.parsed[name] or "")) for name, value in (headers or {}).items())
        ]

    def assert_sent(self, *, count: int | None = None, **wanted: object) -> Sent:
        """That a message like this was sent; the first that was. ``count``: how many; the rest as in
        ``sent``.

        Raises ``AssertionError``, which shows what was sent instead.
        """
        found = self.sent(**wanted)  # type: ignore[arg-type]
        if not found or (count is not None and len(found) != count):
            asked = ", ".join(f"{name}={value!r}" for name, value in wanted.items())
            number = f"{len(found)} messages" if found else "no message"
            raise AssertionError(f"{number} with {asked or 'anything'}; {self._told()}")
        return found[0]

    def assert_not_sent(self, **wanted: object) -> None:
        """That no message like this was sent; see ``sent``. Raises ``AssertionError``."""
        if found := self.sent(**wanted):  # type: ignore[arg-type]
            raise AssertionError(f"sent, and should not be: {found}")

    def assert_nothing_sent(self) -> None:
        """Raises ``AssertionError`` where anything was sent."""
        self.assert_not_sent()

    def clear(self) -> None:
        """Forget what was sent so far: what is asserted from here on is about what is sent from here on."""
        self._deliveries.clear()
        self._read.clear()

    def _at(self, number: int) -> Sent:
        if number not in self._read:
            self._read[number] = Sent(self._deliveries[number])
        return self._read[number]

    def _told(self) -> str:
        return f"sent were:{''.join(f'{chr(10)}  {one!r}' for one in self)}" if self else "nothing was sent"


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """While the block runs, nothing leaves this process, whoever sends from whichever thread.

    An ``Outbox`` that is made meanwhile without a URL is a new one, thrown away afterwards: a worker must not
    send for real what a test has added. ``OAUTH_MAILER_OUTBOX_URL`` is the test's own, if it is set.
    """
    with capture() as deliveries, _outbox_of_its_own():
        yield Mailbox(deliveries)


@contextmanager
def _outbox_of_its_own() -> Iterator[None]:
    name = "OAUTH_MAILER_OUTBOX_URL"
    if os.environ.get(name):
        yield
        return
    # Windows deletes no file that somebody has not closed.
    with TemporaryDirectory(prefix="oauth-mailer-", ignore_cleanup_errors=True) as folder:
        os.environ[name] = f"sqlite:///{folder}/outbox.db"
        try:
            yield
        finally:
            os.environ.pop(name, None)


def _among(wanted: str | Sequence[str] | None, addresses: Sequence[str]) -> bool:
    asked = [wanted] if isinstance(wanted, str) else wanted or ()
    there = {address.lower() for address in addresses}
    return all(address.lower() in there for address in asked)


def _is(wanted: Wanted | None, value: str) -> bool:
    if wanted is None:
        return True
    return bool(wanted.search(value)) if isinstance(wanted, re.Pattern) else value == wanted


def _has(wanted: Wanted | None, value: str) -> bool:
    if wanted is None:
        return True
    return bool(wanted.search(value)) if isinstance(wanted, re.Pattern) else wanted in value
