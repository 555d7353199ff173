from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import oauth_mailer
from oauth_mailer import logins
from oauth_mailer.accounts import Account, Accounts
from oauth_mailer.errors import ConfigError, LoginRequired, MailerError, StoreError
from oauth_mailer.stores import Secret, Slot
from oauth_mailer.stores.memory import MemoryStore

from .cli.mailbox import CODE, Mailbox, mailbox


class Person:
    """A prompt with the answers of a person, who notes what was said and asked."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.heard: list[str] = []
        self.opened: list[str] = []
        self.browser = True

    def say(self, text: str) -> None:
        self.heard.append(text)

    def ask(self, question: str, done: threading.Event) -> str | None:
        raise AssertionError(question)

    def ask_secret(self, question: str) -> Secret:
        self.heard.append(question)
        return Secret(self.answers.pop(0))

    def open_browser(self, url: str) -> bool:
        self.opened.append(url)
        return self.browser


def account_at(box: Mailbox, **words: str) -> Account:
    return logins.account_for(
        box.address, host="127.0.0.1", port=box.port, security="tls", ca_file=box.ca_file, **words
    )


def test_a_program_can_log_in_with_a_code_of_its_own(home: Path) -> None:
    store = MemoryStore()
    with mailbox("me@qq.com") as box:
        account = oauth_mailer.login(account_at(box), code=CODE, store=store)
        assert Accounts(home).get() == account
        assert store.get(Slot("me@qq.com", "code")) == Secret(CODE)
        with oauth_mailer.open_mailer(store=store) as mailer:
            mailer.send(oauth_mailer.Message(to="ann@example.com", text="Hi"))
        assert len(box.messages) == 1
        assert oauth_mailer.logout("me@qq.com", store=store) == account
    assert store.get(Slot("me@qq.com", "code")) is None
    assert len(Accounts(home)) == 0


def test_without_a_prompt_nobody_is_asked() -> None:
    with mailbox("me@qq.com") as box:
        with pytest.raises(LoginRequired) as caught:
            logins.login(account_at(box), store=MemoryStore())
        assert caught.value.code == "no-prompt"
        assert box.server.connections == 0


def test_a_wrong_form_may_be_typed_again_three_times_and_a_refused_code_may_not() -> None:
    with mailbox("me@qq.com") as box:
        person = Person("short", "also wrong", CODE)
        logins.login(account_at(box), prompt=person, store=MemoryStore())
        assert (box.logins, person.answers) == (1, [])
        with pytest.raises(LoginRequired):
            logins.login(account_at(box), prompt=Person("a", "b", "c", CODE), store=MemoryStore())
        assert box.logins == 1
        person = Person("canarycanarycana", CODE)
        with pytest.raises(LoginRequired):
            logins.login(account_at(box), prompt=person, store=MemoryStore())
        assert (box.logins, person.answers) == (2, [CODE])


@pytest.mark.parametrize("browser", [True, False])
def test_enter_alone_opens_the_page_where_the_code_is_and_is_no_try(browser: bool) -> None:
    with mailbox("me@qq.com") as box:
        person = Person("", " ", "short", "also wrong", "", CODE)
        person.browser = browser
        logins.login(account_at(box), prompt=person, store=MemoryStore())
    assert person.opened == ["https://mail.qq.com"] * 3
    assert ("No browser can be opened here; the page is https://mail.qq.com" in person.heard) is not browser


def test_a_person_who_only_presses_enter_is_not_asked_for_ever() -> None:
    with mailbox("me@qq.com") as box:
        person = Person(*[""] * 20)
        with pytest.raises(LoginRequired):
            logins.login(account_at(box), prompt=person, store=MemoryStore())
        assert box.server.connections == 0
    assert person.answers


@pytest.mark.parametrize(
    "typed",
    [
        "  abcd efgh ijkl mnop \r\n",
        "abcd\u00a0efgh\u3000ijkl\tmnop",
        "\u200babcdefgh\u200bijklmnop\ufeff",
        "\x1b[200~abcdefghijklmnop\x1b[201~",
    ],
)
def test_what_is_copied_along_with_a_code_is_no_part_of_it(typed: str) -> None:
    store = MemoryStore()
    with mailbox("me@qq.com") as box:
        logins.login(account_at(box), prompt=Person(typed), store=store)
        assert box.logins == 1
    assert store.get(Slot("me@qq.com", "code")) == Secret("abcdefghijklmnop")


class Failing(MemoryStore):
    """A store that cannot keep anything new."""

    def set(self, slot: Slot, secret: Secret) -> None:
        raise StoreError("full", code="full")


def test_a_store_that_keeps_nothing_leaves_the_configuration_as_it_was(home: Path) -> None:
    with mailbox("me@qq.com") as box:
        with pytest.raises(StoreError):
            logins.login(account_at(box), code=CODE, store=Failing())
        assert len(Accounts(home)) == 0


def test_a_configuration_that_cannot_be_written_leaves_the_old_code(home: Path) -> None:
    store = MemoryStore()
    store.set(Slot("me@qq.com", "code"), Secret("the old one"))
    with mailbox("me@qq.com") as box:
        account = account_at(box)
        (home / "config.toml.lock").mkdir()  # no lock can be had
        with pytest.raises(ConfigError):
            logins.login(account, code=CODE, store=store)
    assert store.get(Slot("me@qq.com", "code")) == Secret("the old one")


def test_a_server_without_encryption_is_shown_no_code(home: Path) -> None:
    account = logins.account_for("me@corp.example", host="127.0.0.1", port=1, security="none")
    with pytest.raises(ConfigError) as caught:
        logins.login(account, code=CODE, store=MemoryStore())
    assert caught.value.code == "code-unencrypted"


@pytest.mark.parametrize(
    ("address", "words", "provider", "host"),
    [
        ("me@qq.com", {}, "qq", "smtp.qq.com"),
        ("Me Myself <me@QQ.com>", {}, "qq", "smtp.qq.com"),
        ("me@corp.example", {"provider": "exmail"}, "exmail", "smtp.exmail.qq.com"),
        ("me@corp.example", {"host": "SMTP.exmail.qq.com"}, "exmail", "smtp.exmail.qq.com"),
        ("me@corp.example", {"host": "mail.corp.example"}, "custom", "mail.corp.example"),
        ("me@corp.example", {"host": "[::1]:2465", "security": "tls"}, "custom", "::1"),
        ("me@corp.example", {"host": "::1"}, "custom", "::1"),
        ("me@gmail.com", {"host": "smtp.gmail.com"}, "gmail-smtp", "smtp.gmail.com"),
        ("me@gmail.com", {"host": "relay.corp.example"}, "custom", "relay.corp.example"),
        ("me@outlook.com", {"host": "relay.corp.example"}, "custom", "relay.corp.example"),
        ("me@163.com", {"host": "relay.corp.example"}, "163", "relay.corp.example"),
    ],
)
def test_the_account_follows_from_the_words_of_a_person(
    address: str, words: dict[str, str], provider: str, host: str
) -> None:
    account = logins.account_for(address, **words)  # type: ignore[arg-type]
    assert (account.provider, account.server.host.lower()) == (provider, host)


def test_the_port_may_stand_in_the_host() -> None:
    server = logins.account_for("me@corp.example", host="mail.corp.example:587").server
    assert (server.host, server.port, server.security) == ("mail.corp.example", 587, "starttls")
    with pytest.raises(ConfigError):
        logins.account_for("me@corp.example", host="mail.corp.example:587", port=465)


def test_words_override_what_was_set_up_and_the_rest_is_kept(home: Path) -> None:
    old = Account(
        address="me@corp.example",
        host="a.example",
        port=587,
        security="starttls",
        name="Me",
        fallback=("x@qq.com",),
    )
    Accounts(home).add(old)
    assert logins.account_for("ME@corp.example") == old
    moved = logins.account_for("me@corp.example", host="b.example", name="")
    assert (moved.host, moved.port, moved.security) == ("b.example", 0, "")
    assert (moved.name, moved.fallback) == ("", ("x@qq.com",))
    other = logins.account_for("me@corp.example", provider="exmail")
    assert (other.server.host, other.name, other.fallback) == ("smtp.exmail.qq.com", "Me", ("x@qq.com",))


def test_every_way_out_of_a_login_is_one_of_our_errors() -> None:
    wrong: tuple[dict[str, Any], ...] = (
        {"provider": "x"},
        {"host": "a:b"},
        {"host": "a:1", "port": 2},
        {"security": "some"},
        {"port": -1},
    )
    for words in wrong:
        with pytest.raises(MailerError):
            logins.account_for("me@corp.example", **words)
