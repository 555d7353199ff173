"""A file that goes with a message."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

from .address import check_text
from .errors import MessageError
from .i18n import _, system_text
from .values import dataclass

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Attachment", "shown"]

_WORD = r"[A-Za-z0-9!#$&^_.+-]{1,100}"
_MEDIA_TYPE = rf"{_WORD}/{_WORD}(?:; *[A-Za-z-]+=[A-Za-z0-9._-]+)*"
_CONTENT_ID = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{1,200}"

# What each system's own table says of these differs, or is missing.
_TYPES = {
    ".7z": "application/x-7z-compressed",
    ".csv": "text/csv",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".heic": "image/heic",
    ".ics": "text/calendar",
    ".js": "text/javascript",
    ".json": "application/json",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".rar": "application/vnd.rar",
    ".webp": "image/webp",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".xml": "application/xml",
    ".zip": "application/zip",
}
_OCTETS = "application/octet-stream"


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Attachment:
    """A file that goes with a message.

    ``content``: the octets, or the path of a file, which is read as the message is sent; ``filename``: the
    name that recipients see, by default that of the file (of a path, its last part); ``media_type``: such as
    ``image/png``, by default guessed from the name; ``content_id``: for ``<img src="cid:logo">`` it is
    ``logo``.

    Raises ``MessageError`` where there is no such file, where it is no plain file, or where a name would
    break the message.
    """

    content: bytes | Path
    filename: str
    media_type: str
    content_id: str

    def __init__(
        self,
        content: bytes | str | os.PathLike[str],
        *,
        filename: str | None = None,
        media_type: str | None = None,
        content_id: str | None = None,
    ) -> None:
        if not isinstance(content, bytes | bytearray | memoryview | str | os.PathLike):
            raise TypeError(f"the content must be octets or a path, not {type(content).__name__}")
        data = bytes(content) if isinstance(content, bytes | bytearray | memoryview) else _file(content)
        given = filename
        if given is None:
            given = "attachment.bin" if isinstance(data, bytes) else data.name
        name = re.split(r"[/\\]", check_text(given, lambda: _("A file name")))[-1].strip()
        if name in ("", ".", "..") or len(name) > 1000:
            raise MessageError(
                _("{name!r} is no name for an attachment.").format(name=given[:80]),
                code="attachment-name",
                hint=_("Give it a name, such as report.pdf."),
            )
        values = (data, name, _media_type(media_type, name), _content_id(content_id or ""))
        for key, value in zip(self.__slots__, values, strict=True):
            object.__setattr__(self, key, value)

    def __repr__(self) -> str:
        what = f"{len(self.content)} octets" if isinstance(self.content, bytes) else str(self.content)
        return f"Attachment({self.filename!r}, {self.media_type}, {what!r})"


def shown(path: Path) -> str:
    """The path in a form that can be printed, whatever is in it."""
    text = str(path)
    return text if text.isprintable() else repr(text)


def _file(given: str | os.PathLike[str]) -> Path:
    """The path, if a plain file that may be read is there; looking does not wait, as opening a FIFO would."""
    from pathlib import Path

    path = Path(given)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            reason = _("it is no plain file")
        elif not os.access(path, os.R_OK):
            reason = _("you may not read it")
        else:
            return path.absolute()
    except (OSError, ValueError) as error:
        reason = system_text(getattr(error, "strerror", None)) or str(error)
    raise MessageError(
        _("{path} cannot be attached: {reason}.").format(path=shown(path), reason=reason),
        code="attachment-unreadable",
        hint=_("Check the path and its permissions."),
    )


def _media_type(given: str | None, name: str) -> str:
    if not given:
        return _guess(name)
    kind = check_text(given, lambda: _("A media type"))
    low = kind.lower()
    # A message in base64 is not allowed (RFC 2046 §5.2.1); a name comes from the file's name.
    if (
        not re.fullmatch(_MEDIA_TYPE, kind)
        or len(kind) > 300
        or re.match(r"multipart/|message/|.*; *name=", low)
    ):
        raise MessageError(
            _("{kind!r} is no media type for an attachment.").format(kind=kind[:80]),
            code="media-type",
            hint=_("Leave it off, or give one such as application/pdf."),
        )
    return kind


def _guess(name: str) -> str:
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - a Path would read C: and such
    if suffix in _TYPES:
        return _TYPES[suffix]
    import mimetypes

    # Only the end is looked at, for a name may look like a URL.
    kind, encoding = mimetypes.guess_type(f"file{suffix}", strict=False)
    # A packed file is not what is in it.
    if (
        kind is None
        or encoding
        or not re.fullmatch(_MEDIA_TYPE, kind)
        or kind.startswith(("multipart", "message"))
    ):
        return _OCTETS
    return kind


def _content_id(given: str) -> str:
    text = check_text(given, lambda: _("A content id"))
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1]
    if given and not re.fullmatch(_CONTENT_ID, text):
        raise MessageError(
            _("{text!r} is no content id.").format(text=given[:80]),
            code="content-id",
            hint=_("Use letters, digits, dots and @ only."),
        )
    return text
