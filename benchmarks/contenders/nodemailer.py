"""nodemailer, with its pool; the environment's NODE_PATH has to lead to it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

NAME = "nodemailer"
PROGRAMS = ("node",)


def smtp(job: Any) -> dict[str, Any]:
    """A program that measures itself, so that its start is not counted."""
    script = Path(__file__).with_suffix(".cjs")
    words = asdict(job) | {"text": job.text, "html": job.html}
    said = json.dumps(words)
    done = subprocess.run(
        ["node", str(script)], input=said, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        missing = "Cannot find module" in done.stderr
        raise RuntimeError("set NODE_PATH to where nodemailer is" if missing else done.stderr[-300:])
    found: dict[str, Any] = json.loads(done.stdout)
    return found
