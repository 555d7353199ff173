"""Checks of an account that sends by SMTP: the way to its server, what that offers, and the login."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, cast

from ..errors import SendError, TransientError
from ..i18n import _, system_text
from ..replies import readable
from ..wire.smtp_auth import choose
from ..wire.smtp_connect import FOREIGN, ascii_host, fault
from ..wire.smtp_session import HELO, SmtpSession
from ..wire.tls import client_context
from .finding import Finding, ok, sentences, skipped, warning
from .patient import Patient, within

__all__ = ["Visit", "auth", "dns", "ehlo", "tcp", "tls", "visit"]

_MOST_ADDRESSES = 8
_SOON = 14
"""Days before its end from which on a certificate is worth a word."""

_SHOWN = ("SIZE", "PIPELINING", "8BITMIME", "SMTPUTF8", "AUTH")


def _addresses(patient: Patient) -> list[tuple[Any, ...]]:
    server = patient.account.server
    try:
        found = within(
            patient.settings.timeout,
            lambda: socket.getaddrinfo(ascii_host(server.host), server.port, type=socket.SOCK_STREAM),
        )
    except TimeoutError as error:
        raise TransientError(
            _("Nobody says in time where {host} is: the resolver of this computer does not answer.").format(
                host=server.host
            ),
            code="dns",
            hint=_("Check the network, and the DNS server that it uses."),
        ) from error
    except FOREIGN as error:
        raise fault(error, "connect", server) from error
    return found[:_MOST_ADDRESSES]


def dns(patient: Patient) -> Finding:
    """Whether the server's name has addresses."""
    found = [str(address[4][0]) for address in _addresses(patient)]
    return ok(f"{patient.account.server.host}: {', '.join(dict.fromkeys(found))}")


def tcp(patient: Patient) -> Finding:
    """Whether each of its addresses takes a connection; all are tried at once."""
    server = patient.account.server
    addresses = _addresses(patient)
    with ThreadPoolExecutor(len(addresses)) as pool:
        errors = list(pool.map(lambda one: _connected(one, patient.settings.timeout), addresses))
    names = [str(address[4][0]) for address in addresses]
    open_ones = [name for name, error in zip(names, errors, strict=True) if error is None]
    dead = [name for name, error in zip(names, errors, strict=True) if isinstance(error, TimeoutError)]
    if not open_ones:
        slow = all(isinstance(error, TimeoutError) for error in errors)
        raise TransientError(
            _("No address of {host} takes a connection on port {port}: {reasons}.").format(
                host=server.host,
                port=server.port,
                reasons=", ".join(
                    f"{name}: {_reason(error)}" for name, error in zip(names, errors, strict=True) if error
                ),
            ),
            code="timeout" if slow else "connect",
            hint=_(
                "Check the port (465: tls, 587: starttls), and whether a firewall or the owner of this "
                "network blocks it: many do, for mail. SMTP does not go through HTTPS_PROXY."
            )
            if slow
            else _("Check the host and the port (465: tls, 587: starttls)."),
        )
    text = _("Port {port} is open at {addresses}.").format(port=server.port, addresses=", ".join(open_ones))
    if dead:
        return warning(
            text,
            cause=_("{addresses} does not answer: a send may wait for it before it takes another.").format(
                addresses=", ".join(dead)
            ),
            hint=_("If that is an IPv6 address, mend IPv6 on this network, or switch it off."),
        )
    return ok(text)


def _connected(address: tuple[Any, ...], timeout: float) -> OSError | None:
    family, kind, protocol, _name, place = address
    try:
        with socket.socket(family, kind, protocol) as sock:
            sock.settimeout(timeout)
            sock.connect(place)
    except OSError as error:
        return error
    return None


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return _("time-out")
    return system_text(error.strerror) or type(error).__name__


@dataclass(slots=True)
class Visit:
    """One conversation up to the server's list of what it can do.

    ``begun``: when, in seconds since 1970; ``certificate``: as of ``ssl.SSLSocket.getpeercert``, once it is
    proven; ``step``: what came last; ``error``: where it ended early.
    """

    begun: float = field(default_factory=time.time)
    certificate: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    greeting: str = ""
    extensions: Mapping[str, str] = field(default_factory=dict)
    step: str = ""
    error: SendError | None = None

    @property
    def broke_at_encryption(self) -> bool:
        """Whether it ended because of TLS, not because of what is said inside."""
        if self.error is None:
            return False
        return self.step == "tls" or self.error.code.startswith(("tls", "starttls", "server-speaks", "ca-"))


def visit(patient: Patient) -> Visit:
    """The conversation with this account's server: there is one, however often it is asked for."""
    if patient.visit is None:
        patient.visit = _visited(patient)
    return cast(Visit, patient.visit)


def _visited(patient: Patient) -> Visit:
    account, seen = patient.account, Visit()
    patient.transport  # noqa: B018 - raises for settings that no session could be opened with
    session = SmtpSession(
        account.server,
        timeout=patient.settings.timeout,
        rows=account.preset.replies,
        address=account.address,
        helo=account.options.get("helo", HELO),
    )
    try:
        session.connect(login=patient.needs_login, context=lambda: _watched(account.ca_file, seen))
        seen.extensions = session.extensions
    except SendError as error:
        seen.error = error
    seen.greeting, seen.step = session.greeting, session.step
    session.quit(0.5)
    return seen


def _watched(ca_file: str, seen: Visit) -> ssl.SSLContext:
    """The usual settings; what the server proves itself with is noted in ``seen``."""

    class Watched(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            seen.certificate = self.getpeercert() or {}
            seen.version = self.version() or ""

    context = client_context(ca_file)
    context.sslsocket_class = Watched
    return context


def tls(patient: Patient) -> Finding:
    """Whether the connection is encrypted, and to whom: who vouches for the certificate, and until when."""
    server = patient.account.server
    if server.security == "none":
        return warning(
            _("The connection to {host} is not encrypted, as the configuration says.").format(
                host=server.host
            ),
            cause=_("Everybody on the way can read and change the mail; no secret is shown there."),
            hint=_("If the server can encrypt, run: oauth-mailer login {address} --security starttls").format(
                address=patient.account.address
            ),
        )
    seen = visit(patient)
    if seen.error is not None and seen.broke_at_encryption:
        raise seen.error
    if seen.certificate:
        return _judged(seen, server.host)
    return skipped(_("Not checked: the server ended the conversation before it."))


def _judged(seen: Visit, host: str) -> Finding:
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(seen.certificate["notAfter"]), UTC)
    left = (ends - datetime.now(UTC)).days
    text = _("{version}; the certificate is for {names}, from {issuer}, good until {day}.").format(
        version=seen.version,
        names=_shown(
            ", ".join(name for _kind, name in seen.certificate.get("subjectAltName", ())[:4]) or "?"
        ),
        issuer=_shown(_issuer(seen.certificate)),
        day=f"{ends:%Y-%m-%d}",
    )
    if left < _SOON:
        return warning(
            text,
            cause=_("It ends in {days} days; then nothing is sent there until it is renewed.").format(
                days=left
            ),
            hint=_("Tell whoever runs {host}, if that is not done by itself.").format(host=host),
        )
    return ok(text)


def _issuer(certificate: Mapping[str, Any]) -> str:
    fields = {name: value for part in certificate.get("issuer", ()) for name, value in part}
    names = [fields.get("organizationName"), fields.get("commonName")]
    return " / ".join(name for name in names if name) or "?"


def _shown(text: str) -> str:
    return readable(text.encode("utf-8", "replace"))


def ehlo(patient: Patient) -> Finding:
    """What the server offers, and so what can be sent by it."""
    seen = visit(patient)
    if seen.error is not None:
        if seen.broke_at_encryption:
            return skipped(_("Not checked: it needs {check}.").format(check="tls"))
        raise seen.error
    offers = [f"{name} {_shown(seen.extensions[name])}".strip() for name in _SHOWN if name in seen.extensions]
    lacks = [name for name in ("8BITMIME", "SMTPUTF8") if name not in seen.extensions]
    text = _("It offers: {offers}.").format(offers=", ".join(offers) or _("none"))
    if "SMTPUTF8" in lacks:
        text = sentences(text, _("Addresses have to be in plain letters."))
    if "8BITMIME" in lacks:
        text = sentences(text, _("Finished messages have to be of 7-bit characters."))
    return ok(text)


class _Provable(Protocol):
    def prove(self) -> None: ...


def auth(patient: Patient) -> Finding:
    """Whether the server takes the login: one try, by the very way that messages go.

    A secret that it refused before is not shown to it again.
    """
    account = patient.account
    if not patient.needs_login:
        return ok(_("No login is made."))
    cast(_Provable, patient.transport).prove()
    offered = visit(patient).extensions.get("AUTH", "").upper().split()
    return ok(
        _("{host} took the login of {name}, by {mechanism}.").format(
            host=account.server.host,
            name=account.login_name,
            mechanism=choose(patient.credential.form, offered) or "?",
        )
    )
