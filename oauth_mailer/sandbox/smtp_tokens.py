"""Logins by an access token at the SMTP stand-in, as at Gmail's: OAUTHBEARER (RFC 7628) and XOAUTH2."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from typing import Any

from aiosmtpd.smtp import MISSING, AuthResult

from .grants import Grants
from .inbox import Inbox

__all__ = ["TokenLogins"]

_SCOPE = "https://mail.google.com/"
_MECHANISMS = frozenset({"OAUTHBEARER", "XOAUTH2"})
_OAUTHBEARER = re.compile(rb"n,a=([^,\x01]+),\x01(?:[a-z]+=[^\x01]*\x01)*?auth=Bearer ([!-~]+)\x01\x01")
_XOAUTH2 = re.compile(rb"user=([^\x01]+)\x01auth=Bearer ([!-~]+)\x01\x01")
_REFUSED = (
    "535-5.7.8 Username and Password not accepted. For more information, go to\r\n"
    "535 5.7.8  https://support.google.com/mail/?p=BadCredentials"
)


class TokenLogins:
    """Two mechanisms, for a token that people gave at the stand-in for Google, and what is said to others.

    aiosmtpd finds them by their names. They are offered once somebody has consented to what they need: until
    then the server is one of those that know codes only.
    """

    inbox: Inbox
    grants: Grants

    def offered(self, line: str) -> str:
        """A line of the answer to EHLO, with these mechanisms if they are offered."""
        if line[4:9] != "AUTH " or self.grants.granted(_SCOPE):
            return line
        return " ".join(word for word in line.split(" ") if word not in _MECHANISMS)

    async def auth_OAUTHBEARER(self, connection: Any, words: list[str]) -> AuthResult:  # noqa: N802 - its name
        """The standard: it names the user as SASL does, and the server."""
        said = await _said(connection, words)
        if said is None or (found := _OAUTHBEARER.fullmatch(said)) is None:
            return _malformed(said)
        name = found[1].replace(b"=2C", b",").replace(b"=3D", b"=")
        return await self._judge(connection, name, found[2], end=b"\1")

    async def auth_XOAUTH2(self, connection: Any, words: list[str]) -> AuthResult:  # noqa: N802 - its name
        """Google's, from which the standard was made."""
        said = await _said(connection, words)
        if said is None or (found := _XOAUTH2.fullmatch(said)) is None:
            return _malformed(said)
        return await self._judge(connection, found[1], found[2], end=b"")

    async def _judge(self, connection: Any, name: bytes, token: bytes, *, end: bytes) -> AuthResult:
        """``end``: what ends the conversation about a refusal, after its reason was told."""
        connection.what = "login"
        self.inbox.count("smtp.auth")
        login = name.decode("utf-8", "replace")
        access = self.grants.access(token.decode())
        if access is None or access.account.lower() != login.lower():
            status = "invalid_token"
        elif _SCOPE not in access.scopes:
            status = "insufficient_scope"
        else:
            return AuthResult(success=True, auth_data=login)
        self.inbox.count("smtp.auth.refused")
        told = {"status": status, "schemes": "bearer", "scope": _SCOPE}
        answer = await _asked(connection, json.dumps(told))
        if answer != end:
            return _malformed(answer)
        return AuthResult(success=False, handled=False, message=_REFUSED)


async def _said(connection: Any, words: list[str]) -> bytes | None:
    if len(words) == 1:
        return await _asked(connection, "")
    try:
        return b64decode(words[1], validate=True)
    except ValueError:
        return b""


async def _asked(connection: Any, challenge: str) -> bytes | None:
    answer = await connection.challenge_auth(challenge)
    return None if answer is MISSING else bytes(answer)


def _malformed(said: bytes | None) -> AuthResult:
    """``said``: None where there was no answer, of which aiosmtpd has told already."""
    return AuthResult(success=False, handled=said is None, message="501 5.5.2 Cannot decode the response")
