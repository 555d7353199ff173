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

    [outbox]
    on_unknown = "hold"

    [stores.command]
    get = ["pass", "show", "oauth-mailer/{account}/{purpose}"]

The file is ``config.toml`` in ``OAUTH_MAILER_HOME``, by default the platform's folder for configuration.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from . import private_file
from .account import (
    Account,
    account_from,
    account_in_environment,
    secret_variable,
    secrets_in_environment,
    table_from,
)
from .errors import ConfigError
from .i18n import _, system_text

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Account", "Accounts", "home_folder", "secret_variable"]

FILE_NAME = "config.toml"
_TABLES = frozenset({"default", "accounts", "outbox", "sendmail", "stores"})


def home_folder() -> Path:
    """The folder of the configuration, the outbox and the locks: ``OAUTH_MAILER_HOME`` or the platform's."""
    from pathlib import Path

    return Path(_home())


def _home() -> str:
    """The same as a text: where a program sends one mail and ends, a Path takes long to import."""
    if home := os.environ.get("OAUTH_MAILER_HOME"):
        return os.path.expanduser(home)  # noqa: PTH111
    from platformdirs import user_config_dir

    return user_config_dir("oauth-mailer", appauthor=False)


class Accounts:
    """The accounts in the configuration file. Reading is cheap; every change is one atomic replacement.

    ``home``: the folder of the file; by default ``home_folder()``. Raises ``ConfigError`` for a file that
    cannot be read or understood. Addresses are compared without regard to case.
    """

    def __init__(self, home: Path | str | None = None) -> None:
        self.folder = os.fspath(home) if home is not None else _home()
        self._document: dict[str, Any] = {}
        self._read()

    @property
    def home(self) -> Path:
        """The folder of the file; ``folder`` is the same as a text."""
        from pathlib import Path

        return Path(self.folder)

    @property
    def path(self) -> Path:
        """The file."""
        return self.home / FILE_NAME

    def _read(self) -> str:
        """Read the file anew; its text, with its own line ends, for whoever changes it."""
        try:
            data = private_file.read(os.path.join(self.folder, FILE_NAME))  # noqa: PTH118
            import tomllib  # where all is said in the environment, there is no file

            text = data.decode().removeprefix("\ufeff")  # an editor may have put a byte order mark
            self._document = tomllib.loads(text)
        except FileNotFoundError:
            text, self._document = "", {}
        except (OSError, ValueError) as error:
            raise ConfigError(
                _("The configuration {path} cannot be read: {reason}.").format(
                    path=self.path, reason=system_text(getattr(error, "strerror", None)) or error
                ),
                code="config-unreadable",
                hint=_("Mend the file, or set OAUTH_MAILER_HOME to another folder."),
            ) from error
        return text

    def _wrong(self, key: str) -> ConfigError:
        return ConfigError(
            _("The configuration {path} has a wrong value for {key!r}.").format(path=self.path, key=key),
            code="config-value",
            hint=_("Mend the file, or set OAUTH_MAILER_HOME to another folder."),
        )

    def _tables(self, key: str) -> Mapping[str, Mapping[str, Any]]:
        tables = self._document.get(key, {})
        if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
            raise self._wrong(key)
        return tables

    def __iter__(self) -> Iterator[Account]:
        return (account_from(address, table) for address, table in self._tables("accounts").items())

    def __len__(self) -> int:
        return len(self._tables("accounts"))

    def __contains__(self, address: object) -> bool:
        return isinstance(address, str) and _key(self._tables("accounts"), address) is not None

    @property
    def default(self) -> str:
        """The address used where none is named: the chosen one, or the only one; else empty."""
        chosen = self._document.get("default", "")
        if not isinstance(chosen, str):
            raise self._wrong("default")
        if chosen:
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
                hint=_("Name one, or run: oauth-mailer default ADDRESS")
                if len(self)
                else _("Name the account whose secret is in the environment: --from ADDRESS")
                if secrets_in_environment()
                else _("Run: oauth-mailer login you@example.com"),
            )
        tables = self._tables("accounts")
        if (key := _key(tables, address)) is not None:
            return account_from(key, tables[key])
        if account := account_in_environment(address):
            return account
        raise ConfigError(
            _("There is no account {address}.").format(address=address),
            code="no-account",
            hint=_("Run: oauth-mailer login {address}").format(address=address),
        )

    def stand_in(self, account: Account, name: str) -> Account:
        """What this account falls back on by this name: another account, or itself by another way.

        ``name``: an address, or a way as of ``Account.by``. Raises ``ConfigError`` where there is none.
        """
        return self.get(name) if "@" in name else account.by(name)

    def store_settings(self, kind: str) -> Mapping[str, Any]:
        """The settings of this kind of token store: the table ``[stores.KIND]``."""
        return self._tables("stores").get(kind, {})

    def settings(self, name: str) -> Mapping[str, Any]:
        """The table of this name, such as ``[outbox]``; empty where there is none."""
        settings = self._document.get(name, {})
        if not isinstance(settings, dict):
            raise self._wrong(name)
        return settings

    def unknown(self) -> list[str]:
        """The tables and values of the file that nobody reads, such as those that are misspelt."""
        return sorted(self._document.keys() - _TABLES)

    def add(self, account: Account) -> None:
        """Write this account down, over an older entry of the same address. The first becomes the default."""
        wanted = table_from(account)

        def edit(document: Any) -> None:
            if not document.get("accounts"):
                document["accounts"] = {}
            accounts = document["accounts"]
            if (key := _key(accounts, account.address)) is None:
                key = account.address
                accounts[key] = wanted
            table = accounts[key]
            for name in [name for name in table if name not in wanted]:
                del table[name]
            for name, value in wanted.items():
                if name not in table or table[name] != value:
                    table[name] = value
            if not document.get("default"):
                document["default"] = key

        self._change(edit)

    def remove(self, address: str) -> None:
        """Forget this account; it is no error if there is none."""

        def edit(document: Any) -> None:
            accounts = document.get("accounts", {})
            if (key := _key(accounts, address)) is not None:
                del accounts[key]
            if str(document.get("default", "")).lower() == address.lower():
                del document["default"]

        self._change(edit)

    def set_default(self, address: str) -> None:
        """Choose the account used where none is named. Raises ``ConfigError`` for an unknown one."""
        account = self.get(address)
        self._change(lambda document: document.update({"default": account.address}))

    def note_login_required(self, address: str, *, required: bool) -> None:
        """Write down whether this account's secret was found to be accepted no longer."""

        def edit(document: Any) -> None:
            accounts = document.get("accounts", {})
            if (key := _key(accounts, address)) is not None:
                table = accounts[key]
                if required:
                    table["login_required"] = True
                elif "login_required" in table:
                    del table["login_required"]

        self._change(edit)

    def _change(self, edit: Callable[[Any], None]) -> None:
        """One change by one process at a time: lock, read again, change, replace the file as a whole."""
        try:
            with private_file.locked(self.path):
                text = self._read()
                for key in ("accounts", "stores"):
                    self._tables(key)
                edit(self._document)
                private_file.replace(self.path, self._edited(text, edit).encode())
        except (OSError, UnicodeEncodeError) as error:
            raise ConfigError(
                _("The configuration {path} cannot be written: {reason}.").format(
                    path=self.path, reason=system_text(getattr(error, "strerror", None)) or error
                ),
                code="config-unwritable",
                hint=_("Set OAUTH_MAILER_HOME to a folder that you may write to."),
            ) from error
        finally:
            self._read()

    def _edited(self, text: str, edit: Callable[[Any], None]) -> str:
        """The text after the change, with its comments and order; proven to say what it has to say."""
        import tomllib

        import tomlkit

        try:
            document = tomlkit.parse(text)
            edit(document)
            edited = tomlkit.dumps(document)
            # tomlkit loses or mixes up some rare arrangements in silence, and stumbles over others. The same
            # change made to the plain values says what must be in the file now; no table is an empty one.
            if {"accounts": {}, **tomllib.loads(edited)} == {"accounts": {}, **self._document}:
                return edited
            cause: Exception | None = None
        except (tomlkit.exceptions.TOMLKitError, LookupError, TypeError, ValueError) as error:
            if isinstance(error, UnicodeEncodeError):
                raise
            cause = error
        raise ConfigError(
            _("The configuration {path} is arranged in a way that cannot be changed.").format(path=self.path),
            code="config-arrangement",
            hint=_('Write each account as one table of its own: [accounts."ADDRESS"].'),
        ) from cause


def _key(tables: Mapping[str, Any], address: str) -> str | None:
    # Not casefold(): it makes one address of straße@ and strasse@.
    return next((key for key in tables if key.lower() == address.lower()), None)
