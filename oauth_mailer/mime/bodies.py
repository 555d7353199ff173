"""Bodies: texts in the shortest safe encoding, and files that are encoded as they are read."""

from __future__ import annotations

import io
import os
import re
import stat
from binascii import b2a_base64, b2a_qp
from collections.abc import Iterator
from struct import Struct
from typing import TYPE_CHECKING

from ..attachment import shown
from ..errors import MessageError
from ..i18n import _, system_text
from ..values import dataclass

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["EncodedFile", "EncodedOctets", "base64_size", "encoded_base64", "encoded_text"]

_OCTETS = 57
"""Octets that make a line of 76 in base64 (RFC 2045 §6.8)."""

_LINES = 1149
_BLOCK = _OCTETS * _LINES
_BLOCK_OF_LINES = Struct("76s" * _LINES)  # the fastest way to cut a block into lines

_MAX_7BIT = 990
"""Octets of a line that goes as it is. RFC 5322 §2.1.1 allows 998, and would have 78 for those who look at
a text without wrapping it. Encoded, its lines are as long for them once they are decoded: that helps
nobody, and whoever reads the raw text cannot. Sendmail cuts lines of more than 990."""

_PRINTABLE = bytes(range(0x20, 0x7F))
_UNTOUCHED = _PRINTABLE + b"\r\n\t"
_LITERAL = _UNTOUCHED.replace(b"=", b"")
_UNSAFE = (b"From ", b".")
_AT_START = (b"From ", b".\r\n")
_FRAGILE = re.compile(rb"\n(?:(?<=[ \t]\r\n)|From |\.\r\n)")  # looks at line ends only, so it is quick


def encoded_text(text: str) -> tuple[str, bytes]:
    """A text as a body: the name of its Content-Transfer-Encoding, and its octets with CRLF line ends.

    CR, LF and CRLF each end a line; a last line without an end is given one.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text and not text.endswith("\n"):
        text += "\n"
    data = text.encode().replace(b"\n", b"\r\n")
    if text.isascii() and not _is_fragile(data):
        return "7bit", data
    # Three octets for each that cannot stand for itself, against four for every three.
    special = len(data.translate(None, _LITERAL))
    if len(data) + 2 * special <= len(data) * 4 // 3:
        lines = b2a_qp(data, istext=True).split(b"\r\n")
        for number, line in enumerate(lines):
            if len(line) > 76 or line.startswith(_UNSAFE):
                lines[number] = _mended(line)
        return "quoted-printable", b"\r\n".join(lines)
    return "base64", encoded_base64(data)


def _is_fragile(data: bytes) -> bool:
    """Whether a relay may change it on its way: an octet that is no plain character, a long line, a blank at
    the end of a line, "From " at the start of one, a dot alone on one."""
    return (
        bool(data.translate(None, _UNTOUCHED))
        or data.startswith(_AT_START)
        or _FRAGILE.search(data) is not None
        or _has_long_line(data)
    )


def _has_long_line(data: bytes) -> bool:
    """Looks only for the last line end that there must be so far on."""
    at = 0
    while len(data) - at > _MAX_7BIT:
        at = data.rfind(b"\r\n", at, at + _MAX_7BIT + 2) + 2
        if at == 1:
            return True
    return False


def _mended(line: bytes) -> bytes:
    """A line of quoted-printable as the encoder of the standard library leaves it, made safe.

    It cares for neither "From " nor every lone dot, and does not count a blank at the end as three octets.
    """
    if line.startswith(b"From "):
        line = b"=46" + line[1:]
    elif line == b".":
        line = b"=2E"
    if len(line) <= 76:
        return line
    at = 70
    # Neither inside =XX, nor so that the next line is what is mended here.
    while b"=" in line[at - 2 : at] or line.startswith(b"From ", at):
        at -= 1
    return line[:at] + b"=\r\n" + line[at:]


def encoded_base64(data: bytes) -> bytes:
    """Base64 in lines of 76, each with CRLF at its end."""
    text = b2a_base64(data, newline=False)
    if len(text) == _BLOCK_OF_LINES.size:
        return b"\r\n".join((*_BLOCK_OF_LINES.unpack(text), b""))
    return b"".join([text[at : at + 76] + b"\r\n" for at in range(0, len(text), 76)])


def base64_size(size: int) -> int:
    """The octets that ``encoded_base64`` makes of so many."""
    return (size + 2) // 3 * 4 + (size + _OCTETS - 1) // _OCTETS * 2


@dataclass(frozen=True, slots=True)
class EncodedOctets:
    """Octets in memory that are encoded as they go out, so that there is no second copy of them."""

    data: bytes

    def __len__(self) -> int:
        return base64_size(len(self.data))

    def blocks(self) -> Iterator[bytes]:
        """The encoded octets."""
        for at in range(0, len(self.data), _BLOCK):
            yield encoded_base64(self.data[at : at + _BLOCK])


@dataclass(frozen=True, slots=True)
class EncodedFile:
    """A file on disk that is encoded as it is read; its size is that of when the message was rendered."""

    path: Path
    state: tuple[int, ...]

    @classmethod
    def of(cls, path: Path) -> EncodedFile:
        """The file as it is now. Raises ``MessageError`` where it cannot be read any more."""
        try:
            with _opened(path) as file:
                return cls(path, _state(path, file))
        except OSError as error:
            raise _changed(path, system_text(error.strerror) or str(error)) from error

    def __len__(self) -> int:
        return base64_size(self.state[0])

    def blocks(self) -> Iterator[bytes]:
        """The encoded octets. Raises ``MessageError`` before the last block if the file has changed."""
        return map(encoded_base64, self.plain())

    def plain(self) -> Iterator[bytes]:
        """The octets as they are in the file. Raises ``MessageError`` as ``blocks`` does."""
        left = self.state[0]
        try:
            with _opened(self.path) as file:
                self._check(file)
                while left:
                    data = _read(file, min(left, _BLOCK))
                    left -= len(data)
                    if not data:
                        raise _changed(self.path, _("its size changed"))
                    if not left:
                        self._check(file)
                    yield data
        except OSError as error:
            raise _changed(self.path, system_text(error.strerror) or str(error)) from error

    def _check(self, file: io.FileIO) -> None:
        if _state(self.path, file) != self.state:
            raise _changed(self.path, _("it was written to or replaced"))


def _opened(path: Path) -> io.FileIO:
    # Opening a FIFO that was put in the file's place would wait for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    return io.FileIO(path, "rb", opener=lambda name, _flags: os.open(name, flags))


def _read(file: io.FileIO, size: int) -> bytes:
    """So many octets, or fewer at the end of the file: a raw read may give less than it could."""
    data = file.read(size)
    while len(data) < size and (more := file.read(size - len(data))):
        data += more
    return data


def _state(path: Path, file: io.FileIO) -> tuple[int, ...]:
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode):
        raise _changed(path, _("it is no plain file any more"))
    return found.st_size, found.st_mtime_ns, found.st_dev, found.st_ino


def _changed(path: Path, reason: str) -> MessageError:
    return MessageError(
        _("The attachment {path} changed while it was sent: {reason}. Nothing was sent.").format(
            path=shown(path), reason=reason
        ),
        code="attachment-changed",
        hint=_("Send it again when nothing writes to the file, or attach a copy."),
    )
