"""A mapping of texts, sealed with a passphrase: the format of the encrypted file.

Two lines of ASCII. The first is a JSON object: the format and its version, the parameters of scrypt
(RFC 7914), its salt, and a check value that tells a wrong passphrase from a damaged file. The second is
base64 of a nonce and the mapping as JSON under AES-256-GCM (NIST SP 800-38D), with the first line as
authenticated data. scrypt gives 48 octets: the key, and the check value, which says no more of the key
than the sealed text itself does.
"""

from __future__ import annotations

import binascii
import hmac
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import blake2b
from threading import Lock
from typing import Any

from ..i18n import _
from ..values import dataclass

__all__ = ["Damaged", "Key", "Newer", "WrongPassphrase", "new_key", "seal", "unseal"]

_FORMAT = "oauth-mailer-secrets"
_VERSION = 1
_COST = {"n": 2**15, "r": 8, "p": 3}  # OWASP's password storage cheat sheet: 32 MiB, about a quarter second
_NONCE = 12


class Damaged(Exception):
    """The content is truncated, changed, or no content of this format; says what is wrong with it."""


class Newer(Exception):
    """A newer version of this package wrote the content."""


class WrongPassphrase(Exception):
    """The passphrase is not the one it was sealed with."""


@dataclass(frozen=True, slots=True)
class Key:
    """A derived key, with the header line that says how it was derived."""

    header: bytes
    octets: bytes

    def __repr__(self) -> str:
        return "Key(***)"


def new_key(passphrase: str) -> Key:
    """A key for a new file."""
    cost = {**_COST, "salt": b64encode(os.urandom(16)).decode()}
    material = _derived(passphrase, cost)
    header = {"format": _FORMAT, "version": _VERSION, "scrypt": cost, "check": _text(material[32:])}
    return Key(json.dumps(header, separators=(",", ":")).encode(), material[:32])


def seal(key: Key, texts: Mapping[str, str]) -> bytes:
    """The content of the file."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE)
    plain = json.dumps(texts, ensure_ascii=False, sort_keys=True).encode()
    return (
        key.header + b"\n" + b64encode(nonce + AESGCM(key.octets).encrypt(nonce, plain, key.header)) + b"\n"
    )


def unseal(content: bytes, passphrase: str) -> tuple[Key, dict[str, str]]:
    """The key and the mapping. Raises ``Damaged``, ``Newer`` or ``WrongPassphrase``."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    header, cost, check, sealed = _parsed(content)
    material = _derived(passphrase, cost)
    if not hmac.compare_digest(material[32:], check):
        raise WrongPassphrase
    key = Key(header, material[:32])
    try:
        plain = AESGCM(key.octets).decrypt(sealed[:_NONCE], sealed[_NONCE:], header)
    except InvalidTag:
        raise Damaged(_("the secrets in it were changed or cut off")) from None
    texts: dict[str, str] = json.loads(plain)  # authentic: we wrote it
    return key, texts


def _parsed(content: bytes) -> tuple[bytes, dict[str, Any], bytes, bytes]:
    if not content:
        raise Damaged(_("it is empty"))
    header, newline, body = content.partition(b"\n")
    try:
        fields = json.loads(header)
        if not isinstance(fields, dict) or fields["format"] != _FORMAT:
            raise Damaged(_("it is of another kind"))
        if fields["version"] != _VERSION:
            raise Newer
        cost, check = fields["scrypt"], b64decode(fields["check"], validate=True)
        salt = b64decode(cost["salt"], validate=True)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Damaged(_("its first line cannot be read")) from None
    # Whoever may write the file must not be able to make us fill the memory.
    n, r, p = costs = [cost.get(name) for name in "nrp"]
    if any(type(number) is not int for number in costs) or not (
        n in {2**power for power in range(14, 19)} and 8 <= r <= 16 and 1 <= p <= 16
    ):
        raise Damaged(_("its parameters are out of bounds"))
    if not (16 <= len(salt) <= 64 and len(check) == 16):
        raise Damaged(_("its parameters are out of bounds"))
    try:
        sealed = b64decode(body.removesuffix(b"\n"), validate=True)
    except binascii.Error:
        raise Damaged(_("the secrets in it were changed or cut off")) from None
    if not newline or len(sealed) < _NONCE + 16:
        raise Damaged(_("the secrets in it were changed or cut off"))
    return header, cost, check, sealed


_LOCK = Lock()
_DERIVED: dict[tuple[object, ...], bytes] = {}
_PEPPER = os.urandom(32)


def _derived(passphrase: str, cost: Mapping[str, Any]) -> bytes:
    """Derivation is slow on purpose, so it is done once per process for a passphrase and parameters."""
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    given = passphrase.encode("utf-8", "surrogatepass")
    known_as = (blake2b(given, key=_PEPPER).digest(), cost["salt"], cost["n"], cost["r"], cost["p"])
    with _LOCK:  # twenty threads derive it once, not twenty times beside each other
        if known_as not in _DERIVED:
            salt = b64decode(cost["salt"])
            _DERIVED[known_as] = Scrypt(salt, length=48, n=cost["n"], r=cost["r"], p=cost["p"]).derive(given)
        return _DERIVED[known_as]


def _text(octets: bytes) -> str:
    return b64encode(octets).decode()
