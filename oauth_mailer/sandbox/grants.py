"""What people granted, and the codes and tokens that stand for it.

An authorization code works once and for a minute (RFC 6749, 4.1.2); its second use revokes what the first
one gave. A refresh token comes, as with Google, with the first consent of an account and with each one that
was asked for by ``prompt=consent``, and only for ``access_type=offline``.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .id_tokens import IdTokens

__all__ = ["Access", "AuthRequest", "Grants", "Refusal"]

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636, 4.1

CODE_LIFETIME = 60.0
"""Seconds in which an authorization code must be exchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthRequest:
    """What an application asks for by the address of the consent page, checked."""

    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    state: str = field(repr=False)
    challenge: str = field(repr=False)
    offline: bool
    ask_again: bool
    login_hint: str = ""
    nonce: str = field(default="", repr=False)


class Refusal(Exception):
    """A refusal of the token endpoint (RFC 6749, 5.2): ``error`` is the protocol's word."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


@dataclass(frozen=True, slots=True)
class Access:
    """What an access token allows, and to whom."""

    account: str
    scopes: frozenset[str]


@dataclass(eq=False, slots=True, kw_only=True)
class _Grant:
    """One consent. All its tokens die with it."""

    request: AuthRequest
    account: str
    scopes: tuple[str, ...]
    made: float
    refresh_token: str = field(default="", repr=False)
    used: bool = False
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class _AccessToken:
    grant: _Grant
    scopes: tuple[str, ...]
    until: float


class Grants:
    """Issues codes and tokens and says what they are worth; for use from several threads.

    ``rotate``: each refresh gives a new refresh token, and the use of an old one revokes all of its family
    (RFC 9700, 4.14.2); ``lifetime``: seconds that access tokens live.
    """

    def __init__(self, *, rotate: bool, lifetime: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rotate = rotate
        self._lifetime = lifetime
        self._clock = clock
        self._id_tokens = IdTokens()
        self._lock = threading.RLock()
        self._codes: dict[str, _Grant] = {}
        self._access: dict[str, _AccessToken] = {}
        self._refresh: dict[str, _Grant] = {}

    def allow(self, request: AuthRequest, account: str, scopes: tuple[str, ...]) -> str:
        """The authorization code for what a person allowed."""
        code = "4/0" + secrets.token_urlsafe(32)
        with self._lock:
            self._codes[code] = _Grant(request=request, account=account, scopes=scopes, made=self._clock())
        return code

    def exchange(self, code: str, *, client_id: str, redirect_uri: str, verifier: str) -> dict[str, Any]:
        """The answer to ``grant_type=authorization_code``. Raises ``Refusal``."""
        with self._lock:
            grant = self._codes.get(code)
            if grant is None or grant.request.client_id != client_id:
                raise Refusal("invalid_grant", "Malformed auth code.")
            if grant.used:
                grant.revoked = True
                raise Refusal("invalid_grant", "The code was used before; what it gave is revoked.")
            if self._clock() - grant.made > CODE_LIFETIME:
                raise Refusal("invalid_grant", "The code has expired.")
            if redirect_uri != grant.request.redirect_uri:
                raise Refusal("invalid_grant", "redirect_uri is not that of the authorization request.")
            if not verifier:
                raise Refusal("invalid_grant", "Missing code verifier.")
            if not _VERIFIER.fullmatch(verifier) or not hmac.compare_digest(
                _challenge_of(verifier), grant.request.challenge.encode()
            ):
                raise Refusal("invalid_grant", "Invalid code verifier.")
            grant.used = True
            if grant.request.offline and (grant.request.ask_again or not self._known(grant)):
                self._new_refresh_token(grant)
            answer = self._answer(grant, grant.scopes)
            if grant.refresh_token:
                answer["refresh_token"] = grant.refresh_token
            return answer

    def refresh(self, token: str, *, client_id: str, scope: str = "") -> dict[str, Any]:
        """The answer to ``grant_type=refresh_token``. Raises ``Refusal``."""
        with self._lock:
            grant = self._refresh.get(token)
            if grant is None or grant.revoked or grant.request.client_id != client_id:
                raise Refusal("invalid_grant", "Token has been expired or revoked.")
            if token != grant.refresh_token:
                grant.revoked = True
                raise Refusal("invalid_grant", "An old refresh token was used; its family is revoked.")
            scopes = tuple(scope.split()) or grant.scopes
            if not set(scopes) <= set(grant.scopes):
                raise Refusal("invalid_scope", "More was asked for than was granted.")
            answer = self._answer(grant, scopes)
            if self._rotate:
                self._new_refresh_token(grant)
                answer["refresh_token"] = grant.refresh_token
            return answer

    def delegate(self, account: str, scopes: tuple[str, ...]) -> dict[str, Any]:
        """The answer to a service account that acts for this account: no refresh token, no ID token."""
        request = AuthRequest(
            client_id="",
            redirect_uri="",
            scopes=scopes,
            state="",
            challenge="",
            offline=False,
            ask_again=False,
        )
        with self._lock:
            return self._answer(
                _Grant(request=request, account=account, scopes=scopes, made=self._clock()), scopes
            )

    def revoke(self, token: str) -> bool:
        """Revoke what an access or refresh token stands for; False where there is nothing to revoke.

        As with Google, the account takes back all that it granted to the client, by whatever consent.
        """
        with self._lock:
            access = self._access.get(token)
            grant = access.grant if access else self._refresh.get(token)
            if grant is None or grant.revoked:
                return False
            for other in self._grants():
                if other.account == grant.account and other.request.client_id == grant.request.client_id:
                    other.revoked = True
            return True

    def access(self, token: str) -> Access | None:
        """What this access token allows now, or None."""
        with self._lock:
            found = self._access.get(token)
            if found is None or found.grant.revoked or self._clock() >= found.until:
                return None
            return Access(found.grant.account, frozenset(found.scopes))

    def granted(self, scope: str) -> bool:
        """Whether anybody has consented to this scope, whatever became of that."""
        with self._lock:
            return any(scope in grant.scopes for grant in self._grants())

    def expire_access_tokens(self) -> None:
        """Make all access tokens invalid; refresh tokens go on working."""
        with self._lock:
            self._access.clear()

    def revoke_tokens(self) -> None:
        """Make all tokens invalid, as when the account's password changed."""
        with self._lock:
            for grant in self._grants():
                grant.revoked = True

    def keys(self) -> dict[str, Any]:
        """The public key of the ID tokens, as a JSON Web Key Set."""
        return self._id_tokens.keys()

    def _grants(self) -> list[_Grant]:
        return [*self._refresh.values(), *(token.grant for token in self._access.values())]

    def _known(self, new: _Grant) -> bool:
        """Whether this account gave this client a refresh token that is still good."""
        return any(
            grant.account == new.account and grant.request.client_id == new.request.client_id
            for grant in self._refresh.values()
            if not grant.revoked
        )

    def _new_refresh_token(self, grant: _Grant) -> None:
        grant.refresh_token = "1//0" + secrets.token_urlsafe(48)
        self._refresh[grant.refresh_token] = grant

    def _answer(self, grant: _Grant, scopes: tuple[str, ...]) -> dict[str, Any]:
        token = "ya29." + secrets.token_urlsafe(48)
        self._access[token] = _AccessToken(grant, scopes, self._clock() + self._lifetime)
        answer = {
            "access_token": token,
            "expires_in": int(self._lifetime),
            "scope": " ".join(scopes),
            "token_type": "Bearer",
        }
        if "openid" in scopes:
            answer["id_token"] = self._id_tokens.issue(
                audience=grant.request.client_id,
                account=grant.account,
                scopes=scopes,
                access_token=token,
                nonce=grant.request.nonce,
            )
        return answer


def _challenge_of(verifier: str) -> bytes:
    """The S256 challenge of a code verifier (RFC 7636, 4.2)."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
