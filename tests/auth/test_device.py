"""The device code flow against a scripted server: how often it asks, and every way in which it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from oauth_mailer.accounts import Account
from oauth_mailer.auth import Access, Consent, DeviceRequest
from oauth_mailer.auth.microsoft import AUTHORITY
from oauth_mailer.errors import LoginRequired, MailerError, TransientError
from oauth_mailer.stores import Secret
from tests.support.microsoft import CLIENT_ID, INVITATION, ME, PENDING, SCOPES, Microsoft, granted, refused

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SLOW_DOWN = {"error": "slow_down"}


class Time:
    """Passes when it is waited for, and only then."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def request(microsoft: Microsoft, time: Time, timeout: float = 900.0) -> DeviceRequest:
    root = f"{microsoft.url}/consumers/oauth2/v2.0"
    client = AUTHORITY.client_from(
        {"client_id": CLIENT_ID, "token_uri": f"{root}/token", "device_uri": f"{root}/devicecode"}, Secret("")
    )
    account = Account(address=ME, provider="outlook", client=client.public)
    return DeviceRequest(account, client, timeout=timeout, pause=time.pause, clock=lambda: time.now)


def ended(
    *answers: Mapping[str, Any], invitation: Mapping[str, Any] = INVITATION, timeout: float = 900.0
) -> tuple[tuple[Consent, Access] | MailerError, Time, Microsoft]:
    """How it ended, how time passed meanwhile, and what was asked."""
    time = Time()
    with Microsoft(*answers, invitation=invitation) as microsoft:
        asked = request(microsoft, time, timeout)
        try:
            asked.invite()
            return asked.wait(), time, microsoft
        except MailerError as error:
            return error, time, microsoft


def test_it_asks_at_the_pace_that_it_is_told_until_the_person_has_consented() -> None:
    time = Time()
    with Microsoft(PENDING, SLOW_DOWN, PENDING, granted(), invitation=INVITATION) as microsoft:
        asked = request(microsoft, time)
        invitation = asked.invite()
        consent, access = asked.wait()
        (first, form), *rest = microsoft.forms
    assert (invitation.page, invitation.code) == ("https://microsoft.com/devicelogin", "ABCD-EFGH")
    assert (invitation.page_with_code, invitation.life) == ("", 900.0)
    assert first == "/consumers/oauth2/v2.0/devicecode"
    assert form == {"client_id": CLIENT_ID, "scope": SCOPES}
    assert {path for path, _form in rest} == {"/consumers/oauth2/v2.0/token"}
    assert [one for _path, one in rest] == 4 * [
        {"grant_type": GRANT, "device_code": "canary-device-code", "client_id": CLIENT_ID}
    ]
    assert time.pauses == [5.0, 5.0, 10.0, 10.0]  # RFC 8628 §3.5: five seconds more from then on
    assert (consent.refresh_token, access.token) == (Secret("canary-refresh-1"), Secret("canary-access-1"))


def test_without_an_interval_it_asks_every_five_seconds_and_shows_the_page_with_the_code_in_it() -> None:
    whole = {name: value for name, value in INVITATION.items() if name != "interval"}
    time = Time()
    page = "https://microsoft.com/devicelogin?otc=ABCD"
    with Microsoft(granted(), invitation={**whole, "verification_uri_complete": page}) as microsoft:
        asked = request(microsoft, time)
        assert asked.invite().page_with_code == page
        asked.wait()
    assert time.pauses == [5.0]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"error": "expired_token"}, "consent-timeout"),
        ({"error": "code_expired"}, "consent-timeout"),
        ({"error": "access_denied"}, "consent-denied"),
        ({"error": "authorization_declined"}, "consent-denied"),
        (refused("invalid_grant", 50076), "second-factor"),
        (refused("access_denied", 53003), "conditional-access"),
        (refused("invalid_client", 7000218), "app-not-public"),
        ({"error": "invalid_grant"}, "code-refused"),
        (granted(refresh_token=""), "no-refresh-token"),
        (granted(scope="openid"), "scope-missing"),
    ],
)
def test_it_ends_with_what_the_server_says(answer: dict[str, Any], code: str) -> None:
    error, time, _microsoft = ended(PENDING, answer)
    assert isinstance(error, LoginRequired)
    assert error.code == code
    assert time.pauses == [5.0, 5.0]
    assert "canary" not in f"{error.message}{error.hint}{error.text}"


def test_nobody_who_comes_in_time_is_waited_for_no_longer_than_the_code_or_the_person_allows() -> None:
    error, time, _microsoft = ended(PENDING, invitation={**INVITATION, "expires_in": 60})
    assert isinstance(error, LoginRequired)
    assert error.code == "consent-timeout"
    assert 50.0 <= sum(time.pauses) <= 60.0
    error, time, _microsoft = ended(PENDING, timeout=20.0)
    assert isinstance(error, LoginRequired)
    assert sum(time.pauses) <= 20.0


def test_a_server_out_of_order_is_asked_more_seldom_and_forgiven_in_time() -> None:
    result, time, _microsoft = ended(PENDING, {"error": "temporarily_unavailable"}, granted())
    assert not isinstance(result, MailerError)
    assert time.pauses == [5.0, 5.0, 11.0]
    error, time, _microsoft = ended({"error": "temporarily_unavailable"}, timeout=120.0)
    assert isinstance(error, TransientError)
    assert sum(time.pauses) <= 120.0


@pytest.mark.parametrize(
    "change",
    [
        {"device_code": ""},
        {"user_code": "AB\x1b[2JCD"},
        {"user_code": 5},
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri": "https://evil.example/\x1b[0m"},
        {"verification_uri": None},
    ],
)
def test_an_invitation_that_makes_no_sense_is_not_shown(change: dict[str, Any]) -> None:
    error, time, _microsoft = ended(granted(), invitation={**INVITATION, **change})
    assert isinstance(error, TransientError)
    assert time.pauses == []


def test_a_client_that_may_not_ask_is_told_so() -> None:
    error, _time, _microsoft = ended(granted(), invitation=refused("unauthorized_client", 700016))
    assert isinstance(error, LoginRequired)
    assert error.code == "client-refused"
