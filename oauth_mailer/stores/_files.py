"""Files in which somebody hands a secret in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import StoreError
from ..i18n import _, system_text
from . import Secret

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_secret_file", "without_newline"]

_MAX_SIZE = 65536
"""Octets: no secret is longer, and a device such as /dev/zero has no end."""


def read_secret_file(path: Path, source: str) -> Secret:
    """The content of the file without the newline at its end.

    ``source``: the variable that named the file, for the error. Raises ``StoreError``.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_SIZE + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        raise StoreError(
            _("The file {path}, named by {source}, cannot be read: {reason}.").format(
                path=path, source=source, reason=system_text(getattr(error, "strerror", None)) or error
            ),
            code="secret-file",
            hint=_("Check that the file is there and that this user may read it."),
        ) from error
    try:
        if len(content) > _MAX_SIZE:
            raise UnicodeError
        text = content.decode("utf-8-sig")  # an editor on Windows may have put a byte order mark
    except UnicodeError:
        raise StoreError(
            _("The file {path}, named by {source}, holds no text, or far too much.").format(
                path=path, source=source
            ),
            code="secret-form",
            hint=_("Put the secret there alone, on one line."),
        ) from None
    return Secret(without_newline(text))


def without_newline(text: str) -> str:
    """The text without the one line end that editors, ``echo`` and programs put behind it."""
    return text.removesuffix("\n").removesuffix("\r")
