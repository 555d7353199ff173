"""What every command has in common: a help to live from, colours where they belong, quiet, verbose."""

from __future__ import annotations

import os
import re
import shlex

import pytest

from oauth_mailer.cli.columns import width
from oauth_mailer.cli.tree import Command, commands, every_command

from .program import run
from .typist import Typist

EVERY = list(every_command())
COLOUR = "\x1b["
posix = pytest.mark.skipif(os.name != "posix", reason="needs a terminal of POSIX")


def examples_in(shown: str) -> list[str]:
    """The lines below the title of the examples, those that are continued joined."""
    below = shown.partition("\nExamples:\n")[2]
    return [line.strip() for line in below.replace("\\\n", " ").splitlines()]


@pytest.mark.parametrize("command", EVERY, ids=lambda command: command.name)
@pytest.mark.parametrize("columns", ["80", "200"])
def test_each_help_can_be_lived_from(command: Command, columns: str) -> None:
    done = run(*command.words, "--help", env={"COLUMNS": columns, "TERM": "xterm-256color"})
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Usage: oauth-mailer {command.name}")
    assert COLOUR not in done.out
    assert "Traceback" not in done.out
    for line in done.out.splitlines():
        assert width(line) <= 100, line
    examples = examples_in(done.out)
    assert any(example.startswith("oauth-mailer " + command.words[0]) for example in examples)


def test_in_chinese_each_title_ends_with_the_colon_of_that_language() -> None:
    shown = run("login", "--help", env={"OAUTH_MAILER_LANG": "zh_CN"}).out
    titles = [line for line in shown.splitlines() if re.match(r"\S.*[:：]$", line)]
    assert "Gmail：" in titles
    assert [title for title in titles if title.endswith(":")] == []


@pytest.mark.parametrize("command", EVERY, ids=lambda command: command.name)
def test_each_example_names_a_command_and_options_that_there_are(command: Command) -> None:
    checked = 0
    for example in examples_in(run(*command.words, "--help").out):
        # What is behind the last pipe, or between brackets or quotes, is ours where our name is in front.
        ours = re.search(r"oauth-mailer ((?:[^|#<>)\"']|\"[^\"]*\"|'[^']*')*)", example)
        if ours is None:
            continue
        name, *words = shlex.split(ours[1])
        found = commands()[name]
        subcommands = found.commands()
        if words and words[0] in subcommands:
            found = subcommands[words[0]]
        known = found.parser()._option_string_actions
        for word in words:
            if word.startswith("-") and len(word) > 1:
                assert word.partition("=")[0] in known or (word[1] != "-" and word[:2] in known), example
        checked += 1
    assert checked


@pytest.mark.parametrize("command", EVERY, ids=lambda command: command.name)
def test_each_command_can_be_quiet_or_verbose_and_each_option_says_what_it_does(command: Command) -> None:
    parser = command.parser()
    assert {"-q", "--quiet", "-v", "--verbose", "-h", "--help"} <= parser._option_string_actions.keys()
    assert command.summary()
    assert not command.summary().endswith(".")


def test_both_may_stand_before_the_command_too() -> None:
    told = "No account is set up yet."
    assert told in run("accounts").err
    for words in (["accounts", "-q"], ["-q", "accounts"], ["--quiet", "accounts"]):
        assert (run(*words).code, run(*words).err) == (0, "")
    assert told in run("--verbose", "accounts").err
    assert run("--loud", "accounts").code == 64


def test_quiet_leaves_the_errors_and_the_results() -> None:
    done = run("default", "--quiet")
    assert done.code == 78
    assert "oauth-mailer: " in done.err
    assert run("accounts", "--quiet", "--json").json == {"accounts": []}


@posix
@pytest.mark.parametrize(
    ("env", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": ""}, True)],
)
def test_colours_are_for_a_terminal_that_wants_them(env: dict[str, str], coloured: bool) -> None:
    typist = Typist("logout", "nobody@example.com", env=env)
    assert typist.end() == 78
    assert "nobody@example.com" in typist.screen
    assert (COLOUR in typist.screen) is coloured


@posix
@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_help_at_such_a_terminal_has_none_either(env: dict[str, str]) -> None:
    for words in (["--help"], ["send", "--help"], ["outbox", "show", "--help"]):
        typist = Typist(*words, env=env)
        assert typist.end() == 0
        assert COLOUR not in typist.screen


@posix
def test_the_doctor_shows_in_colour_what_does_not_work_and_what_to_do() -> None:
    typist = Typist("doctor", "--offline", env={"TERM": "xterm-256color"})
    assert typist.end() == 78
    assert f"{COLOUR}31;1m✗ configuration" in typist.screen
    assert f"{COLOUR}36m" in typist.screen.partition("✗ configuration")[2]
    assert f"{COLOUR}31;1m✓" not in typist.screen


def test_into_a_pipe_goes_no_colour() -> None:
    for words in (
        ["accounts"],
        ["logout", "nobody@example.com"],
        ["doctor", "--offline"],
        ["outbox", "stats"],
    ):
        done = run(*words, env={"TERM": "xterm-256color", "COLORTERM": "truecolor"})
        assert COLOUR not in done.out + done.err
