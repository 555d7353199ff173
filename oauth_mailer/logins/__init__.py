"""Setting up an account, and forgetting it. Nothing here prints: a ``Prompt`` is handed in.

A login proves the new secret against the provider first; only then the old one and the configuration are
replaced.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from ..account import secret_sources
from ..accounts import Account, Accounts, home_folder
from ..auth import Prompt, asks_consent, authority_named, authority_of, forget_secret
from ..errors import ConfigError, LoginRequired, MailerError, StoreError
from ..i18n import _
from ..refusals import Refusals
from ..stores import Secret, StoreOptions, TokenStore, open_store, store_kind
from ..stores.memory import MemoryStore
from .codes import log_in_by_code, prove
from .describe import account_for, provider_taking

__all__ = ["account_for", "log_out", "login", "login_state", "logout", "provider_taking"]


class Nobody:
    """The prompt where there is nobody: it asks nothing and opens nothing."""

    def say(self, text: str) -> None:
        """Nobody reads it."""

    def ask(self, question: str, done: threading.Event) -> str | None:
        """Nobody answers."""
        return None

    def ask_secret(self, question: str) -> Secret:
        """Refused."""
        raise LoginRequired(
            _("The login needs a person, and nobody can be asked here."),
            code="no-prompt",
            hint=_("Run oauth-mailer login in a terminal, or hand in a prompt."),
        )

    def open_browser(self, url: str) -> bool:
        """There is none."""
        return False


def login(
    account: Account | str,
    *,
    prompt: Prompt | None = None,
    code: Secret | str | None = None,
    client_secrets: Path | str | None = None,
    service_account: Path | str | None = None,
    make_client: Callable[[], Path | str] | None = None,
    client_id: str = "",
    tenant: str = "",
    device: bool | None = None,
    browser: bool = True,
    port: int = 0,
    timeout: float = 300.0,
    check_identity: bool = False,
    default: bool = False,
    home: Path | str | None = None,
    store: TokenStore | None = None,
) -> Account:
    """Log in and write the account down; the first one becomes the default. Returns it as it was written.

    ``account``: an address, or what ``account_for`` gives; ``prompt``: how a person is asked, by default
    nobody can be; ``code``: an authorization code or password, in place of asking. For Google:
    ``client_secrets``: the JSON file of the OAuth client, needed the first time; ``service_account``: the key
    file of a Workspace service account that may act for the address, in place of a consent; ``make_client``:
    called where a client is needed and none is known; leads a person to one, and gives its JSON file. For
    Microsoft: ``client_id``: of the app registration, needed the first time; ``tenant``: ``consumers``,
    ``organizations``, ``common``, or an organisation's domain or id, by default that of the address.
    ``device``: whether to ask by a code that is typed on another device, by default where no browser can be
    opened and the authority lets it; ``browser``: whether to open one; ``port``: where to listen for the
    answer, 0 for any; ``timeout``: seconds to wait for it; ``check_identity``: whether to ask for the address
    too and compare. ``default``: make it the default account; ``home``: the folder of the configuration;
    ``store``: a token store in place of that configured.

    Raises ``LoginRequired`` where the person or the provider refused, ``ConfigError``, ``StoreError``, or the
    ``SendError`` of a provider that could not be asked. Then the old login is untouched.
    """
    if isinstance(account, str):
        words = {
            "client_secrets": client_secrets,
            "service_account": service_account,
            "client_id": client_id,
            "tenant": tenant,
        }
        given = [word for word, value in words.items() if value]
        account = account_for(account, provider=provider_taking(account, given, home=home), home=home)
    prompt = prompt or Nobody()
    accounts = Accounts(home)
    account = replace(account, logged_in=datetime.now(UTC).isoformat(timespec="seconds"))
    if not _has_secret(account):
        if code is not None:
            raise ConfigError(
                _("No code is shown to {address}'s server: the connection is not encrypted.").format(
                    address=account.address
                ),
                code="code-unencrypted",
                hint=_("Use --security tls or starttls, or leave the code out."),
            )
        prove(account, MemoryStore(), accounts)
        accounts.add(account)
        return _chosen(account, accounts, default=default)
    opened = store or _open_store(account, accounts, prompt)
    account = replace(account, store=opened.kind)
    _choose_passphrase(opened)
    if service_account or (account.auth == "service_account" and not client_secrets):
        from .keys import log_in_by_key

        account = log_in_by_key(account, opened, accounts, service_account)
    elif (authority := authority_of(account)) is not None:
        from .consent import Wishes, log_in_by_consent

        if code is not None:
            raise authority.no_code(account)
        account = log_in_by_consent(
            replace(account, auth=authority.name),
            opened,
            prompt,
            accounts,
            Wishes(
                client_secrets=client_secrets,
                make_client=make_client,
                client_id=client_id,
                tenant=tenant,
                device=device,
                browser=browser,
                port=port,
                timeout=timeout,
                check_identity=check_identity,
            ),
        )
    else:
        log_in_by_code(account, opened, prompt, accounts, Secret(code) if isinstance(code, str) else code)
    return _chosen(account, accounts, default=default)


def _choose_passphrase(store: TokenStore) -> None:
    """Before anything is asked for that is then to be kept: a browser would wait for what is typed here."""
    if store.kind == "encrypted_file":
        from ..stores.encrypted_file import EncryptedFileStore

        if isinstance(store, EncryptedFileStore):
            store.prepare()


def logout(
    address: str,
    *,
    prompt: Prompt | None = None,
    home: Path | str | None = None,
    store: TokenStore | None = None,
) -> Account:
    """Revoke the account's token at the provider, where there is one, and forget it. Returns what it was.

    ``prompt``: who is asked for a store's passphrase. Raises ``ConfigError`` where there is no such account,
    ``StoreError`` where the secret cannot be deleted: then the account stays. A provider that could not be
    asked to revoke is told of by its own error, after the secret and the account are forgotten here.
    """
    return log_out(address, prompt=prompt, home=home, store=store)[0]


def log_out(
    address: str,
    *,
    prompt: Prompt | None = None,
    home: Path | str | None = None,
    store: TokenStore | None = None,
) -> tuple[Account, bool]:
    """As ``logout``; says besides whether there was a token to revoke at the provider."""
    accounts = Accounts(home)
    account = accounts.get(address)
    if not _has_secret(account):
        accounts.remove(account.address)
        return account, False
    opened = store or _open_store(account, accounts, prompt or Nobody())
    revoked, trouble = _revoked(account, opened)
    forget_secret(account, opened, accounts.home)
    Refusals(accounts.home).forget(account.address)
    if account.address in accounts:
        accounts.remove(account.address)
    if trouble is not None:
        raise _not_revoked(account, trouble) from trouble
    return account, revoked


def login_state(
    account: Account, *, home: Path | str | None = None
) -> Literal["set_up", "required", "missing"]:
    """What is known of the account's login without reading a secret or asking the provider.

    ``home``: the folder of the configuration. ``set_up``: it was proven when it was written; ``required``:
    its token was found to be revoked or expired since, or its code was refused; ``missing``: its secret
    should be in the environment, and is not.
    """
    if store_kind(account.store) == "environment" and not secret_sources(account.address):
        return "missing"
    refused = Refusals(Path(home) if home is not None else home_folder()).stands(account.address)
    return "required" if account.login_required or refused else "set_up"


def _has_secret(account: Account) -> bool:
    """Whether the account logs in at all: over a connection without encryption nothing secret is sent."""
    if account.transport != "smtp":
        return account.auth != "none"
    return account.auth != "none" and account.server.security != "none"


def _chosen(account: Account, accounts: Accounts, *, default: bool) -> Account:
    if default:
        accounts.set_default(account.address)
    return account


def _open_store(account: Account, accounts: Accounts, prompt: Prompt) -> TokenStore:
    kind = store_kind(account.store)
    options = StoreOptions(accounts.home, accounts.store_settings(kind), prompt.ask_secret)
    return open_store(kind, options)


def _revoked(account: Account, store: TokenStore) -> tuple[bool, MailerError | None]:
    """Revoke what can be revoked: whether there was anything, and the error where that failed."""
    if asks_consent(account) is None:
        return False, None
    from ..auth import revoke

    try:
        return revoke(account, store), None
    except StoreError:
        raise
    except MailerError as error:
        return False, error


def _not_revoked(account: Account, trouble: MailerError) -> MailerError:
    error = copy(trouble)
    error.message = _("{address} is forgotten here, but its token could not be revoked: {reason}").format(
        address=account.address, reason=trouble.message
    )
    if (authority := authority_named(account.auth)) is not None:
        error.hint = _("Revoke it yourself: {url}").format(url=authority.connections)
    error.args = (error.message,)
    return error
