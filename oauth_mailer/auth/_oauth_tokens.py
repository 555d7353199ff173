"""What is kept of a consent, and under which name.

A consent is kept by account, client and scope, so that no account ever sends with another's. One entry of a
store holds only what must be secret: the refresh token and the client's secret, as one line of JSON, which a
keyring of Windows has room for. The access token has an entry of its own and can be had again at any time.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from ..accounts import Account
from ..errors import LoginRequired
from ..i18n import _
from ..stores import Secret, Slot, store_kind
from ..values import dataclass
from ._oauth_authority import Authority, giver
from ._oauth_client import Client

__all__ = ["Access", "Consent", "access_slot", "consent_slot", "given_at", "scopes_of"]

UNKNOWN_LIFETIME = 300.0
"""Seconds that a token is used for where the server does not say how long it is good (RFC 6749 §5.1)."""

LONGEST_LIFETIME = 86_400.0
"""Seconds; Google's and Microsoft's tokens are good for about an hour."""

EARLY = 225.0
"""Seconds before its end from which a token is renewed: google-auth's own measure."""


def scopes_of(account: Account) -> tuple[str, ...]:
    """What this account asks for: its own word, else its provider's, else what its authority needs."""
    return account.scopes or account.preset.scopes or giver(account).scopes


def consent_slot(account: Account) -> Slot:
    """Where the refresh token rests."""
    return Slot(account.address, f"{giver(account).name}-{_fingerprint(account)}")


def access_slot(account: Account) -> Slot:
    """Where the access token rests meanwhile."""
    return Slot(account.address, f"{giver(account).name}-access-{_fingerprint(account)}", cached=True)


def _fingerprint(account: Account) -> str:
    # The names themselves have characters that some stores' names of entries cannot have.
    names = " ".join((account.client.get("client_id", ""), *sorted(scopes_of(account))))
    return sha256(names.encode()).hexdigest()[:16]


def given_at(account: Account) -> datetime | None:
    """When a person last consented, or None where that is not known.

    A consent in the environment was made elsewhere: a login here only proved it.
    """
    if store_kind(account.store) == "environment":
        return None
    try:
        moment = datetime.fromisoformat(account.logged_in)
    except ValueError:
        return None
    if not 2000 <= moment.year < 9000:  # nonsense, near which sums overflow
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Consent:
    """A refresh token and the client it belongs to."""

    client: Client
    refresh_token: Secret

    def line(self) -> Secret:
        """As it is kept."""
        kept = {
            "client_secret": self.client.client_secret.reveal(),
            "refresh_token": self.refresh_token.reveal(),
        }
        return Secret(json.dumps({name: text for name, text in kept.items() if text}, separators=(",", ":")))

    @classmethod
    def read(cls, account: Account, line: Secret) -> Consent:
        """What is kept for this account, or what somebody handed in: google-auth's own JSON will do.

        Raises ``LoginRequired`` for anything else, ``ConfigError`` for addresses no token may be sent to.
        """
        try:
            found = json.loads(line.reveal())
        except (ValueError, RecursionError):
            found = None  # without the cause: its text is the secret
        fields: dict[str, Any] = found if isinstance(found, dict) else {}
        authority: Authority = giver(account)
        token, secret = fields.get("refresh_token"), fields.get("client_secret", "")
        client_id = account.client.get("client_id") or fields.get("client_id")
        if not (token and client_id) or not all(isinstance(one, str) for one in (token, secret, client_id)):
            raise LoginRequired(
                _("What the store has for {address} is no consent of {title}'s.").format(
                    address=account.address, title=authority.title
                ),
                code="secret-form",
                hint=_("Its form: {form} on one line. Or run: oauth-mailer login {address}").format(
                    form=authority.kept_form, address=account.address
                ),
            )
        # The configuration's word counts before that of the entry.
        client = authority.client_from({**_texts(fields), **account.client}, Secret(secret))
        if fields.get("client_id", client.client_id) != client.client_id:
            raise LoginRequired(
                _("What the store has for {address} does not belong to the client of this account.").format(
                    address=account.address
                ),
                code="client-differs",
                hint=authority.with_client(account),
            )
        return cls(client, Secret(token))


def _texts(fields: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if isinstance(value, str)}


@dataclass(frozen=True, slots=True)
class Access:
    """An access token, and from when to when it is good (seconds since 1970).

    ``scopes``: what it is for, where the server said so (RFC 6749 §5.1: it may leave out what was asked for).
    """

    token: Secret
    since: float
    until: float
    scopes: tuple[str, ...] = ()

    @classmethod
    def of(cls, token: str, lifetime: float, scopes: tuple[str, ...] = ()) -> Access:
        """A token that came just now and is good for so many seconds."""
        now = time.time()
        return cls(Secret(token), now, now + lifetime, scopes)

    @classmethod
    def granted(cls, fields: Mapping[str, Any]) -> Access | None:
        """The token in an answer that came just now, or None where it is nothing that can be shown."""
        token = fields.get("access_token")
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            return None
        return cls.of(token, _lifetime(fields.get("expires_in")), _scopes(fields.get("scope")))

    @classmethod
    def read(cls, line: Secret | None) -> Access | None:
        """What is kept, or None where it is nothing usable."""
        access = cls.kept(line)
        return access if access and access.good() else None

    @classmethod
    def kept(cls, line: Secret | None) -> Access | None:
        """What is kept, also where it has ended since: it says when the consent was last good."""
        try:
            fields = json.loads(line.reveal()) if line else {}
            since, until = float(fields["since"]), float(fields["until"])
            return cls(Secret(fields["token"]), since, until, _scopes(fields.get("scope")))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def line(self) -> Secret:
        """As it is kept."""
        kept = {"token": self.token.reveal(), "since": int(self.since), "until": int(self.until)}
        return Secret(json.dumps(kept | ({"scope": " ".join(self.scopes)} if self.scopes else {})))

    def good(self) -> bool:
        """Whether it can be shown to the server now. One from the future: the clock was set back since."""
        now = time.time()
        early = min(EARLY, (self.until - self.since) / 4)
        return bool(self.token) and self.since - 1.0 <= now < self.until - early


def _scopes(scope: object) -> tuple[str, ...]:
    return tuple(scope.split()) if isinstance(scope, str) and scope.isprintable() else ()


def _lifetime(expires_in: object) -> float:
    try:
        seconds = float(str(expires_in))
    except ValueError:
        return UNKNOWN_LIFETIME
    return min(max(seconds, 0.0), LONGEST_LIFETIME) if math.isfinite(seconds) else UNKNOWN_LIFETIME
