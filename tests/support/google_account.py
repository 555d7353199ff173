"""A Google account whose client and endpoints are on loopback, and the consent that is kept for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from oauth_mailer.accounts import Account, Accounts
from oauth_mailer.auth.google import Client, Consent, client_from, consent_slot
from oauth_mailer.stores import Secret, TokenStore

CLIENT_ID = "1234-abcd.apps.googleusercontent.com"
CLIENT_SECRET = "GOCSPX-canary-client"
REFRESH_TOKEN = "1//canary-refresh"


def client_at(url: str) -> Client:
    return client_from(
        {"client_id": CLIENT_ID, "auth_uri": f"{url}/auth", "token_uri": f"{url}/token"},
        Secret(CLIENT_SECRET),
    )


def client_file(folder: Path, url: str, **changes: Any) -> Path:
    """A file as Google's console gives it out, its endpoints at this address."""
    fields = {
        "client_id": CLIENT_ID,
        "project_id": "a-project",
        "auth_uri": f"{url}/auth",
        "token_uri": f"{url}/token",
        "client_secret": CLIENT_SECRET,
        "redirect_uris": ["http://localhost"],
    }
    path = folder / "client_secret.json"
    kept = {name: value for name, value in (fields | changes).items() if value is not None}
    path.write_text(json.dumps({"installed": kept}), "utf-8")
    return path


def google_account(url: str, address: str = "me@gmail.com") -> Account:
    return Account(address=address, provider="gmail", client=client_at(url).public)


def with_consent(url: str, store: TokenStore, home: Path | None = None) -> Account:
    """An account that has consented; with ``home``, written down there."""
    account = google_account(url)
    store.set(consent_slot(account), Consent(client_at(url), Secret(REFRESH_TOKEN)).line())
    if home is not None:
        Accounts(home).add(account)
    return account
