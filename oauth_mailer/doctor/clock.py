"""Checks of the clock: one that is wrong breaks both OAuth and TLS, and neither says so."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ..auth import Authority, authority_of, given_at
from ..errors import ConfigError, MailerError, OutcomeUnknown
from ..i18n import _
from .finding import Finding, ok, sentences, skipped
from .patient import Patient
from .smtp import Visit, visit

__all__ = ["clock"]

MOST = 300.0
"""Seconds that a clock may be off before things break."""

_BANNER_DATE = re.compile(r"(?:\w{3}, )?\d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]?\w{3,5}")


def clock(patient: Patient) -> Finding:
    """Whether this computer's clock agrees with the provider's, or at least with what was done before."""
    given = given_at(patient.account)
    if given is not None and given.timestamp() > time.time() + MOST:
        raise _wrong(given.timestamp() - time.time(), _("the login of this account"))
    if patient.settings.offline:
        return ok(_("Nothing speaks against it; it was compared with no server's."))
    if (authority := authority_of(patient.account)) is not None:
        return _by_authority(patient, authority)
    if patient.account.transport == "smtp":
        return _by_smtp(patient)
    return ok(_("Nothing speaks against it."))


def _by_authority(patient: Patient, authority: Authority) -> Finding:
    from urllib.parse import urlsplit

    from ..stores import Secret
    from ..wire.one_post import PostClient

    try:
        url = authority.client_from(patient.account.client, Secret("")).token_uri
    except ConfigError:  # which the check of the client tells
        return skipped(_("Not checked: it needs {check}.").format(check="client"))
    client = PostClient(timeout=patient.settings.timeout, ca_file=patient.account.ca_file)
    begun = time.time()
    try:
        answer = client.post(url, {}, _Nothing(), "GET")
    except MailerError as error:
        text = _("Not compared: {title} could not be asked.").format(title=authority.title)
        return skipped(text if isinstance(error, OutcomeUnknown) else sentences(text, error.message))
    finally:
        client.close()
    heard = _moment(answer.headers.get("date", ""))
    if heard is None:
        return skipped(
            _("Not compared: {host} does not say what time it is.").format(host=urlsplit(url).hostname)
        )
    return _compared(heard, begun, urlsplit(url).hostname or "")


def _by_smtp(patient: Patient) -> Finding:
    host = patient.account.server.host
    # Where there was no conversation because there is no way to the server, none is tried again for this.
    seen = visit(patient) if patient.visit else Visit()
    found = _BANNER_DATE.search(seen.greeting)
    if found and (heard := _moment(found[0])) is not None:
        return _compared(heard, seen.begun, host)
    if seen.certificate:
        since, until = (
            datetime.fromtimestamp(ssl.cert_time_to_seconds(seen.certificate[name]), UTC)
            for name in ("notBefore", "notAfter")
        )
        return ok(
            _("It is between {since} and {until}, as the certificate of {host} has it.").format(
                since=f"{since:%Y-%m-%d}", until=f"{until:%Y-%m-%d}", host=host
            )
        )
    return skipped(
        _("Not compared: {host} does not say what time it is. Here it is {now} UTC.").format(
            host=host, now=_shown(time.time())
        )
    )


def _moment(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _compared(heard: float, begun: float, host: str) -> Finding:
    """``begun``: when the server was asked; it answered between then and now."""
    now = time.time()
    off = heard - min(max(heard, begun), now)
    if abs(off) > MOST:
        raise _wrong(off, _("the clock of {host}").format(host=host))
    return ok(
        _("It agrees with that of {host} within {seconds} s.").format(host=host, seconds=round(abs(off)) + 1)
    )


def _wrong(off: float, what: str) -> ConfigError:
    text = (
        _("The clock of this computer is behind: it says {here} UTC, {what} says {there} UTC.")
        if off > 0
        else _("The clock of this computer is ahead: it says {here} UTC, {what} says {there} UTC.")
    )
    now = time.time()
    return ConfigError(
        text.format(here=_shown(now), what=what, there=_shown(now + off)),
        code="clock",
        hint=_("Let it be set by the network (timedatectl set-ntp true), then run: oauth-mailer doctor"),
    )


def _shown(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        return "?"


class _Nothing:
    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[bytes]:
        return iter(())
