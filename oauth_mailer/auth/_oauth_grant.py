"""What a token endpoint grants to a consent, by whatever way that came: looked at before it is believed."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any

from ..accounts import Account
from ..errors import LoginRequired, SendError
from ..i18n import _
from ..replies import readable
from ..stores import Secret
from ._oauth_authority import Authority, giver
from ._oauth_client import Client
from ._oauth_endpoint import Endpoint, plain
from ._oauth_tokens import Access, Consent, scopes_of

__all__ = ["granted", "refused"]


def granted(account: Account, client: Client, endpoint: Endpoint) -> tuple[Consent, Access]:
    """The tokens in the endpoint's answer, if they are what was asked for.

    Raises ``LoginRequired`` where the authority or the person gave less than is needed, or it is another
    account than asked, and ``TransientError`` where the answer is nonsense.
    """
    authority = giver(account)
    access = Access.granted(endpoint.fields)
    token = _parsed(client, plain(endpoint.fields))
    if access is None or token is None:
        raise endpoint.nonsense()
    _check_scopes(authority, account, token)
    _check_identity(authority, account, client, token)
    refresh_token = token.get("refresh_token")
    if not isinstance(refresh_token, str) or not refresh_token:
        raise LoginRequired(
            _("{title} gave no refresh token, so the login would end within the hour.").format(
                title=authority.title
            ),
            code="no-refresh-token",
            hint=_("Remove the app at {url} and run: oauth-mailer login {address}").format(
                url=authority.connections, address=account.address
            ),
        )
    return Consent(client, Secret(refresh_token)), access


def refused(account: Account, endpoint: Endpoint) -> SendError:
    """The error for an answer that grants nothing to a code that was shown just now."""
    authority, word = giver(account), endpoint.fields.get("error")
    if not isinstance(word, str):
        return endpoint.nonsense()
    error = authority.refusal(account, endpoint.fields, endpoint.said)
    if word == "invalid_grant" and error.code.startswith("consent-ended"):
        # Said of a code here, not of an old consent.
        return LoginRequired(
            _(
                "{title} did not accept the answer of the consent page; it is good once, and for minutes."
            ).format(title=authority.title),
            code="code-refused",
            hint=_("Run: oauth-mailer login {address}").format(address=account.address),
            text=endpoint.said,
        )
    return error


def _parsed(client: Client, body: bytes) -> Mapping[str, Any] | None:
    from oauthlib.oauth2 import WebApplicationClient

    try:
        token: Mapping[str, Any] = WebApplicationClient(client.client_id).parse_request_body_response(
            body.decode()
        )
    except Exception:  # noqa: BLE001 - nonsense fails in the library in many ways, and its errors hold the answer
        return None
    return token


def _check_scopes(authority: Authority, account: Account, token: Mapping[str, Any]) -> None:
    """A person can leave out a part of what was asked for."""
    scope = token.get("scope")
    listed = scope.split() if isinstance(scope, str) else scope or scopes_of(account)
    given = {authority.plain_scope(one) for one in listed}
    sending = frozenset().union(*authority.sending.values())
    missing = [
        one
        for one in scopes_of(account)
        if one not in authority.unlisted and authority.plain_scope(one) not in given
    ]
    if missing:
        raise LoginRequired(
            _("The consent leaves out what is needed: {scopes}.").format(
                scopes=", ".join(
                    _("to send mail ({scope})").format(scope=one) if one in sending else one
                    for one in missing
                )
            ),
            code="scope-missing",
            hint=_("Run: oauth-mailer login {address}, and leave every box ticked.").format(
                address=account.address
            ),
        )


def _check_identity(authority: Authority, account: Account, client: Client, token: Mapping[str, Any]) -> None:
    claims = _claims(token.get("id_token"))
    names = authority.names_in(claims) if claims else []
    if not names and set(authority.identity) <= set(scopes_of(account)):
        raise _other_account(authority, account, _("it does not say which account it is"))
    if claims is None:
        return
    # It came from the token endpoint itself, so TLS vouches for it (OpenID Connect Core 1.0 §3.1.3.7).
    audience = claims.get("aud")
    if client.client_id not in (audience if isinstance(audience, list) else [audience]):
        raise _other_account(authority, account, _("it is for another client"))
    if names and authority.mailbox(account.address) not in map(authority.mailbox, names):
        email = readable(names[0].encode("utf-8", "replace"))
        raise _other_account(authority, account, _("it is for {email}").format(email=email))


def _other_account(authority: Authority, account: Account, reason: str) -> LoginRequired:
    return LoginRequired(
        _("The consent is not one of {address}: {reason}.").format(address=account.address, reason=reason),
        code="other-account",
        hint=_("Run: oauth-mailer login {address}, and choose that account on {title}'s page.").format(
            address=account.address, title=authority.title
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
