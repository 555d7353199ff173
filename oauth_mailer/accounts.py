"""The configuration file: accounts, the default one, the settings of stores. It holds no secret.

    default = "me@gmail.com"

    [accounts."me@gmail.com"]
    provider = "gmail"
    client_id = "1234.apps.googleusercontent.com"
    fallback = ["me@qq.com"]

    [accounts."ops@corp.example"]
    host = "mail.corp.example"
    port = 465
    security = "tls"

    [stores.command]
    get = ["pass", "show", "oauth-mailer/{account}"]

The file is ``config.toml`` in ``OAUTH_MAILER_HOME``, by default the platform's folder for configuration.
"""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from .errors import ConfigError
from .i18n import _
from .providers import CUSTOM, Provider, Security, Server, provider_for, provider_named

__all__ = ["Account", "Accounts", "home_folder", "secret_variable"]

FILE_NAME = "config.toml"


def home_folder() -> Path:
    """The folder of the configuration, the outbox and the locks: ``OAUTH_MAILER_HOME`` or the platform's."""
    if home := os.environ.get("OAUTH_MAILER_HOME"):
        return Path(home)
    from platformdirs import user_config_path

    return user_config_path("oauth-mailer", appauthor=False)


def secret_variable(address: str) -> str:
    """The name of the environment variable with the secret of this address.

    ``me@qq.com`` → ``OAUTH_MAILER_SECRET_ME_QQ_COM``: capitals, every other character than A–Z, 0–9 as ``_``.
    """
    letters = (char if char.isascii() and char.isalnum() else "_" for char in address.upper())
    return "OAUTH_MAILER_SECRET_" + "".join(letters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One sending address: who it is and how it sends. Holds no secret.

    ``auth``, ``transport`` and ``store`` name files in the packages of these names; empty ones follow from
    the provider (``store``: the default). ``client``: the public part of an OAuth client (``client_id``,
    ``auth_uri``, ``token_uri``, ``revocation_uri``). ``options``: what a kind of transport needs besides.
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
    fallback: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    client: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if provider_named(self.provider) is None:
            raise ConfigError(
                _("There is no provider {name!r}.").format(name=self.provider),
                code="provider-unknown",
                hint=_("Name one of the presets, or give --host. Run: oauth-mailer login --help"),
            )
        if self.security not in ("", "tls", "starttls", "none"):
            raise ConfigError(
                _("{value!r} is no kind of connection security.").format(value=self.security),
                code="security-unknown",
                hint=_("Use tls or starttls."),
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
        wanted = [
            server
            for server in known
            if self.port in (0, server.port) and self.security in ("", server.security)
        ]
        first = (wanted or known or (None,))[0]
        host = self.host or (first.host if first else "")
        if not host:
            raise ConfigError(
                _("No server is known for {address}.").format(address=self.address),
                code="server-unknown",
                hint=_("Run: oauth-mailer login {address} --host HOST").format(address=self.address),
            )
        if self.host or not wanted:
            port = self.port or (587 if self.security == "starttls" else 465)
            security = self.security or ("starttls" if port == 587 else "tls")
            return Server(host, port, cast(Security, security))
        return wanted[0]

    @property
    def login_name(self) -> str:
        """The user name for the server."""
        if self.username:
            return self.username
        return self.address.rpartition("@")[0] if self.preset.username == "local part" else self.address


_TUPLES = frozenset({"fallback", "scopes"})
_CLIENT = ("client_id", "auth_uri", "token_uri", "revocation_uri")
_PLAIN = tuple(f.name for f in fields(Account) if f.name not in {"address", "client", "options", *_TUPLES})


def _account_from(address: str, table: Mapping[str, Any]) -> Account:
    values: dict[str, Any] = {}
    for key, value in table.items():
        good = isinstance(value, list) if key in _TUPLES else isinstance(value, int if key == "port" else str)
        if key in (*_PLAIN, *_TUPLES, *_CLIENT) and (not good or isinstance(value, bool)):
            raise ConfigError(
                _("The configuration of {address} has a wrong value for {key!r}.").format(
                    address=address, key=key
                ),
                code="config-value",
                hint=_("Mend it, or run: oauth-mailer login {address}").format(address=address),
            )
        if key in _TUPLES:
            values[key] = tuple(str(item) for item in value)
        elif key in _PLAIN:
            values[key] = value
        elif key in _CLIENT:
            values.setdefault("client", {})[key] = value
        else:
            values.setdefault("options", {})[key] = value
    return Account(address=address, **values)


def _table_from(account: Account) -> dict[str, Any]:
    table: dict[str, Any] = {key: getattr(account, key) for key in _PLAIN}
    # What follows from the preset is not written down, so that a better preset reaches old accounts.
    for key in ("transport", "auth"):
        if table[key] == getattr(account.preset, key):
            table[key] = ""
    table |= {key: list(getattr(account, key)) for key in sorted(_TUPLES)}
    table |= account.client
    table |= account.options
    return {key: value for key, value in table.items() if value not in ("", 0, [])}


class Accounts:
    """The accounts in the configuration file. Reading is cheap; every change is one atomic replacement.

    ``home``: the folder of the file; by default ``home_folder()``. Raises ``ConfigError`` for a file that
    cannot be read or understood.
    """

    def __init__(self, home: Path | str | None = None) -> None:
        self.home = Path(home) if home is not None else home_folder()
        self.path = self.home / FILE_NAME
        self._document = self._read()

    def _read(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(
                _("The configuration {path} cannot be read: {reason}.").format(path=self.path, reason=error),
                code="config-unreadable",
                hint=_("Mend the file, or set OAUTH_MAILER_HOME to another folder."),
            ) from error

    def _tables(self, key: str) -> Mapping[str, Mapping[str, Any]]:
        tables = self._document.get(key, {})
        if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
            raise ConfigError(
                _("In the configuration {path}, {key!r} is not a table of tables.").format(
                    path=self.path, key=key
                ),
                code="config-value",
                hint=_("Mend the file, or set OAUTH_MAILER_HOME to another folder."),
            )
        return tables

    def __iter__(self) -> Iterator[Account]:
        return (_account_from(address, table) for address, table in self._tables("accounts").items())

    def __len__(self) -> int:
        return len(self._tables("accounts"))

    def __contains__(self, address: object) -> bool:
        return isinstance(address, str) and self._key(address) is not None

    def _key(self, address: str) -> str | None:
        wanted = address.casefold()
        return next((key for key in self._tables("accounts") if key.casefold() == wanted), None)

    @property
    def default(self) -> str:
        """The address used where none is named: the chosen one, or the only one; else empty."""
        chosen = self._document.get("default", "")
        if isinstance(chosen, str) and chosen:
            return chosen
        return next(iter(self._tables("accounts")), "") if len(self) == 1 else ""

    def get(self, address: str = "") -> Account:
        """The account of this address, or the default one.

        An address without an entry is an account all the same if its provider is known and its secret
        stands in the environment. Raises ``ConfigError`` where there is no such account.
        """
        address = address or self.default
        if not address:
            raise ConfigError(
                _("No account is set up yet.") if not len(self) else _("No default account is chosen."),
                code="no-account",
                hint=_("Run: oauth-mailer login you@example.com")
                if not len(self)
                else _("Name one, or run: oauth-mailer default ADDRESS"),
            )
        if (key := self._key(address)) is not None:
            return _account_from(key, self._tables("accounts")[key])
        if account := self._from_environment(address):
            return account
        raise ConfigError(
            _("There is no account {address}.").format(address=address),
            code="no-account",
            hint=_("Run: oauth-mailer login {address}").format(address=address),
        )

    def _from_environment(self, address: str) -> Account | None:
        variable = secret_variable(address)
        if (provider := provider_for(address)) is None:
            return None
        if variable not in os.environ and f"{variable}_FILE" not in os.environ:
            return None
        return Account(address=address, provider=provider.name, store="environment")

    def store_settings(self, kind: str) -> Mapping[str, Any]:
        """The settings of this kind of token store: the table ``[stores.KIND]``."""
        return self._tables("stores").get(kind, {})

    def add(self, account: Account) -> None:
        """Write this account down, over an older entry of the same address. The first becomes the default."""
        with self._changing() as document:
            import tomlkit

            accounts = document.setdefault("accounts", tomlkit.table(is_super_table=True))
            key = next(
                (key for key in accounts if key.casefold() == account.address.casefold()), account.address
            )
            table = accounts.setdefault(key, tomlkit.table())
            wanted = _table_from(account)
            for name in [name for name in table if name not in wanted]:
                del table[name]
            for name, value in wanted.items():
                if name not in table or table[name] != value:
                    table[name] = value
            if not document.get("default"):
                document["default"] = key

    def remove(self, address: str) -> None:
        """Forget this account; it is no error if there is none."""
        with self._changing() as document:
            accounts = document.get("accounts", {})
            for key in [key for key in accounts if key.casefold() == address.casefold()]:
                del accounts[key]
            if str(document.get("default", "")).casefold() == address.casefold():
                del document["default"]

    def set_default(self, address: str) -> None:
        """Choose the account used where none is named. Raises ``ConfigError`` for an unknown one."""
        account = self.get(address)
        with self._changing() as document:
            document["default"] = account.address

    @contextmanager
    def _changing(self) -> Iterator[Any]:
        """One change by one process at a time: lock, read again, change, replace the file as a whole."""
        import tomlkit
        from filelock import FileLock

        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FileLock(self.home / "config.lock", timeout=10):
                self._read()  # says so, in our words, if the file is broken
                text = self.path.read_text("utf-8") if self.path.exists() else ""
                document = tomlkit.parse(text)
                yield document
                _replace(self.path, tomlkit.dumps(document))
                self._document = self._read()
        except OSError as error:  # filelock's Timeout is one too
            raise ConfigError(
                _("The configuration {path} cannot be written: {reason}.").format(
                    path=self.path, reason=error
                ),
                code="config-unwritable",
                hint=_("Set OAUTH_MAILER_HOME to a folder that you may write to."),
            ) from error


def _replace(path: Path, text: str) -> None:
    """Write a private file so that, whatever happens, either the old or the new one is there whole."""
    # A link (a configuration kept with dotfiles) stays a link: its target is replaced.
    path = Path(os.path.realpath(path))
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600 from its birth
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
