"""One refresh by google-auth, and what its failures mean."""

from __future__ import annotations

from ..accounts import Account
from ..errors import LoginRequired, MailerError, RouteError, SendError
from ..i18n import _
from ..stores import Secret
from ._google_age import ended_in_testing, looks_like_testing
from ._google_endpoint import Endpoint, nonsense
from ._google_tokens import Access, Consent

__all__ = ["refreshed", "refusal"]


def refreshed(
    account: Account, consent: Consent, timeout: float, *, last_good: float | None = None
) -> tuple[Access, Secret]:
    """An access token, and the refresh token for the next time: the same one, or its successor.

    ``timeout``: seconds for one step on the network; ``last_good``: when the one before came, in seconds
    since 1970, if that is known.

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
    hidden = (consent.refresh_token, client.client_secret)
    endpoint = Endpoint(ca_file=account.ca_file, hide=hidden, timeout=timeout)
    try:
        credentials.refresh(endpoint)
    except MailerError:
        raise
    except Exception:  # noqa: BLE001 - an answer that makes no sense fails in the library in many ways
        # Not the library's error but the answer itself is read: the error's text may hold a token.
        raise _failure(account, endpoint, last_good) from None
    # A successor that is named but empty is none.
    successor = credentials.refresh_token or consent.refresh_token.reveal()
    access = Access.granted(endpoint.fields)
    if access is None or not isinstance(successor, str):
        raise nonsense()
    return access, Secret(successor)


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


def _failure(account: Account, endpoint: Endpoint, last_good: float | None) -> SendError:
    fields = endpoint.fields
    word = fields.get("error")
    if not isinstance(word, str):
        return nonsense()
    if fields.get("error_subtype") == "invalid_rapt":  # a Workspace asks for the person every few hours
        word = "invalid_rapt"
    if word == "invalid_grant" and looks_like_testing(account, last_good):
        return ended_in_testing(account, endpoint.said)
    return refusal(account, word, endpoint.said)
