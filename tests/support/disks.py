"""Disks with little room and folders that cannot be written: the real thing, which takes root to make."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from . import unavailable


def needs_root() -> None:
    """Skip on a user's machine."""
    if sys.platform != "linux":
        pytest.skip("mounts as Linux does")
    if os.geteuid() != 0:
        unavailable("needs root: it mounts a disk")


def mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        unavailable(f"nothing can be mounted here: {done.stderr.strip()}")


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """This folder is a disk of its own, of so many octets (``256k``)."""
    needs_root()
    mount("-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=60)


def enlarge(folder: Path, size: str) -> None:
    """Make room on it."""
    mount("-o", f"remount,size={size}", str(folder))


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing in this folder can be written, by root neither."""
    if os.name != "posix":
        pytest.skip("takes rights away as POSIX does")
    if os.geteuid() == 0:
        needs_root()
        mount("--bind", str(folder), str(folder))
        try:
            mount("-o", "remount,bind,ro", str(folder))
            yield
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=60)
        return
    modes = {path: path.stat().st_mode for path in (folder, *folder.iterdir())}
    try:
        for path, mode in modes.items():
            path.chmod(mode & 0o555)
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
