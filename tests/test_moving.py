"""Accounts move to another machine in one sealed file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import oauth_mailer
from oauth_mailer.accounts import Accounts
from oauth_mailer.errors import ConfigError, StoreError
from oauth_mailer.logins.moving import export_accounts, export_secret, import_accounts
from oauth_mailer.sandbox import Sandbox
from oauth_mailer.stores import Secret
from tests.cli.program import run
from tests.support import folder_contains
from tests.support.disks import small_disk
from tests.support.smtp_script import CODE, SmtpScript

ME, SERVICE = "me@corp.example", "bot@corp.example"
PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def machine(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A machine with two accounts, one by a code and one by a key, in an encrypted file."""
    monkeypatch.setenv("OAUTH_MAILER_STORE", "encrypted_file")
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", "this machine's")
    with SmtpScript() as server, Sandbox(account=SERVICE) as google:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", google.gmail_endpoint)
        oauth_mailer.login(server.account(ME), code=CODE, home=home)
        key = google.write_service_account_key(tmp_path)
        oauth_mailer.login(SERVICE, service_account=key, home=home)
        key.unlink()
        yield google


def test_what_was_exported_sends_on_the_other_machine(
    machine: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "moving.sealed"
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", PASSPHRASE)
    assert run("accounts", "export", str(file)).code == 78, "its own secrets need their own passphrase"
    assert not file.exists()
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", "this machine's")
    done = run("accounts", "export", str(file), "--json")
    assert done.code == 0, done
    assert done.json == {"status": "exported", "accounts": [ME, SERVICE]}
    assert sorted(path.name for path in tmp_path.glob("moving*")) == ["moving.sealed"]
    assert not folder_contains(tmp_path, CODE.encode()), "sealed"
    assert run("accounts", "export", str(file)).code == 78, "nothing is written over"

    other = tmp_path / "other"
    monkeypatch.setenv("OAUTH_MAILER_HOME", str(other))
    done = run("accounts", "import", str(file), "--json")
    assert done.code == 0, done
    assert done.json == {"status": "imported", "accounts": [ME, SERVICE]}
    for sender in (ME, SERVICE):
        sent = run("send", "--from", sender, "--to", "ann@example.com", "--text", "from the other machine")
        assert sent.code == 0, sent
    again = run("accounts", "import", str(file))
    assert again.code == 78
    assert "--replace" in again.err
    assert run("accounts", "import", str(file), "--replace").code == 0


def test_only_some_accounts(machine: Sandbox, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "one.sealed"
    assert [one.address for one in export_accounts(file, [ME], home=home)] == [ME]
    imported = import_accounts(file, home=tmp_path / "other")
    assert [one.address for one in imported] == [ME]
    assert [one.address for one in Accounts(tmp_path / "other")] == [ME]
    with pytest.raises(ConfigError):
        export_accounts(tmp_path / "none.sealed", ["nobody@corp.example"], home=home)


def test_a_secret_goes_alone_to_where_there_is_only_an_environment(
    machine: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "code.secret"
    done = run("accounts", "export", str(file), ME, "--unsealed")
    assert done.code == 0, done
    assert CODE not in done.out + done.err
    assert file.read_text("utf-8") == CODE + "\n"
    if os.name == "posix":
        assert file.stat().st_mode & 0o777 == 0o600
    assert run("accounts", "export", str(file), ME, "--unsealed").code == 78, "nothing is written over"
    assert run("accounts", "export", str(tmp_path / "no" / "folder"), ME, "--unsealed").code == 78
    for words in (["export", "all.secret"], ["export", "all.secret", ME, SERVICE], ["import", str(file)], []):
        assert run("accounts", *words, "--unsealed").code == 64

    monkeypatch.delenv("OAUTH_MAILER_PASSPHRASE")
    monkeypatch.setenv("OAUTH_MAILER_STORE", "environment")
    monkeypatch.setenv("OAUTH_MAILER_SECRET_ME_CORP_EXAMPLE_FILE", str(file))
    config = tmp_path / "other" / "config.toml"
    config.parent.mkdir()
    config.write_text(
        Path(os.environ["OAUTH_MAILER_HOME"], "config.toml")
        .read_text("utf-8")
        .replace("encrypted_file", "environment"),
        "utf-8",
    )
    monkeypatch.setenv("OAUTH_MAILER_HOME", str(config.parent))
    assert run("send", "--from", ME, "--to", "ann@example.com", "--text", "from a container").code == 0


def test_a_secret_that_the_disk_has_no_room_for_leaves_nothing(machine: Sandbox, tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, "64k"):
        (folder / "full").write_bytes(bytes(56 << 10))
        with suppress(OSError), (folder / "fuller").open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        with pytest.raises(ConfigError) as caught:
            export_secret(folder / "key.secret", SERVICE)
        assert caught.value.code == "export-unwritable"
        assert not (folder / "key.secret").exists()


def test_a_person_is_asked_for_the_passphrase(
    machine: Sandbox, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "asked.sealed"
    export_accounts(file, [ME], home=home)
    monkeypatch.delenv("OAUTH_MAILER_PASSPHRASE")
    asked: list[str] = []

    def answer(question: str) -> Secret:
        asked.append(question)
        return Secret("this machine's")

    import_accounts(file, home=tmp_path / "other", ask_passphrase=answer)
    assert str(file) in asked[0]
    with pytest.raises(StoreError, match="nobody can be asked"):
        import_accounts(file, home=tmp_path / "third")


@pytest.mark.parametrize("content", [None, b"", b"default = 'x'\n"])
def test_a_file_that_holds_no_accounts(home: Path, tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "no.sealed"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises((ConfigError, StoreError)) as refused:
        import_accounts(file, home=home, ask_passphrase=lambda _question: Secret("x"))
    assert refused.value.hint


def test_a_missing_secret_exports_nothing(
    machine: Sandbox, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "secrets").unlink(missing_ok=True)
    for path in home.glob("secrets*"):
        path.unlink()
    file = tmp_path / "x.sealed"
    with pytest.raises(StoreError, match="nothing was exported"):
        export_accounts(file, home=home)
    assert not file.exists()


def test_the_command_line_is_checked() -> None:
    assert run("accounts", "export").code == 64
    assert run("accounts", "import", "a", "b").code == 64
    missing = run("accounts", "import", "not-there.sealed")
    assert missing.code == 66
    assert "The file not-there.sealed cannot be read: No such file or directory." in missing.err
    assert run("accounts", "move", "a").code == 64
