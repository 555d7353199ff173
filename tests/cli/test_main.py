from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from oauth_mailer import __version__, errors
from oauth_mailer.cli import COMMANDS, exits, main
from oauth_mailer.cli.output import Output, printable
from oauth_mailer.errors import MailerError

from .program import ROOT, run


def test_without_a_command_it_shows_its_help_as_a_usage_error() -> None:
    done = run()
    assert done.code == 64
    assert done.out == ""
    assert "Usage: oauth-mailer COMMAND" in done.err


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
def test_help_names_every_command_and_every_exit_code(words: list[str]) -> None:
    done = run(*words)
    assert (done.code, done.err) == (0, "")
    for name in COMMANDS:
        assert f"\n  {name} " in done.out
    for code in ("0", "64", "65", "66", "69", "70", "75", "76", "77", "78"):
        assert f" {code} " in done.out.replace("\n", " ")


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_a_help_with_an_example_and_it_is_the_same_either_way(name: str) -> None:
    done = run(name, "--help")
    assert (done.code, done.err) == (0, "")
    assert f"Usage: oauth-mailer {name}" in done.out
    assert f"Examples:\n  oauth-mailer {name}" in done.out
    assert run("help", name).out == run("--help", name).out == done.out


def test_version() -> None:
    assert run("--version").out == f"oauth-mailer {__version__}\n"


@pytest.mark.parametrize(
    ("words", "nearest"),
    [(["sned"], "send"), (["logn", "me@qq.com"], "login"), (["send", "--subjet", "x"], "--subject")],
)
def test_a_misspelt_word_is_answered_by_the_nearest_one(words: list[str], nearest: str) -> None:
    done = run(*words)
    assert (done.code, done.out) == (64, "")
    assert f"Did you mean {nearest}?" in done.err


@pytest.mark.parametrize("option", ["--password", "--code", "--token", "--secret", "--passphrase"])
@pytest.mark.parametrize("command", ["login", "send"])
def test_a_secret_in_the_arguments_is_refused_and_not_repeated(command: str, option: str) -> None:
    for words in ([f"{option}=canary-5531"], [option, "canary-5531"]):
        done = run(command, *words, "--json")
        assert done.code == 64
        assert done.json["error"]["code"] == "secret-in-arguments"
        assert "canary" not in done.out + done.err


def test_what_was_typed_in_a_wrong_place_is_not_repeated() -> None:
    done = run("login", "me@qq.com", "canary-5531")
    assert done.code == 64
    assert "canary" not in done.out + done.err


@pytest.mark.parametrize(
    "words", [["send", "--no-such"], ["send", "--timeout", "soon"], ["accounts", "--x"], ["nonsense"]]
)
def test_a_usage_error_is_json_too_where_json_is_asked_for(words: list[str]) -> None:
    done = run(*words, "--json")
    assert done.code == 64
    assert done.json["status"] == "refused"
    assert done.json["error"]["type"] == "UsageError"
    assert done.json["error"]["hint"]


def test_every_error_has_its_exit_code_and_status() -> None:
    by_class = {
        "MessageError": (65, "refused"),
        "ConfigError": (78, "refused"),
        "StoreError": (78, "not_sent"),
        "OutboxError": (75, "not_sent"),
        "TransientError": (75, "not_sent"),
        "RouteError": (77, "not_sent"),
        "LoginRequired": (77, "not_sent"),
        "RejectedError": (69, "rejected"),
        "OutcomeUnknown": (76, "unknown"),
        "SendError": (70, "not_sent"),
        "MailerError": (70, "not_sent"),
    }
    for name in errors.__all__:
        kind = getattr(errors, name)
        if isinstance(kind, type) and issubclass(kind, MailerError):
            error = kind("x", code="x")
            assert (exits.exit_code(error), exits.status(error)) == by_class.pop(name)
    assert not by_class


def test_an_error_is_told_by_what_happened_what_the_server_said_and_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Output().error(
        errors.RouteError(
            "It was refused.", code="x", text="553 no\x1b[31m", hint="Run: oauth-mailer accounts"
        )
    )
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        "oauth-mailer: It was refused.\n  The server said: 553 no\\x1b[31m\n  Run: oauth-mailer accounts\n"
    )


def test_what_steers_a_terminal_is_escaped_and_what_people_write_is_not() -> None:
    assert printable("a\x1b]0;x\x07\r\nb\x9b\u202ec\ud800") == "a\\x1b]0;x\\x07\\r\\nb\\x9b\\u202ec\\ud800"
    assert printable("季度报告 👩‍👩‍👧 naïve") == "季度报告 👩‍👩‍👧 naïve"


def test_a_fault_of_ours_is_one_line_without_what_it_was_about(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*arguments: object) -> int:
        raise RuntimeError("canary-5531")

    monkeypatch.setattr("oauth_mailer.cli.accounts.run", broken)
    assert main(["accounts", "--json"]) == 70
    shown = capsys.readouterr()
    assert json.loads(shown.out)["error"] == {
        "type": "Fault",
        "code": "internal",
        "message": "A fault in oauth-mailer itself ended the command (RuntimeError).",
        "hint": "To see where, set OAUTH_MAILER_DEBUG=1 and run it again; please report what it shows.",
    }
    assert "Traceback" not in shown.err

    monkeypatch.setenv("OAUTH_MAILER_DEBUG", "1")
    assert main(["accounts"]) == 70
    told = capsys.readouterr().err
    assert "in broken" in told
    assert "RuntimeError" in told
    assert "canary" not in told


def test_ctrl_c_ends_it_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("oauth_mailer.cli.accounts.run", interrupted)
    assert main(["accounts"]) == 130
    assert capsys.readouterr().err == "oauth-mailer: Stopped by Ctrl-C.\n"


def test_a_reader_that_stops_reading_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "oauth_mailer", "accounts", "--json"],
            cwd=ROOT,
            stdout=write,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_below_standard_output_is_told_and_changes_nothing_else() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "oauth_mailer", "accounts", "--json"],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 0
    assert "Standard output cannot be written: No space left on device." in done.stderr


def test_help_imports_nothing_heavy() -> None:
    heavy = (
        "google googleapiclient requests rich keyring platformdirs cryptography tomlkit asyncio sqlalchemy"
    )
    program = (
        "import sys; from oauth_mailer.cli import main; main(sys.argv[2:]);"
        "print([name for name in sys.argv[1].split() if name in sys.modules], file=sys.stderr)"
    )
    for words in (["--help"], ["send", "--help"], ["login", "--help"], ["outbox", "run", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", program, heavy, *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == "[]\n", words
