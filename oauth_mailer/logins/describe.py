"""The account that a login is about: what the person says, over what is known of the address."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..accounts import Account, Accounts
from ..address import Address
from ..auth import authorities, authority_named
from ..errors import ConfigError
from ..i18n import _
from ..providers import CUSTOM, PROVIDERS, Provider, provider_for, provider_named

__all__ = ["account_for", "provider_taking"]


def account_for(
    address: str,
    *,
    provider: str = "",
    host: str = "",
    port: int = 0,
    security: str = "",
    username: str = "",
    ca_file: str = "",
    name: str | None = None,
    store: str = "",
    fallback: Sequence[str] = (),
    home: Path | str | None = None,
) -> Account:
    """The account that a login with these words is about: they override what is known of the address.

    ``provider``: the name of a preset, by default that of the address; ``host``: an SMTP server, as HOST or
    HOST:PORT; ``security``: ``tls``, ``starttls`` or ``none``; ``name``: shown to recipients; ``store``: the
    kind of token store; ``fallback``: what steps in where it is certain that this account did not send:
    addresses of accounts, or ``smtp`` for itself by SMTP, for which Google is asked for more. What is left
    out is taken from the account's entry in the configuration, if it has one. Raises ``ConfigError`` where no
    server is known, or none that this version can log in to.
    """
    mailbox = Address.parse(address)
    accounts = Accounts(home)
    old = accounts.get(mailbox.email) if mailbox.email in accounts else None
    host, port = _split_port(host, port)
    preset = _preset(mailbox.email, provider, host, old)
    words: dict[str, Any] = {"username": username, "ca_file": ca_file, "store": store}
    if host or port or security:
        words |= {"host": host or (old.host if old else ""), "port": port, "security": security}
    given = {
        key: value
        for key, value in words.items()
        if value or (key in ("port", "security") and "host" in words)
    }
    if name is not None or mailbox.name:
        given["name"] = mailbox.name if name is None else name
    if fallback:
        given["fallback"] = tuple(fallback)
    if old is not None and old.provider == preset.name:
        account = replace(old, **given)
    else:
        kept: dict[str, Any] = {"name": old.name, "store": old.store} if old else {}
        if old:  # another way of the account was one of the provider that it had
            kept["fallback"] = tuple(one for one in old.fallback if "@" in one)
        account = Account(address=mailbox.email, provider=preset.name, **kept | given)
    if account.transport == "smtp":
        account.server  # noqa: B018 - raises where no server is known
    elif host or port or security:
        raise ConfigError(
            _("{title} is reached by its own API, which has no host to name.").format(title=_(preset.title)),
            code="host-without-smtp",
            hint=_("For Gmail by SMTP with an app password, use --provider gmail-smtp."),
        )
    for one in fallback:
        accounts.stand_in(account, one)  # raises for what is not there
    return _consenting(account)


def _consenting(account: Account) -> Account:
    """The account, with what its consent has to cover where it falls back on its own SMTP."""
    if account.auth != "google" or "smtp" not in account.fallback:
        return account
    from ..auth.google import ALL, IDENTITY, scopes_of

    asked = scopes_of(account)
    kept = [one for one in asked if one in IDENTITY]
    return account if ALL in asked else replace(account, scopes=(ALL, *kept))


def provider_taking(address: str, options: Collection[str], *, home: Path | str | None = None) -> str:
    """The provider that these options of a login imply; empty where the address says it itself.

    ``options``: names as in ``Authority.takes``, of the options that were given.
    """
    accounts, email = Accounts(home), Address.parse(address).email
    known = accounts.get(email).preset if email in accounts else provider_for(email)
    if known is not None and authority_named(known.auth) is not None:
        return ""  # whether they go with it is another question
    for option in options:
        takers = [one.own_domains for one in authorities() if option in one.takes and one.own_domains]
        if takers and option != "device":  # with which no provider is meant, only a way to log in
            return takers[0]
    return ""


def _preset(address: str, provider: str, host: str, old: Account | None) -> Provider:
    if provider:
        if (named := provider_named(provider)) is None:
            raise ConfigError(
                _("There is no provider {name!r}.").format(name=provider),
                code="provider-unknown",
                hint=_("Name one of: {names}.").format(names=", ".join(preset.name for preset in PROVIDERS)),
            )
        return named
    known = old.preset if old else provider_for(address)
    if host:
        # A server that is somebody's preset brings what is known of it; a strange one is taken as it is.
        usable = [preset for preset in (known, *PROVIDERS) if preset is not None and preset.auth == "code"]
        # Where a server takes no code, its preset says what it takes instead.
        others = [preset for preset in PROVIDERS if preset.auth != "code" and preset.transport == "smtp"]
        for preset in (*usable, *others):
            if any(server.host == host.lower() for server in preset.servers):
                return preset
        return known if known in usable and known is not None else CUSTOM
    if known is None:
        raise ConfigError(
            _("No provider is known for {address}.").format(address=address),
            code="provider-unknown",
            hint=_(
                "Say who runs its mail, for example --provider exmail, or --provider gmail for Workspace;\n"
                "or name the server: oauth-mailer login {address} --host mail.example.com\n"
                "All presets: oauth-mailer login --help"
            ).format(address=address),
        )
    return known


def _split_port(host: str, port: int) -> tuple[str, int]:
    """``HOST:PORT``, ``[IPv6]:PORT`` or a host alone, as host and port."""
    name, colon, number = host.rpartition(":")
    if not colon or (":" in name and not name.endswith("]")):  # no port, or an IPv6 address alone
        return host.strip("[]"), port
    if not number.isascii() or not number.isdigit() or (port and port != int(number)):
        raise ConfigError(
            _("{host!r} does not end in the port of an SMTP server.").format(host=host),
            code="port-wrong",
            hint=_("Write it once, for example: --host mail.example.com:465"),
        )
    return name.strip("[]"), int(number)
