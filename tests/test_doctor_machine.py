"""The doctor at the computer itself: the configuration, who can read it, where secrets rest."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

import pytest

from oauth_mailer.accounts import Account, Accounts, secret_variable
from oauth_mailer.doctor import Finding, check_account, check_all
from oauth_mailer.stores import Secret, Slot, StoreOptions, open_store
from tests.support.keyrings import GoodKeyring, HangingKeyring, using
from tests.support.patients import ADDRESS, findings
from tests.support.smtp_script import CODE

posix = pytest.mark.skipif(os.name != "posix", reason="elsewhere the system looks after that")
PASSPHRASE = "canary passphrase"


def add(home: Path, **fields: object) -> None:
    Accounts(home).add(Account(address=ADDRESS, host="mail.corp.example", **fields))  # type: ignore[arg-type]


def look(home: Path, address: str = "") -> dict[str, Finding]:
    return findings(address, home=home, offline=True)


def test_where_nothing_is_set_up_the_next_command_is_a_login(home: Path) -> None:
    for found in (list(check_all(home=home)), list(check_account(home=home))):
        one = next(one for one in found if one.check == "configuration")
        assert (one.state, one.code) == ("failed", "no-account")
        assert one.hint == "Run: oauth-mailer login you@example.com"
        assert {other.account for other in found} == {""}


def test_what_nobody_reads_in_the_configuration_is_told(home: Path) -> None:
    add(home, options={"helo": "mail.corp.example"})
    assert look(home)["configuration"].state == "ok"
    path = home / "config.toml"
    path.write_text(f"[outbx]\non_unknown = 'hold'\n{path.read_text()}\nfalback = ['me@qq.com']\n")
    one = look(home)["configuration"]
    assert one.state == "warning"
    assert f'Nobody reads outbx, accounts."{ADDRESS}".falback:' in one.cause


def test_where_the_environment_should_have_the_secret_its_variable_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(home, store="environment")
    monkeypatch.delenv("OAUTH_MAILER_STORE", raising=False)
    one = look(home)["secret"]
    assert one.code == "secret-missing"
    assert one.hint == (
        "Set OAUTH_MAILER_SECRET_ME_CORP_EXAMPLE, or OAUTH_MAILER_SECRET_ME_CORP_EXAMPLE_FILE to the path of "
        "a file that holds it."
    )


def test_an_account_that_is_not_there(home: Path) -> None:
    add(home)
    one = look(home, "you@corp.example")["configuration"]
    assert (one.state, one.code) == ("failed", "no-account")
    assert one.hint == "Run: oauth-mailer login you@corp.example"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("default = [", "config-unreadable"),
        ("accounts = 5", "config-value"),
        ('[accounts."me@corp.example"]\nport = "465"\n', "config-value"),
        ('[accounts."me@corp.example"]\nprovider = "nobody"\n', "provider-unknown"),
        ("\0", "config-unreadable"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_the_end_of_the_examination(
    text: str, code: str, home: Path
) -> None:
    (home / "config.toml").write_text(text)
    found = list(check_all(home=home))
    (one,) = (one for one in found if one.state == "failed")
    assert (one.check, one.code) == ("configuration", code)
    assert {other.check for other in found} <= {
        "versions",
        "proxy",
        "certificates",
        "configuration",
        "permissions",
    }


def test_an_account_of_a_server_that_is_not_named(home: Path) -> None:
    (home / "config.toml").write_text('[accounts."me@corp.example"]\nport = 465\n')
    assert look(home)["store"].code == "server-unknown"


def test_all_accounts_are_examined_and_the_machine_once(home: Path) -> None:
    add(home)
    Accounts(home).add(Account(address="you@corp.example", host="mail.corp.example"))
    found = list(check_all(home=home, offline=True))
    assert [one.account for one in found if one.check == "secret"] == [ADDRESS, "you@corp.example"]
    assert len([one for one in found if one.check == "versions"]) == 1
    configuration = next(one for one in found if one.check == "configuration")
    assert "accounts: 2; the default one: me@corp.example." in configuration.text


@posix
def test_a_configuration_that_others_can_change_or_read() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # which everybody may enter
        home = Path(folder) / "home"
        home.mkdir(0o700)
        add(home)
        assert look(home)["permissions"].state == "ok"
        Path(folder).chmod(0o755)
        assert look(home)["permissions"].state == "ok"
        home.chmod(0o755)
        assert look(home)["permissions"].state == "ok"  # its file is still private
        (home / "config.toml").chmod(0o644)
        one = look(home)["permissions"]
        assert (one.state, one.hint) == ("warning", f"Run: chmod o-rwx {home / 'config.toml'}")
        (home / "config.toml").chmod(0o666)
        one = look(home)["permissions"]
        assert (one.state, one.code) == ("failed", "permissions")
        (home / "config.toml").chmod(0o600)
        home.chmod(0o777)
        one = look(home)["permissions"]
        assert (one.state, one.hint) == ("failed", f"Run: chmod o-rwx {home}")
        Path(folder).chmod(0o700)
        assert look(home)["permissions"].state == "ok"  # nobody else gets there


def test_proxies_are_shown_without_their_password(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(home)
    assert look(home)["proxy"].text == "No proxy is set."
    for value, state, shown in (
        ("http://user:canary-pw@proxy.example:3128", "ok", "HTTPS_PROXY=http://proxy.example:3128"),
        ("user:canary-pw@proxy.example:3128", "ok", "HTTPS_PROXY=proxy.example:3128"),
        ("socks5://user:canary-pw@proxy.example:1080", "warning", "socks5://proxy.example:1080"),
        ("http://user:canary-pw@proxy.example:port", "ok", "***"),
        ("http://[canary-pw", "ok", "***"),
    ):
        monkeypatch.setenv("HTTPS_PROXY", value)
        one = look(home)["proxy"]
        assert (one.state, shown in one.text) == (state, True), one
        assert "canary" not in repr(one)
    monkeypatch.delenv("HTTPS_PROXY")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    assert "Not used" in look(home)["proxy"].text


def test_a_file_of_certificates_that_is_not_there(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(home)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    one = look(home)["certificates"]
    assert (one.state, one.code) == ("failed", "ca-file")
    assert "none.pem" in one.text


@posix
def test_a_python_that_trusts_nobody(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(home)
    (tmp_path / "none.pem").write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "empty"))
    (tmp_path / "empty").mkdir()
    one = look(home)["certificates"]
    assert (one.state, "no certificate authority" in one.text) == ("failed", True)


def test_a_keyring_that_answers(home: Path) -> None:
    add(home)
    backend = GoodKeyring()
    backend.set_password("oauth-mailer", str(Slot(ADDRESS, "code")), CODE)
    with using(backend):
        found = look(home)
    assert (found["store"].state, found["secret"].state) == ("ok", "ok")
    assert "The keyring answers" in found["store"].text
    assert "It can be written." in found["store"].text


def test_a_keyring_that_keeps_nothing_or_waits_for_a_person(home: Path) -> None:
    add(home)
    with using(None):  # it finds the one that conftest.py chose, which keeps nothing
        found = look(home)
    assert (found["store"].state, found["store"].code) == ("failed", "keyring-off")
    assert "OAUTH_MAILER_STORE=encrypted_file" in found["store"].hint
    assert found["secret"].state == "skipped"
    ended = threading.Event()
    config = (home / "config.toml").read_text()
    (home / "config.toml").write_text(f"{config}\n[stores.keyring]\ntimeout = 0.2\n")
    with using(HangingKeyring(lambda: ended.wait(30))):
        found = look(home)
        ended.set()
    assert (found["store"].state, found["store"].code) == ("failed", "keyring-timeout")


def test_a_keyring_that_would_keep_secrets_in_plain_text(home: Path) -> None:
    class Keyring(GoodKeyring):
        __module__ = "keyrings.alt.file"

    add(home)
    with using(Keyring()):
        one = look(home)["store"]
    assert (one.state, one.code) == ("failed", "keyring-unsafe")


def test_an_encrypted_file_and_its_passphrase(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(home, store="encrypted_file")
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", PASSPHRASE)
    open_store("encrypted_file", StoreOptions(home)).set(Slot(ADDRESS, "code"), Secret(CODE))
    found = look(home)
    assert (found["store"].state, found["secret"].state) == ("ok", "ok")
    assert "secrets.sealed" in found["store"].text
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", "another")
    assert look(home)["store"].code == "passphrase-wrong"
    monkeypatch.delenv("OAUTH_MAILER_PASSPHRASE")
    assert look(home)["store"].code == "passphrase-missing"
    asked = list(check_account(home=home, offline=True, ask_passphrase=lambda question: Secret(PASSPHRASE)))
    assert next(one for one in asked if one.check == "secret").state == "ok"
    assert CODE not in repr(asked)
    assert PASSPHRASE not in repr(asked)


def test_a_secret_in_the_environment_is_named_by_its_variable_only(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = secret_variable("me@qq.com")
    monkeypatch.setenv(variable, CODE)
    found = look(home, "me@qq.com")
    assert (found["configuration"].state, found["store"].state, found["secret"].state) == ("ok", "ok", "ok")
    assert variable in found["store"].text
    assert "read only" in found["store"].text
    assert CODE not in repr(found)
    monkeypatch.setenv(f"{variable}_FILE", "/nowhere")
    assert look(home, "me@qq.com")["store"].code == "secret-ambiguous"


@posix
def test_a_file_with_a_secret_that_everybody_can_read(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "code"
    path.write_text(CODE)
    path.chmod(0o644)
    monkeypatch.setenv(f"{secret_variable('me@qq.com')}_FILE", str(path))
    one = look(home, "me@qq.com")["secret"]
    assert (one.state, one.hint) == ("warning", f"Run: chmod 600 {path}")
    path.chmod(0o600)
    assert look(home, "me@qq.com")["secret"].state == "ok"


def test_settings_of_a_store_that_are_wrong(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(home)
    monkeypatch.setenv("OAUTH_MAILER_STORE", "a drawer")
    assert look(home)["store"].code == "store-unknown"
    monkeypatch.setenv("OAUTH_MAILER_STORE", "command")
    assert look(home)["store"].state == "failed"
