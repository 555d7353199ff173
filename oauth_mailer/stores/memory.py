"""Secrets in the memory of this process, gone when it ends: for tests and for one-off use.

Stores opened for the same folder share what they hold, as two handles of one file would.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from threading import Lock

from . import Secret, Slot, StoreOptions, storable

__all__ = ["MemoryStore", "open"]


class MemoryStore:
    """A dictionary behind the interface of a token store."""

    kind = "memory"
    writable = True

    def __init__(self, secrets: dict[str, str] | None = None) -> None:
        self._secrets = {} if secrets is None else secrets

    def get(self, slot: Slot) -> Secret | None:
        """As in ``TokenStore``."""
        text = self._secrets.get(str(slot))
        return None if text is None else Secret(text)

    def set(self, slot: Slot, secret: Secret) -> None:
        """As in ``TokenStore``."""
        self._secrets[str(slot)] = storable(secret)

    def delete(self, slot: Slot) -> None:
        """As in ``TokenStore``."""
        self._secrets.pop(str(slot), None)


_LOCK = Lock()
_BY_HOME: defaultdict[Path, dict[str, str]] = defaultdict(dict)


def open(options: StoreOptions) -> MemoryStore:  # noqa: A001 - the name every room has
    """The store of this folder; it has no settings."""
    options.checked("memory", {})
    with _LOCK:
        return MemoryStore(_BY_HOME[Path(options.home).absolute()])
