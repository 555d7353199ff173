"""Logging in to Gmail by the library, at the stand-in, and a mail by the account that is set up then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import oauth_mailer
from oauth_mailer.accounts import Account
from oauth_mailer.sandbox import Sandbox
from oauth_mailer.stores import TokenStore

from .google_browser import Person

ME = "me@gmail.com"
SEND = "https://www.googleapis.com/auth/gmail.send"


def log_in(
    sandbox: Sandbox, folder: Path, store: TokenStore, person: Person | None = None, **words: Any
) -> Account:
    """The account. ``folder``: where the client's file is put; ``words``: of ``oauth_mailer.login``."""
    words.setdefault("client_secrets", sandbox.write_client_secrets(folder))
    words.setdefault("timeout", 60.0)
    return oauth_mailer.login(words.pop("address", ME), prompt=person or Person(), store=store, **words)


def send(store: TokenStore, account: str = "") -> oauth_mailer.Receipt:
    """One mail, by a mailer of its own."""
    with oauth_mailer.open_mailer(account, store=store) as mailer:
        return mailer.send(oauth_mailer.Message(to="ann@example.com", text="Hi"))
