"""Header fields: folded (RFC 5322 §2.2.3), and encoded where they are not ASCII (RFC 2047, RFC 2231)."""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Iterable
from datetime import datetime

from ..address import Address

__all__ = ["addresses", "date", "parameters", "tokens", "unstructured"]

_WIDTH = 76
"""Octets of a line with an encoded word (RFC 2047 §2), and of any other where it can be folded."""

_MAX_WORD = 900
_PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_Q_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_Q_OCTETS = tuple(chr(n) if n in _Q_SAFE else "_" if n == 0x20 else f"={n:02X}" for n in range(256))
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NOT_ATTR = re.compile(r"[^A-Za-z0-9!#$&+.^_`{|}~-]")


def unstructured(name: str, text: str) -> bytes:
    """A field of free text, such as Subject. What looks like an encoded word is encoded itself."""
    if not text:
        return f"{name}:\r\n".encode()
    # Two blanks in a row, or one at an end, would not survive folding as plain text.
    if "=?" not in text and _PLAIN.fullmatch(text) and len(text) < _MAX_WORD:
        return tokens(name, text.split(" "))
    return tokens(name, encoded_words(text, _WIDTH - len(name) - 2))


def tokens(name: str, words: Iterable[str]) -> bytes:
    """A field of words that are never broken or encoded, such as Message-IDs; folded between them."""
    lines, line = [], f"{name}:"
    for word in words:
        if len(line) + 1 + len(word) > _WIDTH and line.strip() != f"{name}:":
            lines.append(line)
            line = ""
        line += f" {word}"
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


def parameters(value: str, names: Iterable[tuple[str, str]]) -> bytes:
    """The value of Content-Type or Content-Disposition with its parameters, each on a line of its own.

    A name outside ASCII is written for ``filename`` by RFC 2231, in pieces if it is long, and for ``name`` as
    encoded words, which RFC 2047 does not foresee there but QQ and Outlook read.
    """
    lines = [value]
    for key, text in names:
        if re.fullmatch(r"[A-Za-z0-9_.+-]+", text) and len(text) <= 60:
            lines.append(f'{key}="{text}"')
        elif text.isascii() and len(text) <= 60 and "=?" not in text:
            quoted = re.sub(r'(["\\])', r"\\\1", text)
            lines.append(f'{key}="{quoted}"')
        elif key == "name":
            lines.append(f'{key}="' + "\r\n ".join(encoded_words(text, 60)) + '"')
        else:
            lines.extend(_extended(key, text))
    return ";\r\n ".join(lines).encode("ascii") + b"\r\n"


def date(moment: datetime) -> str:
    """RFC 5322 §3.3, whatever the locale."""
    offset = moment.strftime("%z")[:5]
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02d} {month} {moment.year:04d} {moment:%H:%M:%S} {offset}"


def encoded_words(text: str, first: int) -> list[str]:
    """The text as encoded words in UTF-8, B or Q by which is shorter, broken between characters only.

    ``first``: octets that are left on the line of the first word; the others have a line of their own.
    """
    data = text.encode()
    q_size = sum(len(_Q_OCTETS[octet]) for octet in data)
    use_q = q_size <= (len(data) + 2) // 3 * 4
    words: list[str] = []
    at, room = 0, min(first, 75) - 12  # =?utf-8?b?…?=
    while at < len(data):
        end = _q_end(data, at, room) if use_q else min(len(data), at + max(room // 4 * 3, 3))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        if end <= at:  # no room for even one character beside a long field name: on the next line
            end = at + 1
            while end < len(data) and data[end] & 0xC0 == 0x80:
                end += 1
        piece = data[at:end]
        if use_q:
            words.append(f"=?utf-8?q?{''.join(_Q_OCTETS[octet] for octet in piece)}?=")
        else:
            words.append(f"=?utf-8?b?{b2a_base64(piece, newline=False).decode()}?=")
        at, room = end, 75 - 12
    return words


def _q_end(data: bytes, at: int, room: int) -> int:
    end = at
    while end < len(data) and (room := room - len(_Q_OCTETS[data[end]])) >= 0:
        end += 1
    return end


def _phrase(name: str, room: int) -> list[str]:
    if "=?" not in name and name.isascii() and len(name) <= 70:
        if _ATOMS.fullmatch(name):
            return name.split(" ")
        return ['"' + re.sub(r'(["\\])', r"\\\1", name) + '"']
    return encoded_words(name, min(room, 66))  # a comma or an angle may follow on the line


def _extended(key: str, text: str) -> list[str]:
    encoded = "".join(
        char if char.isascii() and not _NOT_ATTR.match(char) else "".join(f"%{n:02X}" for n in char.encode())
        for char in text
    )
    if len(encoded) <= 60:
        return [f"{key}*=utf-8''{encoded}"]
    # Pieces break between octets, never inside %XX (RFC 2231 §3, §4.1).
    pieces = re.findall(r"(?:%..|[^%]){1,20}", encoded)
    heads = ["utf-8''", *[""] * len(pieces)]
    return [f"{key}*{number}*={heads[number]}{piece}" for number, piece in enumerate(pieces)]
