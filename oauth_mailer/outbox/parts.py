"""What is attached to messages: kept once, however many of them share it, and for as long as one does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, delete, insert, select

from .pacing import conflict_free
from .schema import ENTRIES, PARTS, USES
from .statements import Statement

__all__ = ["delete_with_parts", "keep_parts", "parts_of"]

# Made once: what is said many times a second is not put together anew each time.
_HELD = Statement(
    select(PARTS.c.digest)
    .where(PARTS.c.digest == bindparam("digest"))
    .with_for_update(read=True, key_share=True)
)


def keep_parts(connection: Connection, number: int, parts: Mapping[str, bytes]) -> None:
    """Keep the parts of this entry, by their digests."""
    for digest, content in sorted(parts.items()):
        part = {"digest": digest, "content": content}
        connection.execute(conflict_free(connection, PARTS), part)
        # Another program may just be deleting the same part with the last message that used it.
        while _HELD.run(connection, {"digest": digest}).first() is None:
            connection.execute(conflict_free(connection, PARTS), part)
        connection.execute(insert(USES), {"entry": number, "digest": digest})


def parts_of(connection: Connection, number: int) -> dict[str, bytes]:
    """The parts of this entry, by their digests."""
    parts = connection.execute(
        select(PARTS.c.digest, PARTS.c.content)
        .join(USES, USES.c.digest == PARTS.c.digest)
        .where(USES.c.entry == number)
    )
    return {row.digest: bytes(row.content) for row in parts}


def delete_with_parts(connection: Connection, numbers: Sequence[int]) -> int:
    """Delete these entries, locked by the caller, and the parts that no other one uses; how many they were.

    A part that somebody else is just adding to a message keeps its entries until the next time: an
    application's transaction may last, and the workers cannot wait for it.
    """
    used = connection.execute(select(USES).where(USES.c.entry.in_(numbers))).all()
    digests = {row.digest for row in used}
    free = select(PARTS.c.digest).where(PARTS.c.digest.in_(digests)).with_for_update(skip_locked=True)
    kept = digests.difference(connection.execute(free).scalars())
    gone = sorted(set(numbers).difference(row.entry for row in used if row.digest in kept))
    connection.execute(delete(ENTRIES).where(ENTRIES.c.id.in_(gone)))
    still_used = select(USES.c.entry).where(USES.c.digest == PARTS.c.digest).exists()
    connection.execute(delete(PARTS).where(PARTS.c.digest.in_(digests), ~still_used))
    return len(gone)
