"""The configuration file, as a person and as many processes use it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oauth_mailer.account import account_from, table_from
from oauth_mailer.accounts import Account, Accounts, home_folder, secret_variable
from oauth_mailer.errors import ConfigError
from oauth_mailer.providers import PROVIDERS, Server

posix = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")


@pytest.fixture
def config(home: Path) -> Path:
    return home / "config.toml"


def qq(address: str = "me@qq.com", **values: Any) -> Account:
    return Account(address=address, provider="qq", **values)


# Reading and changing


def test_without_a_file_there_is_no_account_and_the_error_says_how_to_get_one(
    home: Path, config: Path
) -> None:
    accounts = Accounts()
    assert accounts.home == home
    assert (len(accounts), list(accounts), accounts.default) == (0, [], "")
    with pytest.raises(ConfigError, match=r"Run: oauth-mailer login you@example\.com") as caught:
        accounts.get()
    assert caught.value.code == "no-account"
    with pytest.raises(ConfigError, match=r"Run: oauth-mailer login me@qq\.com"):
        accounts.get("me@qq.com")
    assert not config.exists()


def test_who_has_only_a_secret_in_the_environment_is_told_to_name_its_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OAUTH_MAILER_SECRET_ME_QQ_COM", "abcdefghijklmnop")
    with pytest.raises(ConfigError, match="--from ADDRESS"):
        Accounts().get()
    assert Accounts().get("me@qq.com").provider == "qq"


def test_an_account_that_was_added_is_there_for_the_next_process() -> None:
    account = Account(
        address="me@gmail.com",
        name="李雷",
        provider="gmail",
        store="encrypted_file",
        fallback=("me@qq.com",),
        client={
            "client_id": "1234.apps.googleusercontent.com",
            "token_uri": "https://oauth2.googleapis.com/token",
        },
    )
    accounts = Accounts()
    accounts.add(account)
    assert accounts.get("me@gmail.com") == account
    again = Accounts()
    assert list(again) == [account]
    assert again.get("ME@Gmail.com") == account
    assert "Me@GMAIL.com" in again
    assert "you@gmail.com" not in again
    assert 1 not in again


def test_the_first_account_becomes_the_default_and_another_can_be_chosen() -> None:
    accounts = Accounts()
    accounts.add(qq("a@qq.com"))
    accounts.add(qq("b@qq.com"))
    assert accounts.get().address == accounts.default == "a@qq.com"
    accounts.set_default("B@qq.com")
    assert Accounts().get().address == "b@qq.com"
    with pytest.raises(ConfigError):
        accounts.set_default("nobody@qq.com")
    assert Accounts().default == "b@qq.com"


def test_when_the_default_is_removed_one_that_is_left_alone_takes_its_place() -> None:
    accounts = Accounts()
    for letter in "abc":
        accounts.add(qq(f"{letter}@qq.com"))
    accounts.remove("A@qq.com")
    assert accounts.default == ""
    with pytest.raises(ConfigError, match="No default account is chosen") as caught:
        accounts.get()
    assert "oauth-mailer default ADDRESS" in caught.value.hint
    accounts.remove("b@qq.com")
    accounts.remove("b@qq.com")
    assert accounts.get().address == "c@qq.com"


def test_logging_in_again_replaces_the_entry_under_the_name_it_has() -> None:
    accounts = Accounts()
    accounts.add(qq("Me@qq.com", username="old", store="memory"))
    accounts.add(qq("me@QQ.com", name="New"))
    assert [(account.address, account.name, account.username, account.store) for account in Accounts()] == [
        ("Me@qq.com", "New", "", "")
    ]


def test_addresses_that_only_look_alike_are_two_accounts() -> None:
    accounts = Accounts()
    accounts.add(qq("straße@qq.com", name="one"))
    accounts.add(qq("strasse@qq.com", name="two"))
    assert [account.name for account in Accounts()] == ["one", "two"]


COMMENTED = """\
# My mail. Do not touch!
default = "b@qq.com"   # the one at work

[stores.command]
get = ["pass", "show", "{account}"]  # gopass is too slow

[accounts."b@qq.com"]
provider = "qq"
# the boss reads this
name = 'B'

[accounts."a@qq.com"]
provider = "qq"

[mine]
colour = "red"
"""


def test_comments_and_order_and_what_is_not_ours_are_kept(config: Path) -> None:
    config.write_text(COMMENTED)
    accounts = Accounts()
    accounts.add(qq("a@qq.com", name="A"))
    assert config.read_text() == COMMENTED.replace(
        '[accounts."a@qq.com"]\nprovider = "qq"\n', '[accounts."a@qq.com"]\nprovider = "qq"\nname = "A"\n'
    )
    accounts.set_default("a@qq.com")
    accounts.add(qq("c@qq.com"))
    accounts.remove("c@qq.com")
    text = config.read_text()
    assert 'default = "a@qq.com"   # the one at work' in text
    for line in COMMENTED.splitlines()[2:]:
        assert line in text
    assert accounts.store_settings("command") == {"get": ["pass", "show", "{account}"]}
    assert accounts.store_settings("keyring") == {}


def test_a_file_from_windows_is_understood_and_keeps_its_line_ends(config: Path) -> None:
    config.write_bytes(b"\xef\xbb\xbf" + COMMENTED.replace("\n", "\r\n").encode())
    accounts = Accounts()
    accounts.set_default("a@qq.com")
    assert b"# My mail. Do not touch!\r\n" in config.read_bytes()
    assert b"# the boss reads this\r\n" in config.read_bytes()
    assert Accounts().default == "a@qq.com"


@pytest.mark.parametrize(
    "text",
    [
        'accounts = {"a@qq.com" = {provider = "qq"}}\n',
        '[accounts]\n"a@qq.com".provider = "qq"\n',
        'accounts."a@qq.com".provider = "qq"\n',
        "[accounts]\n",
        "[accounts]\n[stores]\n",
        '[accounts."a@qq.com"]\nprovider = "qq"\n[stores.x]\ny = 1\n[accounts."b@qq.com"]\nprovider = "qq"\n',
        "[stores.x]\ny = 1\n# the end",
    ],
)
def test_however_the_tables_are_written_they_can_be_changed(config: Path, text: str) -> None:
    config.write_text(text)
    accounts = Accounts()
    before = {account.address: account for account in accounts}
    new = Account(address="n@corp.example", host="mail.corp.example", port=465, fallback=("a@qq.com",))
    changed = qq("a@qq.com", name="A")
    accounts.add(new)
    accounts.add(changed)
    expected = before | {"n@corp.example": new, "a@qq.com": changed}
    assert {account.address: account for account in Accounts()} == expected
    accounts.remove("n@corp.example")
    del expected["n@corp.example"]
    assert {account.address: account for account in Accounts()} == expected
    assert tomllib.loads(config.read_text()).get("stores") == tomllib.loads(text).get("stores")


@pytest.mark.parametrize(
    "text",
    [
        'accounts."z@qq.com".provider = "qq"\ndefault = "z@qq.com"\n',
        '[accounts."b@qq.com".deep]\nx = 1\n[accounts."b@qq.com"]\nprovider = "qq"\nname = "n"\n',
    ],
)
def test_an_arrangement_that_the_toml_library_would_mix_up_is_refused_and_left_alone(
    config: Path, text: str
) -> None:
    config.write_text(text)
    accounts = Accounts()
    before = list(accounts)
    with pytest.raises(ConfigError, match="Write each account as one table of its own") as caught:
        accounts.add(qq("b@qq.com", username="u"))
    assert caught.value.code == "config-arrangement"
    assert config.read_text() == text
    assert list(accounts) == before


addresses = st.builds(
    "{}@{}".format,
    st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="@"), min_size=1, max_size=12),
    st.sampled_from(["qq.com", "gmail.com", "xn--fiqs8s.example", "例子.example"]),
)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
some_accounts = st.builds(
    Account,
    address=addresses,
    name=texts,
    provider=st.sampled_from(["custom", *(provider.name for provider in PROVIDERS)]),
    transport=st.sampled_from(["", "smtp", "gmail", "file"]),
    auth=st.sampled_from(["", "code", "google", "none"]),
    store=st.sampled_from(["", "keyring", "memory"]),
    host=texts,
    port=st.integers(0, 65535),
    security=st.sampled_from(["", "tls", "starttls", "none"]),
    username=texts,
    ca_file=texts,
    fallback=st.lists(addresses, max_size=3).map(tuple),
    scopes=st.lists(texts, max_size=3).map(tuple),
    client=st.dictionaries(st.sampled_from(["client_id", "auth_uri"]), texts.filter(bool)),
    options=st.dictionaries(
        st.sampled_from(["folder", "flag", "deep"]),
        st.booleans()
        | st.integers(-9, 9)
        | texts
        | st.lists(st.integers(0, 9))
        | st.dictionaries(texts, texts),
    ),
)


@given(some_accounts)
def test_any_account_comes_back_from_its_table(account: Account) -> None:
    assert account_from(account.address, table_from(account)) == account


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some_accounts, some_accounts)
def test_any_account_comes_back_from_the_file(config: Path, first: Account, second: Account) -> None:
    config.unlink(missing_ok=True)
    accounts = Accounts()
    accounts.add(first)
    accounts.add(second)
    if first.address.lower() == second.address.lower():
        assert list(Accounts()) == [account_from(first.address, table_from(second))]
    else:
        assert list(Accounts()) == [first, second]
        accounts.remove(first.address)
        assert list(Accounts()) == [second]


def test_what_follows_from_the_provider_is_not_written_down(config: Path) -> None:
    Accounts().add(Account(address="me@gmail.com", provider="gmail"))
    assert tomllib.loads(config.read_text())["accounts"] == {"me@gmail.com": {"provider": "gmail"}}


# Safety


@posix
def test_only_the_owner_may_read_the_file_and_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTH_MAILER_HOME", str(tmp_path / "a" / "b"))
    before = os.umask(0)
    try:
        Accounts().add(qq())
        config = tmp_path / "a" / "b" / "config.toml"
        assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(config.stat().st_mode) == 0o600
        config.chmod(0o666)
        Accounts().add(qq(name="x"))
        assert stat.S_IMODE(config.stat().st_mode) == 0o600
    finally:
        os.umask(before)


@posix
def test_a_file_that_is_a_link_into_dotfiles_stays_a_link(config: Path, tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    target = tmp_path / "dotfiles" / "mail.toml"
    target.write_text("# kept\n")
    config.symlink_to(target)
    Accounts().add(qq())
    assert config.is_symlink()
    assert target.read_text().startswith("# kept\n")
    assert "me@qq.com" in target.read_text()


def test_processes_and_threads_that_change_it_at_once_lose_nothing(home: Path) -> None:
    program = (
        "import sys; from oauth_mailer.accounts import *;"
        "[Accounts().add(Account(address=f'u{n}@p{sys.argv[1]}.example', host='h')) for n in range(4)]"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program, str(k)], stderr=subprocess.PIPE, text=True)
        for k in range(4)
    ]

    def add(number: int) -> None:
        Accounts().add(qq(f"thread{number}@qq.com"))
        assert f"thread{number}@qq.com" in Accounts()  # a reader never sees half a file

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(8)))
    for process in processes:
        _out, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
    assert {account.address for account in Accounts()} == {
        *(f"u{n}@p{k}.example" for n in range(4) for k in range(4)),
        *(f"thread{number}@qq.com" for number in range(8)),
    }
    assert {entry.name for entry in home.iterdir()} <= {"config.toml", "config.toml.lock"}


@posix
def test_a_change_that_cannot_be_written_leaves_the_old_file(home: Path, config: Path) -> None:
    Accounts().add(qq())
    before = config.read_bytes()
    program = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100));"
        "from oauth_mailer.accounts import *; Accounts().add(Account(address='x@y', host='h' * 200))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert "ConfigError: The configuration" in done.stderr
    assert "cannot be written" in done.stderr
    assert config.read_bytes() == before
    assert {entry.name for entry in home.iterdir()} <= {"config.toml", "config.toml.lock"}


def test_a_folder_that_cannot_be_made_or_written_is_named(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "file" / "x")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="OAUTH_MAILER_HOME") as caught:
        accounts.add(qq())
    assert caught.value.code in {"config-unwritable", "config-unreadable"}
    assert str(tmp_path / "file") in caught.value.message


# Wrong configurations


@pytest.mark.parametrize(
    "content",
    [b"default = ", b"[accounts\n", b"\xff\xfe", b'default = "a"\ndefault = "b"\n', b"\0"],
)
def test_a_broken_file_is_named_and_never_overwritten(config: Path, content: bytes) -> None:
    Accounts().add(qq())
    early = Accounts()  # read before it broke
    config.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        Accounts()
    assert str(config) in caught.value.message
    assert caught.value.code == "config-unreadable"
    with pytest.raises(ConfigError, match="cannot be read"):
        early.add(qq("b@qq.com"))
    assert config.read_bytes() == content


@pytest.mark.parametrize(
    "text",
    [
        "accounts = 1",
        'accounts = ["a@qq.com"]',
        'accounts."a@qq.com" = "qq"',
        "default = 1",
        'stores = "keyring"',
        'stores.command = ["pass"]',
        '[accounts."a@qq.com"]\nport = "465"',
        '[accounts."a@qq.com"]\nport = true',
        '[accounts."a@qq.com"]\nport = 70000',
        '[accounts."a@qq.com"]\nname = 1',
        '[accounts."a@qq.com"]\nfallback = "b@qq.com"',
        '[accounts."a@qq.com"]\nfallback = [1]',
        '[accounts."a@qq.com"]\naddress = "b@qq.com"',
        '[accounts."a@qq.com"]\nclient_id = 5',
        '[accounts."a@qq.com"]\nprovider = "no such"',
        '[accounts."a@qq.com"]\nsecurity = "ssl"',
        '[accounts.""]\nprovider = "qq"',
        '[accounts."no address"]\nprovider = "qq"',
    ],
)
def test_a_value_of_the_wrong_kind_is_an_error_of_ours(config: Path, text: str) -> None:
    config.write_text(text)

    def use() -> None:
        accounts = Accounts()
        list(accounts)
        accounts.get()
        accounts.store_settings("command")

    with pytest.raises(ConfigError) as caught:
        use()
    assert caught.value.code
    assert caught.value.hint


@pytest.mark.parametrize("text", ["accounts = 1", 'stores = "keyring"'])
def test_a_file_with_a_wrong_table_is_not_changed(config: Path, text: str) -> None:
    config.write_text(text)
    with pytest.raises(ConfigError):
        Accounts().add(qq())
    assert config.read_text() == text


@pytest.mark.parametrize(
    "address", ["", "me", "@qq.com", "me@", "me@qq.com\n", "a\0b@qq.com", "\udc80@qq.com"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Account(address=address)
    assert caught.value.code == "address-wrong"


def test_a_text_that_toml_cannot_hold_is_refused_and_nothing_is_written(config: Path) -> None:
    accounts = Accounts()
    with pytest.raises(ConfigError, match="cannot be written"):
        accounts.add(qq(name="\udc80"))
    assert not config.exists()
    assert len(accounts) == 0


def test_values_in_the_wrong_place_are_refused() -> None:
    wrong: list[dict[str, Any]] = [
        {"client": {"client_secret": "x"}},
        {"options": {"host": "x"}},
        {"options": {"client_id": "x"}},
    ]
    for values in wrong:
        with pytest.raises(ConfigError, match="cannot have"):
            Account(address="me@qq.com", **values)


# What an account means


@pytest.mark.parametrize(
    ("values", "server"),
    [
        ({"provider": "qq"}, Server("smtp.qq.com", 465, "tls")),
        ({"provider": "qq", "port": 587}, Server("smtp.qq.com", 587, "starttls")),
        ({"provider": "qq", "security": "starttls"}, Server("smtp.qq.com", 587, "starttls")),
        ({"provider": "163", "port": 994}, Server("smtp.163.com", 994, "tls")),
        ({"provider": "163", "port": 587}, Server("smtp.163.com", 587, "starttls")),
        ({"provider": "icloud", "security": "tls"}, Server("smtp.mail.me.com", 465, "tls")),
        ({"provider": "gmail"}, Server("smtp.gmail.com", 465, "tls")),
        ({"provider": "qq", "host": "relay.example"}, Server("relay.example", 465, "tls")),
        ({"host": "h"}, Server("h", 465, "tls")),
        ({"host": "h", "port": 25}, Server("h", 25, "starttls")),
        ({"host": "h", "port": 587}, Server("h", 587, "starttls")),
        ({"host": "h", "port": 2525}, Server("h", 2525, "starttls")),
        ({"host": "h", "port": 10465}, Server("h", 10465, "tls")),
        ({"host": "h", "security": "starttls"}, Server("h", 587, "starttls")),
        ({"host": "h", "security": "none"}, Server("h", 25, "none")),
        ({"host": "h", "port": 465, "security": "starttls"}, Server("h", 465, "starttls")),
    ],
)
def test_the_server_follows_from_the_provider_and_the_own_words(
    values: dict[str, Any], server: Server
) -> None:
    assert Account(address="me@corp.example", **values).server == server


def test_plain_text_is_never_chosen_unless_it_is_asked_for_by_name() -> None:
    for provider in PROVIDERS:
        for port in (0, 25, 465, 587, 2525, 8025):
            account = Account(address="me@corp.example", provider=provider.name, port=port)
            assert account.server.security in {"tls", "starttls"}


def test_an_account_without_a_server_says_what_to_type() -> None:
    with pytest.raises(ConfigError, match=r"oauth-mailer login me@corp\.example --host HOST"):
        Account(address="me@corp.example").server  # noqa: B018


def test_the_user_name_is_the_address_unless_the_provider_or_the_user_says_otherwise() -> None:
    assert qq("Me@qq.com").login_name == "Me@qq.com"
    assert Account(address="anna@web.de", provider="webde").login_name == "anna"
    assert Account(address="anna@web.de", provider="webde", username="x").login_name == "x"


def test_the_folder_is_the_platforms_own_unless_it_is_named(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    assert home_folder() == home
    monkeypatch.setenv("OAUTH_MAILER_HOME", "~/mail")
    assert home_folder() == Path.home() / "mail"  # where no shell has put the home in: systemd, cron
    monkeypatch.delenv("OAUTH_MAILER_HOME")
    assert home_folder().name == "oauth-mailer"
    assert home_folder().is_absolute()


def test_the_variable_of_an_address_is_spelled_in_capitals() -> None:
    assert secret_variable("me@qq.com") == "OAUTH_MAILER_SECRET_ME_QQ_COM"
    assert secret_variable("A.b+c-1@Sub.例子.cn") == "OAUTH_MAILER_SECRET_A_B_C_1_SUB____CN"


def test_no_secret_is_ever_in_the_file() -> None:
    fields = {name for name in Account.__dataclass_fields__ if "secret" in name or "password" in name}
    assert not fields
    with pytest.raises(ConfigError):
        Account(address="me@gmail.com", provider="gmail", client={"client_secret": "canary"})
