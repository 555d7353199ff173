"""The door to the stores: which kind, and what it is handed."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from oauth_mailer.errors import ConfigError
from oauth_mailer.stores import Secret, Slot, StoreOptions, kinds, open_store, store_kind


def test_the_kinds_are_the_files_of_the_folder() -> None:
    assert kinds() == ("command", "encrypted_file", "environment", "keyring", "memory")


@pytest.mark.parametrize("kind", ["", "no_such", "_files", "../memory", "__init__"])
def test_an_unknown_kind_is_refused_with_the_kinds_there_are(home: Path, kind: str) -> None:
    with pytest.raises(ConfigError, match="command, encrypted_file, environment, keyring, memory") as caught:
        open_store(kind, StoreOptions(home))
    assert caught.value.code == "store-unknown"


def test_the_variable_wins_over_what_is_remembered_and_that_over_the_keyring(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert store_kind() == "keyring"
    assert store_kind("encrypted_file") == "encrypted_file"
    monkeypatch.setenv("OAUTH_MAILER_STORE", "command")
    assert store_kind("encrypted_file") == "command"
    monkeypatch.setenv("OAUTH_MAILER_STORE", "")
    assert store_kind() == "keyring"


def test_a_secret_shows_itself_only_when_it_is_asked_to() -> None:
    secret = Secret("canary")
    shown = (
        f"{secret} {secret!r} {secret:>20} {[secret]} {(secret,)} { ({'a': secret}) }"
        + str(secret)
        + "".join(map(str, [secret]))
    )
    assert "canary" not in shown
    assert secret.reveal() == "canary"
    for leak in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            leak(secret)
    with pytest.raises(AttributeError):
        secret.__dict__  # noqa: B018


def test_secrets_are_equal_by_their_text() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert not Secret("")


def test_a_slot_is_the_same_whether_cached_or_not_and_in_whatever_case() -> None:
    assert Slot("Me@QQ.com", "code") == Slot("me@qq.com", "code", cached=True)
    assert str(Slot("Me@QQ.com", "code")) == "me@qq.com code"
    assert Slot("straße@qq.com", "code") != Slot("strasse@qq.com", "code")


def test_no_kind_of_store_is_imported_before_it_is_opened() -> None:
    program = (
        "import sys; import oauth_mailer.stores;"
        "print({name.partition('.')[0] for name in sys.modules}"
        " & {'keyring', 'cryptography', 'filelock', 'subprocess'})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "set()\n"
