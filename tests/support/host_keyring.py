"""A keyring that outlives a program, as a host's does, and fails as it is told to by the environment.

Named in ``PYTHON_KEYRING_BACKEND``. ``HOST_KEYRING``: the folder of its entries; ``HOST_KEYRING_FAULT``:
``locked``, or ``hanging`` for as long as it says so.
"""

from __future__ import annotations

import os
import threading
import time
from hashlib import sha256
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

__all__ = ["GOOD", "PLAIN", "HostKeyring", "PlaintextKeyring"]

GOOD = f"{__name__}.HostKeyring"
PLAIN = f"{__name__}.PlaintextKeyring"


class HostKeyring(KeyringBackend):
    """Good, unless it is told otherwise."""

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        path = self._entry(service, username)
        return path.read_text("utf-8") if path.exists() else None

    def set_password(self, service: str, username: str, password: str) -> None:
        self._entry(service, username).write_text(password, "utf-8")

    def delete_password(self, service: str, username: str) -> None:
        self._entry(service, username).unlink()

    def _entry(self, service: str, username: str) -> Path:
        if os.environ.get("HOST_KEYRING_FAULT") == "locked":
            raise KeyringLocked("Failed to unlock the collection!")
        until = time.monotonic() + 60
        while os.environ.get("HOST_KEYRING_FAULT") == "hanging" and time.monotonic() < until:
            threading.Event().wait(0.05)
        return Path(os.environ["HOST_KEYRING"], sha256(f"{service} {username}".encode()).hexdigest())


class PlaintextKeyring(HostKeyring):
    """Calls itself as the one does that keeps secrets in a file in plain text."""

    __module__ = "keyrings.alt.file"
