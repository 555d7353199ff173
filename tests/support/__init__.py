"""What several tests share."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

_SYSTEM_FOLDERS = ("/usr/sbin", "/usr/lib/postfix/sbin", "/usr/lib/dovecot", "/usr/libexec")


def require_program(name: str, package: str, folders: str = "") -> str:
    """The path of a real server program; ``folders``: where it may be besides, as a search path.

    Without it a test skips on a user's machine and says what to install; in CI it fails.
    """
    path = shutil.which(name) or shutil.which(name, path=os.pathsep.join((*_SYSTEM_FOLDERS, folders)))
    if path is None:
        unavailable(f"needs {name}: install Debian's package {package}")
    return str(path)


def unavailable(reason: str) -> None:
    """End the test: a skip with its reason on a user's machine, a failure in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"in CI nothing is skipped: {reason}")
    pytest.skip(reason)


def folder_contains(folder: Path, needle: bytes) -> list[Path]:
    """The files below this folder in which these bytes stand."""
    return [path for path in folder.rglob("*") if path.is_file() and needle in path.read_bytes()]
