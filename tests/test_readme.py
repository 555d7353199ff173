"""What the READMEs show is run as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import oauth_mailer

ROOT = Path(__file__).parent.parent
READMES = ("README.md", "README.zh-CN.md")


def blocks(name: str, language: str) -> list[str]:
    text = (ROOT / name).read_text("utf-8")
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, re.M | re.S)


EXAMPLES = [
    pytest.param(code, id=f"{name}-{number}")
    for name in READMES
    for number, code in enumerate(blocks(name, "python"))
]


@pytest.mark.parametrize("code", EXAMPLES)
def test_the_library_examples_run(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (home / "config.toml").write_text('[accounts."me@qq.com"]\nprovider = "qq"\n', "utf-8")
    Path("report.pdf").write_bytes(b"%PDF-1.4")
    Path("logo.png").write_bytes(b"\x89PNG")
    with oauth_mailer.capture() as sent:
        exec(compile(code, "README", "exec"), {})
    if "capture()" not in code:
        assert len(sent) == 1


def commands(name: str) -> list[str]:
    lines = "".join(blocks(name, "sh")).replace("\\\n", " ").splitlines()
    return [
        line.partition("oauth-mailer ")[2].partition("  #")[0].strip()
        for line in lines
        if "oauth-mailer " in line
    ]


COMMANDS = sorted({line for name in READMES for line in commands(name) if line != "try"})


def test_both_readmes_show_the_same_commands() -> None:
    assert commands("README.md") == commands("README.zh-CN.md")


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("send")])
def test_the_command_line_examples_are_understood(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("report.html", "logo.png", "report.pdf"):
        Path(file).write_bytes(b"<p>x</p>")
    Path("finished.eml").write_bytes(b"From: me@qq.com\r\nTo: ann@example.com\r\n\r\nHi\r\n")
    (home / "config.toml").write_text(
        'default = "me@qq.com"\n[accounts."me@gmail.com"]\nprovider = "gmail"\n'
        '[accounts."me@qq.com"]\nprovider = "qq"\n',
        "utf-8",
    )
    # What is queued is not sent either.
    program = f"{sys.executable} -m oauth_mailer {line}" + ("" if "--queue" in line else " --dry-run")
    done = subprocess.run(
        program,
        shell=True,
        input="text",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
