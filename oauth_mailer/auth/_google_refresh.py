"""One refresh by google-auth, and what its failures mean."""

from __future__ import annotations

from typing import Any

from ..accounts import Account
from ..errors import LoginRequired, MailerError, RouteError, SendError, TransientError
from ..i18n import _
from ..stores import Secret
from ..wire.one_post import Answer
from ._google_endpoint import Endpoint, fields_of, said
from ._google_tokens import Access, Consent

__all__ = ["refreshed", "refusal"]

UNKNOWN_LIFETIME = 300.0
"""Seconds that a token is used for where the server does not say how long it is good (RFC 6749 §5.1)."""


def refreshed(account: Account, consent: Consent) -> tuple[Access, Secret]:
    """An access token, and the refresh token for the next time: the same one, or its successor.

    Raises ``LoginRequired`` where the consent is no longer good, ``RouteError`` where the client is not, and
    ``TransientError`` where Google could not be asked or answered nonsense.
    """
    from google.oauth2.credentials import Credentials

    client = consent.client
    credentials = Credentials(
        token=None,
        refresh_token=consent.refresh_token.reveal(),
        token_uri=client.token_uri,
        client_id=client.client_id,
        client_secret=client.client_secret.reveal(),
    )
    endpoint = Endpoint(ca_file=account.ca_file)
    try:
        credentials.refresh(endpoint)
    except MailerError:
        raise
    except Exception:  # noqa: BLE001 - an answer that makes no sense fails in the library in many ways
        # Not the library's error but the answer itself is read: the error's text may hold a token.
        raise _failure(account, endpoint.answer) from None
    token, expiry = credentials.token, credentials.expiry
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise _nonsense()
    successor = credentials.refresh_token
    if not isinstance(successor, str) or not successor:
        raise _nonsense()
    return Access.of(token, _seconds_until(expiry)), Secret(successor)


def refusal(account: Account, error: str, text: str) -> SendError:
    """The error for the word with which a token endpoint refuses (RFC 6749 §5.2); ``text``: safe to print."""
    again = _("Run: oauth-mailer login {address}").format(address=account.address)
    if error == "invalid_grant":
        return LoginRequired(
            _(
                "Google no longer accepts the consent of {address}. It was revoked; or the Google password "
                "was changed; or it was not used for six months; or it was older than 7 days while the app "
                "is in Testing; or an administrator ended it; or the clock of this computer is wrong."
            ).format(address=account.address),
            code="consent-ended",
            hint=again
            + "\n"
            + _("If it ended after 7 days, publish the app: https://console.cloud.google.com/auth/audience"),
            text=text,
        )
    if error in ("invalid_client", "unauthorized_client", "deleted_client", "disabled_client"):
        return LoginRequired(
            _("Google does not accept the OAuth client of {address}: it was deleted or changed.").format(
                address=account.address
            ),
            code="client-refused",
            hint=_(
                "Download its JSON again, then run: oauth-mailer login {address} --client-secrets FILE"
            ).format(address=account.address),
            text=text,
        )
    if error in ("invalid_scope", "access_denied", "invalid_rapt", "admin_policy_enforced"):
        return LoginRequired(
            _("The consent of {address} no longer covers what is asked for.").format(address=account.address),
            code="consent-ended",
            hint=again,
            text=text,
        )
    return RouteError(
        _("Google refused a token for {address}.").format(address=account.address),
        code="token-refused",
        hint=again,
        text=text,
    )


def _failure(account: Account, answer: Answer | None) -> SendError:
    fields = fields_of(answer) if answer else {}
    word = fields.get("error")
    if answer is None or not isinstance(word, str) or answer.status == 200:
        return _nonsense()
    if fields.get("error_subtype") == "invalid_rapt":  # a Workspace asks for the person every few hours
        word = "invalid_rapt"
    if word in ("internal_failure", "server_error", "temporarily_unavailable", "rate_limit_exceeded"):
        return TransientError(
            _("Google gives out no token just now."),
            code="token-endpoint",
            hint=_("Nothing was sent; try again later."),
            text=said(answer),
        )
    return refusal(account, word, said(answer))


def _nonsense() -> TransientError:
    return TransientError(
        _("What answers in place of Google's token endpoint gives no token (a proxy, or a sign-in page?)."),
        code="token-answer",
        hint=_("Sign in to the network, check HTTPS_PROXY, and send it again."),
    )


def _seconds_until(expiry: Any) -> float:
    from datetime import UTC, datetime

    if not isinstance(expiry, datetime):
        return UNKNOWN_LIFETIME
    # google-auth keeps it in UTC without saying so.
    return max(0.0, (expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds())
