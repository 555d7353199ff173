"""The name under which an attachment is saved: whatever the message says, it is a file name and no path."""

from __future__ import annotations

import re
from urllib.parse import quote

__all__ = ["disposition", "safe_name"]

_UNFIT = re.compile(
    '[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff"<>|:*?%]'
)
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE)
_LONGEST = 150  # octets, of the 255 that file systems take


def safe_name(name: str) -> str:
    """A name that is safe on every system, as like the given one as can be."""
    name = re.split(r"[/\\]", name)[-1]
    name = _UNFIT.sub("_", name).strip(" .")
    if _DEVICES.match(name):
        name = "_" + name
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending) > 10:
        stem, dot, ending = name, "", ""
    while len((stem + dot + ending).encode()) > _LONGEST:
        stem = stem[:-1]
    return stem + dot + ending or "attachment"


def disposition(name: str) -> str:
    """The value of a Content-Disposition that has this saved (RFC 6266)."""
    name = safe_name(name)
    plain = re.sub(r"[^\x20-\x7e]|\\", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
