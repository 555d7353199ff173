"""Checks of an account that a person consented to: the OAuth client, the consent, its scopes, its token."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import urlsplit

from ..auth import Access, Authority, Consent, access_slot, authority_of, given_at, scopes_of
from ..errors import LoginRequired, StoreError
from ..i18n import _
from ..stores import Secret
from ..wire.endpoint import is_loopback
from .finding import Finding, ok, sentences, skipped, warning
from .patient import Patient
from .secrets import known_refused

__all__ = ["client", "consent", "scopes", "token"]


def _authority(patient: Patient) -> Authority:
    authority = authority_of(patient.account)
    if authority is None:
        raise AssertionError("these checks are of consents only")
    return authority


def client(patient: Patient) -> Finding:
    """Whether the parts of the OAuth client fit together, and its addresses are safe to send a token to."""
    account, authority = patient.account, _authority(patient)
    if not patient.line:
        raise AssertionError("the check before this one found it")
    found = Consent.read(account, patient.line).client  # raises for addresses without https
    urls = [url for name, url in found.public.items() if name != "client_id"]
    hosts = list(dict.fromkeys(urlsplit(url).hostname or "" for url in urls))
    if not re.fullmatch(authority.client_names, found.client_id):
        return warning(
            _("The client {client} has no name that {title} gives out.").format(
                client=found.client_id, title=authority.title
            ),
            cause=_(authority.client_form),
            hint=authority.with_client(account),
        )
    odd = [host for host in hosts if not f".{host}".endswith(authority.hosts) and not is_loopback(host)]
    if odd:
        return warning(
            _("The client {client} sends tokens to {hosts}.").format(
                client=found.client_id, hosts=", ".join(odd)
            ),
            cause=_("That is not {title}.").format(title=authority.title),
            hint=sentences(_("If you do not know why:"), authority.with_client(account)),
        )
    return ok(_("{client}; its addresses are safe.").format(client=found.client_id))


def consent(patient: Patient) -> Finding:
    """How old the consent is, and when it ends by itself, where that can be told."""
    account, authority = patient.account, _authority(patient)
    given, ends = given_at(account), authority.ends(account)
    if given is None:
        return skipped(_("When the consent was given is not known here."))
    days = max((datetime.now(UTC) - given).days, 0)
    text = _("Given on {day}, {days} days ago.") if days else _("Given on {day}, today.")
    text = text.format(day=f"{given:%Y-%m-%d}", days=days)
    if account.login_required:
        cause = _("{title} was found to accept it no longer.").format(title=authority.title)
        return known_refused(patient, text, cause)
    if ends is not None and datetime.now(UTC) < ends:
        moment = ends.astimezone(UTC)
        cause, hint = authority.ends_why(f"{moment:%Y-%m-%d}", f"{moment:%H:%M}")
        return warning(text, cause=cause, hint=hint)
    return ok(text)


def scopes(patient: Patient) -> Finding:
    """Whether what was asked for is enough to send, and not more than that."""
    account, authority = patient.account, _authority(patient)
    wanted = frozenset(scopes_of(account))
    shown = ", ".join(sorted(wanted))
    every = frozenset().union(*authority.sending.values())
    if not wanted & authority.sending.get(account.transport, every):
        raise LoginRequired(
            _("What {address} asks {title} for does not let it send: {scopes}.").format(
                address=account.address, title=authority.title, scopes=shown
            ),
            code="scope-missing",
            hint=_("Remove scopes from its configuration, and run: oauth-mailer login {address}").format(
                address=account.address
            ),
        )
    if more := authority.too_much(account, wanted):
        text, cause = more
        if why := authority.no_less(account):
            return ok(sentences(text, why))
        return warning(
            text,
            cause=cause,
            hint=_("Remove scopes from its configuration, and run: oauth-mailer login {address}").format(
                address=account.address
            ),
        )
    return ok(shown)


def token(patient: Patient) -> Finding:
    """Whether there is a new access token for the consent: one is asked for, as any send may have to.

    Refreshes take turns across processes. The token that is in use stays good.
    """
    store, credential = patient.store, patient.credential
    before = Access.kept(_kept(patient))
    # Asked for even if the one that is kept would do: that proves nothing of the consent.
    new = credential.renew(before.token) if before and before.good() else credential.get()
    text = _("{title} gave a new access token.").format(title=_authority(patient).title)
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
