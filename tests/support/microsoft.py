"""Microsoft's token and device endpoints and its SMTP on loopback, as scripts, and a browser that allows.

No account of Microsoft's is needed: what is checked is what it is asked, and what is made of its answers.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from oauth_mailer.accounts import Account, Accounts
from oauth_mailer.auth import Client, Consent, consent_slot
from oauth_mailer.auth.microsoft import AUTHORITY
from oauth_mailer.stores import Secret, TokenStore

from .google_browser import fetch
from .http_script import Exchange, HttpScript
from .smtp_script import SmtpScript

ME = "me@outlook.com"
CLIENT_ID = "11111111-2222-3333-4444-555555555555"
SEND = "https://outlook.office.com/SMTP.Send"
SCOPES = f"{SEND} offline_access"
PENDING = {"error": "authorization_pending", "error_description": "AADSTS70016: Not yet."}
INVITATION = {
    "device_code": "canary-device-code",
    "user_code": "ABCD-EFGH",
    "verification_uri": "https://microsoft.com/devicelogin",
    "expires_in": 900,
    "interval": 5,
    "message": "To sign in, …",
}


def granted(number: int = 1, **more: Any) -> dict[str, Any]:
    """What the token endpoint gives; each time another refresh token, as Microsoft does."""
    return {
        "token_type": "Bearer",
        "scope": SEND,
        "expires_in": 3599,
        "access_token": f"canary-access-{number}",
        "refresh_token": f"canary-refresh-{number}",
        **more,
    }


def refused(error: str, number: int) -> dict[str, Any]:
    """A refusal with one of Microsoft's numbers."""
    return {"error": error, "error_description": f"AADSTS{number}: Words of Microsoft's. Trace ID: 1"}


def id_token(**claims: Any) -> str:
    """An ID token for our client; nobody looks at its signature, as TLS vouches for it."""
    body = urlsafe_b64encode(json.dumps({"aud": CLIENT_ID, **claims}).encode()).decode().rstrip("=")
    return f"e30.{body}.c2ln"


class Microsoft:
    """The web's part. ``answers``: of the token endpoint in turn; ``invitation``: of that for devices."""

    def __init__(
        self, *answers: Mapping[str, Any], invitation: Mapping[str, Any] = INVITATION | {"interval": 0}
    ) -> None:
        self.answers = list(answers)
        self.invitation = invitation
        self._script = HttpScript(self._step)
        self.url = self._script.url

    def __enter__(self) -> Self:
        self._script.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._script.__exit__(*error)

    @property
    def forms(self) -> list[tuple[str, dict[str, str]]]:
        """What it was posted: the path and the fields of each."""
        return [
            (one.path, {name: value for name, [value] in parse_qs(one.body.decode()).items()})
            for one in self._script.requests
        ]

    def _step(self, exchange: Exchange) -> bool:
        request = exchange.read_all()
        if request is None:
            return False
        if request.path.endswith("/devicecode"):
            body = self.invitation
        else:
            body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        exchange.say("400 Bad Request" if "error" in body else "200 OK", body)
        return True


def mail_server(*tokens: str, **script: Any) -> SmtpScript:
    """Its SMTP, which takes these tokens."""
    extensions = ("SIZE 157286400", "PIPELINING", "8BITMIME", "AUTH LOGIN XOAUTH2")
    return SmtpScript(security="starttls", extensions=extensions, secrets=tokens, **script)


def place(server: SmtpScript) -> dict[str, Any]:
    """Where ``account_for`` finds that server."""
    account = server.account()
    return {"host": f"{account.host}:{account.port}", "security": "starttls", "ca_file": account.ca_file}


def allow(url: str) -> tuple[int, str, str]:
    """Allow on the page at this address; what the browser ends on."""
    return answer_page(url, code="canary-code")


def answer_page(url: str, **fields: str) -> tuple[int, str, str]:
    """What the browser ends on where the page answers so."""
    asked = parse_qs(urlsplit(url).query)
    [redirect], [state] = asked["redirect_uri"], asked["state"]
    return fetch(f"{redirect}/?{urlencode({**fields, 'state': state})}")


@contextmanager
def consented(
    store: TokenStore, home: Path, *answers: Mapping[str, Any]
) -> Iterator[tuple[Microsoft, Account]]:
    """An account that has consented, and Microsoft's part, which answers its refreshes so."""
    with Microsoft(*answers) as microsoft:
        fields = {"client_id": CLIENT_ID, "token_uri": f"{microsoft.url}/consumers/oauth2/v2.0/token"}
        client: Client = AUTHORITY.client_from(fields, Secret(""))
        account = Account(address=ME, provider="outlook", client=client.public)
        store.set(consent_slot(account), Consent(client, Secret("canary-refresh-0")).line())
        Accounts(home).add(account)
        yield microsoft, account
