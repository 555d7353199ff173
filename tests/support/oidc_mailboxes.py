"""An Outlook account whose authority is ``oidc_provider``, and a mail server that asks it about a token."""

from __future__ import annotations

import json

import oauth_mailer
from oauth_mailer.accounts import Account
from oauth_mailer.auth import Access, Consent, access_slot, consent_slot
from oauth_mailer.auth.microsoft import SEND
from oauth_mailer.stores import Secret, TokenStore

from .google_browser import Person
from .oidc_browser import decide
from .oidc_provider import APP, AuthorizationServer
from .smtp_script import SmtpScript

__all__ = ["HOUR", "ME", "Mailboxes", "access_token", "an_hour_passes", "log_in", "refresh_token", "send"]

ME = "me@outlook.com"
HOUR = 3600


class Mailboxes(SmtpScript):
    """A mail server that asks the authorization server about each token that it is shown."""

    def __init__(self, authority: AuthorizationServer) -> None:
        super().__init__(extensions=("PIPELINING", "8BITMIME", "AUTH XOAUTH2"))
        self._authority = authority

    def takes(self, shown: bytes) -> bool:
        user, bearer, *_rest = shown.decode().split("\1")
        said = self._authority.introspected(bearer.removeprefix("auth=Bearer "))
        whose = f"user={said.get('sub')}"
        return bool(said["active"]) and whose == user and SEND in said["scope"].split()


def log_in(server: SmtpScript, store: TokenStore, person: Person | None = None, **words: object) -> Account:
    words = {"client_id": APP, "timeout": 60.0} | words
    person = person or Person(lambda url: decide(url, ME))
    account = server.account(ME, provider="outlook", auth="microsoft")
    return oauth_mailer.login(account, prompt=person, store=store, **words)  # type: ignore[arg-type]


def send(store: TokenStore | None) -> None:
    with oauth_mailer.open_mailer(ME, store=store) as mailer:
        mailer.send(oauth_mailer.Message(to="ann@example.com", text="Hi"))


def access_token(store: TokenStore, account: Account) -> str:
    kept = Access.kept(store.get(access_slot(account)))
    assert kept is not None
    return kept.token.reveal()


def refresh_token(store: TokenStore, account: Account) -> str:
    line = store.get(consent_slot(account))
    assert line is not None
    return Consent.read(account, line).refresh_token.reveal()


def an_hour_passes(authority: AuthorizationServer, store: TokenStore, account: Account) -> None:
    """For both sides: what is kept here is as old as it will be then."""
    authority.later(HOUR)
    kept = json.loads((store.get(access_slot(account)) or Secret("{}")).reveal())
    kept |= {"since": kept["since"] - HOUR, "until": kept["until"] - HOUR}
    store.set(access_slot(account), Secret(json.dumps(kept)))
