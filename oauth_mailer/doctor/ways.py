"""Checks of the way that an account sends by, where its provider has several, and of its second one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..accounts import Account
from ..auth import asks_consent
from ..errors import ConfigError
from ..i18n import N_, _
from .finding import Finding, ok, sentences
from .patient import Patient

__all__ = ["own_ways", "way"]


@dataclass(frozen=True, slots=True)
class _Way:
    """``preset``: the provider's name; ``transport``: of its accounts; ``text``: what can be said of it."""

    preset: str
    transport: str
    text: str


_FAMILIES = (
    (
        _Way(
            "gmail",
            "gmail",
            N_("By the Gmail API, over HTTPS. A consent to send is enough, and opens nothing else."),
        ),
        _Way(
            "gmail-xoauth2",
            "smtp",
            N_("By Gmail's SMTP, with a consent, which has to be one to the whole mailbox."),
        ),
        _Way(
            "gmail-smtp",
            "smtp",
            N_("By Gmail's SMTP, with an app password, which opens the whole mailbox and needs no client."),
        ),
    ),
)
"""The ways of each provider that has several."""


def way(patient: Patient) -> Iterable[Finding]:
    """Which of its provider's ways the account sends by or consents by, and which others there are."""
    account = patient.account
    for family in _FAMILIES:
        if account.provider not in {one.preset for one in family}:
            continue
        used = next((one for one in family if _uses(account, one)), family[0])
        others = ", ".join(one.preset for one in family if one is not used)
        yield ok(sentences(_(used.text), _("Its other ways, for --provider: {names}.").format(names=others)))
    authority = asks_consent(account)
    if authority is not None and "device" in authority.takes:
        yield ok(
            sentences(
                _("By SMTP, with a consent to send, which opens nothing else."),
                _("Two ways to consent: in the browser of this computer, or on another device, by --device."),
            )
        )


def _uses(account: Account, one: _Way) -> bool:
    if account.provider == one.preset and account.transport == one.transport:
        return True
    # An account by the API whose transport was changed, or the other way round.
    return account.auth in ("google", "service_account") and (
        one.preset == ("gmail" if account.transport == "gmail" else "gmail-xoauth2")
    )


def own_ways(patient: Patient) -> list[Account]:
    """The same account by the other ways that it falls back on; those that cannot be are told elsewhere."""
    found = []
    for name in (name for name in patient.account.fallback if "@" not in name):
        try:
            found.append(patient.account.by(name))
        except ConfigError:
            return []
    return found
