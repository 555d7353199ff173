"""The table of what is fast and what is not: ``python -m benchmarks [PART...]``."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from importlib import import_module
from pathlib import Path

from .measure import Bench
from .parts import PARTS
from .table import HEAD, Row, line

__all__ = ["main"]


def main() -> int:
    """Run the parts that were named, by default all; a goal that is not met is no failure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of: {', '.join(PARTS)}; by default all")
    parser.add_argument("--rounds", type=int, default=0, help="of each contender (5; 2 with --quick)")
    parser.add_argument("--quick", action="store_true", help="small counts: whether it works, not how fast")
    parser.add_argument("--postgresql", default="", metavar="URL", help="an empty database, for the outbox")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows, each round's ratio too")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    rounds = arguments.rounds or (2 if arguments.quick else 5)
    rows: list[Row] = []
    broken: list[str] = []
    with Bench(rounds=rounds, quick=arguments.quick, postgresql=arguments.postgresql) as bench:
        print(f"Python {platform.python_version()}, {platform.machine()}, {rounds} rounds")
        print("\n| " + " | ".join(HEAD) + " |\n" + "|---" * len(HEAD) + "|")
        for part in arguments.parts or PARTS:
            try:
                for row in import_module(f".parts.{part}", __package__).run(bench):
                    rows.append(row)
                    print(line(row), flush=True)
            except RuntimeError as error:
                broken.append(f"the part {part} ended: {error}")
        for text in sorted(set(bench.missing)):
            print(f"left out: {text} is not installed", file=sys.stderr)
        for text in bench.failed:
            print(f"left out: {text}", file=sys.stderr)
        for text in broken:
            print(text, file=sys.stderr)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([row.record() for row in rows], indent=1) + "\n", "utf-8")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
