"""ID tokens (OpenID Connect Core 1.0, 2), signed with RS256 as Google's are, by a throw-away key."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from base64 import urlsafe_b64encode
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

__all__ = ["IdTokens"]

_KEY_ID = "sandbox"
_LIFETIME = 3600


class IdTokens:
    """Issues ID tokens; the key is made when the first one is asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def issue(
        self, *, audience: str, account: str, scopes: tuple[str, ...], access_token: str, nonce: str
    ) -> str:
        """The token that says to ``audience``, a client id, which account logged in."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": "https://accounts.google.com",
            "azp": audience,
            "aud": audience,
            "sub": str(int.from_bytes(hashlib.sha256(account.encode()).digest()[:8])),
            "at_hash": _b64(hashlib.sha256(access_token.encode()).digest()[:16]),
            "iat": now,
            "exp": now + _LIFETIME,
        }
        if "email" in scopes or "https://www.googleapis.com/auth/userinfo.email" in scopes:
            claims |= {"email": account, "email_verified": True}
        if nonce:
            claims["nonce"] = nonce
        parts = [{"alg": "RS256", "kid": _KEY_ID, "typ": "JWT"}, claims]
        signed = ".".join(_b64(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
        with self._lock:
            key = self._key
        return f"{signed}.{_b64(key.sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"

    def keys(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set (RFC 7517)."""
        with self._lock:
            numbers = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": _KEY_ID}
        key |= {"n": _b64(_octets(numbers.n)), "e": _b64(_octets(numbers.e))}
        return {"keys": [key]}


def _octets(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8)


def _b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
