"""``oauth-mailer try``: the whole main job, before any account exists."""

from __future__ import annotations

import email
import email.policy
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import folder_contains
from tests.support.browser_program import browser_program

from .program import ROOT, Ended, run
from .typist import Typist

posix = pytest.mark.skipif(os.name != "posix", reason="needs a terminal and scripts of POSIX")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The host's folder for temporary files, in which nothing may be left behind; no screen is there."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, str(folder))
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    yield folder
    assert [path.name for path in folder.iterdir() if not path.name.startswith("oauth-mailer-try-kept")] == []


def without_module(name: str, *words: str) -> Ended:
    """The program on a host where this module is not installed."""
    program = f"""
import sys
class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, *rest):
        return None if name.partition(".")[0] == {name!r} else self.finder.find_spec(name, *rest)
    def __getattr__(self, name):
        return getattr(self.finder, name)
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
from oauth_mailer.cli import main
sys.exit(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_without_a_browser_it_passes_and_shows_both_messages(home: Path) -> None:
    done = run("try")
    assert done.code == 0, done.err
    assert done.out == ""
    for step in ("1/5", "2/5", "3/5", "4/5", "5/5"):
        assert f"\n{step}  " in done.err
    assert done.err.count("│ Subject: It works. 你好，世界\n") == 2
    assert done.err.count("│ 这是一封测试邮件。\n") == 2
    assert done.err.count("(to, by the envelope: ann@example.com, lilei@example.com, boss@example.com)") == 2
    assert "Bcc" not in done.err
    assert done.err.count("[attachment 报告.txt, 10 octets]") == 2
    assert "POST http://127.0.0.1:" in done.err
    assert "\nNext, with your own address, " in done.err
    # A short walk, without what only a person in front of the page needs.
    assert max(len(line) for line in done.err.splitlines()) < 120
    assert len(done.err.splitlines()) < 60
    assert not list(home.iterdir())


def test_json_is_one_object_with_both_messages() -> None:
    done = run("try", "--json", "--quiet")
    assert done.code == 0
    assert done.err == ""
    assert done.json["status"] == "passed"
    routes = [(one["route"], one["account"]) for one in done.json["messages"]]
    assert routes == [("gmail", "you@gmail.com"), ("smtp", "you@qq.com")]
    for one in done.json["messages"]:
        assert one["recipients"] == ["ann@example.com", "lilei@example.com", "boss@example.com"]
        assert one["subject"] == "It works. 你好，世界"


def test_a_persons_own_accounts_settings_and_secrets_are_neither_used_nor_touched(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = b'default = "me@corp.example"\n\n[accounts."me@corp.example"]\nhost = "127.0.0.1"\nport = 1\n'
    (home / "config.toml").write_bytes(config)
    monkeypatch.setenv("OAUTH_MAILER_STORE", "environment")
    monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", "https://127.0.0.1:1")
    monkeypatch.setenv("OAUTH_MAILER_SECRET_YOU_QQ_COM", "canarycanarycana")
    done = run("try", "--verbose")
    assert done.code == 0, done.err
    assert "canary" not in done.err
    assert {path.name: path.read_bytes() for path in home.iterdir()} == {"config.toml": config}


def test_the_secrets_may_rest_in_another_store_meanwhile(
    home: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = temporary.parent / "sealed"
    (home / "config.toml").write_text(f"[stores.encrypted_file]\npath = '{sealed}'\n", "utf-8")
    for passphrase in ("a passphrase of the person", ""):
        monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", passphrase)
        done = run("try", "--store", "encrypted_file")
        assert done.code == 0, done.err
        assert "the store encrypted_file" in done.err
        # A lasting store may hold the code of a real account, so the walk's own has a name that is nobody's.
        assert "you@qq.com" not in done.err
        assert sealed.stat().st_size
        sealed.unlink()


def test_a_store_that_cannot_be_used_says_so_and_nothing_is_left_behind() -> None:
    done = run("try", "--store", "keyring", "--json")
    assert done.code == 78, done.err
    assert done.json["error"]["hint"]
    assert run("try", "--store", "sticky-note").code == 64


def test_the_folder_is_kept_when_asked_for(temporary: Path) -> None:
    done = run("try", "--no-browser", "--keep", "--json")
    assert done.code == 0, done.err
    (folder,) = temporary.iterdir()
    assert str(folder) in done.err
    for name, address in (("gmail", "you@gmail.com"), ("smtp", "you@qq.com")):
        message = email.message_from_bytes((folder / f"{name}.eml").read_bytes(), policy=email.policy.default)
        assert message["From"] == address
        assert message["Bcc"] is None
    assert not folder_contains(folder, b"refresh_token")
    folder.rename(temporary / "oauth-mailer-try-kept")


def test_a_missing_extra_is_named() -> None:
    done = without_module("aiohttp", "try", "--json")
    assert done.code == 78, done
    assert done.json["error"]["code"] == "sandbox-not-installed"
    assert "aiohttp" in done.json["error"]["message"]
    assert "oauth-mailer[sandbox]" in done.json["error"]["hint"]
    assert "Traceback" not in done.err


def test_in_chinese() -> None:
    done = run("try", env={"OAUTH_MAILER_LANG": "zh_CN"})
    assert done.code == 0, done.err
    assert "授权" in done.err
    assert "Received" not in done.err


@posix
def test_a_persons_browser_is_opened_and_shows_the_end(temporary: Path) -> None:
    program, last_page = browser_program(temporary.parent)
    done = run("try", env={"BROWSER": program})
    assert done.code == 0, done.err
    assert "Your browser shows" in done.err
    assert "POST http" not in done.err
    page = last_page.read_text("utf-8")
    assert "you@gmail.com is ready" in page
    assert "oauth-mailer send" not in page  # the account is gone when the command could be typed


@posix
def test_a_browser_that_cannot_be_started_is_replaced() -> None:
    done = run("try", env={"BROWSER": "/no/such/browser"})
    assert done.code == 0, done.err
    assert "POST http" in done.err


@posix
def test_ctrl_c_while_the_page_waits_leaves_nothing_behind(temporary: Path) -> None:
    program, _last_page = browser_program(temporary.parent, presses_allow=False)
    typist = Typist("try", env={"BROWSER": program})
    typist.wait_for("Your browser shows")
    typist.press_ctrl_c()
    assert typist.end() == 130, typist.screen
    assert "Stopped by Ctrl-C" in typist.screen
    assert "Traceback" not in typist.screen
