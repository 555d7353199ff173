"""How old a consent is, and when Google ends it if its app is in testing.

Google's guide to OAuth 2.0, "Refresh token expiration": an app whose audience is external and whose status is
*Testing* gets refresh tokens that end after 7 days. Whether an app is in testing cannot be asked of Google.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ..accounts import Account
from ..errors import LoginRequired
from ..i18n import _
from ._oauth_tokens import given_at

__all__ = ["TESTING", "ended_in_testing", "ends_if_testing", "looks_like_testing"]

TESTING = timedelta(days=7)
"""How long a consent lives whose app is in testing."""

_ABOUT = timedelta(hours=2)
"""Two clocks differ, and a person takes a while from the login to the consent."""

_LONGEST_PAUSE = timedelta(days=60)
"""An account that was not used for longer than that may have lost its consent in many ways."""


def ends_if_testing(account: Account) -> datetime | None:
    """When Google ends this account's consent if its app is in testing, or None where that is not known."""
    if account.auth != "google" or (given := given_at(account)) is None:
        return None
    return given + TESTING


def looks_like_testing(account: Account, last_good: float | None) -> bool:
    """Whether a consent that Google has just refused ended as those of apps in testing do.

    ``last_good``: when Google last gave a token for it, in seconds since 1970, or None where nobody knows.
    """
    given = given_at(account)
    if given is None:
        return False
    age = datetime.now(UTC) - given
    if age < TESTING - _ABOUT:
        return False
    if last_good is None:
        return age <= TESTING + timedelta(days=1)
    return last_good <= (given + TESTING + _ABOUT).timestamp() and age <= _LONGEST_PAUSE


def ended_in_testing(account: Account, text: str) -> LoginRequired:
    """The error for a consent that ended so; ``text``: Google's words, safe to print."""
    given = given_at(account)
    return LoginRequired(
        _(
            "Google ended the consent of {address}, which was given on {day}. Your app is in testing: Google "
            "ends such consents after 7 days. (If it is published already, the consent was revoked, or the "
            "Google password was changed.)"
        ).format(address=account.address, day=f"{given:%Y-%m-%d}" if given else "?"),
        code="consent-ended-testing",
        hint=_("Publish the app, so that it does not happen again: {url}").format(
            url="https://console.cloud.google.com/auth/audience"
        )
        + "\n"
        + _("Then run: oauth-mailer login {address}").format(address=account.address),
        text=text,
    )
