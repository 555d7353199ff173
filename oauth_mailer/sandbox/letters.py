"""What a judge reads in a message: its header fields and the addresses in them.

The message is never changed or written again, so that what is kept is what was sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import policy
from email.errors import MultipartInvariantViolationDefect, NonASCIILocalPartDefect, ObsoleteHeaderDefect
from email.message import Message
from email.parser import HeaderParser
from typing import Any

__all__ = ["Letter", "LetterError"]

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_ONCE = (
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Subject",
    "Date",
)
"""The fields that may occur once only (RFC 5322, 3.6)."""

_ALLOWED = (ObsoleteHeaderDefect, NonASCIILocalPartDefect)  # RFC 5322, 4; RFC 6532


class LetterError(ValueError):
    """The header is not right; prints as one line in the words of a server."""


class Letter:
    """The header of a message. ``data``: its octets. Raises ``LetterError`` if it cannot be read."""

    def __init__(self, data: bytes) -> None:
        end = _HEAD_END.search(data)
        try:
            head = (data[: end.start()] if end else data).decode()
        except UnicodeDecodeError:
            raise LetterError("The header is neither ASCII nor UTF-8.") from None
        self._head: Message[Any, Any] = HeaderParser(policy=policy.default).parsestr(head + "\r\n\r\n")
        # Python before 3.11.4 misses the parts of a multipart message, which a head alone cannot have.
        if any(not isinstance(one, MultipartInvariantViolationDefect) for one in self._head.defects):
            raise LetterError("Invalid header.")
        for name in _ONCE:
            if len(self._head.get_all(name, [])) > 1:
                raise LetterError(f"Multiple {name} headers.")

    def addresses(self, *names: str) -> tuple[str, ...]:
        """The addresses in these fields, in order, each once. Raises ``LetterError`` for one that is none."""
        found = {address.lower(): address for name in names for address in self._addresses(name)}
        return tuple(found.values())

    def _addresses(self, name: str) -> Iterator[str]:
        try:
            for field in self._head.get_all(name, []):
                if any(not isinstance(one, _ALLOWED) for one in field.defects):
                    raise LetterError(f"Invalid {name} header")
                for address in field.addresses:
                    if not address.username or not address.domain:
                        raise LetterError(f"Invalid {name} header")
                    yield address.addr_spec
        except (IndexError, AttributeError, TypeError) as error:
            # What the parser of the standard library raises for some malformed fields.
            raise LetterError(f"Invalid {name} header") from error
