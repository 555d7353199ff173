"""Time one whole process: ``python -I -S spawn.py PROGRAM ARGUMENT...``; prints its seconds and exit code.

A script of its own, because a small parent starts a child faster than a large one. ``SPAWN_STDIN`` names the
file that the child reads.
"""

import os
import subprocess
import sys
import time

with (
    open(os.environ.get("SPAWN_STDIN", os.devnull), "rb") as stdin,  # noqa: PTH123 - pathlib is slow to import
    open(os.environ.get("SPAWN_STDERR", os.devnull), "ab") as stderr,  # noqa: PTH123
):
    began = time.perf_counter()
    code = subprocess.call(sys.argv[1:], stdin=stdin, stdout=subprocess.DEVNULL, stderr=stderr)
    sys.stdout.write(f"{time.perf_counter() - began} {code}\n")
