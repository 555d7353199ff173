"""Runs contenders in turn, each in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from .child import load
from .job import Job

__all__ = ["OURS", "ROOT", "Bench", "Contender"]

ROOT = Path(__file__).parent
OURS = "oauth_mailer"
_FOLDERS = (ROOT / "adapter", ROOT / "contenders")
_T = TypeVar("_T")

# A child that may not write its bytecode compiles at each start: a cold start would take three times as long.
_UNWANTED = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONUNBUFFERED", "PYTHONPATH")
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])


@dataclass(frozen=True, slots=True)
class Contender:
    """A file that says how something is done by one library or program."""

    name: str
    path: Path
    module: ModuleType

    def can(self, what: str, job: Job | None = None) -> bool:
        """Whether it does this at all, and can in this job's way."""
        fit: Callable[[Job], bool] = getattr(self.module, "can", lambda _job: True)
        return hasattr(self.module, what) and (job is None or fit(job))


@dataclass
class Bench:
    """What the parts share. ``quick``: small counts, to see whether all of it works."""

    rounds: int = 5
    quick: bool = False
    postgresql: str = ""
    missing: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def __enter__(self) -> Bench:
        self.stack = ExitStack()
        self.folder = Path(
            self.stack.enter_context(tempfile.TemporaryDirectory(prefix="oauth-mailer-bench-"))
        )
        self.environment = {name: text for name, text in os.environ.items() if name not in _UNWANTED}
        self.environment = {
            name: text for name, text in self.environment.items() if not name.startswith("OAUTH_MAILER_")
        }
        self.environment["PATH"] = _PATH
        self.contenders = dict(self._found())
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def count(self, usual: int) -> int:
        """How many of something."""
        return max(usual // 20, 4) if self.quick else usual

    def program(self, name: str) -> str | None:
        """Where a program is; a missing one is named at the end."""
        found = shutil.which(name, path=_PATH)
        if found is None and name not in self.missing:
            self.missing.append(name)
        return found

    def has(self, module: str) -> bool:
        """Whether a library is installed; a missing one is named at the end."""
        found = importlib.util.find_spec(module.partition(".")[0]) is not None
        if not found and module not in self.missing:
            self.missing.append(module)
        return found

    def file(self, mebibytes: int) -> str:
        """A file of random octets."""
        path = self.folder / f"random-{mebibytes}.bin"
        if not path.exists():
            with path.open("wb") as file:
                for _ in range(mebibytes):
                    file.write(os.urandom(1 << 20))
        return str(path)

    def run(self, contender: Contender, what: str, job: Job) -> dict[str, Any]:
        """One job in a process of its own; see ``child``."""
        found: dict[str, Any] = self.python(
            "-m", "benchmarks.child", str(contender.path), what, stdin=job.dump(), cafile=job.cafile
        )
        return found

    def python(self, *arguments: str, stdin: str = "", cafile: str = "") -> Any:
        """What a Python of its own says as JSON."""
        environment = {**self.environment, "PYTHONPATH": str(ROOT.parent)}
        if cafile:
            environment |= {"SSL_CERT_FILE": cafile, "NODE_EXTRA_CA_CERTS": cafile}
        done = subprocess.run(
            [sys.executable, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env=environment,
            timeout=900,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr.strip()[-600:] or f"exit code {done.returncode}")
        return json.loads(done.stdout.splitlines()[-1])

    def whole(self, command: list[str], environment: Mapping[str, str], stdin: Path | None = None) -> float:
        """The seconds that a whole process takes."""
        said = self.folder / "stderr"
        said.unlink(missing_ok=True)
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(ROOT / "spawn.py"), *command],
            env={
                **self.environment,
                **environment,
                "SPAWN_STDIN": str(stdin or os.devnull),
                "SPAWN_STDERR": str(said),
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        seconds, code = done.stdout.split()
        if code != "0":
            raise RuntimeError(f"exit code {code}: {said.read_text('utf-8', 'replace').strip()[-300:]}")
        return float(seconds)

    def in_turn(
        self,
        items: Mapping[str, Callable[[], _T]],
        *,
        rounds: int = 0,
        warm: bool = True,
        needed: Collection[str] = (OURS,),
    ) -> dict[str, list[_T]]:
        """A B C, C A B, B C A …, after a round that does not count.

        Who fails is left out and named; ``RuntimeError`` for those that are ``needed``.
        """
        results: dict[str, list[_T]] = {name: [] for name in items}
        order = list(items)
        for number in range(-1 if warm else 0, rounds or self.rounds):
            order = order[-1:] + order[:-1]
            for name in [one for one in order if one in results]:
                try:
                    result = items[name]()
                except (RuntimeError, OSError, subprocess.SubprocessError, ValueError) as error:
                    said = f"{name}: {(str(error).strip().splitlines() or ['?'])[-1]}"
                    if name in needed:
                        raise RuntimeError(said) from error
                    del results[name]
                    self.failed.append(said)
                    continue
                if number >= 0:
                    results[name].append(result)
        return results

    def race(
        self, what: str, job: Job, *, only: tuple[str, ...] = (), rounds: int = 0
    ) -> dict[str, list[dict[str, Any]]]:
        """All contenders that can do this job, in turn."""

        def one(contender: Contender) -> Callable[[], dict[str, Any]]:
            return lambda: self.run(contender, what, job)

        items = {
            name: one(contender)
            for name, contender in self.contenders.items()
            if contender.can(what, job) and (not only or name in only)
        }
        return self.in_turn(items, rounds=rounds)

    def _found(self) -> list[tuple[str, Contender]]:
        found = []
        for path in sorted(path for folder in _FOLDERS for path in folder.glob("[a-z]*.py")):
            module = load(str(path))
            here = [self.has(name) for name in getattr(module, "MODULES", ())]
            here += [self.program(name) is not None for name in getattr(module, "PROGRAMS", ())]
            if all(here):
                found.append((module.NAME, Contender(module.NAME, path, module)))
        return found
