"""A private Prometheus server on a loopback port, which ends by itself, and its tool."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from . import require_program
from .server_log import PATIENCE, ServerLog

__all__ = ["Prometheus", "prometheus", "promtool"]

LIFE = 600  # seconds after which the server ends, should nobody stop it
PACKAGE = "prometheus"


def promtool(*words: str, stdin: str = "", cwd: Path | None = None) -> tuple[int, str]:
    """Run it; its exit code, and what it says."""
    done = subprocess.run(
        [require_program("promtool", PACKAGE), *words],
        input=stdin,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


class Prometheus:
    """What the server knows, by its API."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, what: str, **parameters: str) -> Any:
        """The data of this answer."""
        with urlopen(f"{self._url}/api/v1/{what}?{urlencode(parameters)}", timeout=PATIENCE) as answer:
            told = json.load(answer)
        assert told["status"] == "success", told
        return told["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of now."""
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found


@contextmanager
def prometheus(folder: Path, targets: Sequence[str], rules: Path) -> Iterator[Prometheus]:
    """Run one that fetches from these every second. ``rules``: a file of them."""
    program = require_program("prometheus", PACKAGE)
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "oauth-mailer", "static_configs": [{"targets": list(targets)}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config), "utf-8")  # YAML, too
    command = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    if (timeout := shutil.which("timeout")) is not None:
        command = [timeout, str(LIFE), *command]
    log = ServerLog(command, cwd=folder)
    try:
        log.wait_for("Server is ready to receive web requests")
        found = re.search(r'msg="Listening on" address=(127\.0\.0\.1:\d+)', "\n".join(log.lines))
        assert found, log.lines
        yield Prometheus(f"http://{found[1]}")
    finally:
        log.stop()
