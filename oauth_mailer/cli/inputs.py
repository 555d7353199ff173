"""Files and standard input that a command line names."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..errors import MessageError
from ..i18n import _, system_text
from .exits import InputMissing

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_bytes", "read_text", "require_readable"]


def require_readable(name: str) -> Path:
    """The path of a file that can be opened and read. Raises ``InputMissing``; reads nothing."""
    path = _path(name)
    try:
        if path.is_file():  # opening a pipe would wait, and perhaps take what is in it
            path.open("rb").close()
        else:
            path.stat()
    except OSError as error:
        raise _missing(name, error) from error
    if path.is_dir():
        raise _missing(name, IsADirectoryError(0, _("it is a folder")))
    return path


def read_bytes(name: str) -> bytes:
    """What is in the file of this name, or in standard input for ``-``. Raises ``InputMissing``."""
    try:
        if name != "-":
            return _path(name).read_bytes()
        return b"" if sys.stdin is None else sys.stdin.buffer.read()
    except OSError as error:
        raise _missing(name, error) from error


def read_text(name: str) -> str:
    """The text in the file of this name, or in standard input for ``-``.

    UTF-8, with or without a byte order mark, or UTF-16 with one, as Windows programs write it; standard input
    on Windows may be in the console's code page. Raises ``InputMissing``, and ``MessageError`` for what is
    none of these.
    """
    content = read_bytes(name)
    try:
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            return content.decode("utf-16")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if sys.platform == "win32" and name == "-":
            import locale

            return content.decode(locale.getpreferredencoding(False), "replace")
        raise MessageError(
            _("{source} is not UTF-8 text (octet {number}).").format(
                source=_title(name), number=error.start + 1
            ),
            code="text-encoding",
            hint=_("Convert it, for example: iconv -f GB18030 -t UTF-8 FILE; or send it with --attach."),
        ) from None


def _path(name: str) -> Path:
    from pathlib import Path

    return Path(name).expanduser()


def _missing(name: str, error: OSError) -> InputMissing:
    return InputMissing(
        _("{source} cannot be read: {reason}.").format(
            source=_title(name), reason=system_text(error.strerror) or type(error).__name__
        ),
        code="input-missing",
        hint=_("Check the path, and whether you may read the file."),
    )


def _title(name: str) -> str:
    return _("Standard input") if name == "-" else _("The file {name}").format(name=name)
