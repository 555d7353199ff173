"""What Microsoft's numbers mean that stand in the texts of its refusals (``AADSTS65001: …``), as rows of
data.

Microsoft's list of them warns that they change, and says to act by the word in ``error`` alone (RFC 6749
§5.2). So whether a login is needed is decided by that word; a number only finds the cause, and what to do
about it.
"""

from __future__ import annotations

import re

from ..i18n import N_
from ..values import dataclass

__all__ = ["Row", "row_for"]


@dataclass(frozen=True, slots=True)
class Row:
    """``numbers``: those that mean it; ``code``: our stable word; ``cause``, ``hint``: with {address}."""

    numbers: frozenset[int]
    code: str
    cause: str
    hint: str


_AGAIN = N_("Run: oauth-mailer login {address}")
_ADMIN = N_("Ask the administrator of your organisation; then run: oauth-mailer login {address}")
_APP = N_(
    "Look at the app in https://entra.microsoft.com (App registrations), then run: "
    "oauth-mailer login {address} --client-id ID"
)


def _row(*numbers: int, code: str, cause: str, hint: str) -> Row:
    return Row(frozenset(numbers), code, cause, hint)


ROWS = (
    _row(
        *(50072, 50074, 50076, 50078, 50079, 50158, 50203, 53004),
        code="second-factor",
        cause=N_("Microsoft asks {address} to prove itself by a second factor."),
        hint=N_("Log in with it in the browser. Run: oauth-mailer login {address}"),
    ),
    _row(
        *(65001, 65004, 65005),
        code="consent-missing",
        cause=N_("{address} has not consented to what the app asks for, or its permissions were changed."),
        hint=N_(
            "Make sure that the app has the permission SMTP.Send (delegated), then run: "
            "oauth-mailer login {address}"
        ),
    ),
    _row(
        *(90093, 90094, 90095),
        code="admin-consent",
        cause=N_("In the organisation of {address}, only an administrator may allow what the app asks for."),
        hint=N_(
            "Ask an administrator to grant it: https://entra.microsoft.com, App registrations, API "
            "permissions, "
            "Grant admin consent. Then run: oauth-mailer login {address}"
        ),
    ),
    _row(
        90008,
        code="app-permissions",
        cause=N_("The app lacks the permission to sign people in and read their profile."),
        hint=N_(
            "Add the delegated permission User.Read of Microsoft Graph to the app, then run: "
            "oauth-mailer login {address}"
        ),
    ),
    _row(
        *(28002, 65006, 65007, 70011, 500011, 650052, 650053, 650056, 650057),
        code="app-permissions",
        cause=N_("The app of {address} cannot ask for the permission SMTP.Send."),
        hint=N_(
            "Add the delegated permission SMTP.Send of Microsoft Graph to the app, then run: "
            "oauth-mailer login {address}"
        ),
    ),
    _row(
        *(70008, 70043, 70044, 700081, 700082, 700084, 50089),
        code="consent-ended",
        cause=N_(
            "The consent of {address} has ended by itself: it was not used for 90 days, or the organisation "
            "wants a fresh login from time to time."
        ),
        hint=_AGAIN,
    ),
    _row(
        *(50132, 50133, 50173, 70002),
        code="consent-ended",
        cause=N_("The consent of {address} was revoked, or its password was changed."),
        hint=_AGAIN,
    ),
    _row(
        *(70000, 70005, 9002313),
        code="consent-ended",
        cause=N_(
            "Microsoft no longer accepts the consent of {address}. It was revoked; or the password was "
            "changed; "
            "or it was not used for 90 days; or the app was removed from the account."
        ),
        hint=_AGAIN,
    ),
    _row(
        *(700016, 700038, 70001, 900144),
        code="client-refused",
        cause=N_(
            "Microsoft does not know the app of {address} in this tenant: its id is wrong, or another "
            "tenant's."
        ),
        hint=N_(
            "Copy the Application (client) ID from https://entra.microsoft.com, App registrations. An app "
            "of one "
            "organisation needs its tenant: oauth-mailer login {address} --client-id ID --tenant DOMAIN"
        ),
    ),
    _row(
        *(7000218, 7000215, 7000222),
        code="app-not-public",
        cause=N_("Microsoft takes the app for one that runs on a server and has a secret."),
        hint=N_(
            "In the app's page Authentication: switch Allow public client flows to Yes, and have "
            "http://localhost "
            "under Mobile and desktop applications, not under Web. Then run: oauth-mailer login {address}"
        ),
    ),
    _row(
        *(50011, 500113, 9002325, 9002326, 9002327, 900971),
        code="app-redirect",
        cause=N_("The app does not let an answer come to a program on this computer."),
        hint=N_(
            "In the app's page Authentication: add the platform Mobile and desktop applications with the "
            "address "
            "http://localhost, and no other platform. Then run: oauth-mailer login {address}"
        ),
    ),
    _row(
        *(50194, 9001010),
        code="tenant-wrong",
        cause=N_("The app is one of a single organisation, so its tenant has to be named."),
        hint=N_("Run: oauth-mailer login {address} --tenant DOMAIN"),
    ),
    _row(
        *(9002331, 9002346, 9001023),
        code="tenant-wrong",
        cause=N_("The app is for personal accounts only."),
        hint=N_("Run: oauth-mailer login {address} --tenant consumers"),
    ),
    _row(
        *(50020, 500201, 500207, 500208, 50034, 16000, 50128, 50059),
        code="tenant-wrong",
        cause=N_(
            "The account that was chosen is none of this tenant: a personal one, or another organisation's."
        ),
        hint=N_(
            "Run: oauth-mailer login {address} --tenant consumers (Outlook.com), or --tenant DOMAIN (an "
            "organisation's); the app has to allow such accounts."
        ),
    ),
    _row(
        *(90002, 90023, 900023),
        code="tenant-wrong",
        cause=N_("Microsoft knows no such tenant."),
        hint=N_("Run: oauth-mailer login {address} --tenant organizations, or name its domain or id."),
    ),
    _row(
        *(
            50005,
            50097,
            50105,
            50129,
            50131,
            50155,
            50187,
            53000,
            53001,
            53002,
            53003,
            53009,
            53011,
            530003,
            530034,
        ),
        code="conditional-access",
        cause=N_(
            "The organisation of {address} does not allow this login: a rule of conditional access wants "
            "another "
            "computer, place, or app, or forbids device codes."
        ),
        hint=_ADMIN,
    ),
    _row(
        *(50053, 50057),
        code="account-blocked",
        cause=N_("Microsoft has blocked or switched off the account {address}."),
        hint=N_("Log in at https://account.microsoft.com, or ask the administrator of your organisation."),
    ),
    _row(
        *(50055, 50144),
        code="password-expired",
        cause=N_("The password of {address} has expired."),
        hint=N_("Change it at https://myaccount.microsoft.com, then run: oauth-mailer login {address}"),
    ),
    _row(
        50196,
        code="asked-too-often",
        cause=N_("Microsoft was asked for the same token again and again."),
        hint=N_("Wait for some minutes. Is another program running with the same account?"),
    ),
)

_BY_NUMBER = {number: row for row in ROWS for number in row.numbers}


def row_for(text: str) -> Row | None:
    """The row of the first number in this text that is known."""
    for number in re.findall(r"AADSTS(\d{4,8})\b", text):
        if row := _BY_NUMBER.get(int(number)):
            return row
    return None
