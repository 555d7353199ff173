"""Text in columns and lines: a Chinese character takes two cells and needs no blank to break at."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

__all__ = ["cut", "padded", "width", "wrapped"]

_OPENING, _CLOSING = "（《「『【“‘", "，。、；：？！）》」』】”’…"
"""What may not end a line, and what may not begin one."""


def width(text: str) -> int:
    """The cells that the text takes on a terminal."""
    return sum(_cells(char) for char in text)


def padded(text: str, cells: int) -> str:
    """The text, filled up with blanks to so many cells."""
    return text + " " * (cells - width(text))


def cut(text: str, cells: int) -> str:
    """The text, or as much of it as fits into so many cells, with … at its end."""
    if width(text) <= cells:
        return text
    used = 0
    for at, char in enumerate(text):
        used += _cells(char)
        if used > cells - 1:
            return text[:at] + "…"
    return text


def wrapped(text: str, cells: int) -> list[str]:
    """The text in lines of at most so many cells: broken at blanks and beside Chinese characters.

    A word that is longer stays whole, because commands and addresses are there to be copied.
    """
    lines: list[str] = []
    line, used = "", 0
    for blank, piece in _pieces(text):
        size = width(piece)
        if line and used + len(blank) + size > cells:
            lines.append(line)
            line, used = piece, size
        else:
            line, used = line + blank + piece if line else piece, used + (len(blank) if line else 0) + size
    return [*lines, line] if line else lines


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """What is never broken, each with the blank in front of it."""
    for word in text.split():
        blank, piece = " ", ""
        for char in word:
            if piece and _may_break(piece[-1], char):
                yield blank, piece
                blank, piece = "", ""
            piece += char
        yield blank, piece


def _may_break(before: str, after: str) -> bool:
    if after in _CLOSING or before in _OPENING:
        return False
    return _cells(before) == 2 or _cells(after) == 2


def _cells(char: str) -> int:
    if char < "\u0300":  # most of all there is
        return 1
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
