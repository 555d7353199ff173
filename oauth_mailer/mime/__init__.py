"""Message and sender → envelope and finished content."""

from __future__ import annotations

from collections.abc import Callable, Iterator

__all__ = ["Content"]


class Content:
    """A finished message (RFC 5322), ready for a transport."""

    size: int
    needs_8bit: bool
    needs_smtputf8: bool

    def blocks(self) -> Iterator[bytes]:
        raise OSError

    def watched(self, progress: Callable[[int, int], None]) -> Content:
        raise OSError
