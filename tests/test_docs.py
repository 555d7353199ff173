"""What the documentation shows is run as it stands, and the site builds."""

from __future__ import annotations

import logging
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet

import oauth_mailer
from oauth_mailer import errors
from oauth_mailer.accounts import Accounts
from oauth_mailer.cli import COMMANDS
from tests.codes_table import table

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def blocks(language: str) -> list[ParameterSet]:
    found = []
    for page in PAGES:
        text = page.read_text("utf-8")
        for number, code in enumerate(re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)):
            found.append(pytest.param(code, id=f"{page.relative_to(ROOT / 'docs')}-{number}"))
    return found


@pytest.mark.parametrize("code", blocks("python"))
def test_the_examples_run(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OAUTH_MAILER_OUTBOX_URL", f"sqlite:///{tmp_path}/outbox.db")
    (home / "config.toml").write_text(
        'default = "me@qq.com"\n[accounts."me@gmail.com"]\nprovider = "gmail"\n'
        '[accounts."me@qq.com"]\nprovider = "qq"\n',
        "utf-8",
    )
    Path("invitation.txt").write_text("---\nto: {{ email }}\nsubject: Hi\n---\nHello\n", "utf-8")
    Path("guests.csv").write_text("email,name\nann@example.com,Ann\n", "utf-8")
    Path("report.pdf").write_bytes(b"%PDF-1.4")
    names: dict[str, Any] = {"__name__": "docs"}
    logger = logging.getLogger("oauth_mailer.attempts")
    monkeypatch.setattr(logger, "handlers", list(logger.handlers))
    monkeypatch.setattr(logger, "level", logger.level)
    with oauth_mailer.capture():
        exec(compile(code, "docs", "exec"), names)
    if "engine" in names:  # an application has it for as long as it runs
        names["engine"].dispose()


@pytest.mark.parametrize("code", blocks("py"))
def test_the_fragments_are_python(code: str) -> None:
    compile(code, "docs", "exec")


@pytest.mark.parametrize("text", blocks("toml"))
def test_the_configurations_are_understood(text: str, tmp_path: Path) -> None:
    tomllib.loads(text)
    (tmp_path / "config.toml").write_text(text, "utf-8")
    for account in Accounts(tmp_path):
        assert account.address


def commands() -> list[str]:
    """The commands of ours in blocks of shell, and in the tables of cron, without what is around them."""
    found: list[str] = []
    for page in PAGES:
        text = page.read_text("utf-8")
        fences = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
        for block in (code for language, code in fences if language in ("", "sh", "powershell")):
            for line in block.replace("\\\n", " ").splitlines():
                bare = re.sub(r"\s#\s.*|\b[A-Z_]+=\S+", "", line)  # without comments and variables
                words = bare.partition("oauth-mailer ")[2]
                words = re.split(r" [|<>] | && ", words)[0].strip()
                if words.count("'") % 2:  # the end of what is around it
                    words = words[: words.rindex("'")].strip()
                if words and not words.startswith("["):
                    found.append(words)
    return sorted(set(found))


@pytest.mark.parametrize("line", commands())
def test_the_commands_are_understood(line: str) -> None:
    words = shlex.split(line.replace("\\%", "%"))
    assert words[0] in COMMANDS, line
    command = import_module(f"oauth_mailer.cli.{COMMANDS[words[0]]}")
    command.parser().parse_args(words[1:])


def test_the_page_of_codes_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "codes.md").read_text("utf-8") == table(), "run: python -m tests.codes_table"


def test_the_reference_has_every_public_name() -> None:
    text = (ROOT / "docs" / "reference.md").read_text("utf-8")
    named = set(re.findall(r"^::: oauth_mailer\.(\w+)$", text, re.M)) | set(errors.__all__)
    assert set(oauth_mailer.__all__) - named == {"__version__"}


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "true"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    assert (tmp_path / "index.html").exists()
