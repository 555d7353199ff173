"""A small program that keeps secrets in a folder; its arguments: FOLDER get|set|delete ENTRY."""

from __future__ import annotations

import sys
from base64 import urlsafe_b64encode
from pathlib import Path

folder, action, entry = sys.argv[1:]
path = Path(folder, urlsafe_b64encode(entry.encode()).decode())
if action == "set":
    path.write_bytes(sys.stdin.buffer.read())
elif not path.exists():
    sys.stderr.write(f"{entry} is not there\n")
    sys.exit(4)
elif action == "get":
    sys.stdout.buffer.write(path.read_bytes())
else:
    path.unlink()
