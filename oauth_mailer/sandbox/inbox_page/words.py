"""The header of a message as people read it: unfolded, its encoded words decoded. Nothing here raises."""

from __future__ import annotations

import re
from binascii import Error as BadBase64
from email.errors import HeaderParseError
from email.header import decode_header
from email.parser import BytesHeaderParser
from email.policy import compat32

__all__ = ["Field", "field", "plain_words", "read_header"]

Field = tuple[str, str]
"""A header field: its name, and its value as people read it."""

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(r"[\r\n]+[ \t]?")
_MOST_HEAD = 1 << 20  # octets that are read of a header
_MOST_ENCODED = 20_000  # characters of a value in which encoded words are looked for


def read_header(data: bytes) -> list[Field]:
    """All fields of a message, in order."""
    end = _HEAD_END.search(data, 0, _MOST_HEAD)
    head = data[: end.start() if end else _MOST_HEAD]
    parsed = BytesHeaderParser(policy=compat32).parsebytes(head + b"\r\n\r\n")
    return [(_octets_as_text(name), plain_words(value)) for name, value in parsed.raw_items()]


def field(fields: list[Field], name: str) -> str:
    """The value of the first field of this name, or nothing."""
    return next((value for one, value in fields if one.lower() == name.lower()), "")


def plain_words(value: object) -> str:
    """A value as it stands in a message, without folds and with its encoded words (RFC 2047) decoded."""
    text = _FOLD.sub(" ", _octets_as_text(str(value))).strip()
    if "=?" not in text or len(text) > _MOST_ENCODED:
        return text
    try:
        return "".join(_decoded(word, charset) for word, charset in decode_header(text))
    except (HeaderParseError, BadBase64, ValueError):
        return text


def _decoded(word: bytes | str, charset: str | None) -> str:
    if isinstance(word, str):
        return word
    try:
        # What stands between encoded words comes in an encoding of Python's own.
        return word.decode(charset or "raw-unicode-escape", "replace")
    except LookupError:
        return word.decode("utf-8", "replace")


def _octets_as_text(text: str) -> str:
    """The parser keeps octets beyond ASCII as lone surrogates; they are UTF-8, or nobody knows what."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if not text.isascii() else text
