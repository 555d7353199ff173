"""Moving accounts to another machine: their configuration and secrets in one file, sealed with a passphrase.

The file is one of the store ``encrypted_file``, with the configuration of each account as one entry more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ..account import account_from, table_from
from ..accounts import Account, Accounts
from ..auth import asks_consent, secret_slot
from ..errors import ConfigError, StoreError
from ..i18n import _, system_text
from ..stores import Secret, Slot, StoreOptions, TokenStore, open_store, store_kind
from ..stores.encrypted_file import EncryptedFileStore

__all__ = ["export_accounts", "export_secret", "import_accounts"]

_INDEX = Slot("*", "accounts")


def export_accounts(
    path: Path | str,
    addresses: Sequence[str] = (),
    *,
    ask_passphrase: Callable[[str], Secret] | None = None,
    home: Path | str | None = None,
) -> list[Account]:
    """Write these accounts with their secrets into a new file; by default all of them. They stay here too.

    ``ask_passphrase``: asks a person for the passphrase, where ``OAUTH_MAILER_PASSPHRASE`` or its ``_FILE``
    do not have it; ``home``: the folder of the configuration. Raises ``ConfigError`` where the file is there
    or there is no such account, ``StoreError`` where a secret cannot be read.
    """
    target = Path(path).absolute()
    if target.exists():
        raise _exists(target)
    accounts = Accounts(home)
    chosen = [accounts.get(address) for address in addresses] or list(accounts)
    if not chosen:
        raise ConfigError(
            _("No account is set up yet."),
            code="no-account",
            hint=_("Run: oauth-mailer login you@example.com"),
        )
    # All of it is read before anything is written.
    secrets = [
        (account, slot, _read(account, slot, accounts, ask_passphrase)) for account, slot in _slots(chosen)
    ]
    sealed = EncryptedFileStore(target, ask_passphrase)
    index = {account.address: table_from(replace(account, store="")) for account in chosen}
    done = False
    try:
        sealed.set(_INDEX, Secret(json.dumps(index)))
        for _account, slot, secret in secrets:
            sealed.set(slot, secret)
        done = True
    finally:
        target.with_name(f"{target.name}.lock").unlink(missing_ok=True)
        if not done:
            target.unlink(missing_ok=True)
    return chosen


def export_secret(
    path: Path | str,
    address: str = "",
    *,
    ask_passphrase: Callable[[str], Secret] | None = None,
    home: Path | str | None = None,
) -> Account:
    """Write the secret of one account alone and unsealed, on one line, as the store ``environment`` takes it.

    ``address``: of the account, by default the default one; only its owner may read the new file. For the
    rest see ``export_accounts``.
    """
    target = Path(path).absolute()
    accounts = Accounts(home)
    account = accounts.get(address)
    if not (slots := _slots([account])):
        raise ConfigError(
            _("{address} needs no secret; nothing was exported.").format(address=account.address),
            code="export-nothing",
            hint=_("Name another account."),
        )
    secret = _read(account, slots[0][1], accounts, ask_passphrase)
    if asks_consent(account) is not None:  # the public part of its client stands in the configuration
        fields = {**account.client, **json.loads(secret.reveal())}
        secret = Secret(json.dumps(fields, separators=(",", ":")))
    try:
        file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(file, "w", encoding="utf-8", newline="\n") as writing:
                writing.write(secret.reveal() + "\n")
        except BaseException:  # half of a secret is of use to nobody but a thief
            target.unlink(missing_ok=True)
            raise
    except FileExistsError:
        raise _exists(target) from None
    except OSError as error:
        raise ConfigError(
            _("The file {path} cannot be written: {reason}.").format(
                path=target, reason=system_text(error.strerror) or error
            ),
            code="export-unwritable",
            hint=_("Name another one."),
        ) from error
    return account


def _exists(target: Path) -> ConfigError:
    return ConfigError(
        _("The file {path} is there already; nothing was exported.").format(path=target),
        code="export-exists",
        hint=_("Name another one."),
    )


def import_accounts(
    path: Path | str,
    *,
    replace_existing: bool = False,
    store: str = "",
    ask_passphrase: Callable[[str], Secret] | None = None,
    home: Path | str | None = None,
) -> list[Account]:
    """Take the accounts in this file over, each secret before its account is written down.

    ``replace_existing``: also those that are set up here already; ``store``: the kind of token store, by
    default this machine's. For the rest see ``export_accounts``. Raises ``ConfigError`` where the file is no
    such one or an account is here already, ``StoreError`` where a secret cannot be kept.
    """
    source = Path(path).absolute()
    sealed = EncryptedFileStore(source, ask_passphrase)
    index = sealed.get(_INDEX) if source.exists() else None
    if index is None:
        raise ConfigError(
            _("The file {path} holds no exported accounts.").format(path=source),
            code="import-unknown",
            hint=_("Make one on the other machine: oauth-mailer accounts export FILE"),
        )
    found = [account_from(address, table) for address, table in json.loads(index.reveal()).items()]
    accounts = Accounts(home)
    for account in found:
        if account.address in accounts and not replace_existing:
            raise ConfigError(
                _("The account {address} is set up here already; nothing was imported.").format(
                    address=account.address
                ),
                code="import-exists",
                hint=_("To have it replaced, add --replace."),
            )
    opened = _open(store_kind(store), accounts, ask_passphrase)
    for _account, slot in _slots(found):
        if (secret := sealed.get(slot)) is not None:
            opened.set(slot, secret)
    for account in found:
        accounts.add(replace(account, store=opened.kind))
    return found


def _slots(accounts: Sequence[Account]) -> list[tuple[Account, Slot]]:
    """The secrets that an account cannot do without; others can be had again."""
    slots = [(account, secret_slot(account)) for account in accounts]
    return [(account, slot) for account, slot in slots if slot is not None]


def _read(
    account: Account, slot: Slot, accounts: Accounts, ask_passphrase: Callable[[str], Secret] | None
) -> Secret:
    secret = _open(store_kind(account.store), accounts, ask_passphrase).get(slot)
    if secret is None:
        raise StoreError(
            _("The secret of {address} is not in its store; nothing was exported.").format(
                address=account.address
            ),
            code="secret-missing",
            hint=_("Run: oauth-mailer login {address}").format(address=account.address),
        )
    return secret


def _open(kind: str, accounts: Accounts, ask_passphrase: Callable[[str], Secret] | None) -> TokenStore:
    return open_store(kind, StoreOptions(accounts.home, accounts.store_settings(kind), ask_passphrase))
