"""Secrets that whoever starts the process hands in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from oauth_mailer.accounts import Accounts
from oauth_mailer.errors import ConfigError, StoreError
from oauth_mailer.stores import Secret, Slot, StoreOptions, TokenStore, open_store

NAME = "OAUTH_MAILER_SECRET_ME_QQ_COM"
CODE = Slot("me@qq.com", "code")
CANARY = "canary-c0de"


@pytest.fixture
def store(home: Path) -> TokenStore:
    return open_store("environment", StoreOptions(home))


def test_it_says_that_it_is_read_only(store: TokenStore) -> None:
    assert store.kind == "environment"
    assert not store.writable


def test_there_is_nothing_where_nothing_is_set(store: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.get(CODE) is None
    monkeypatch.setenv(NAME, "")
    monkeypatch.setenv(f"{NAME}_FILE", "")
    assert store.get(CODE) is None


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_variable_holds_the_secret(store: TokenStore, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    monkeypatch.setenv(NAME, f"授权码 {CANARY}{ending}")
    assert store.get(CODE) == Secret(f"授权码 {CANARY}")
    assert store.get(Slot("Me@QQ.com", "code")) == Secret(f"授权码 {CANARY}")
    assert store.get(Slot("you@qq.com", "code")) is None


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_file_holds_the_secret_and_is_read_anew_each_time(
    store: TokenStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ending: str
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"\xef\xbb\xbf" + f"{CANARY}{ending}".encode())
    monkeypatch.setenv(f"{NAME}_FILE", str(file))
    assert store.get(CODE) == Secret(CANARY)
    file.write_text("rotated\n")
    assert store.get(CODE) == Secret("rotated")


def test_a_systemd_credential_holds_the_secret(
    store: TokenStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert store.get(CODE) is None
    (tmp_path / NAME).write_text(f"{CANARY}\n")
    assert store.get(CODE) == Secret(CANARY)


def test_two_sources_at_once_are_an_error_that_names_both(
    store: TokenStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(NAME, CANARY)
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "file"))
    with pytest.raises(StoreError, match=f"{NAME}, {NAME}_FILE") as caught:
        store.get(CODE)
    assert caught.value.code == "secret-ambiguous"


def test_what_can_be_had_again_is_never_here(store: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, CANARY)
    access = Slot("me@qq.com", "access", cached=True)
    assert store.get(access) is None
    store.delete(access)
    with pytest.raises(StoreError):
        store.set(access, Secret("token"))


def test_keeping_and_deleting_are_refused_with_the_variable_to_set(
    store: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match=f"Set {NAME} or {NAME}_FILE") as caught:
        store.set(CODE, Secret(CANARY))
    assert caught.value.code == "store-read-only"
    store.delete(CODE)  # there is nothing to delete: no error
    monkeypatch.setenv(NAME, CANARY)
    with pytest.raises(StoreError, match=f"Unset {NAME}") as caught:
        store.delete(CODE)
    assert caught.value.code == "store-read-only"
    assert store.get(CODE) == Secret(CANARY)


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo\n", b"\0"])
def test_a_file_that_holds_no_secret_alone_is_named_and_not_shown(
    store: TokenStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    monkeypatch.setenv(f"{NAME}_FILE", str(file))
    with pytest.raises(StoreError) as caught:
        store.get(CODE)
    assert caught.value.code == "secret-form"
    assert str(file) in caught.value.message
    assert "two" not in "".join(traceback.format_exception(caught.value))


def test_a_file_that_is_not_there_or_no_text_or_without_end_is_an_error_with_its_path(
    store: TokenStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    endless = tmp_path / "endless"
    endless.write_bytes(b"x" * 100_000)
    for path, code in (
        (tmp_path / "missing", "secret-file"),
        (tmp_path, "secret-file"),
        (binary, "secret-form"),
        (endless, "secret-form"),
    ):
        monkeypatch.setenv(f"{NAME}_FILE", str(path))
        with pytest.raises(StoreError) as caught:
            store.get(CODE)
        assert caught.value.code == code
        assert str(path) in caught.value.message


def test_an_account_whose_secret_is_in_the_environment_needs_no_login(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"no account me@qq\.com"):
        Accounts(home).get("me@qq.com")
    (tmp_path / NAME).write_text(CANARY)
    for name, value in (
        (NAME, CANARY),
        (f"{NAME}_FILE", "/run/secrets/qq"),
        ("CREDENTIALS_DIRECTORY", tmp_path),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, str(value))
            account = Accounts(home).get("me@qq.com")
        assert (account.provider, account.store, account.address) == ("qq", "environment", "me@qq.com")
    monkeypatch.setenv("OAUTH_MAILER_SECRET_ME_CORP_EXAMPLE", CANARY)
    with pytest.raises(ConfigError, match=r"no account me@corp\.example"):
        Accounts(home).get("me@corp.example")


def test_it_has_no_settings(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[stores\.environment\] has no setting 'prefix'"):
        open_store("environment", StoreOptions(home, {"prefix": "X"}))


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a POSIX shell")
def test_a_named_pipe_serves_as_the_file(tmp_path: Path) -> None:
    # As in: OAUTH_MAILER_SECRET_ME_QQ_COM_FILE=<(pass show qq), in shells that have it.
    program = (
        "from pathlib import Path; from oauth_mailer.stores import *;"
        "store = open_store('environment', StoreOptions(Path('.')));"
        "print(len(store.get(Slot('me@qq.com', 'code')).reveal()))"
    )
    done = subprocess.run(
        [
            "sh",
            "-c",
            f'mkfifo "$0/pipe"; printf secret > "$0/pipe" & exec "{sys.executable}" -c "$1"',
            tmp_path,
            program,
        ],
        env={**os.environ, f"{NAME}_FILE": str(tmp_path / "pipe")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "6\n", done.stderr
