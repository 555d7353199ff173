"""Providers as rows of data: adding one is adding a row.

The letters in ``source`` say where a row comes from: N = nodemailer's list of well-known services,
I = Thunderbird's ISPDB, C = community code only (not confirmed by the provider).
"""

from __future__ import annotations

from typing import Literal

from .i18n import N_
from .values import dataclass

__all__ = ["PROVIDERS", "Provider", "Security", "Server", "provider_for", "provider_named"]

Security = Literal["tls", "starttls", "none"]
"""tls: from the first byte (RFC 8314); starttls: required (RFC 3207); none: only if asked for by name."""

SecretKind = Literal["oauth", "authorization code", "app password", "client password", "password"]


@dataclass(frozen=True, slots=True)
class Server:
    """An SMTP submission server."""

    host: str
    port: int
    security: Security = "tls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """What is known of a provider.

    ``title``: its name for people, in English; ``servers``: the first is used, the others are alternatives a
    person may choose by port; ``secret_pattern``: a regular expression for the whole secret, where the
    provider fixes its form; ``max_size``: octets of the finished message; ``max_recipients``: of one message;
    ``sender_must_match``: the server refuses any From but the login itself; ``per_minute``, ``per_day``:
    messages that an account may send in any 60 seconds and 24 hours, ``per_day_own_domain``: the same for
    addresses of a customer's domain; 0 where it is not known; ``scopes``: what a consent asks for, where that
    is not the default of the account's ``auth``.
    """

    name: str
    title: str
    domains: tuple[str, ...] = ()
    servers: tuple[Server, ...] = ()
    transport: str = "smtp"
    auth: str = "code"
    secret: SecretKind = "password"
    secret_pattern: str = ""
    secret_ignores_spaces: bool = False
    username: Literal["address", "local part"] = "address"
    max_size: int | None = None
    max_recipients: int | None = None
    sender_must_match: bool = False
    per_minute: int = 0
    per_day: int = 0
    per_day_own_domain: int = 0
    replies: str = ""
    scopes: tuple[str, ...] = ()
    source: str = ""


def _tls(host: str, *ports: int) -> tuple[Server, ...]:
    return tuple(Server(host, port) for port in ports or (465,))


def _starttls(host: str) -> tuple[Server, ...]:
    return (Server(host, 587, "starttls"),)


_GMAIL_SMTP = (*_tls("smtp.gmail.com"), *_starttls("smtp.gmail.com"))
_GMAIL_MAX_SIZE = 36_700_160  # the Gmail API's discovery document, maxSize of messages.send
_GMAIL_MAX_RECIPIENTS = 100  # a message by API or SMTP: Workspace admin help 166852
_GMAIL_PER_MINUTE = 60  # Gmail API quota page: 6,000 units a user a minute, of which one costs 100
_GMAIL_PER_DAY, _WORKSPACE_PER_DAY = 500, 2_000  # Workspace admin help 166852

PROVIDERS: tuple[Provider, ...] = (
    Provider(
        name="gmail",
        title="Gmail",
        domains=("gmail.com", "googlemail.com"),
        servers=_GMAIL_SMTP,
        transport="gmail",
        auth="google",
        secret="oauth",
        max_size=_GMAIL_MAX_SIZE,
        max_recipients=_GMAIL_MAX_RECIPIENTS,
        per_minute=_GMAIL_PER_MINUTE,
        per_day=_GMAIL_PER_DAY,
        per_day_own_domain=_WORKSPACE_PER_DAY,
        replies="gmail",
        source="NI",
    ),
    Provider(
        name="gmail-smtp",
        title="Gmail (SMTP)",
        servers=_GMAIL_SMTP,
        secret="app password",
        secret_pattern="[a-z]{16}",
        secret_ignores_spaces=True,
        max_recipients=_GMAIL_MAX_RECIPIENTS,
        per_day=_GMAIL_PER_DAY,
        replies="gmail",
        source="NI",
    ),
    Provider(
        name="gmail-xoauth2",
        title="Gmail (SMTP, OAuth)",
        servers=_GMAIL_SMTP,
        auth="google",
        secret="oauth",
        scopes=("https://mail.google.com/",),  # the only one that Gmail's SMTP takes
        max_recipients=_GMAIL_MAX_RECIPIENTS,
        per_day=_GMAIL_PER_DAY,
        replies="gmail",
        source="NI",
    ),
    Provider(
        name="qq",
        title=N_("QQ Mail"),
        domains=("qq.com", "vip.qq.com", "foxmail.com"),
        servers=(*_tls("smtp.qq.com"), *_starttls("smtp.qq.com")),
        secret="authorization code",
        secret_pattern="[a-zA-Z]{16}",
        secret_ignores_spaces=True,
        sender_must_match=True,
        replies="qq",
        source="NI",
    ),
    Provider(
        name="163",
        title=N_("NetEase 163"),
        domains=("163.com", "vip.163.com", "188.com"),
        servers=_tls("smtp.163.com", 465, 994),
        secret="authorization code",
        sender_must_match=True,
        replies="netease",
        source="NI",  # 188.com: C
    ),
    Provider(
        name="126",
        title=N_("NetEase 126"),
        domains=("126.com",),
        servers=_tls("smtp.126.com"),
        secret="authorization code",
        sender_must_match=True,
        replies="netease",
        source="NI",
    ),
    Provider(
        name="yeah",
        title=N_("NetEase yeah.net"),
        domains=("yeah.net",),
        servers=_tls("smtp.yeah.net"),
        secret="authorization code",
        sender_must_match=True,
        replies="netease",
        source="I",
    ),
    Provider(
        name="exmail",
        title=N_("Tencent Exmail"),
        servers=_tls("smtp.exmail.qq.com"),
        secret="client password",
        sender_must_match=True,
        replies="qq",
        source="N",
    ),
    Provider(
        name="exmail-abroad",
        title=N_("Tencent Exmail (outside China)"),
        servers=_tls("hwsmtp.exmail.qq.com"),
        secret="client password",
        sender_must_match=True,
        replies="qq",
        source="C",
    ),
    Provider(
        name="netease-enterprise",
        title=N_("NetEase enterprise mail"),
        servers=_tls("smtp.qiye.163.com", 465, 994),
        secret="authorization code",
        sender_must_match=True,
        replies="netease",
        source="C",
    ),
    Provider(
        name="aliyun",
        title=N_("Aliyun Mail"),
        domains=("aliyun.com",),
        servers=_tls("smtp.aliyun.com"),
        source="N",
    ),
    Provider(
        name="alibaba-enterprise",
        title=N_("Alibaba Mail"),
        servers=_tls("smtp.qiye.aliyun.com"),
        secret="client password",
        source="N",
    ),
    Provider(
        name="feishu",
        title=N_("Feishu Mail"),
        servers=_tls("smtp.feishu.cn"),
        secret="client password",
        source="N",
    ),
    Provider(
        name="sina",
        title=N_("Sina Mail"),
        domains=("sina.com", "sina.cn"),
        servers=_tls("smtp.sina.com"),
        secret="authorization code",
        source="C",
    ),
    Provider(
        name="sohu",
        title=N_("Sohu Mail"),
        domains=("sohu.com",),
        servers=_tls("smtp.sohu.com"),
        secret="authorization code",
        source="C",
    ),
    Provider(
        name="139",
        title=N_("China Mobile 139"),
        domains=("139.com",),
        servers=_tls("smtp.139.com"),
        secret="authorization code",
        source="C",
    ),
    Provider(
        name="189",
        title=N_("China Telecom 189"),
        domains=("189.cn",),
        servers=_tls("smtp.189.cn"),
        secret="authorization code",
        source="C",
    ),
    Provider(
        name="outlook",
        title="Outlook.com",
        domains=("outlook.com", "hotmail.com", "live.com"),
        servers=_starttls("smtp-mail.outlook.com"),
        auth="microsoft",
        secret="oauth",
        replies="microsoft",
        source="I",
    ),
    Provider(
        name="microsoft365",
        title="Microsoft 365",
        servers=_starttls("smtp.office365.com"),
        auth="microsoft",
        secret="oauth",
        replies="microsoft",
        source="I",
    ),
    Provider(
        name="icloud",
        title=N_("iCloud Mail"),
        domains=("icloud.com", "me.com", "mac.com"),
        servers=_starttls("smtp.mail.me.com"),
        secret="app password",
        source="NI",
    ),
    Provider(
        name="yahoo",
        title=N_("Yahoo Mail"),
        domains=("yahoo.com",),
        servers=_tls("smtp.mail.yahoo.com"),
        secret="app password",
        source="NI",
    ),
    Provider(
        name="aol",
        title="AOL Mail",
        domains=("aol.com",),
        servers=_tls("smtp.aol.com"),
        secret="app password",
        source="I",
    ),
    Provider(
        name="zoho",
        title="Zoho Mail",
        domains=("zoho.com",),
        servers=(*_tls("smtp.zoho.com"), *_starttls("smtp.zoho.com")),
        secret="app password",
        source="NI",
    ),
    Provider(
        name="fastmail",
        title="Fastmail",
        domains=("fastmail.com",),
        servers=_tls("smtp.fastmail.com"),
        secret="app password",
        source="N",
    ),
    Provider(
        name="yandex",
        title="Yandex Mail",
        domains=("yandex.com", "yandex.ru"),
        servers=_tls("smtp.yandex.com"),
        secret="app password",
        source="I",
    ),
    Provider(
        name="mailru",
        title="Mail.ru",
        domains=("mail.ru",),
        servers=_tls("smtp.mail.ru"),
        secret="app password",
        source="NI",
    ),
    Provider(
        name="gmx-net",
        title="GMX",
        domains=("gmx.net",),
        servers=_tls("mail.gmx.net"),
        source="I",
    ),
    Provider(
        name="gmx",
        title="GMX",
        domains=("gmx.com",),
        servers=_tls("mail.gmx.com"),
        source="I",
    ),
    Provider(
        name="webde",
        title="WEB.DE",
        domains=("web.de",),
        servers=_starttls("smtp.web.de"),
        username="local part",
        source="I",
    ),
    Provider(
        name="naver",
        title="Naver Mail",
        domains=("naver.com",),
        servers=_tls("smtp.naver.com"),
        source="I",
    ),
)

CUSTOM = Provider(name="custom", title="SMTP")
"""Any other server: its host, port and security are the account's own."""

_BY_NAME = {provider.name: provider for provider in (*PROVIDERS, CUSTOM)}
_BY_DOMAIN = {domain: provider for provider in PROVIDERS for domain in provider.domains}


def provider_for(address: str) -> Provider | None:
    """The provider whose domain this address is in, or None: then it has to be named."""
    return _BY_DOMAIN.get(address.rpartition("@")[2].lower())


def provider_named(name: str) -> Provider | None:
    """The provider with this name, or None."""
    return _BY_NAME.get(name)
