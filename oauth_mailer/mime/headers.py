"""Header fields: folded (RFC 5322 §2.2.3), and encoded where they are not ASCII (RFC 2047, RFC 2231)."""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Iterable
from datetime import UTC, datetime

from ..address import Address, quoted

__all__ = ["addresses", "date", "parameters", "tokens", "unstructured"]

_WIDTH = 76
"""Octets of a line with an encoded word (RFC 2047 §2), and of any other where it can be folded."""

_WORD = 75
"""Octets of an encoded word (RFC 2047 §2); 12 of them are ``=?utf-8?b?`` and ``?=``."""

_NARROW = 24  # with less room beside the field's name, encoded words begin on the next line
_NAME = 60  # octets of a parameter that stands on its line in one piece

# One word after the other with one blank between them, each short enough for a line (RFC 5322 §2.1.1).
_PLAIN = re.compile(r"[!-~]{1,900}+(?: [!-~]{1,900}+)*+")
_ATOMS = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_Q_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_Q_OCTETS = tuple(chr(n) if n in _Q_SAFE else "_" if n == 0x20 else f"={n:02X}" for n in range(256))
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Some readers take quotes and angles off twice, or stumble over a backslash.
_QUOTABLE = r"[ !#-;=?-\[\]-~]*"
_ATTRIBUTE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$&+.^_`{|}~-")


def unstructured(name: str, text: str) -> bytes:
    """A field of free text, such as Subject. What looks like an encoded word is encoded itself."""
    if not text:
        return f"{name}:\r\n".encode()
    # Two blanks in a row, or one at an end, would not survive folding as plain text.
    if "=?" not in text and _PLAIN.fullmatch(text):
        if len(name) + 2 + len(text) <= _WIDTH:
            return f"{name}: {text}\r\n".encode()
        return tokens(name, text.split(" "))
    room = _WIDTH - len(name) - 2
    return tokens(name, encoded_words(text, room if room >= _NARROW else _WORD))


def tokens(name: str, words: Iterable[str]) -> bytes:
    """A field of words that are never broken or encoded, such as Message-IDs; folded between them."""
    lines, line = [], f"{name}:"
    # Beside a name of usual length the first word stays, however long it is: some readers expect it there.
    full = len(line) > _WIDTH - _NARROW
    for word in words:
        if full and len(line) + len(word) >= _WIDTH:
            lines.append(line)
            line = ""
        line += f" {word}"
        full = True
    return "\r\n".join([*lines, line, ""]).encode()


def addresses(name: str, mailboxes: Iterable[Address]) -> bytes:
    """A field of mailboxes, such as To. Addresses outside ASCII stand there as UTF-8 (RFC 6532)."""
    words: list[str] = []
    for mailbox in mailboxes:
        if words:
            words[-1] += ","
        if mailbox.name:
            words.extend(_phrase(mailbox.name, _WIDTH - len(name) - 2))
            words.append(f"<{mailbox.email}>")
        else:
            words.append(mailbox.email)
    return tokens(name, words)


def parameters(name: str, value: str, names: Iterable[tuple[str, str]]) -> bytes:
    """Content-Type or Content-Disposition with its parameters, each on a line of its own.

    A text outside ASCII is written for ``filename`` by RFC 2231, in pieces if it is long, and for ``name`` as
    encoded words, which RFC 2047 does not foresee there but QQ and Outlook read.
    """
    lines = [f"{name}: {value}" if len(name) + len(value) < _WIDTH - 2 else f"{name}:\r\n {value}"]
    for key, text in names:
        if len(text) < _NAME and re.fullmatch(_QUOTABLE, text) and "=?" not in text:
            lines.append(f'{key}="{text}"')
        elif key == "name":
            words = encoded_words(text, _NAME, _WORD - 3)  # quotes and a semicolon may stand around them
            lines.append(f'{key}="' + "\r\n ".join(words) + '"')
        else:
            lines.extend(_extended(key, text))
    return ";\r\n ".join(lines).encode("ascii") + b"\r\n"


def date(moment: datetime) -> str:
    """RFC 5322 §3.3, whatever the locale."""
    said = moment.isoformat(timespec="seconds")  # 2026-11-25T12:00:00+08:00
    if len(said) > 25:  # a zone of old that is off by seconds
        moment = moment.astimezone(UTC)
        said = moment.isoformat(timespec="seconds")
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {said[8:10]} {month} {said[:4]} {said[11:19]} {said[19:22]}{said[23:]}"


def encoded_words(text: str, first: int, width: int = _WORD) -> list[str]:
    """The text as encoded words in UTF-8, B or Q by which is shorter, broken between characters only.

    ``first``: octets that the first word may have; ``width``: those of each further one.
    """
    data = text.encode()
    q_size = sum(len(_Q_OCTETS[octet]) for octet in data)
    use_q = q_size <= (len(data) + 2) // 3 * 4
    words: list[str] = []
    at, room = 0, min(first, width) - 12
    while at < len(data):
        end = _q_end(data, at, room) if use_q else min(len(data), at + room // 4 * 3)
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        piece = data[at:end]
        if use_q:
            words.append(f"=?utf-8?q?{''.join([_Q_OCTETS[octet] for octet in piece])}?=")
        else:
            words.append(f"=?utf-8?b?{b2a_base64(piece, newline=False).decode()}?=")
        at, room = end, width - 12
    return words


def _q_end(data: bytes, at: int, room: int) -> int:
    end = at
    while end < len(data) and (room := room - len(_Q_OCTETS[data[end]])) >= 0:
        end += 1
    return end


def _phrase(name: str, room: int) -> list[str]:
    if "=?" not in name and name.isascii():
        if len(name) < _WORD and re.fullmatch(_ATOMS, name):
            return name.split(" ")
        if len(plain := quoted(name)) <= _WORD:
            return [plain]
    return encoded_words(name, room)


def _extended(key: str, text: str) -> list[str]:
    units = [
        char if char in _ATTRIBUTE else "".join(f"%{octet:02X}" for octet in char.encode()) for char in text
    ]
    pieces = ["utf-8''"]
    for unit in units:
        # RFC 2231 would let a piece end inside a character, but there are readers that decode each by itself.
        if len(pieces[-1]) + len(unit) > _NAME:
            pieces.append("")
        pieces[-1] += unit
    if len(pieces) == 1:
        return [f"{key}*={pieces[0]}"]
    return [f"{key}*{number}*={piece}" for number, piece in enumerate(pieces)]
