"""A finished message, ready for a transport."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from .bodies import EncodedFile, EncodedOctets

__all__ = ["Content", "Piece"]

Piece = bytes | EncodedOctets | EncodedFile

_BLOCK = 65536


class Content:
    """A finished message (RFC 5322) with CRLF line ends, never whole in memory if files are attached.

    ``size``: its exact octets; ``needs_8bit``: its body has octets above 127, so an SMTP server must offer
    8BITMIME (RFC 6152); ``needs_smtputf8``: its headers have, so it must offer SMTPUTF8 (RFC 6531).
    """

    __slots__ = ("_pieces", "_progress", "needs_8bit", "needs_smtputf8", "size")

    def __init__(
        self,
        pieces: Iterable[Piece],
        *,
        needs_8bit: bool = False,
        needs_smtputf8: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._pieces = tuple(pieces)
        self._progress = progress
        self.size = sum(map(len, self._pieces))
        self.needs_8bit = needs_8bit
        self.needs_smtputf8 = needs_smtputf8

    def blocks(self) -> Iterator[bytes]:
        """The octets, in blocks of about 64 KiB; each call starts afresh.

        Raises ``MessageError`` where an attached file has changed, before its last block is handed over.
        """
        return self._blocks() if self._progress is None else self._reported(self._progress)

    @property
    def is_watched(self) -> bool:
        """Whether each block is asked for only when it may leave: who looks on may forbid it even then."""
        return self._progress is not None

    def watched(self, progress: Callable[[int, int], None]) -> Content:
        """The same, reporting the octets handed over so far and in all; what ``progress`` raises ends it."""
        return Content(
            self._pieces, needs_8bit=self.needs_8bit, needs_smtputf8=self.needs_smtputf8, progress=progress
        )

    def _reported(self, progress: Callable[[int, int], None]) -> Iterator[bytes]:
        done = 0
        progress(done, self.size)  # once more where the taker comes for the first block
        for block in self._blocks():
            yield block
            done += len(block)  # after the yield: the taker has come back, so it has done its part
            progress(done, self.size)

    def _blocks(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if not isinstance(piece, bytes):
                yield from piece.blocks()
            elif len(piece) <= _BLOCK:
                yield piece
            else:
                yield from (piece[at : at + _BLOCK] for at in range(0, len(piece), _BLOCK))
