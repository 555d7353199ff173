"""Not a mail client: what the encoding of an attachment alone costs, in one call, its lines not even cut."""

from __future__ import annotations

from binascii import b2a_base64
from pathlib import Path
from typing import Any

NAME = "binascii.b2a_base64"


def can(job: Any) -> bool:
    """Only where there is something to encode."""
    return bool(job.attachment)


def mime(job: Any) -> int:
    """Read the file, encode it."""
    return len(b2a_base64(Path(job.attachment).read_bytes()))
