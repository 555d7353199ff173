"""Device codes (RFC 8628) at a certified authority: a person consents on another device, or does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from oauth_mailer.accounts import Accounts
from oauth_mailer.auth import Consent, DeviceRequest, consent_slot
from oauth_mailer.errors import LoginRequired
from oauth_mailer.stores.memory import MemoryStore
from tests.support.oidc_browser import DevicePerson, decide
from tests.support.oidc_mailboxes import (
    HOUR,
    ME,
    Mailboxes,
    an_hour_passes,
    log_in,
    refresh_token,
    send,
)
from tests.support.oidc_provider import AuthorizationServer


def test_a_person_consents_on_another_device(
    authority: AuthorizationServer, mailboxes: Mailboxes, store: MemoryStore
) -> None:
    ended: list[tuple[int, str, str]] = []
    person = DevicePerson(lambda page, code: ended.append(decide(page, ME, code=code)))
    account = log_in(mailboxes, store, person, device=True)
    assert "Sign-in Success" in ended[0][2]
    send(store)
    assert len(mailboxes.accepted) == 1
    old = refresh_token(store, account)
    an_hour_passes(authority, store, account)
    send(store)
    assert refresh_token(store, account) != old
    assert not authority.happened("slow_down"), "it waited as long as it was told"


def test_a_host_without_a_browser_asks_for_a_device_by_itself(
    authority: AuthorizationServer, mailboxes: Mailboxes, store: MemoryStore
) -> None:
    log_in(mailboxes, store, DevicePerson(lambda page, code: decide(page, ME, code=code)))
    send(store)
    assert len(mailboxes.accepted) == 1


def test_a_device_that_is_told_to_slow_down_asks_more_seldom(
    authority: AuthorizationServer, mailboxes: Mailboxes, store: MemoryStore
) -> None:
    account = log_in(mailboxes, store)
    line = store.get(consent_slot(account))
    assert line is not None

    def not_for_the_server(seconds: float) -> None:
        """The device's clock runs too fast."""

    def and_the_person_consents(seconds: float) -> None:
        authority.later(seconds)
        decide(invitation.page, ME, code=invitation.code)

    passes: list[Callable[[float], None]] = [not_for_the_server, authority.later, and_the_person_consents]
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        passes[len(pauses)](seconds)
        pauses.append(seconds)

    client = Consent.read(account, line).client
    request = DeviceRequest(account, client, timeout=600, pause=pause, clock=lambda: sum(pauses))
    invitation = request.invite()
    consent, access = request.wait()
    assert pauses == [1, 6, 6]
    assert len(authority.happened("slow_down")) == 1
    assert len(authority.happened("grant.error", "device_code")) == 2, "pending both times"
    assert authority.introspected(access.token.reveal())["active"]
    assert authority.introspected(consent.refresh_token.reveal())["active"]


def test_a_device_that_is_denied_is_told_so_and_nothing_is_kept(
    authority: AuthorizationServer, mailboxes: Mailboxes, store: MemoryStore, home: Path
) -> None:
    ended: list[tuple[int, str, str]] = []
    person = DevicePerson(lambda page, code: ended.append(decide(page, ME, code=code, allow=False)))
    with pytest.raises(LoginRequired) as caught:
        log_in(mailboxes, store, person, device=True)
    assert "was interrupted" in ended[0][2]
    assert caught.value.code == "consent-denied"
    assert ME not in Accounts(home)
    assert not authority.happened("grant.success")


def test_a_code_that_nobody_typed_in_time_has_expired(
    authority: AuthorizationServer, mailboxes: Mailboxes, store: MemoryStore, home: Path
) -> None:
    person = DevicePerson(lambda page, code: authority.later(HOUR))
    with pytest.raises(LoginRequired) as caught:
        log_in(mailboxes, store, person, device=True)
    assert caught.value.code == "consent-timeout"
    [expired] = authority.happened("grant.error", "device_code")
    assert "expired" in expired["why"]
    assert ME not in Accounts(home)
