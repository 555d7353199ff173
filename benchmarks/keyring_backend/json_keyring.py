"""A keyring that costs next to nothing: a JSON file. For measuring what a program adds to its keyring."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend

__all__ = ["Keyring"]


class Keyring(KeyringBackend):
    """Keeps passwords in the file that ``BENCH_KEYRING_FILE`` names; no place for real ones."""

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        """The password, or None."""
        return _read().get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep it."""
        _write(_read() | {f"{service} {username}": password})

    def delete_password(self, service: str, username: str) -> None:
        """Forget it."""
        _write({name: text for name, text in _read().items() if name != f"{service} {username}"})


def _path() -> Path:
    return Path(os.environ["BENCH_KEYRING_FILE"])


def _read() -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(_path().read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return found


def _write(entries: dict[str, str]) -> None:
    _path().write_text(json.dumps(entries), "utf-8")
