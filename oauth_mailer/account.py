"""One sending address: who it is, how it sends, and how that is written in the configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, cast, get_args

from .errors import ConfigError
from .i18n import _
from .providers import CUSTOM, Provider, Security, Server, provider_for, provider_named
from .values import dataclass, field, replace

__all__ = [
    "WAYS",
    "Account",
    "account_from",
    "account_in_environment",
    "secret_sources",
    "secret_variable",
    "secrets_in_environment",
    "table_from",
]

WAYS = ("gmail", "smtp")
"""The transports of which one may step in for the other, for the same account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One sending address: who it is and how it sends. Holds no secret.

    ``auth``, ``transport`` and ``store`` name files in the packages of these names; empty ones follow from
    the provider (``store``: the default). ``client``: the public part of an OAuth client (``client_id``,
    ``auth_uri``, ``token_uri``, ``revocation_uri``, ``device_uri``). ``login_required``: the provider was
    found to accept its secret no longer; ``logged_in``: when a person last logged in (ISO 8601, UTC).
    ``per_minute``, ``per_day``: how many messages the outbox sends by it at most, 0 for what the provider is
    known to allow. ``fallback``: what steps in, in order: addresses of accounts, or another way of this one
    (see ``by``). ``options``: what a kind of transport needs besides. Raises ``ConfigError`` for values that
    cannot be right.
    """

    address: str
    name: str = ""
    provider: str = CUSTOM.name
    transport: str = ""
    auth: str = ""
    store: str = ""
    host: str = ""
    port: int = 0
    security: Security | str = ""
    username: str = ""
    ca_file: str = ""
    login_required: bool = False
    logged_in: str = ""
    per_minute: int = 0
    per_day: int = 0
    fallback: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    client: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        local, at, domain = self.address.rpartition("@")
        if not (local and at and domain) or not self.address.isprintable():
            raise ConfigError(
                _("{address!r} is no mail address.").format(address=self.address),
                code="address-wrong",
                hint=_("Give the full address, such as you@example.com."),
            )
        if provider_named(self.provider) is None:
            raise ConfigError(
                _("There is no provider {name!r}.").format(name=self.provider),
                code="provider-unknown",
                hint=_("Name one of the presets, or give --host. Run: oauth-mailer login --help"),
            )
        if self.security not in ("", *get_args(Security)):
            raise ConfigError(
                _("{value!r} is no kind of connection security.").format(value=self.security),
                code="security-unknown",
                hint=_("Use tls or starttls."),
            )
        if not 0 <= self.port <= 65535:
            raise ConfigError(
                _("{port} is no port number.").format(port=self.port),
                code="port-wrong",
                hint=_("Use 465 for tls or 587 for starttls."),
            )
        if min(self.per_minute, self.per_day) < 0:
            raise ConfigError(
                _("The limits of {address} are below zero.").format(address=self.address),
                code="config-value",
                hint=_("Give per_minute and per_day as numbers of messages, or leave them out."),
            )
        for key in (*(self.client.keys() - _CLIENT), *(self.options.keys() & _KNOWN)):
            raise ConfigError(
                _("The account {address} cannot have {key!r} there.").format(address=self.address, key=key),
                code="config-value",
                hint=_("Mend it, or run: oauth-mailer login {address}").format(address=self.address),
            )
        object.__setattr__(self, "transport", self.transport or self.preset.transport)
        object.__setattr__(self, "auth", self.auth or self.preset.auth)

    @property
    def preset(self) -> Provider:
        """What is known of the account's provider."""
        return cast(Provider, provider_named(self.provider))

    @property
    def server(self) -> Server:
        """The SMTP server to use: the account's own words over the provider's.

        Raises ``ConfigError`` where neither names a host.
        """
        known = self.preset.servers
        if not self.host:
            for server in known:
                if self.port in (0, server.port) and self.security in ("", server.security):
                    return server
        host = self.host or (known[0].host if known else "")
        if not host:
            raise ConfigError(
                _("No server is known for {address}.").format(address=self.address),
                code="server-unknown",
                hint=_("Run: oauth-mailer login {address} --host HOST").format(address=self.address),
            )
        port = self.port or {"starttls": 587, "none": 25}.get(self.security, 465)
        # RFC 8314: 465 is for implicit TLS; these three begin in plain text by custom.
        security = self.security or ("starttls" if port in (25, 587, 2525) else "tls")
        return Server(host, port, cast(Security, security))

    @property
    def limits(self) -> Mapping[int, int]:
        """How many messages it may send in any so many seconds: its own words over the provider's."""
        known = self.preset
        own_domain = known.domains and self.address.rpartition("@")[2].lower() not in known.domains
        a_day = known.per_day_own_domain if own_domain and known.per_day_own_domain else known.per_day
        limits = {60: self.per_minute or known.per_minute, 86_400: self.per_day or a_day}
        return {seconds: messages for seconds, messages in limits.items() if messages}

    def by(self, way: str) -> Account:
        """The same account by another of ``WAYS``: Gmail's API, or its SMTP.

        Only a consent of Google's serves both. Raises ``ConfigError`` for any other way.
        """
        if self.auth not in _TWO_WAYS or way not in WAYS or way == self.transport:
            raise ConfigError(
                _("{address} cannot fall back on {way!r}.").format(address=self.address, way=way),
                code="fallback-unknown",
                hint=_("Name another account by its address; or smtp, for an account by the Gmail API."),
            )
        return replace(self, transport=way)

    @property
    def login_name(self) -> str:
        """The user name for the server."""
        if self.username:
            return self.username
        return self.address.rpartition("@")[0] if self.preset.username == "local part" else self.address


_TWO_WAYS = frozenset({"google", "service_account"})
_LISTS = frozenset({"fallback", "scopes"})
_TYPES = {"port": int, "login_required": bool, "per_minute": int, "per_day": int}
_CLIENT = frozenset({"client_id", "auth_uri", "token_uri", "revocation_uri", "device_uri"})
_PLAIN = tuple(name for name in Account.__slots__ if name not in {"address", "client", "options", *_LISTS})
_KNOWN = frozenset({"address", *_PLAIN, *_LISTS, *_CLIENT})


def account_from(address: str, table: Mapping[str, Any]) -> Account:
    """The account written in this table of the configuration. Raises ``ConfigError``."""
    values: dict[str, Any] = {}
    client: dict[str, str] = {}
    options: dict[str, Any] = {}
    for key, value in table.items():
        if key in _KNOWN and not _fits(key, value):
            raise ConfigError(
                _("The configuration of {address} has a wrong value for {key!r}.").format(
                    address=address, key=key
                ),
                code="config-value",
                hint=_("Mend it, or run: oauth-mailer login {address}").format(address=address),
            )
        if key in _LISTS:
            values[key] = tuple(value)
        elif key in _PLAIN:
            values[key] = value
        elif key in _CLIENT:
            client[key] = value
        else:
            options[key] = value
    return Account(address=address, client=client, options=options, **values)


def _fits(key: str, value: object) -> bool:
    if key == "address":  # the table's own name says it
        return False
    if key in _LISTS:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return type(value) is _TYPES.get(key, str)


def table_from(account: Account) -> dict[str, Any]:
    """The account as it is written in the configuration; what is empty is left out."""
    table: dict[str, Any] = {key: getattr(account, key) for key in _PLAIN}
    # What follows from the preset is not written down, so that a better preset reaches old accounts.
    for key in ("transport", "auth"):
        if table[key] == getattr(account.preset, key):
            table[key] = ""
    table |= {key: list(getattr(account, key)) for key in sorted(_LISTS)}
    table |= account.client
    return {key: value for key, value in table.items() if value} | dict(account.options)


def secret_variable(address: str) -> str:
    """The name of the environment variable with the secret of this address.

    ``me@qq.com`` → ``OAUTH_MAILER_SECRET_ME_QQ_COM``: capitals, every other character than A–Z, 0–9 as ``_``.
    """
    letters = (char if char.isascii() and char.isalnum() else "_" for char in address.upper())
    return "OAUTH_MAILER_SECRET_" + "".join(letters)


def secret_sources(address: str) -> list[tuple[str, str]]:
    """Where the environment has the secret of this address: pairs of a source and what it names.

    The sources are the variable itself (the secret), the variable with ``_FILE`` appended (a path), and
    ``CREDENTIALS_DIRECTORY``, where systemd keeps a service's credentials (a path): there the file is named
    as the variable is. A variable that is set to nothing counts as not set.
    """
    variable = secret_variable(address)
    found = [(name, os.environ[name]) for name in (variable, f"{variable}_FILE") if os.environ.get(name)]
    if folder := os.environ.get("CREDENTIALS_DIRECTORY"):
        credential = os.path.join(folder, variable)  # noqa: PTH118 - as the others, a text
        if os.path.exists(credential):  # noqa: PTH110
            found.append(("CREDENTIALS_DIRECTORY", credential))
    return found


def secrets_in_environment() -> bool:
    """Whether the secret of some account stands in a variable; whose it is, its name does not tell."""
    return any(name.startswith(secret_variable("")) for name in os.environ)


def account_in_environment(address: str) -> Account | None:
    """The account of an address whose provider is known and whose secret stands in the environment."""
    if (provider := provider_for(address)) is None or not secret_sources(address):
        return None
    return Account(address=address, provider=provider.name, store="environment")
