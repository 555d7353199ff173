"""Consent given in a real browser: what a person sees and clicks, and what the program makes of it."""

from __future__ import annotations

import email
import email.policy
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from selenium.webdriver.common.by import By

from oauth_mailer.accounts import Accounts
from oauth_mailer.auth.google import consent_slot
from oauth_mailer.sandbox import Sandbox
from oauth_mailer.stores import StoreOptions, open_store
from tests.cli.google_login import ADDRESS, PASSPHRASE, Login, log_in
from tests.cli.program import Ended, run
from tests.support import folder_contains
from tests.support.chromium import Chromium, chromium

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Chromium as Debian packages it")

EML = (
    b"From: you@gmail.com\r\nTo: ann@example.com\r\nSubject: As it is\r\n"
    b"Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <as-it-is@gmail.com>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b".\r\n..\r\n" + "李雷\r\n".encode() + b" trailing \t\r\n\r\n"
)


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def browser(window: Chromium) -> Chromium:
    """The browser, which has nothing to complain of so far."""
    window.open("about:blank")
    window.complaints()
    return window


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Google's part, played by the stand-in, for a host that keeps secrets in an encrypted file."""
    monkeypatch.setenv("OAUTH_MAILER_STORE", "encrypted_file")
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", PASSPHRASE)
    with Sandbox() as made:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", made.gmail_endpoint)
        yield made


def login(google: Sandbox, folder: Path, *words: str, env: dict[str, str] | None = None) -> Login:
    return Login(ADDRESS, "--client-secrets", str(google.write_client_secrets(folder)), *words, env=env)


def no_secret_is_shown(browser: Chromium, home: Path) -> None:
    """Neither the answer in the address nor what is kept stands in the page."""
    answer = parse_qs(urlsplit(browser.driver.current_url).query)
    secrets = {answer["state"][0], answer["code"][0]}
    kept = open_store("encrypted_file", StoreOptions(home)).get(consent_slot(Accounts(home).get()))
    assert kept
    secrets |= set(json.loads(kept.reveal()).values())
    assert len(secrets) == 4
    for secret in secrets:
        assert secret not in browser.driver.page_source
        assert not folder_contains(home, secret.encode())


def sent(done: Ended) -> None:
    assert done.code == 0, done.err
    assert (done.json["status"], done.json["account"], done.json["transport"]) == ("sent", ADDRESS, "gmail")


def test_a_person_allows_it_and_mail_arrives_octet_for_octet(
    browser: Chromium, google: Sandbox, tmp_path: Path, home: Path
) -> None:
    with login(google, tmp_path, "--no-browser") as program:
        browser.open(program.url)
        assert ADDRESS in browser.driver.page_source
        browser.click("allow")
        browser.shows("You can close this page")
        done = program.end()
    assert done.code == 0, done.err
    assert browser.driver.title == "you@gmail.com is ready · oauth_mailer"
    assert "It may send mail, and nothing else." in browser.text
    assert "oauth-mailer send --from you@gmail.com" in browser.text
    assert browser.complaints() == []
    no_secret_is_shown(browser, home)

    report = tmp_path / "报告.bin"
    report.write_bytes(bytes(range(256)) * 200)
    sent(run("send", "--to", "李雷 <ann@example.com>", "--text", "Hi", "--attach", str(report), "--json"))
    (tmp_path / "finished.eml").write_bytes(EML)
    sent(run("send", "--eml", str(tmp_path / "finished.eml"), "--json"))
    composed, finished = google.messages
    message = email.message_from_bytes(composed.delivered, policy=email.policy.default)
    (attachment,) = message.iter_attachments()
    assert attachment.get_filename() == report.name
    assert attachment.get_content() == report.read_bytes()
    assert finished.delivered == EML
    assert (composed.route, finished.recipients) == ("gmail", ("ann@example.com",))


def test_the_program_opens_the_browser_itself(
    browser: Chromium, google: Sandbox, tmp_path: Path, home: Path
) -> None:
    with login(google, tmp_path, env={"BROWSER": browser.starter(tmp_path)}) as program:
        browser.click("allow")
        browser.shows("is ready")
        done = program.end()
    assert done.code == 0, done.err
    assert "Your browser shows Google's page" in done.err
    no_secret_is_shown(browser, home)


def test_a_person_denies_it_and_the_old_login_still_works(
    browser: Chromium, google: Sandbox, tmp_path: Path
) -> None:
    assert log_in(google, tmp_path).code == 0
    with login(google, tmp_path, "--no-browser", "--json") as program:
        browser.open(program.url)
        browser.click("deny")
        browser.shows("The login did not succeed")
        done = program.end()
    assert done.code == 77, done.err
    assert done.json["error"]["code"] == "consent-denied"
    assert browser.driver.title == "The login did not succeed · oauth_mailer"
    assert "The consent was denied on Google's page." in browser.text
    (command,) = browser.driver.find_elements(By.TAG_NAME, "code")
    assert command.text == f"oauth-mailer login {ADDRESS}"
    (link,) = browser.driver.find_elements(By.TAG_NAME, "a")
    assert link.get_attribute("href") == "https://console.cloud.google.com/auth/audience"
    sent(run("send", "--to", "ann@example.com", "--text", "Hi", "--json"))


def test_a_person_unticks_what_is_needed(browser: Chromium, google: Sandbox, tmp_path: Path) -> None:
    with login(google, tmp_path, "--no-browser", "--check-identity", "--json") as program:
        browser.open(program.url)
        browser.click("scope-0")
        browser.click("allow")
        browser.shows("The consent leaves out what is needed")
        done = program.end()
    assert done.code == 77, done.err
    assert done.json["error"]["code"] == "scope-missing"
    assert run("accounts", "--json").json == {"accounts": []}


def test_all_of_it_is_in_chinese_for_a_chinese_user(
    browser: Chromium, google: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTH_MAILER_LANG", "zh_CN")
    with login(google, tmp_path, "--no-browser") as program:
        browser.open(program.url)
        assert browser.language == "zh-CN"
        assert not re.search(r"\b(Allow|Deny|wants)\b", browser.text)
        browser.click("allow")
        browser.shows("you@gmail.com 已就绪")
        done = program.end()
    assert done.code == 0
    assert browser.language == "zh-CN"
    assert browser.driver.title == "you@gmail.com 已就绪 · oauth_mailer"
    assert "You can close" not in browser.text
    assert "is ready" not in done.err
