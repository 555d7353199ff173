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
from ..refusals import Refusals
from ..stores import Secret, Slot, TokenStore
from ..stores.memory import MemoryStore
from ..transports import open_transport
from .where import page_of, where_to_find

__all__ = ["log_in_by_code", "prove", "refuse_unkept"]

_log = logging.getLogger(__name__)

_TRIES = 3  # of typing a code that has the right form; none of them reaches the server
_OPENINGS = 5  # of the page where it is found


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
    if code is not None:
        code = check_code(account, code)
    else:
        code = _ask(account, prompt)
        prompt.say(_("The code is now tried at {host}.").format(host=account.server.host))
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
    prompt.say(where_to_find(account))
    page = page_of(account)
    question = _("{secret} of {address}:").format(secret=_secret_title(account), address=account.address)
    if page:
        prompt.say(_("Enter alone opens {page}. What you type is not shown.").format(page=page))
    left, openings = _TRIES, _OPENINGS
    while True:
        typed = prompt.ask_secret(question)
        if page and openings and not typed.reveal().strip():
            openings -= 1
            if not prompt.open_browser(page):
                prompt.say(_("No browser can be opened here; the page is {page}").format(page=page))
            continue
        left -= 1
        try:
            return check_code(account, typed)
        except LoginRequired as error:
            if not left or error.code != "code-form":
                raise
            prompt.say(f"{error.message}\n{error.hint}")


def _secret_title(account: Account) -> str:
    return {
        "authorization code": _("Authorization code"),
        "app password": _("App password"),
        "client password": _("Client password"),
    }.get(account.preset.secret, _("Password"))


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
