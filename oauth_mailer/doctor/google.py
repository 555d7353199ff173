"""Checks of an account that a person consented to at Google: the consent, its token, and the Gmail API."""

from __future__ import annotations

from datetime import UTC, datetime

from ..address import Address
from ..auth.google import (
    ALL,
    SENDING,
    Access,
    Consent,
    access_slot,
    ends_if_testing,
    given_at,
    scopes_of,
)
from ..errors import ConfigError, LoginRequired, OutcomeUnknown, RejectedError, StoreError, TransientError
from ..i18n import _
from ..message import Envelope
from ..mime import Content
from ..stores import Secret
from ..wire.endpoint import is_loopback
from .finding import Finding, ok, sentences, skipped, warning
from .patient import Patient
from .secrets import known_refused

__all__ = ["api", "client", "consent", "scopes", "token"]

_AUDIENCE = "https://console.cloud.google.com/auth/audience"


def client(patient: Patient) -> Finding:
    """Whether the parts of the OAuth client fit together, and its addresses are safe to send a token to."""
    from urllib.parse import urlsplit

    account = patient.account
    if not patient.line:
        raise AssertionError("the check before this one found it")
    found = Consent.read(account, patient.line).client  # raises for addresses without https
    hosts = [urlsplit(url).hostname or "" for url in (found.auth_uri, found.token_uri, found.revocation_uri)]
    if not found.client_id.endswith(".apps.googleusercontent.com"):
        return warning(
            _("The client {client} has no name that Google gives out.").format(client=found.client_id),
            cause=_("Such names end in .apps.googleusercontent.com."),
            hint=_("Run: oauth-mailer login {address} --client-secrets FILE").format(address=account.address),
        )
    odd = [
        host
        for host in hosts
        if not host.endswith((".google.com", ".googleapis.com")) and not is_loopback(host)
    ]
    if odd:
        return warning(
            _("The client {client} sends tokens to {hosts}.").format(
                client=found.client_id, hosts=", ".join(odd)
            ),
            cause=_("That is not Google."),
            hint=_("If you do not know why, run: oauth-mailer login {address} --client-secrets FILE").format(
                address=account.address
            ),
        )
    return ok(_("{client}; its addresses are safe.").format(client=found.client_id))


def consent(patient: Patient) -> Finding:
    """How old the consent is, and when it ends if its app is in testing."""
    account = patient.account
    given, ends = given_at(account), ends_if_testing(account)
    if given is None or ends is None:
        return skipped(_("When the consent was given is not known here."))
    days = max((datetime.now(UTC) - given).days, 0)
    text = _("Given on {day}, {days} days ago.") if days else _("Given on {day}, today.")
    text = text.format(day=f"{given:%Y-%m-%d}", days=days)
    if account.login_required:
        return known_refused(patient, text, _("Google was found to accept it no longer."))
    if datetime.now(UTC) < ends:
        return warning(
            text,
            cause=_("If your app is in testing, Google ends this consent on {day}, at {time} UTC.").format(
                day=f"{ends.astimezone(UTC):%Y-%m-%d}", time=f"{ends.astimezone(UTC):%H:%M}"
            ),
            hint=_("See whether it says In production: {url}").format(url=_AUDIENCE),
        )
    return ok(text)


def scopes(patient: Patient) -> Finding:
    """Whether what was asked for is enough to send, and not more than that."""
    account = patient.account
    wanted = set(scopes_of(account))
    enough = SENDING.get(account.transport, SENDING["gmail"])
    shown = ", ".join(sorted(wanted))
    if not wanted & enough:
        raise LoginRequired(
            _("What {address} asks Google for does not let it send: {scopes}.").format(
                address=account.address, scopes=shown
            ),
            code="scope-missing",
            hint=_("Remove scopes from its configuration, and run: oauth-mailer login {address}").format(
                address=account.address
            ),
        )
    if ALL in wanted and "smtp" in (account.transport, *account.fallback):
        return ok(
            sentences(
                _("It may read and delete all mail too: {scopes}.").format(scopes=shown),
                _("Gmail's SMTP takes no less."),
            )
        )
    if account.transport == "gmail" and ALL in wanted:
        return warning(
            _("It may read and delete all mail too: {scopes}.").format(scopes=shown),
            cause=_("To send by the Gmail API, gmail.send is enough, and whoever steals it can only send."),
            hint=_("Remove scopes from its configuration, and run: oauth-mailer login {address}").format(
                address=account.address
            ),
        )
    return ok(shown)


def token(patient: Patient) -> Finding:
    """Whether Google gives a new access token for the consent: one is asked for, as any send may have to.

    Refreshes take turns across processes. The token that is in use stays good.
    """
    store, credential = patient.store, patient.credential
    before = Access.kept(_kept(patient))
    # Asked for even if the one that is kept would do: that proves nothing of the consent.
    new = credential.renew(before.token) if before and before.good() else credential.get()
    text = _("Google gave a new access token.")
    if before is not None:
        text = sentences(text, _("The one before came on {moment} UTC.").format(moment=_time(before.since)))
    if store.writable and store.kind != "command":  # which keeps none on purpose
        after = Access.kept(_kept(patient))
        if after is None or after.token != new:
            return warning(
                text,
                cause=_("The store {store} did not keep it, so every process has to ask for its own.").format(
                    store=store.kind
                ),
                hint=_("Make sure that {place} can be written.").format(
                    place=getattr(store, "path", "") or store.kind
                ),
            )
    return ok(text)


def _kept(patient: Patient) -> Secret | None:
    try:
        return patient.store.get(access_slot(patient.account))
    except StoreError:  # what is kept here can be had again
        return None


def _time(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        return "?"


def api(patient: Patient) -> Finding:
    """Whether the Gmail API answers, takes the token and lets the account send.

    It is handed a message without a single octet and for nobody, by the very way that messages go. That is
    refused by whoever gets as far as to look at it; nothing can be sent by it.
    """
    account = patient.account
    nothing = Envelope(Address(account.address), (), ())
    try:
        patient.transport.send(nothing, Content(()))
    except RejectedError:
        return ok(_("The Gmail API answers, and lets {address} send.").format(address=account.address))
    except OutcomeUnknown as error:
        raise TransientError(
            _("The Gmail API did not answer as it should ({code}).").format(code=error.code),
            code=error.code,
            hint=_("Try again in a minute; if it stays so, look at https://www.google.com/appsstatus"),
            text=error.text,
        ) from error
    finally:
        patient.transport.close()
    raise ConfigError(
        _("What answers in place of the Gmail API takes messages that are none."),
        code="gmail-endpoint",
        hint=_("Check OAUTH_MAILER_GMAIL_ENDPOINT, and the proxy."),
    )
