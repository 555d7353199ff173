"""Logging in by the key of a Workspace service account: proven before it is kept; nobody is asked."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..accounts import Account, Accounts
from ..auth import open_credential
from ..auth.service_account import key_slot, read_key
from ..errors import ConfigError, MailerError
from ..i18n import _
from ..stores import TokenStore
from ..stores.memory import MemoryStore
from .codes import refuse_unkept

__all__ = ["log_in_by_key"]


def log_in_by_key(
    account: Account, store: TokenStore, accounts: Accounts, path: Path | str | None
) -> Account:
    """Ask for a token by this key; only then keep it, and write the account down as it is returned.

    ``path``: the key file; None for the key that is kept already. Raises as ``logins.login`` does.
    """
    account = replace(account, auth="service_account", login_required=False)
    slot = key_slot(account)
    old = store.get(slot)
    if not store.writable:
        if old is None:
            refuse_unkept(account, store)
        open_credential(account, store, accounts.home).get()
        accounts.add(account)
        return account
    if path is None and old is None:
        raise ConfigError(
            _("{address} sends by a service account, and its key is not known here.").format(
                address=account.address
            ),
            code="key-missing",
            hint=_("Run: oauth-mailer login {address} --service-account FILE").format(
                address=account.address
            ),
        )
    key = old if path is None else read_key(Path(path).expanduser(), account)
    candidate = MemoryStore()
    if key is not None:
        candidate.set(slot, key)
    open_credential(account, candidate, accounts.home).get()
    if key is not None:
        store.set(slot, key)
    try:
        accounts.add(account)
    except MailerError:
        with suppress(MailerError):  # the first error is the one to tell
            if old is None:
                store.delete(slot)
            else:
                store.set(slot, old)
        raise
    return account
