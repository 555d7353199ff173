"""Secrets in one file, sealed with a passphrase."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import traceback
from base64 import b64decode, b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oauth_mailer.errors import ConfigError, LoginRequired, StoreError
from oauth_mailer.stores import Secret, Slot, StoreOptions, TokenStore, open_store

CODE = Slot("me@qq.com", "code")
CANARY = "canary-c0de"
PASSPHRASE = "canary-correct horse 密"

posix = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")


def opened(home: Path, ask: Callable[[str], Secret] | None = None) -> TokenStore:
    return open_store("encrypted_file", StoreOptions(home, ask_passphrase=ask))


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> TokenStore:
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", PASSPHRASE)
    return opened(home)


@pytest.fixture
def file(home: Path) -> Path:
    return home / "secrets.sealed"


class Person:
    """Answers questions in turn, and remembers them."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.questions: list[str] = []

    def __call__(self, question: str) -> Secret:
        self.questions.append(question)
        return Secret(self.answers.pop(0))


def in_another_process(home: Path, passphrase: str, *statements: str) -> subprocess.Popen[str]:
    program = (
        "from pathlib import Path; from oauth_mailer.stores import *;"
        f"store = open_store('encrypted_file', StoreOptions(Path({str(home)!r})));"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program + "\n" + "\n".join(statements)],
        env={**os.environ, "OAUTH_MAILER_PASSPHRASE": passphrase},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_file_shows_neither_secrets_nor_names_nor_the_passphrase(store: TokenStore, file: Path) -> None:
    store.set(CODE, Secret(CANARY))
    content = file.read_bytes()
    plain = content + b64decode(content.splitlines()[1])
    for hidden in (CANARY, PASSPHRASE, "me@qq.com", "canary"):
        assert hidden.encode() not in plain
    store.set(CODE, Secret(CANARY + "2"))
    assert file.read_bytes().splitlines()[1] != content.splitlines()[1]


@posix
def test_only_the_owner_may_read_the_file_and_its_folder(store: TokenStore, home: Path, file: Path) -> None:
    before = os.umask(0)
    try:
        store = open_store("encrypted_file", StoreOptions(home, {"path": "deep/folder/secrets"}))
        store.set(CODE, Secret(CANARY))
    finally:
        os.umask(before)
    path = home / "deep" / "folder" / "secrets"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not file.exists()
    assert {entry.name for entry in path.parent.iterdir()} <= {"secrets", "secrets.lock"}


def test_another_process_reads_it_and_a_wrong_passphrase_says_so(store: TokenStore, home: Path) -> None:
    store.set(CODE, Secret(CANARY))
    read = "print(store.get(Slot('me@qq.com', 'code')).reveal())"
    out, err = in_another_process(home, PASSPHRASE, read).communicate(timeout=60)
    assert out.strip() == CANARY, err
    out, err = in_another_process(home, "wrong", read).communicate(timeout=60)
    assert "The passphrase for" in err
    assert "is wrong" in err
    assert CANARY not in out + err


def test_with_a_wrong_passphrase_nothing_is_overwritten(
    store: TokenStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.set(CODE, Secret(CANARY))
    content = file.read_bytes()
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", "wrong")
    changes: list[Callable[[], object]] = [
        lambda: store.get(CODE),
        lambda: store.set(CODE, Secret("other")),
        lambda: store.delete(CODE),
    ]
    for change in changes:
        with pytest.raises(StoreError) as caught:
            change()
        assert caught.value.code == "passphrase-wrong"
        assert "wrong" not in caught.value.hint
    assert file.read_bytes() == content


def test_many_processes_and_threads_that_write_at_once_lose_nothing(store: TokenStore, home: Path) -> None:
    write = "for n in range(5): store.set(Slot(f'user{n}@process{k}', 'code'), Secret(f'secret {k} {n}'))"
    processes = [in_another_process(home, PASSPHRASE, f"k = {k}", write) for k in range(4)]

    def own(number: int) -> None:
        store.set(Slot(f"thread@{number}", "code"), Secret(f"secret {number}"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(own, range(8)))
    for process in processes:
        _out, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
    for k in range(4):
        for n in range(5):
            assert store.get(Slot(f"user{n}@process{k}", "code")) == Secret(f"secret {k} {n}")
    for number in range(8):
        assert store.get(Slot(f"thread@{number}", "code")) == Secret(f"secret {number}")


def test_a_file_replaced_by_one_with_another_passphrase_is_noticed(
    store: TokenStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.set(CODE, Secret("first"))
    file.unlink()
    assert store.get(CODE) is None
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", "another")
    store.set(CODE, Secret("second"))
    assert store.get(CODE) == Secret("second")
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", PASSPHRASE)
    with pytest.raises(StoreError) as caught:
        store.get(CODE)
    assert caught.value.code == "passphrase-wrong"


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("sealed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OAUTH_MAILER_PASSPHRASE", PASSPHRASE)
        opened(folder).set(CODE, Secret(CANARY))
    return (folder / "secrets.sealed").read_bytes()


def test_a_file_cut_off_anywhere_is_called_damaged_and_left_alone(
    store: TokenStore, file: Path, sealed: bytes
) -> None:
    for length in [0, 1, 20, sealed.index(b"\n"), sealed.index(b"\n") + 1, len(sealed) - 9]:
        file.write_bytes(sealed[:length])
        changes: list[Callable[[], object]] = [lambda: store.get(CODE), lambda: store.set(CODE, Secret("x"))]
        for change in changes:
            with pytest.raises(StoreError, match="is damaged") as caught:
                change()
            assert caught.value.code == "store-damaged"
        assert file.read_bytes() == sealed[:length]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(data=st.data())
def test_no_changed_octet_is_ever_taken_for_the_truth(
    store: TokenStore, file: Path, sealed: bytes, data: st.DataObject
) -> None:
    # The salt and the costs are left out: each other value would cost a derivation.
    protected = sealed.index(b'"check"')
    place = data.draw(st.one_of(st.integers(0, 20), st.integers(protected, len(sealed) - 2)))
    changed = bytearray(sealed)
    changed[place] ^= data.draw(st.integers(1, 255))
    file.write_bytes(changed)
    with pytest.raises(StoreError) as caught:
        store.get(CODE)
    assert caught.value.code in {"store-damaged", "passphrase-wrong", "store-newer"}
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_parameters_that_would_fill_the_memory_are_refused(
    store: TokenStore, file: Path, sealed: bytes
) -> None:
    for old, new in (
        (b'"n":32768', b'"n":1073741824'),
        (b'"n":32768', b'"n":"x"'),
        (b'"r":8', b'"r":1000000'),
        (b'"p":3', b'"p":true'),
        (b'"p":3', b'"p":99999999'),
        (b'"scrypt":{', b'"scrypt":[],"x":{'),
    ):
        assert old in sealed
        file.write_bytes(sealed.replace(old, new))
        with pytest.raises(StoreError) as caught:
            store.get(CODE)
        assert caught.value.code == "store-damaged"


def test_the_first_line_is_sealed_too(store: TokenStore, file: Path, sealed: bytes) -> None:
    file.write_bytes(sealed.replace(b'{"format"', b'{ "format"'))
    with pytest.raises(StoreError) as caught:
        store.get(CODE)
    assert caught.value.code == "store-damaged"


def test_a_file_of_a_newer_version_says_to_upgrade(store: TokenStore, file: Path, sealed: bytes) -> None:
    file.write_bytes(sealed.replace(b'"version":1', b'"version":2'))
    with pytest.raises(StoreError, match="pip install --upgrade oauth-mailer") as caught:
        store.get(CODE)
    assert caught.value.code == "store-newer"


def test_a_file_sealed_with_known_values_can_be_read_for_ever(store: TokenStore, file: Path) -> None:
    # Sealed once, with scrypt n=16384, by the format's own description; a change that breaks it breaks users.
    header = (
        b'{"format":"oauth-mailer-secrets","version":1,"scrypt":{"n":16384,"r":8,"p":1,'
        b'"salt":"AAECAwQFBgcICQoLDA0ODw=="},"check":"%s"}'
    )
    from hashlib import scrypt

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    material = scrypt(
        PASSPHRASE.encode(), salt=bytes(range(16)), n=16384, r=8, p=1, dklen=48, maxmem=64 * 1024 * 1024
    )
    first = header % b64encode(material[32:])
    body = AESGCM(material[:32]).encrypt(
        b"nonce-of-12.", b'{"me@qq.com code": "%s"}' % CANARY.encode(), first
    )
    file.write_bytes(first + b"\n" + b64encode(b"nonce-of-12." + body) + b"\n")
    assert store.get(CODE) == Secret(CANARY)
    store.set(Slot("other@qq.com", "code"), Secret("more"))
    assert file.read_bytes().startswith(first)
    assert store.get(CODE) == Secret(CANARY)


def test_without_a_passphrase_the_error_says_how_to_give_one(home: Path) -> None:
    assert opened(home).get(CODE) is None  # nothing to open: no passphrase needed
    opened(home).delete(CODE)

    def nobody(question: str) -> Secret:
        raise LoginRequired(question, code="no-terminal")

    for ask in (None, nobody):
        with pytest.raises(StoreError, match=r"Set OAUTH_MAILER_PASSPHRASE or .*_FILE") as caught:
            opened(home, ask).set(CODE, Secret(CANARY))
        assert caught.value.code == "passphrase-missing"


def test_the_passphrase_may_stand_in_a_file_with_a_newline_at_its_end(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: TokenStore
) -> None:
    store.set(CODE, Secret(CANARY))
    given = tmp_path / "passphrase"
    given.write_bytes(PASSPHRASE.encode() + b"\n")
    given.chmod(0o640)
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE_FILE", str(given))
    with pytest.raises(StoreError) as caught:
        store.get(CODE)
    assert caught.value.code == "secret-ambiguous"
    monkeypatch.delenv("OAUTH_MAILER_PASSPHRASE")
    assert store.get(CODE) == Secret(CANARY)
    given.write_text("")
    with pytest.raises(StoreError, match="empty"):
        store.get(CODE)
    given.unlink()
    with pytest.raises(
        StoreError, match=r"passphrase, named by OAUTH_MAILER_PASSPHRASE_FILE, cannot be read"
    ):
        store.get(CODE)


@posix
def test_a_passphrase_that_every_user_can_read_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = tmp_path / "passphrase"
    given.write_text(PASSPHRASE)
    given.chmod(0o644)
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE_FILE", str(given))
    with pytest.raises(StoreError, match=f"chmod 600 {given}") as caught:
        opened(home).set(CODE, Secret(CANARY))
    assert caught.value.code == "passphrase-exposed"
    assert PASSPHRASE not in "".join(traceback.format_exception(caught.value))


def test_a_person_chooses_the_passphrase_twice_and_is_not_asked_again(home: Path, file: Path) -> None:
    person = Person("chosen", "chosen")
    store = opened(home, person)
    store.set(CODE, Secret(CANARY))
    assert store.get(CODE) == Secret(CANARY)
    assert opened(home, person).get(CODE) == Secret(CANARY)
    assert len(person.questions) == 2
    assert str(file) in person.questions[0]


def test_two_different_answers_create_nothing(home: Path, file: Path) -> None:
    for answers, code in ((("one", "two"), "passphrase-differs"), (("",), "passphrase-empty")):
        with pytest.raises(StoreError) as caught:
            opened(home, Person(*answers)).set(CODE, Secret(CANARY))
        assert caught.value.code == code
        assert not file.exists()


def test_a_person_who_mistypes_is_asked_again_the_next_time(home: Path, file: Path, sealed: bytes) -> None:
    file.write_bytes(sealed)
    person = Person("mistyped", PASSPHRASE)
    with pytest.raises(StoreError) as caught:
        opened(home, person).get(CODE)
    assert caught.value.code == "passphrase-wrong"
    assert opened(home, person).get(CODE) == Secret(CANARY)
    assert len(person.questions) == 2


def test_a_place_that_cannot_be_written_is_named_and_nothing_is_lost(
    home: Path, store: TokenStore, file: Path
) -> None:
    store.set(CODE, Secret(CANARY))
    (home / "occupied").write_text("a file, not a folder")
    blocked = open_store("encrypted_file", StoreOptions(home, {"path": "occupied/secrets"}))
    with pytest.raises(StoreError, match="occupied") as caught:
        blocked.set(CODE, Secret("x"))
    assert caught.value.code in {"store-unwritable", "store-unreadable"}
    (home / "folder").mkdir()
    with pytest.raises(StoreError) as caught:
        open_store("encrypted_file", StoreOptions(home, {"path": "folder"})).get(CODE)
    assert caught.value.code == "store-unreadable"
    assert store.get(CODE) == Secret(CANARY)


@posix
def test_a_disk_that_is_full_leaves_the_old_file_whole(store: TokenStore, home: Path, file: Path) -> None:
    store.set(CODE, Secret(CANARY))
    content = file.read_bytes()
    # A limit on the size of files is the one full disk that every test machine has.
    limit = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))"
    )
    process = in_another_process(
        home, PASSPHRASE, limit, "store.set(Slot('me@qq.com', 'code'), Secret('x' * 999))"
    )
    _out, err = process.communicate(timeout=60)
    assert "StoreError: The file of secrets" in err
    assert "cannot be written" in err
    assert file.read_bytes() == content
    assert {entry.name for entry in home.iterdir()} <= {"secrets.sealed", "secrets.sealed.lock"}


@pytest.mark.parametrize("path", ["", 1, True, ["x"]])
def test_a_wrong_path_in_the_configuration_is_refused(home: Path, path: object) -> None:
    with pytest.raises(ConfigError, match=r"\[stores\.encrypted_file\] has a wrong value for 'path'"):
        open_store("encrypted_file", StoreOptions(home, {"path": path}))
