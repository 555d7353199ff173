"""One contender, one job, one process: ``python -m benchmarks.child FILE WHAT``, the job on standard input.

What the contender imports is there before the clock starts; a part of its own measures cold starts. Prints
one line of JSON: ``seconds``; ``cpu``: seconds; ``grown``: octets of memory above what there was before, at
the most, or null where the system does not tell; ``found``: what the contender returned.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path
from types import ModuleType

from .job import Job

__all__ = ["load"]


def load(path: str) -> ModuleType:
    """The contender in this file."""
    spec = importlib.util.spec_from_file_location(f"contender_{Path(path).stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def memory(field: str) -> int | None:
    """``VmRSS``, what is used now, or ``VmHWM``, the most that was; in octets."""
    try:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), None)


def _main(path: str, what: str) -> None:
    job = Job.load(sys.stdin.read())
    contender = load(path)
    if hasattr(contender, "prepare"):
        contender.prepare(what, job)
    job.but(attachment="").email_message().as_bytes()  # what the standard library imports when first used
    before = memory("VmRSS")
    if before is not None:
        Path("/proc/self/clear_refs").write_text("5", "ascii")  # VmHWM counts from here
    cpu, wall = time.process_time(), time.perf_counter()
    found = getattr(contender, what)(job)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = memory("VmHWM")
    grown = None if before is None or peak is None else max(0, peak - before)
    result = {"seconds": wall, "cpu": cpu, "grown": grown, "found": found}
    # A contender that is a child process itself has measured itself.
    result |= found if isinstance(found, dict) else {}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
