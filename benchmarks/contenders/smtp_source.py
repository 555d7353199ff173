"""Postfix's smtp-source: a C program that sends ready octets, one command at a time."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

NAME = "smtp-source"
PROGRAMS = ("smtp-source",)


def can(job: Any) -> bool:
    """It knows neither TLS nor a login."""
    return bool(job.security == "none")


def smtp(job: Any) -> None:
    """``-d``: connections are kept."""
    program = shutil.which("smtp-source", path=os.environ["PATH"]) or "smtp-source"
    counts = ["-d", "-s", str(job.concurrency), "-m", str(job.count), "-l", "5000", "-M", "bench.example"]
    people = ["-f", job.sender, "-t", job.to, f"{job.host}:{job.port}"]
    subprocess.run([program, *counts, *people], check=True, stdout=subprocess.DEVNULL, timeout=600)
