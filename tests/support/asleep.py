"""A computer that sleeps while a program of ours runs, as far as the program can tell: by its clocks."""

from __future__ import annotations

import os
from pathlib import Path

# Python imports a module of this name, if there is one, before any program.
_SITE = """
import pathlib, time
wall, steady, note = time.time, time.monotonic, pathlib.Path({note!r})

def slept(place):
    try:
        return float(note.read_text().split()[place])
    except (OSError, ValueError, IndexError):
        return 0.0

time.time = lambda: wall() + slept(0)
time.monotonic = lambda: steady() + slept(1)
"""


class Laptop:
    """``env``: of programs that run on it."""

    def __init__(self, folder: Path) -> None:
        self._note = folder / "slept"
        site = folder / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(_SITE.format(note=str(self._note)), "utf-8")
        path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
        self.env = {"PYTHONPATH": path}

    def sleep(self, hours: float, *, steady_clock_stands: bool) -> None:
        """It is so much later. ``steady_clock_stands``: as on Linux and macOS; on Windows that goes on."""
        seconds = hours * 3600
        self._note.write_text(f"{seconds} {0.0 if steady_clock_stands else seconds}", "ascii")
