"""Logging in by an authorization code or a password: asked for, checked, proven, and only then kept."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import NoReturn, Protocol, runtime_checkable

from ..account import secret_variable
from ..accounts import Account, Accounts
from ..auth import Prompt, open_credential
from ..auth.code import check_code
from ..errors import LoginRequired, MailerError
from ..i18n import _
from ..providers import CUSTOM
from ..refusals import Refusals
from ..stores import Secret, Slot, TokenStore
from ..stores.memory import MemoryStore
from ..transports import open_transport

__all__ = ["log_in_by_code", "prove", "refuse_unkept"]

_log = logging.getLogger(__name__)

_TRIES = 3  # of typing a code that has the right form; none of them reaches the server


@runtime_checkable
class _Provable(Protocol):
    def prove(self) -> None: ...


def log_in_by_code(
    account: Account, store: TokenStore, prompt: Prompt, accounts: Accounts, code: Secret | None
) -> None:
    """Prove the code, and only then keep it and write the account down.

    ``code``: None to ask for it. A store that cannot be written has to hold it already.
    """
    slot = Slot(account.address, "code")
    # Whether the store works at all is found out before a person is asked for anything.
    old = store.get(slot)
    if not store.writable:
        if code is not None or old is None:
            refuse_unkept(account, store)
        prove(account, store, accounts)
        accounts.add(account)
        return
    code = check_code(account, code) if code is not None else _ask(account, prompt)
    # The candidate is proven out of a store of its own: the old code stays until the new one works.
    candidate = MemoryStore()
    candidate.set(slot, code)
    prove(account, candidate, accounts)
    store.set(slot, code)
    try:
        accounts.add(account)
    except MailerError:
        with suppress(MailerError):  # the first error is the one to tell
            if old is None:
                store.delete(slot)
            else:
                store.set(slot, old)
        raise


def prove(account: Account, store: TokenStore, accounts: Accounts) -> None:
    """One login at the provider, by the very way that messages go; no message is sent.

    A person has acted, so whatever was refused before is asked again; and a try that fails here says nothing
    of the secret that is kept. Raises ``LoginRequired`` where it is refused, else ``SendError`` or
    ``StoreError``.
    """
    refusals = Refusals(accounts.home)
    refusals.forget(account.address)
    transport = open_transport(account, lambda: open_credential(account, store, accounts.home))
    try:
        if isinstance(transport, _Provable):
            transport.prove()
            _log.info("%s: the server accepted the login", account.address)
    except MailerError:
        refusals.forget(account.address)
        raise
    finally:
        transport.close()


def _ask(account: Account, prompt: Prompt) -> Secret:
    prompt.say(_where_to_find(account))
    question = _("{secret} of {address}:").format(secret=_secret_title(account), address=account.address)
    for left in reversed(range(_TRIES)):
        try:
            return check_code(account, prompt.ask_secret(question))
        except LoginRequired as error:
            if not left or error.code != "code-form":
                raise
            prompt.say(str(error))
    raise AssertionError("the last try raises or returns")


def _secret_title(account: Account) -> str:
    return {
        "authorization code": _("Authorization code"),
        "app password": _("App password"),
        "client password": _("Client password"),
    }.get(account.preset.secret, _("Password"))


def _where_to_find(account: Account) -> str:
    by_provider = {
        "qq": _(
            "QQ Mail asks for an authorization code (授权码) of 16 letters, not your password.\n"
            "On mail.qq.com: Settings → Account → POP3/IMAP/SMTP service: turn it on, then generate a code."
        ),
        "163": _netease("mail.163.com"),
        "126": _netease("mail.126.com"),
        "yeah": _netease("www.yeah.net"),
        "gmail-smtp": _(
            "Gmail asks for an app password, 16 letters, not your password. It needs 2-step verification:\n"
            "https://myaccount.google.com/apppasswords"
        ),
    }
    by_kind = {
        "authorization code": _(
            "{title} asks for an authorization code, not your password:\n"
            "it is made in the settings of the mailbox, where SMTP is turned on."
        ),
        "app password": _(
            "{title} asks for an app password, not your password:\n"
            "it is made in the security settings of your account."
        ),
        "client password": _(
            "{title} asks for the password of mail clients:\n"
            "it is made in the settings of the mailbox, where SMTP is turned on."
        ),
        "password": _("Give the password that {title} wants for sending mail."),
    }
    found = by_provider.get(account.provider) or by_kind.get(account.preset.secret, by_kind["password"])
    return found.format(title=account.server.host if account.preset is CUSTOM else _(account.preset.title))


def _netease(site: str) -> str:
    return _(
        "NetEase asks for an authorization code (授权码), not your password. On {site}:\n"
        "Settings → POP3/SMTP/IMAP: turn SMTP on, then add an authorization code."
    ).format(site=site)


def refuse_unkept(account: Account, store: TokenStore) -> NoReturn:
    """Raise ``LoginRequired`` for a store that cannot be written and does not hold the secret."""
    variable = secret_variable(account.address)
    raise LoginRequired(
        _("The store {store} cannot be written, so the secret of {address} has to be there before.").format(
            store=store.kind, address=account.address
        ),
        code="store-read-only",
        hint=_("Set {variable} or {variable}_FILE, then log in again without --code-stdin.").format(
            variable=variable
        )
        if store.kind == "environment"
        else _("Put it there, then log in again without --code-stdin."),
    )
