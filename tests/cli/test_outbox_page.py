"""What the page on the outbox shows is run as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import oauth_mailer
from oauth_mailer.cli import outbox as door
from oauth_mailer.cli import send
from oauth_mailer.outbox import states

from .program import ROOT

PAGE = (ROOT / "docs" / "outbox.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_the_examples_of_the_page_run(
    number: int, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("invoice.pdf").write_bytes(b"%PDF-1.4")
    (home / "config.toml").write_text('[accounts."me@qq.com"]\nprovider = "qq"\n', "utf-8")
    code = blocks("python")[number]
    with oauth_mailer.capture() as sent:
        exec(compile(code, "docs/outbox.md", "exec"), {})
    assert len(sent) == (1 if ".run(" in code else 0)


def test_the_commands_of_the_page_are_understood() -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    shown = [shlex.split(line, comments=True) for line in lines if line.startswith("oauth-mailer ")]
    unit = re.search(r"^ExecStart=\S+ (.*)$", PAGE, re.M)
    assert unit is not None
    shown.append(["oauth-mailer", *unit[1].split()])
    assert len(shown) > 5
    for words in shown:
        parser = {"send": send.parser, "outbox": door.parser}[words[1]]()
        parser.parse_args([word for word in words[2:] if word != "..."])  # raises what is not understood


def test_the_page_names_every_state_and_exit_code() -> None:
    for state in states.State:
        assert f"| `{state}` |" in PAGE
    for code in (0, 76, 69, 77, 75):
        assert f"| {code} |" in PAGE
