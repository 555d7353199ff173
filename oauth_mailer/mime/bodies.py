"""Bodies: texts in the shortest safe encoding, and files that are encoded as they are read."""

from __future__ import annotations

import os
import re
from binascii import b2a_base64, b2a_qp
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import MessageError
from ..i18n import _

__all__ = ["EncodedFile", "base64_size", "encoded_base64", "encoded_text"]

_LINE = 57
"""Octets that make a line of 76 in base64 (RFC 2045 §6.8)."""

_BLOCK = _LINE * 1149
_LINE_END = re.compile("\r\n|\r|\n")
# What a relay may change on its way: a longer line, a blank at its end, "From " at its start.
_FRAGILE = re.compile(rb"[^\r\n]{79}|[ \t]\r\n|^From |^\.\r\n|[^\x20-\x7e\r\n\t]", re.M)


def encoded_text(text: str) -> tuple[str, bytes]:
    """A text as a body: the name of its Content-Transfer-Encoding, and its octets with CRLF line ends."""
    data = _LINE_END.sub("\r\n", text).encode()
    if data and not data.endswith(b"\r\n"):
        data += b"\r\n"
    if not _FRAGILE.search(data):
        return "7bit", data
    # Three octets for each that cannot stand for itself, against four for every three.
    special = len(data) - len(data.translate(None, bytes(range(0x20, 0x7F)) + b"\r\n\t"))
    if len(data) + 2 * special <= len(data) * 4 // 3:
        quoted = b2a_qp(data, istext=True).replace(b"\nFrom ", b"\n=46rom ")
        quoted = b"=46" + quoted[1:] if quoted.startswith(b"From ") else quoted
        if not re.search(rb"[^\r\n]{77}", quoted):
            return "quoted-printable", quoted
    return "base64", encoded_base64(data)


def encoded_base64(data: bytes) -> bytes:
    """Base64 in lines of 76, each with CRLF at its end."""
    text = b2a_base64(data, newline=False)
    lines = [text[at : at + 76] for at in range(0, len(text), 76)]
    return b"\r\n".join([*lines, b""]) if lines else b""


def base64_size(size: int) -> int:
    """The octets that ``encoded_base64`` makes of so many."""
    return (size + 2) // 3 * 4 + (size + _LINE - 1) // _LINE * 2


@dataclass(frozen=True, slots=True)
class EncodedFile:
    """A file on disk that is encoded as it is read; its size is that of when the message was rendered."""

    path: Path
    state: tuple[int, int, int, int]

    @classmethod
    def of(cls, path: Path) -> EncodedFile:
        """The file as it is now. Raises ``MessageError`` where it cannot be read any more."""
        try:
            return cls(path, _state(path.stat()))
        except OSError as error:
            raise _changed(path, error.strerror or str(error)) from error

    def __len__(self) -> int:
        return base64_size(self.state[0])

    def blocks(self) -> Iterator[bytes]:
        """The encoded octets. Raises ``MessageError`` before the last block if the file has changed."""
        left = self.state[0]
        try:
            # Opening a FIFO that was put in the file's place would wait for ever.
            handle = os.open(
                self.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
            )
            with os.fdopen(handle, "rb", buffering=0) as file:
                self._check(file.fileno())
                while left:
                    data = _read(file, min(left, _BLOCK))
                    left -= len(data)
                    if not data or (not left and file.read(1)):
                        raise _changed(self.path, _("its size changed"))
                    if not left:
                        self._check(file.fileno())
                    yield encoded_base64(data)
        except OSError as error:
            raise _changed(self.path, error.strerror or str(error)) from error

    def _check(self, handle: int) -> None:
        if _state(os.fstat(handle)) != self.state:
            raise _changed(self.path, _("it was written to"))


def _read(file: object, size: int) -> bytes:
    """So many octets, or fewer at the end of the file: a raw read may give less than it could."""
    parts: list[bytes] = []
    while size and (data := file.read(size)):  # type: ignore[attr-defined]
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def _state(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_dev, found.st_ino


def _changed(path: Path, reason: str) -> MessageError:
    return MessageError(
        _("The attachment {path} changed while it was sent: {reason}. Nothing was sent.").format(
            path=path, reason=reason
        ),
        code="attachment-changed",
        hint=_("Send it again when nothing writes to the file, or attach a copy."),
    )
