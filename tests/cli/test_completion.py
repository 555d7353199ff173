"""What a shell offers at Tab, in the real shells, and what the program answers them."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import oauth_mailer
from oauth_mailer.accounts import Account, Accounts
from oauth_mailer.cli.completing import complete
from oauth_mailer.cli.tree import commands, every_command
from oauth_mailer.outbox import Outbox
from tests.support.shells import Shell, fish_completes

from .program import run

posix = pytest.mark.skipif(os.name != "posix", reason="these shells are of POSIX")

Complete = Callable[[str], list[str]]


@pytest.fixture
def accounts(home: Path) -> None:
    """Two accounts that are set up."""
    for address, provider in (("me@qq.com", "qq"), ("me@163.com", "163")):
        Accounts(home).add(Account(address=address, provider=provider, store="environment", name="Ann"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with two files and a folder, in which the shell stands."""
    folder = tmp_path / "place"
    (folder / "out").mkdir(parents=True)
    (folder / "one.pdf").touch()
    (folder / "my file.txt").touch()
    return folder


@pytest.fixture(params=["bash", "zsh", "zsh by itself", "fish"])
def shell(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    place: Path,
    accounts: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Complete]:
    """Completes a line: the candidates for its last word, as the shell would insert them."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    name = request.param.partition(" ")[0]
    (tmp_path / "functions").mkdir()
    script = tmp_path / "functions" / ("script" if name == request.param else "_oauth-mailer")
    printed = run("completion", name)
    assert (printed.code, printed.err) == (0, "")
    script.write_text(printed.out, "utf-8")
    if name == "fish":
        yield lambda line: sorted(fish_completes(script, line, place, tmp_path))
        return
    with Shell(name, script, tmp_path, place) as made:

        def by_key(line: str) -> list[str]:
            before = line[: len(line) - len(line.rsplit(" ", maxsplit=1)[-1])]
            inserted = made.complete(line)
            assert inserted.startswith(before), inserted
            rest = inserted.removeprefix(before).replace("\\ ", "\0").split()
            return sorted(one.replace("\0", " ") for one in rest)

        yield by_key


@posix
def test_a_shell_completes_what_the_program_takes(shell: Complete) -> None:
    assert shell("oauth-mailer se") == ["send", "sendmail"]
    assert shell("oauth-mailer outbox re") == ["retry"]
    assert shell("oauth-mailer send --fr") == ["--from", "--from-name"]
    assert shell("oauth-mailer send --text 'a b' --pri") == ["--priority"]
    assert shell("oauth-mailer send --priority ") == ["high", "low", "normal"]
    assert shell("oauth-mailer login --security=st") == ["--security=starttls"]
    assert shell("oauth-mailer help outb") == ["outbox"]
    # nothing that is hidden, or of another command
    assert "--password" not in shell("oauth-mailer login --p")


@posix
def test_a_shell_completes_the_accounts(shell: Complete) -> None:
    both = ["me@163.com", "me@qq.com"]
    assert shell("oauth-mailer logout ") == both
    assert shell("oauth-mailer doctor me") == both
    assert shell("oauth-mailer send --from me@q") == ["me@qq.com"]
    assert shell("oauth-mailer send --from=me@q") == ["--from=me@qq.com"]
    assert shell("oauth-mailer send --fallback me@qq.com --fallback me@1") == ["me@163.com"]
    assert shell("oauth-mailer send --to me@q") in ([], ["me@q"])


@posix
def test_a_shell_completes_the_names_of_files_where_one_is_taken(shell: Complete) -> None:
    assert shell("oauth-mailer send --attach on") == ["one.pdf"]
    assert shell("oauth-mailer send --attach=on") == ["--attach=one.pdf"]
    assert shell("oauth-mailer send --inline logo=on") == ["logo=one.pdf"]
    assert shell("oauth-mailer send --attach my") == ["my file.txt"]
    assert [one.rstrip("/") for one in shell("oauth-mailer merge a.txt b.csv --dry-run o")] == ["out"]
    assert shell("oauth-mailer merge on") == ["one.pdf"]


# ---- what the program answers


def words(*typed: str) -> list[str]:
    return list(complete(list(typed)).words)


def test_every_command_option_and_choice_is_offered() -> None:
    assert set(words("")) == {*commands(), "help"}
    for command in every_command():
        parser = command.parser()
        actions = [action for action in parser._actions if action.help != argparse.SUPPRESS]
        shown = [name for action in actions for name in action.option_strings]
        assert words(*command.words, "-") == shown, command.name
        for action in parser._actions:
            if action.choices and action.option_strings:
                assert words(*command.words, action.option_strings[0], "") == [*map(str, action.choices)]


@pytest.mark.parametrize(
    ("typed", "kind", "prefix"),
    [
        ("send --attach ", "files", ""),
        ("send --inline logo=a=b", "files", "logo="),
        ("send --inline=logo=", "files", "--inline=logo="),
        ("login me@gmail.com --client-secrets ", "files", ""),
        ("accounts export ", "files", ""),
        ("merge template.txt ", "files", ""),
        ("merge --dry-run ", "folders", ""),
        ("send --text ", "words", ""),
        ("merge a b ", "words", ""),
    ],
)
def test_paths_are_left_to_the_shell(typed: str, kind: str, prefix: str) -> None:
    found = complete(typed.split(" "))
    assert (found.kind, found.prefix, dict(found.words)) == (kind, prefix, {})


def test_an_option_that_was_given_is_not_offered_again_unless_it_may_be_repeated() -> None:
    assert "--subject" not in words("send", "--subject", "x", "--")
    assert "--attach" in words("send", "--attach", "x", "--")
    assert words("send", "--subject", "--from", "-") == words("send", "--subject", "x", "-")


def test_what_may_have_a_value_or_not_is_followed_by_either(accounts: None) -> None:
    assert "--offline" in words("doctor", "--send-test", "-")
    assert words("doctor", "--send-test", "") == []
    assert words("doctor", "--send-test", "ann@example.com", "") == ["me@qq.com", "me@163.com"]


def test_after_two_dashes_nothing_is_an_option(accounts: None) -> None:
    assert words("logout", "--", "-") == words("logout", "--", "")


def test_an_unknown_command_has_no_candidates() -> None:
    assert words("no-such", "") == words("outbox", "no-such", "--") == words("help", "send", "") == []


def test_the_messages_of_the_outbox_are_offered_by_number(home: Path, accounts: None) -> None:
    assert words("outbox", "show", "") == []
    assert not (home / "outbox.db").exists()
    with Outbox() as outbox:
        for subject in ("First", "Second"):
            message = oauth_mailer.Message(to="ann@example.com", subject=subject, text="x")
            outbox.add(message, account="me@qq.com")
    assert dict(complete(["outbox", "retry", ""]).words)["1"] == "queued: First"
    done = run("__complete", "words", "=outbox", "=cancel", "=1", "=")
    assert done.out.splitlines()[3:][0] == "1\tqueued: First"
    assert len(done.out.splitlines()) == 5


def test_a_configuration_that_cannot_be_read_is_no_trouble(home: Path) -> None:
    (home / "config.toml").write_text("nonsense", "utf-8")
    done = run("__complete", "words", "=logout", "=")
    assert (done.code, done.out, done.err) == (0, "words\n\n\n", "")


def test_a_line_is_read_as_a_shell_does_even_where_it_is_not_finished() -> None:
    for line, expected in (
        ("oauth-mailer send --priority hi", ["high"]),
        ('oauth-mailer send --text "a \'b" --priority "hi', ["high"]),
        ("oauth-mailer send --text it\\'s --priority ", ["high", "normal", "low"]),
        ("oauth-mailer send --subject 'not ended --priority ", []),
    ):
        done = run("__complete", "line", f"={line}")
        assert [one.partition("\t")[0] for one in done.out.splitlines()[3:]] == expected, line


def test_at_a_tab_nothing_heavy_is_imported(accounts: None) -> None:
    heavy = "google googleapiclient requests rich keyring cryptography tomlkit asyncio sqlalchemy"
    program = (
        "import sys; from oauth_mailer.cli import main; main(sys.argv[2:]);"
        "print([name for name in sys.argv[1].split() if name in sys.modules], file=sys.stderr)"
    )
    for typed in (["=send", "=--from", "="], ["="], ["=outbox", "=show", "="]):
        done = subprocess.run(
            [sys.executable, "-c", program, heavy, "__complete", "words", *typed],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == "[]\n", typed


def test_each_script_asks_the_program_that_printed_it_however_it_is_quoted(tmp_path: Path) -> None:
    for name in ("bash", "zsh", "fish", "powershell"):
        printed = run("completion", name)
        assert printed.code == 0
        assert "@PROGRAM@" not in printed.out
        assert "__complete" in printed.out
    assert run("completion", "tcsh").code == 64
