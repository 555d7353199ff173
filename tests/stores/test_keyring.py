"""The keyring behind its door: what is refused, what hangs, what fails half-way."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import keyring.backends.fail
import keyring.backends.null
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.chainer import ChainerBackend
from keyring.errors import KeyringLocked

from oauth_mailer.errors import ConfigError, StoreError
from oauth_mailer.stores import Secret, Slot, StoreOptions, TokenStore, open_store
from tests.support import keyrings
from tests.support.keyrings import GoodKeyring, using

CODE = Slot("me@qq.com", "code")
CANARY = "canary-c0de"


@contextmanager
def store_over(home: Path, backend: KeyringBackend, timeout: float = 30.0) -> Iterator[TokenStore]:
    with using(backend):
        yield open_store("keyring", StoreOptions(home, {"timeout": timeout}))


def like(module: str, name: str) -> KeyringBackend:
    """A backend that works, and calls itself as one of another package does."""
    kind: type[GoodKeyring] = type(name, (GoodKeyring,), {"__module__": module})
    return kind()


def chain(*backends: KeyringBackend) -> ChainerBackend:
    class Chain(ChainerBackend):
        @property
        def backends(self) -> list[KeyringBackend]:
            return list(backends)

    return Chain()  # type: ignore[no-untyped-call]


def test_entries_stand_under_the_name_of_the_service_where_a_person_finds_them(home: Path) -> None:
    backend = GoodKeyring()
    with store_over(home, backend) as store:
        store.set(CODE, Secret(CANARY))
    assert backend.entries == {("oauth-mailer", "me@qq.com code"): CANARY}


@pytest.mark.parametrize(
    "backend",
    [
        like("keyrings.alt.file", "PlaintextKeyring"),
        like("keyrings.alt.file", "EncryptedKeyring"),
        like("keyrings.alt.pyfs", "PlaintextKeyring"),
        like("keyring.backends.file", "PlaintextKeyring"),
        type("Mine", (type(like("keyrings.alt.file", "PlaintextKeyring")),), {})(),
        chain(like("keyring.backends.fail", "Keyring"), like("keyrings.alt.file", "PlaintextKeyring")),
    ],
    ids=lambda backend: f"{type(backend).__module__}.{type(backend).__name__}",
)
def test_a_backend_that_keeps_secrets_in_a_file_is_refused_by_name(
    home: Path, backend: KeyringBackend
) -> None:
    with store_over(home, backend) as store:
        for change in ("get", "set", "delete"):
            with pytest.raises(StoreError, match="which keeps secrets in a file") as caught:
                getattr(store, change)(CODE, *([Secret(CANARY)] if change == "set" else []))
            assert caught.value.code == "keyring-unsafe"
            assert "OAUTH_MAILER_STORE=encrypted_file" in caught.value.hint
    assert not getattr(backend, "entries", {})


def test_a_backend_that_keeps_nothing_is_called_switched_off(home: Path) -> None:
    nothing: list[type[KeyringBackend]] = [keyring.backends.null.Keyring, keyring.backends.fail.Keyring]
    for kind in nothing:
        # The variable that the tests set chooses the second; the first says of itself what it is.
        with store_over(home, kind()) as store, pytest.raises(StoreError, match="switched off") as caught:
            store.set(CODE, Secret(CANARY))
        assert caught.value.code == "keyring-off"


def test_of_several_backends_only_the_safe_ones_are_used(home: Path) -> None:
    plain, good = like("keyrings.alt.file", "PlaintextKeyring"), GoodKeyring()
    index = keyrings.ReadOnlyKeyring()
    with store_over(home, chain(index, plain, good)) as store:
        store.set(CODE, Secret(CANARY))
        assert store.get(CODE) == Secret(CANARY)
        assert list(good.entries.values()) == [CANARY]
        assert plain.entries == {} == index.entries  # type: ignore[attr-defined]
        store.delete(CODE)
        assert store.get(CODE) is None


def test_a_value_over_1280_units_is_refused_whatever_the_backend(home: Path) -> None:
    backend = GoodKeyring()
    with store_over(home, backend) as store:
        store.set(CODE, Secret("old"))
        for slot in (CODE, Slot("me@qq.com", "access", cached=True)):
            for secret in (Secret("x" * 1281), Secret("🔑" * 641)):
                with pytest.raises(StoreError, match="at most 1280") as caught:
                    store.set(slot, secret)
                assert caught.value.code == "keyring-too-long"
        assert store.get(CODE) == Secret("old")


def test_what_is_read_back_differently_is_refused_and_the_old_secret_put_back(home: Path) -> None:
    backend = keyrings.TruncatingKeyring()
    with store_over(home, backend) as store:
        for before in (None, Secret("old")):
            if before:
                store.set(CODE, before)
            with pytest.raises(StoreError) as caught:
                store.set(CODE, Secret(CANARY))
            assert caught.value.code == "keyring-readback"
            assert store.get(CODE) == before


def test_a_write_that_fails_half_way_leaves_the_old_secret(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    backend = keyrings.ForgetfulKeyring()
    with store_over(home, backend) as store:
        store.set(CODE, Secret("old"))
        with pytest.raises(StoreError, match="The keyring failed: OSError") as caught:
            store.set(CODE, Secret(CANARY))
        assert store.get(CODE) == Secret("old")
    error = caught.value
    assert error.text == "no room for ***"
    assert CANARY not in "".join(traceback.format_exception(error)) + caplog.text + str(vars(error))


def test_a_locked_keyring_is_told_with_what_to_do(home: Path) -> None:
    class Locked(GoodKeyring):
        def get_password(self, service: str, username: str) -> str | None:
            raise KeyringLocked("Failed to unlock the collection!")

    with store_over(home, Locked()) as store, pytest.raises(StoreError, match="locked") as caught:
        store.get(CODE)
    assert caught.value.code == "keyring-locked"
    assert caught.value.text == "Failed to unlock the collection!"
    assert caught.value.hint


def test_a_keyring_that_hangs_is_given_up_and_writes_nothing_afterwards(home: Path) -> None:
    person, asked = Event(), Event()

    def wait() -> None:
        asked.set()
        person.wait(60)

    backend = keyrings.HangingKeyring(wait)
    with store_over(home, backend, timeout=0.1) as store:
        with pytest.raises(StoreError, match=r"did not answer within 0\.1 seconds") as caught:
            store.set(CODE, Secret(CANARY))
        assert caught.value.code == "keyring-timeout"
        assert asked.wait(30)
        with pytest.raises(StoreError, match="did not answer"):
            store.get(CODE)  # still hanging
        person.set()
    with store_over(home, backend) as store:  # it waits for the call that was given up
        assert store.get(CODE) is None
        assert backend.entries == {}
        store.set(CODE, Secret("new"))
        assert store.get(CODE) == Secret("new")


def test_a_keyring_that_hangs_does_not_keep_the_program_from_ending(home: Path) -> None:
    program = (
        "import keyring, threading; from pathlib import Path;"
        "from oauth_mailer.errors import StoreError; from oauth_mailer.stores import *;"
        "from tests.support.keyrings import HangingKeyring;"
        "keyring.set_keyring(HangingKeyring(threading.Event().wait));"
        f"store = open_store('keyring', StoreOptions(Path({str(home)!r}), {{'timeout': 0.1}}))\n"
        "try: store.get(Slot('me@qq.com', 'code'))\n"
        "except StoreError as error: print(error.code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ,
    )
    assert (done.returncode, done.stdout) == (0, "keyring-timeout\n"), done.stderr


def test_a_backend_that_cannot_even_be_loaded_is_an_error_of_ours(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "no_such_package.Keyring")
    with using(None), pytest.raises(StoreError) as caught:
        open_store("keyring", StoreOptions(home)).get(CODE)
    assert caught.value.code == "keyring-failed"
    assert "no_such_package" in caught.value.text


def test_where_a_person_is_there_more_time_is_given(home: Path) -> None:
    person = Event()
    with using(keyrings.HangingKeyring(lambda: person.wait(60))):
        alone = open_store("keyring", StoreOptions(home))
        with pytest.raises(StoreError, match="within 3 seconds"):
            alone.get(CODE)
        person.set()
        assert open_store("keyring", StoreOptions(home, ask_passphrase=Secret)).get(CODE) is None


@pytest.mark.parametrize("timeout", [0, -1, True, "3", 4000, float("nan")])
def test_a_wrong_time_out_is_refused(home: Path, timeout: object) -> None:
    with pytest.raises(ConfigError, match=r"\[stores\.keyring\] has a wrong value for 'timeout'"):
        open_store("keyring", StoreOptions(home, {"timeout": timeout}))


def test_opening_the_store_looks_for_no_keyring_yet(home: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from oauth_mailer.stores import *;"
        f"open_store('keyring', StoreOptions(Path({str(home)!r}))); print('keyring' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "False\n"
