"""The manual page: it tells all that the program takes, and the programs that show it find no fault."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import oauth_mailer
from oauth_mailer.cli import exits
from oauth_mailer.cli.facts import EXIT_CODES, VARIABLES
from oauth_mailer.cli.manual import page
from oauth_mailer.cli.tree import every_command
from tests.support import require_program

from .program import ROOT, run

PAGE = ROOT / "docs" / "oauth-mailer.1"
posix = pytest.mark.skipif(os.name != "posix", reason="needs a reader of manual pages")


@pytest.fixture(scope="module")
def read() -> str:
    """The page as a person reads it, on wide paper."""
    mandoc = require_program("mandoc", "mandoc")
    done = subprocess.run(
        [mandoc, "-T", "utf8", "-O", "width=400", str(PAGE)], capture_output=True, check=True, timeout=60
    )
    return re.sub(".\b", "", done.stdout.decode())  # bold is a letter on a letter


def test_the_page_that_is_shipped_is_the_one_of_these_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "oauth_mailer.cli.manual"],
        cwd=ROOT,
        env=os.environ | {"OAUTH_MAILER_LANG": "zh_CN"},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == PAGE.read_bytes(), "python -m oauth_mailer.cli.manual > docs/oauth-mailer.1"


@posix
def test_readers_of_manual_pages_find_no_fault_in_it() -> None:
    done = subprocess.run(
        [require_program("mandoc", "mandoc"), "-T", "lint", "-W", "warning", str(PAGE)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@posix
def test_it_tells_every_command_option_example_exit_code_and_variable(read: str) -> None:
    for command in every_command():
        parser = command.parser()
        assert f"oauth-mailer {command.name}" in read
        for action in parser._actions:
            if action.help is not argparse.SUPPRESS:
                for name in action.option_strings:
                    assert re.search(rf"(^|[ ,]){re.escape(name)}\b", read, re.M), name
        for example in parser.examples:
            assert example in read
    for fact in (*EXIT_CODES, *VARIABLES):
        assert f"{fact.name}" in read
    assert "--password" not in read


@posix
def test_what_is_to_be_typed_has_the_characters_of_the_keyboard(read: str) -> None:
    assert 'eval "$(oauth-mailer completion bash)"' in read
    assert "git config --global sendemail.sendmailCmd 'oauth-mailer sendmail'" in read
    assert "~/Downloads/client_secret.json" in read


def test_the_package_brings_it_to_where_man_looks() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert shared[str(PAGE.relative_to(ROOT).as_posix())] == "share/man/man1/oauth-mailer.1"


def test_every_exit_code_and_variable_is_told() -> None:
    told = {fact.name for fact in EXIT_CODES}
    codes = {str(code) for _kind, code, _word in exits._TABLE} | {
        str(one) for one, _word in exits._OF_CODE.values()
    }
    assert told == codes | {"0"}
    package = Path(oauth_mailer.__file__).parent
    named = {
        name
        for path in package.rglob("*.py")
        for name in re.findall(r"\bOAUTH_MAILER_[A-Z_]*[A-Z]\b", path.read_text("utf-8"))
    }
    ours = {fact.name for fact in VARIABLES if fact.name.startswith("OAUTH_MAILER_")}
    assert named - ours == {"OAUTH_MAILER_SECRET_ME_QQ_COM_FILE"}


def test_what_is_read_as_a_request_by_a_reader_is_escaped() -> None:
    for line in page().splitlines():
        if line.startswith("'"):
            raise AssertionError(line)
        if line.startswith("."):
            assert re.match(r"\.(\\\"|TH|SH|SS|TP|PP|B|BR|I|RS|RE|nf|fi|nh|ad)( |$)", line), line


def test_the_overview_and_the_page_tell_the_same_codes() -> None:
    shown = run("--help").out
    for fact in EXIT_CODES:
        assert f"\n  {fact.name} " in shown
