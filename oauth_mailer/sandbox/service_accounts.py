"""A service account with domain-wide delegation: a program that acts for a domain's people (RFC 7523)."""

from __future__ import annotations

import json
import secrets
import threading
import time
from base64 import urlsafe_b64decode
from functools import cached_property
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from .grants import Refusal

__all__ = ["ServiceAccount"]

_AUDIENCE = "https://oauth2.googleapis.com/token"  # what Google's own libraries write, wherever they ask
_LONGEST = 3600.0  # seconds that an assertion may be good for
_CLOCK = 300.0  # seconds by which its clock may differ


class ServiceAccount:
    """The one service account of the sandbox; its key is made when it is first asked for.

    ``domains``: those whose administrators let it act for their people; ``scopes``: for what.
    """

    def __init__(self, domains: set[str], scopes: set[str]) -> None:
        self.domains = domains
        self.scopes = scopes
        self.email = "mailer@sandbox-project.iam.gserviceaccount.com"
        self.client_id = f"{secrets.randbelow(10**21):021}"
        self._key_id = secrets.token_hex(20)
        self._lock = threading.Lock()

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def key_file(self, token_uri: str) -> dict[str, Any]:
        """The JSON file that Google's console gives out."""
        with self._lock:
            pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return {
            "type": "service_account",
            "project_id": "sandbox-project",
            "private_key_id": self._key_id,
            "private_key": pem,
            "client_email": self.email,
            "client_id": self.client_id,
            "token_uri": token_uri,
        }

    def check(self, assertion: str, token_uri: str) -> tuple[str, tuple[str, ...]]:
        """For whom this assertion asks, and for which scopes. Raises ``Refusal``."""
        claims = self._claims(assertion)
        now = time.time()
        issued, ends = claims.get("iat"), claims.get("exp")
        if not isinstance(issued, int | float) or not isinstance(ends, int | float):
            raise Refusal("invalid_grant", "Invalid JWT: iat and exp are required.")
        if not now - _LONGEST - _CLOCK < issued < now + _CLOCK or not now < ends <= issued + _LONGEST:
            raise Refusal(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token and in a reasonable timeframe.",
            )
        if claims.get("iss") != self.email or claims.get("aud") not in (token_uri, _AUDIENCE):
            raise Refusal("invalid_grant", "Invalid JWT: iss or aud is wrong.")
        subject, scopes = str(claims.get("sub", "")), tuple(str(claims.get("scope", "")).split())
        if (
            not subject
            or subject.partition("@")[2].lower() not in self.domains
            or not set(scopes) <= self.scopes
        ):
            raise Refusal(
                "unauthorized_client",
                "Client is unauthorized to retrieve access tokens using this method, "
                "or client not authorized for any of the scopes requested.",
                401,
            )
        if subject.startswith("nobody@"):
            raise Refusal("invalid_grant", "Invalid email or User ID")
        return subject, scopes

    def _claims(self, assertion: str) -> dict[str, Any]:
        signed, _dot, signature = assertion.rpartition(".")
        try:
            self._key.public_key().verify(_octets(signature), signed.encode(), padding.PKCS1v15(), SHA256())
            header, claims = (json.loads(_octets(part)) for part in signed.split("."))
            if header.get("alg") != "RS256" or header.get("kid") != self._key_id:
                raise ValueError("another key")
        except (ValueError, TypeError, AttributeError, InvalidSignature):
            raise Refusal("invalid_grant", "Invalid JWT Signature.") from None
        return claims if isinstance(claims, dict) else {}


def _octets(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
