"""The protocol of one consent: the address of the page, and the code that comes back made into tokens.

google-auth-oauthlib and oauthlib say what is asked and what an answer means (RFC 6749 §4.1, RFC 7636, RFC
8252); the forms go over our own connection.
"""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ..accounts import Account
from ..errors import LoginRequired, SendError
from ..i18n import _
from ..replies import readable
from ..stores import Secret
from ._google_client import Client
from ._google_endpoint import Endpoint, nonsense, plain
from ._google_refresh import refusal
from ._google_tokens import SEND, Access, Consent, scopes_of

__all__ = ["IDENTITY", "ConsentRequest"]

IDENTITY = ("openid", "email")
"""What lets Google say which account it was; OpenID Connect Core 1.0 §5.4."""

_FULL_NAMES = {
    "email": "https://www.googleapis.com/auth/userinfo.email"
}  # what Google calls it in its answers


class ConsentRequest:
    """One request for consent, good for one answer. ``state`` is what the answer has to bring back."""

    def __init__(self, account: Account, client: Client, redirect_uri: str, state: Secret) -> None:
        from google_auth_oauthlib.flow import Flow
        from oauthlib.oauth2 import WebApplicationClient
        from requests_oauthlib import OAuth2Session

        self._account = account
        self._client = client
        self._protocol = WebApplicationClient(client.client_id)
        session = OAuth2Session(client=self._protocol, scope=list(scopes_of(account)))
        # oauthlib knows https only. Plain http is allowed on this very machine, and put back below.
        asked_at = urlsplit(client.auth_uri)._replace(scheme="https").geturl()
        config = {"auth_uri": asked_at, "token_uri": client.token_uri, "client_id": client.client_id}
        self._flow = Flow(session, "installed", {"installed": config}, redirect_uri=redirect_uri)
        self._flow.code_verifier = secrets.token_urlsafe(64)
        self._redirect_uri = redirect_uri
        self._state = state

    def url(self) -> str:
        """The address of the page that asks the person."""
        address, _state = self._flow.authorization_url(
            state=self._state.reveal(),
            access_type="offline",  # so that a refresh token comes at all,
            prompt="consent",  # and comes the second time too
            login_hint=self._account.address,
        )
        return f"{urlsplit(self._client.auth_uri).scheme}:{address.partition(':')[2]}"

    def exchange(self, code: Secret) -> tuple[Consent, Access]:
        """The tokens for the code, if they are what was asked for.

        Raises ``LoginRequired`` where Google or the person gave less than is needed, or it is another account
        than asked, and ``TransientError`` where Google could not be asked.
        """
        form = self._protocol.prepare_request_body(
            code=code.reveal(),
            redirect_uri=self._redirect_uri,
            code_verifier=self._flow.code_verifier,
            client_secret=self._client.client_secret.reveal(),
        )
        hide = (code, self._client.client_secret, Secret(self._flow.code_verifier))
        endpoint = Endpoint(ca_file=self._account.ca_file, hide=hide)
        if endpoint.post(self._client.token_uri, form).status != 200 or "error" in endpoint.fields:
            raise self._refused(endpoint.fields.get("error"), endpoint.said)
        access = Access.granted(endpoint.fields)
        token = self._parsed(plain(endpoint.fields))
        if access is None or token is None:
            raise nonsense()
        self._check_scopes(token)
        self._check_identity(token)
        refresh_token = token.get("refresh_token")
        if not isinstance(refresh_token, str) or not refresh_token:
            raise LoginRequired(
                _("Google gave no refresh token, so the login would end within the hour."),
                code="no-refresh-token",
                hint=_(
                    "Remove the app at https://myaccount.google.com/connections and run: "
                    "oauth-mailer login {address}"
                ).format(address=self._account.address),
            )
        return Consent(self._client, Secret(refresh_token)), access

    def _parsed(self, body: bytes) -> Mapping[str, Any] | None:
        try:
            token: Mapping[str, Any] = self._protocol.parse_request_body_response(body.decode())
        except Exception:  # noqa: BLE001 - nonsense fails in the library in many ways, and its errors hold the answer
            return None
        return token

    def _refused(self, error: object, text: str) -> SendError:
        if not isinstance(error, str):
            return nonsense()
        if error == "invalid_grant":  # said of a code here, not of an old consent
            return LoginRequired(
                _("Google did not accept the answer of the consent page; it is good once, and for minutes."),
                code="code-refused",
                hint=_("Run: oauth-mailer login {address}").format(address=self._account.address),
                text=text,
            )
        return refusal(self._account, error, text)

    def _check_scopes(self, token: Mapping[str, Any]) -> None:
        """A person can leave out a part of what was asked for."""
        scope = token.get("scope")
        granted = set(scope.split() if isinstance(scope, str) else scope or scopes_of(self._account))
        missing = [one for one in scopes_of(self._account) if not {one, _FULL_NAMES.get(one, one)} & granted]
        if missing:
            raise LoginRequired(
                _("The consent leaves out what is needed: {scopes}.").format(
                    scopes=", ".join(
                        _("to send mail ({scope})").format(scope=one) if one == SEND else one
                        for one in missing
                    )
                ),
                code="scope-missing",
                hint=_("Run: oauth-mailer login {address}, and leave every box ticked.").format(
                    address=self._account.address
                ),
            )

    def _check_identity(self, token: Mapping[str, Any]) -> None:
        claims = _claims(token.get("id_token"))
        email = claims.get("email") if claims else None
        if not isinstance(email, str) and set(IDENTITY) <= set(scopes_of(self._account)):
            raise self._other_account(_("it does not say which account it is"))
        if claims is None:
            return
        # It came from the token endpoint itself, so TLS vouches for it (OpenID Connect Core 1.0 §3.1.3.7).
        audience = claims.get("aud")
        if self._client.client_id not in (audience if isinstance(audience, list) else [audience]):
            raise self._other_account(_("it is for another client"))
        if isinstance(email, str) and _mailbox(email) != _mailbox(self._account.address):
            raise self._other_account(
                _("it is for {email}").format(email=readable(email.encode("utf-8", "replace")))
            )

    def _other_account(self, reason: str) -> LoginRequired:
        return LoginRequired(
            _("The consent is not one of {address}: {reason}.").format(
                address=self._account.address, reason=reason
            ),
            code="other-account",
            hint=_("Run: oauth-mailer login {address}, and choose that account on Google's page.").format(
                address=self._account.address
            ),
        )


def _claims(id_token: object) -> Mapping[str, Any] | None:
    """What an ID token says; None where there is none that can be read."""
    try:
        payload = str(id_token).split(".")[1]
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, IndexError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def _mailbox(email: str) -> str:
    """The same for all spellings of one Gmail mailbox: it has two domains, and dots do not count."""
    local, _at, domain = email.lower().rpartition("@")
    if domain in ("gmail.com", "googlemail.com"):
        return local.partition("+")[0].replace(".", "") + "@gmail.com"
    return f"{local}@{domain}"
