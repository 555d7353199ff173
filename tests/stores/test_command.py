"""Secrets kept by another program."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oauth_mailer.errors import ConfigError, StoreError
from oauth_mailer.stores import Secret, Slot, StoreOptions, TokenStore, open_store
from tests.support import require_program

CODE = Slot("me@qq.com", "code")
CANARY = "canary-c0de"

Opener = Callable[..., TokenStore]


@pytest.fixture
def open_command(home: Path) -> Opener:
    def opened(**settings: Any) -> TokenStore:
        return open_store("command", StoreOptions(home, settings))

    return opened


def python(program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-S", "-c", program, *arguments]


def test_the_first_line_of_the_output_is_the_secret(open_command: Opener) -> None:
    for output in ("abc", "abc\n", "abc\r\n", "abc\nuser: me\nurl: https://x\n"):
        store = open_command(get=python(f"import sys; sys.stdout.write({output!r})", "{account}"))
        assert store.get(CODE) == Secret("abc")


def test_no_output_means_that_there_is_none(open_command: Opener) -> None:
    assert open_command(get=python("pass", "{account}")).get(CODE) is None


def test_the_account_and_the_purpose_are_filled_in_and_nothing_else(open_command: Opener) -> None:
    echo = "import json, sys; print(json.dumps(sys.argv[1:]))"
    store = open_command(get=python(echo, "a/{account}/{purpose}", "{{json}}", "{other}", "$HOME;`id`"))
    secret = store.get(Slot("{purpose}@qq.com", "{account} x"))
    assert secret is not None
    assert json.loads(secret.reveal()) == [
        "a/{purpose}@qq.com/{account} x",
        "{{json}}",
        "{other}",
        "$HOME;`id`",
    ]


def test_a_failing_program_is_named_with_what_it_said_made_safe(open_command: Opener) -> None:
    program = "import sys; sys.stderr.write('\\x1b[31mgpg: no key\\n' + 'x' * 5000); sys.exit(2)"
    with pytest.raises(StoreError, match="failed with exit status 2") as caught:
        open_command(get=python(program, "{account}")).get(CODE)
    error = caught.value
    assert error.code == "command-failed"
    assert error.text.startswith("\\x1b[31mgpg: no key\\nxxx")
    assert len(error.text) <= 300
    assert "missing_exit = [2]" in error.hint


def test_the_exit_status_for_a_missing_entry_is_configured(open_command: Opener) -> None:
    get = python("import sys; sys.exit(2)", "{account}")
    assert open_command(get=get, missing_exit=[1, 2]).get(CODE) is None
    with pytest.raises(StoreError):
        open_command(get=get, missing_exit=[1]).get(CODE)


def test_a_program_that_does_not_end_is_ended(open_command: Opener) -> None:
    store = open_command(get=python("import time; time.sleep(60)", "{account}"), timeout=0.2)
    with pytest.raises(StoreError, match=r"did not end within 0\.2 seconds") as caught:
        store.get(CODE)
    assert caught.value.code == "store-timeout"


def test_a_program_that_is_not_there_is_named(open_command: Opener) -> None:
    with pytest.raises(StoreError, match="no-such-program cannot be started") as caught:
        open_command(get=["no-such-program", "{account}"]).get(CODE)
    assert caught.value.code == "command-missing"


@pytest.mark.parametrize("output", [b"\xff\xfe", b"\0\n", b"\x1b[0m"])
def test_an_output_that_is_no_secret_is_refused_and_not_shown(open_command: Opener, output: bytes) -> None:
    program = f"import sys; sys.stdout.buffer.write({b'c0de' + output!r})"
    with pytest.raises(StoreError) as caught:
        open_command(get=python(program, "{account}")).get(CODE)
    assert caught.value.code == "secret-form"
    assert "c0de" not in "".join(traceback.format_exception(caught.value)).replace(program, "")


def test_without_set_the_store_is_read_only(open_command: Opener) -> None:
    store = open_command(get=python("print('abc')", "{account}"))
    assert not store.writable
    changes: list[Callable[[], None]] = [lambda: store.set(CODE, Secret("x")), lambda: store.delete(CODE)]
    for change in changes:
        with pytest.raises(StoreError, match="is read-only") as caught:
            change()
        assert caught.value.code == "store-read-only"


def test_what_can_be_had_again_is_not_kept(open_command: Opener, tmp_path: Path) -> None:
    slot = Slot("me@qq.com", "access", cached=True)
    mark = tmp_path / "started"
    started = python(f"open({str(mark)!r}, 'w')", "{account}/{purpose}")
    store = open_command(get=started, set=started, delete=started)
    assert store.get(slot) is None
    store.delete(slot)
    with pytest.raises(StoreError):
        store.set(slot, Secret("x"))
    assert not mark.exists()


KEEP = """
import pathlib, sys
action, mode, path = sys.argv[1:4]
path = pathlib.Path(path)
if action == "get":
    if not path.exists():
        sys.exit(1)
    print(path.read_text())
elif action == "set":
    text = sys.stdin.read().strip()
    if text == "old" or mode == "good":
        path.write_text(text)
    elif mode == "cut":
        path.write_text(text[:3])
    else:
        path.write_text("lost")
        sys.exit(f"cannot keep {text} \\u5bc6")
else:
    path.unlink()
"""


def keeping(mode: str, path: Path) -> dict[str, Any]:
    commands = {
        action: python(KEEP, action, mode, str(path), "{account}/{purpose}")
        for action in ("get", "set", "delete")
    }
    return {**commands, "missing_exit": [1]}


@pytest.mark.parametrize(
    ("mode", "code", "before"),
    [
        ("cut", "store-readback", "old"),
        ("cut", "store-readback", None),
        ("fail", "command-failed", "old"),
        ("fail", "command-failed", None),
    ],
)
def test_after_a_failed_set_the_old_secret_is_still_there(  # noqa: PLR0917 - fixtures and cases
    open_command: Opener,
    tmp_path: Path,
    mode: str,
    code: str,
    before: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    store = open_command(**keeping(mode, tmp_path / "entry"))
    if before:
        store.set(CODE, Secret(before))
    with pytest.raises(StoreError) as caught:
        store.set(CODE, Secret(CANARY))
    assert caught.value.code == code
    assert store.get(CODE) == (Secret(before) if before else None)
    shown = "".join(traceback.format_exception(caught.value)) + str(vars(caught.value)) + caplog.text
    assert CANARY not in shown


def test_no_secret_is_in_an_argument(open_command: Opener, tmp_path: Path) -> None:
    program = KEEP + "\npathlib.Path(sys.argv[3] + '.' + action).write_text(repr(sys.argv))"
    commands = {
        a: python(program, a, "good", str(tmp_path / "entry"), "{account}{purpose}") for a in ("get", "set")
    }
    store = open_command(**commands, missing_exit=[1])
    store.set(CODE, Secret(CANARY))
    assert store.get(CODE) == Secret(CANARY)
    for action in ("get", "set"):
        assert CANARY not in (tmp_path / f"entry.{action}").read_text()


def test_a_delete_that_deletes_nothing_is_noticed(open_command: Opener, tmp_path: Path) -> None:
    settings = keeping("good", tmp_path / "entry") | {"delete": python("pass", "{account}{purpose}")}
    store = open_command(**settings)
    store.set(CODE, Secret("x"))
    with pytest.raises(StoreError) as caught:
        store.delete(CODE)
    assert caught.value.code == "store-readback"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"get": "pass show {account}"},
        {"get": []},
        {"get": ["pass", 1]},
        {"get": ["pass", "{account}"], "timeout": 0},
        {"get": ["pass", "{account}"], "timeout": True},
        {"get": ["pass", "{account}"], "missing_exit": 1},
        {"get": ["pass", "{account}"], "missing_exit": [0]},
        {"get": ["pass", "{account}"], "typo": 1},
        {"get": ["pass", "fixed"]},
        {"get": ["pass", "{account}"], "set": ["pass", "{account}/{purpose}"]},
        {"get": ["pass", "{account}/{purpose}"], "set": ["pass", "{account}"]},
    ],
)
def test_settings_that_cannot_be_right_are_refused(open_command: Opener, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        open_command(**settings)
    assert caught.value.code == "config-value"
    assert caught.value.hint


def test_the_documented_commands_work_with_the_real_pass(
    open_command: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_program("pass", "pass")
    keys = tmp_path / "gnupg"
    keys.mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(keys))
    monkeypatch.setenv("PASSWORD_STORE_DIR", str(tmp_path / "store"))
    generate = [
        "gpg",
        "--batch",
        "--passphrase",
        "",
        "--quick-generate-key",
        "me@qq.com",
        "default",
        "default",
        "never",
    ]
    try:
        subprocess.run(generate, check=True, capture_output=True, timeout=60)
        subprocess.run(["pass", "init", "me@qq.com"], check=True, capture_output=True, timeout=60)
        entry = "oauth-mailer/{account}/{purpose}"
        store = open_command(
            get=["pass", "show", entry],
            set=["pass", "insert", "--force", "--multiline", entry],
            delete=["pass", "rm", "--force", entry],
            missing_exit=[1],
        )
        assert store.get(CODE) is None
        store.set(CODE, Secret("授权码"))
        store.set(CODE, Secret(CANARY))
        assert store.get(CODE) == Secret(CANARY)
        store.delete(CODE)
        assert store.get(CODE) is None
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], check=False, capture_output=True, timeout=60)
