"""Examines what a send depends on, from the clock to the login, and says what to do about it.

    for finding in check_account("me@qq.com"):
        print(finding)

Nothing is sent, but by ``check_sending``. A refused code is not shown to its server again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ..accounts import Account, Accounts, home_folder
from ..auth import asks_consent
from ..errors import ConfigError
from ..stores import Secret, TokenStore
from . import clock, consents, domain, gmail, machine, outbox, routes, secrets, smtp, ways
from .finding import Finding, State
from .patient import Check, Machine, Patient, Settings, examined

__all__ = ["Finding", "State", "check_account", "check_all", "check_sending"]

_MACHINE = (
    Check("versions", machine.versions),
    Check("proxy", machine.proxy),
    Check("certificates", machine.certificates),
    Check("configuration", machine.configuration),
    Check("permissions", machine.permissions),
)
_OUTBOX = (Check("outbox", outbox.outbox),)
_FIRST = (Check("store", secrets.store), Check("secret", secrets.secret, ("store",)))
_CODE = (Check("login", secrets.login),)
_CLOCK = (Check("clock", clock.clock),)
_CONSENT = (
    Check("client", consents.client, ("secret",)),
    Check("consent", consents.consent),
    Check("scopes", consents.scopes),
    Check("token", consents.token, ("client",), connects=True),
)
_API = (Check("api", gmail.api, ("token", "scopes"), connects=True),)
_SMTP = (
    Check("dns", smtp.dns, connects=True),
    Check("tcp", smtp.tcp, ("dns",), connects=True),
    Check("tls", smtp.tls, ("tcp",), connects=True),
    Check("ehlo", smtp.ehlo, ("tcp",), connects=True),
)
_LOGIN = (Check("auth", smtp.auth, ("ehlo", "secret", "token"), connects=True),)
_DOMAIN = (
    Check("from", domain.sender),
    Check("mx", domain.mx, connects=True),
    Check("spf", domain.spf, ("mx",), connects=True),
    Check("dmarc", domain.dmarc, ("mx",), connects=True),
)
_WAY = (Check("way", ways.way),)
_LAST = (Check("fallback", routes.fallback),)


def check_account(
    address: str = "",
    *,
    home: Path | str | None = None,
    store: TokenStore | None = None,
    timeout: float = 10.0,
    offline: bool = False,
    nameserver: str = "",
    ask_passphrase: Callable[[str], Secret] | None = None,
) -> Iterator[Finding]:
    """What is found of this computer and of one account, in the order in which one thing needs another.

    ``address``: by default the default account; ``home``: the folder of the configuration; ``store``: a token
    store in place of that configured; ``timeout``: seconds for one step on the network; ``offline``: leave
    out what connects; ``nameserver``: the DNS server to ask for SPF and the like, as HOST or HOST:PORT;
    ``ask_passphrase``: see ``open_mailer``.

    What is wrong is a finding, and raises nothing.
    """
    settings = Settings(
        home=_folder(home),
        store=store,
        timeout=timeout,
        offline=offline,
        nameserver=nameserver,
        ask_passphrase=ask_passphrase,
    )
    yield from examined(_MACHINE, Machine(settings, address))
    try:
        accounts = Accounts(settings.home)
        account = accounts.get(address)
    except ConfigError:  # told by the check of the configuration
        return
    yield from _patient(account, accounts, settings)
    yield from examined(_OUTBOX, Machine(settings, account.address))


def check_all(
    *,
    home: Path | str | None = None,
    store: TokenStore | None = None,
    timeout: float = 10.0,
    offline: bool = False,
    nameserver: str = "",
    ask_passphrase: Callable[[str], Secret] | None = None,
) -> Iterator[Finding]:
    """The same of all accounts in the configuration."""
    settings = Settings(
        home=_folder(home),
        store=store,
        timeout=timeout,
        offline=offline,
        nameserver=nameserver,
        ask_passphrase=ask_passphrase,
    )
    yield from examined(_MACHINE, Machine(settings))
    try:
        accounts = Accounts(settings.home)
        chosen = list(accounts)
    except ConfigError:
        return
    for account in chosen:
        yield from _patient(account, accounts, settings)
    yield from examined(_OUTBOX, Machine(settings))


def check_sending(
    address: str = "",
    *,
    to: str = "",
    home: Path | str | None = None,
    store: TokenStore | None = None,
    timeout: float = 60.0,
    ask_passphrase: Callable[[str], Secret] | None = None,
) -> Finding:
    """Send one real message by this account, by default to itself, and tell what became of it."""
    settings = Settings(home=_folder(home), store=store, timeout=timeout, ask_passphrase=ask_passphrase)
    return routes.send_test(address, to, settings)


def _patient(account: Account, accounts: Accounts, settings: Settings) -> Iterator[Finding]:
    patient = Patient(account, accounts, settings)
    by_consent, by_smtp = asks_consent(account) is not None, account.transport == "smtp"
    checks = [
        *_FIRST,
        *_WAY,
        *(() if by_smtp and not by_consent else _CLOCK),
        *(_CONSENT if by_consent else _CODE),
        *(_API if account.transport == "gmail" else ()),
        *(_SMTP if by_smtp else ()),
        *(_CLOCK if by_smtp and not by_consent else ()),  # which is told by the conversation
        *(_LOGIN if by_smtp else ()),
        *_DOMAIN,
        *_LAST,
    ]
    failed = set()
    for finding in examined(checks, patient):
        failed |= {finding.check} if finding.state == "failed" else set()
        yield finding
    if failed & {"secret", "token", "fallback"}:
        return
    for other in ways.own_ways(patient):
        by_its_way = _API if other.transport == "gmail" else (*_SMTP, *_LOGIN)
        yield from examined(by_its_way, Patient(other, accounts, settings))


def _folder(home: Path | str | None) -> Path:
    return Path(home) if home is not None else home_folder()
