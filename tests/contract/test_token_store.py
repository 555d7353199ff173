"""One suite for all token stores that can be written; the real keyring runs it too, in tests/real."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oauth_mailer.stores import StoreOptions, TokenStore, kinds, open_store
from tests.support.keyrings import GoodKeyring, using
from tests.support.token_store import TokenStoreContract

PROGRAM = Path(__file__).parent.parent / "support" / "secret_program.py"


class TestMemory(TokenStoreContract):
    @pytest.fixture
    def store(self, home: Path) -> TokenStore:
        return open_store("memory", StoreOptions(home))


class TestEncryptedFile(TokenStoreContract):
    @pytest.fixture
    def store(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> TokenStore:
        monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", "correct horse battery staple")
        return open_store("encrypted_file", StoreOptions(home))


class TestCommand(TokenStoreContract):
    examples = 3  # each starts several processes

    @pytest.fixture
    def store(self, home: Path) -> TokenStore:
        folder = home / "kept"
        folder.mkdir()
        command = [sys.executable, "-S", str(PROGRAM), str(folder)]
        entry = "{account}/{purpose}"
        settings = {action: [*command, action, entry] for action in ("get", "set", "delete")}
        return open_store("command", StoreOptions(home, {**settings, "missing_exit": [4]}))


class TestKeyring(TokenStoreContract):
    @pytest.fixture
    def store(self, home: Path) -> Iterator[TokenStore]:
        with using(GoodKeyring()):
            yield open_store("keyring", StoreOptions(home))


def test_every_kind_that_can_be_written_inherits_the_suite() -> None:
    tested = {"memory", "encrypted_file", "command", "keyring"}
    assert set(kinds()) - tested == {"environment"}  # read-only: tests/stores/test_environment.py
