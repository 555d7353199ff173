"""The presets: found from the address, right in every row."""

from __future__ import annotations

import re

import pytest

from oauth_mailer.accounts import Account
from oauth_mailer.providers import CUSTOM, PROVIDERS, Provider, provider_for, provider_named

T, S = "tls", "starttls"
OAUTH, CODE, APP, CLIENT, PLAIN = "oauth", "authorization code", "app password", "client password", "password"

# (domains, server, ports, kind of secret), written down from the providers' facts and not from the module.
BY_DOMAIN = [
    ("gmail.com googlemail.com", "smtp.gmail.com", [(465, T), (587, S)], OAUTH),
    ("qq.com vip.qq.com foxmail.com", "smtp.qq.com", [(465, T), (587, S)], CODE),
    ("163.com vip.163.com 188.com", "smtp.163.com", [(465, T), (994, T)], CODE),
    ("126.com", "smtp.126.com", [(465, T)], CODE),
    ("yeah.net", "smtp.yeah.net", [(465, T)], CODE),
    ("aliyun.com", "smtp.aliyun.com", [(465, T)], PLAIN),
    ("sina.com sina.cn", "smtp.sina.com", [(465, T)], CODE),
    ("sohu.com", "smtp.sohu.com", [(465, T)], CODE),
    ("139.com", "smtp.139.com", [(465, T)], CODE),
    ("189.cn", "smtp.189.cn", [(465, T)], CODE),
    ("outlook.com hotmail.com live.com", "smtp-mail.outlook.com", [(587, S)], OAUTH),
    ("icloud.com me.com mac.com", "smtp.mail.me.com", [(587, S)], APP),
    ("yahoo.com", "smtp.mail.yahoo.com", [(465, T)], APP),
    ("aol.com", "smtp.aol.com", [(465, T)], APP),
    ("zoho.com", "smtp.zoho.com", [(465, T), (587, S)], APP),
    ("fastmail.com", "smtp.fastmail.com", [(465, T)], APP),
    ("yandex.com yandex.ru", "smtp.yandex.com", [(465, T)], APP),
    ("mail.ru", "smtp.mail.ru", [(465, T)], APP),
    ("gmx.net", "mail.gmx.net", [(465, T)], PLAIN),
    ("gmx.com", "mail.gmx.com", [(465, T)], PLAIN),
    ("web.de", "smtp.web.de", [(587, S)], PLAIN),
    ("naver.com", "smtp.naver.com", [(465, T)], PLAIN),
]
BY_NAME = [
    ("gmail-smtp", "smtp.gmail.com", [(465, T), (587, S)], APP),
    ("gmail-xoauth2", "smtp.gmail.com", [(465, T), (587, S)], OAUTH),
    ("exmail", "smtp.exmail.qq.com", [(465, T)], CLIENT),
    ("exmail-abroad", "hwsmtp.exmail.qq.com", [(465, T)], CLIENT),
    ("netease-enterprise", "smtp.qiye.163.com", [(465, T), (994, T)], CODE),
    ("alibaba-enterprise", "smtp.qiye.aliyun.com", [(465, T)], CLIENT),
    ("feishu", "smtp.feishu.cn", [(465, T)], CLIENT),
    ("microsoft365", "smtp.office365.com", [(587, S)], OAUTH),
]


def is_right(provider: Provider | None, host: str, ports: list[tuple[int, str]], secret: str) -> bool:
    assert provider is not None
    assert [(server.host, server.port, server.security) for server in provider.servers] == [
        (host, port, security) for port, security in ports
    ]
    assert provider.secret == secret
    return True


@pytest.mark.parametrize(("domains", "host", "ports", "secret"), BY_DOMAIN, ids=lambda value: str(value)[:20])
def test_a_provider_is_found_from_the_address(
    domains: str, host: str, ports: list[tuple[int, str]], secret: str
) -> None:
    for domain in domains.split():
        assert is_right(provider_for(f"me@{domain}"), host, ports, secret)
        assert provider_for(f"ME@{domain.upper()}") is provider_for(f"me@{domain}")


@pytest.mark.parametrize(("name", "host", "ports", "secret"), BY_NAME, ids=lambda value: str(value)[:20])
def test_a_provider_for_own_domains_is_found_by_its_name(
    name: str, host: str, ports: list[tuple[int, str]], secret: str
) -> None:
    assert is_right(provider_named(name), host, ports, secret)


def test_every_row_is_checked_here() -> None:
    domains = {domain for row in BY_DOMAIN for domain in row[0].split()}
    assert domains == {domain for provider in PROVIDERS for domain in provider.domains}
    assert {row[0] for row in BY_NAME} == {provider.name for provider in PROVIDERS if not provider.domains}


def test_no_provider_is_guessed_for_another_domain() -> None:
    for address in (
        "me@example.com",
        "me@mail.qq.com",
        "me@qq.com.evil.example",
        "me@notqq.com",
        "me@",
        "me",
        "",
    ):
        assert provider_for(address) is None
    assert provider_named("no such") is None


def test_names_and_domains_are_unique() -> None:
    names = [provider.name for provider in (*PROVIDERS, CUSTOM)]
    domains = [domain for provider in PROVIDERS for domain in provider.domains]
    assert len(set(names)) == len(names)
    assert len(set(domains)) == len(domains)
    assert all(domain == domain.lower() for domain in domains)


def test_every_row_says_where_it_comes_from_and_can_be_typed() -> None:
    for provider in PROVIDERS:
        assert re.fullmatch("N?I?C?", provider.source)
        assert provider.source
        assert re.fullmatch("[a-z0-9-]+", provider.name)
        assert provider.title


def test_no_preset_sends_in_plain_text() -> None:
    for provider in PROVIDERS:
        assert provider.servers
        for server in provider.servers:
            assert (server.port, server.security) in {(465, T), (994, T), (587, S)}


def test_the_form_of_a_secret_is_known_where_the_provider_fixes_it() -> None:
    forms = {provider.name: provider.secret_pattern for provider in PROVIDERS if provider.secret_pattern}
    assert set(forms) == {"gmail-smtp", "qq"}
    for pattern in forms.values():
        assert re.fullmatch(pattern, "abcdefghijklmnop")
        assert not re.fullmatch(pattern, "abcdefghijklmno")
        assert not re.fullmatch(pattern, "my qq password 1")


def test_qq_and_netease_accept_no_sender_but_the_login() -> None:
    for provider in PROVIDERS:
        chinese = any("qq.com" in server.host or "163" in server.host for server in provider.servers)
        if chinese or provider.name in {"126", "yeah"}:
            assert provider.sender_must_match
            assert provider.replies in {"qq", "netease"}


def test_the_limits_of_gmail_are_those_of_its_api() -> None:
    gmail = provider_named("gmail")
    assert gmail is not None
    assert (gmail.max_size, gmail.max_recipients) == (36_700_160, 100)
    assert (gmail.transport, gmail.auth) == ("gmail", "google")


def test_an_account_takes_its_way_of_sending_from_the_preset() -> None:
    assert Account(address="me@qq.com", provider="qq").transport == "smtp"
    assert Account(address="me@qq.com", provider="qq").auth == "code"
    assert Account(address="me@corp.example", provider="gmail").transport == "gmail"
    assert Account(address="me@gmail.com", provider="gmail", transport="smtp").transport == "smtp"
