"""Checks of the sender's address: whether receivers can believe that its mail is from where it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import ConfigError, RouteError
from ..i18n import _
from ..providers import provider_for
from ..replies import readable
from ..wire.smtp_connect import FOREIGN, ascii_host
from .finding import Finding, ok, skipped, warning
from .patient import Patient

if TYPE_CHECKING:
    from dns.resolver import Resolver

__all__ = ["dmarc", "mx", "sender", "spf"]

_MOST_PARENTS = 4
_RECORD = 200  # characters of a record that are shown


def sender(patient: Patient) -> Finding:
    """Whether the address, the login and the server belong together."""
    account = patient.account
    if account.transport != "smtp":
        return ok(_("It sends as {address}.").format(address=account.address))
    login, owner = account.login_name, provider_for(account.address)
    if patient.needs_login and "@" in login and login.lower() != account.address.lower():
        text = _("It logs in as {login} and sends as {address}.").format(login=login, address=account.address)
        if account.preset.sender_must_match:
            raise RouteError(
                text,
                code="sender-mismatch",
                hint=_(
                    "Its server lets an account send as itself only. Run: oauth-mailer login {login}"
                ).format(login=login),
            )
        return warning(
            text,
            cause=_("Many servers refuse to send as another address than that of the login."),
            hint=_("Ask whoever runs {host} to allow it, or run: oauth-mailer login {login}").format(
                host=account.server.host, login=login
            ),
        )
    if owner and account.server.host not in {server.host for server in owner.servers}:
        return warning(
            _("It sends as {address}, by {host}.").format(address=account.address, host=account.server.host),
            cause=_("Receivers take mail from {domain} that {title} did not send for forged (DMARC).").format(
                domain=_domain(patient), title=_(owner.title)
            ),
            hint=_("Send as an address of a domain that {host} sends for.").format(host=account.server.host),
        )
    return ok(
        _("It sends as {address}, by {host}.").format(address=account.address, host=account.server.host)
    )


def mx(patient: Patient) -> Finding:
    """Whether answers and bounces find their way back."""

    def ask(resolver: Resolver, domain: str) -> Finding:
        found = sorted(_asked(resolver, domain, "MX"), key=lambda one: int(one.split()[0]))
        if found:
            return ok(", ".join(_shown(one.split()[1].rstrip(".") or ".") for one in found[:4]))
        return warning(
            _("{domain} has no mail server (MX) of its own.").format(domain=domain),
            cause=_("Answers and bounces may be lost, and some receivers refuse mail from there."),
            hint=_("Whoever runs the domain adds an MX record for it."),
        )

    return _by_dns(patient, ask)


def spf(patient: Patient) -> Finding:
    """Whether the domain says who may send for it (RFC 7208)."""

    def ask(resolver: Resolver, domain: str) -> Finding:
        found = [one for one in _asked(resolver, domain, "TXT") if one.lower().split(" ")[0] == "v=spf1"]
        add = _(
            'Whoever runs the domain adds one TXT record: "v=spf1 include:… ~all", as {host} says.'
        ).format(host=patient.account.server.host)
        if not found:
            return warning(
                _("{domain} does not say who may send for it (no SPF).").format(domain=domain),
                cause=_(
                    "Gmail and others refuse such mail, or take it for spam, unless it is signed (DKIM)."
                ),
                hint=add,
            )
        if len(found) > 1:
            return warning(
                _("{domain} says more than once who may send for it (SPF).").format(domain=domain),
                cause=_("Then none of these records counts."),
                hint=_("Make one record of them."),
            )
        if any(word in ("all", "+all") for word in found[0].lower().split()[1:]):
            return warning(
                _("{domain} says that everybody may send for it: {record}").format(
                    domain=domain, record=_shown(found[0])
                ),
                cause=_("That helps only who forges its mail."),
                hint=add,
            )
        return ok(_shown(found[0]))

    return _by_dns(patient, ask)


def dmarc(patient: Patient) -> Finding:
    """Whether the domain, or one above it, says what becomes of forged mail (RFC 7489)."""

    def ask(resolver: Resolver, domain: str) -> Finding:
        labels = domain.split(".")
        for first in range(min(len(labels) - 1, _MOST_PARENTS)):
            name = "_dmarc." + ".".join(labels[first:])
            found = [one for one in _asked(resolver, name, "TXT") if one.lower().startswith("v=dmarc1")]
            if found:
                return ok(f"{name}: {_shown(found[0])}")
        return warning(
            _("{domain} does not say what becomes of mail that is forged (no DMARC).").format(domain=domain),
            cause=_("Gmail and Yahoo want one from whoever sends much."),
            hint=_(
                'Whoever runs the domain adds a TXT record for _dmarc.{domain}: "v=DMARC1; p=none"'
            ).format(domain=domain),
        )

    return _by_dns(patient, ask)


def _domain(patient: Patient) -> str:
    return patient.account.address.rpartition("@")[2]


def _by_dns(patient: Patient, ask: Callable[[Resolver, str], Finding]) -> Finding:
    """What is found by asking; the domain of a mail provider is the provider's own affair."""
    if (owner := provider_for(patient.account.address)) is not None:
        return ok(
            _("{domain} is looked after by {title}.").format(domain=_domain(patient), title=_(owner.title))
        )
    if patient.domain_missing:
        return skipped(_("Not checked: it needs {check}.").format(check="mx"))
    try:
        import dns.exception
        import dns.resolver
    except ImportError:
        return skipped(
            _("Not asked for: it needs a package that is not installed."),
            hint=_("Run: pip install 'oauth-mailer[doctor]'"),
        )
    try:
        return ask(_resolver(patient), ascii_host(_domain(patient)).lower())
    except dns.resolver.NXDOMAIN:
        patient.domain_missing = True
        return warning(
            _("The domain {domain} does not exist in the DNS.").format(domain=_domain(patient)),
            cause=_("Receivers refuse mail from a domain that is not there, and nobody can answer it."),
            hint=_("Check the address; a new domain takes a while to be seen."),
        )
    except (dns.exception.DNSException, *FOREIGN) as error:
        return skipped(_("The DNS cannot be asked from here ({error}).").format(error=type(error).__name__))


def _resolver(patient: Patient) -> Resolver:
    import dns.resolver

    given = patient.settings.nameserver
    resolver = dns.resolver.Resolver(configure=not given)
    resolver.lifetime = patient.settings.timeout
    if given:
        host, port = _host_and_port(given)
        resolver.nameservers = [host]
        resolver.port = port
    return resolver


def _host_and_port(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        host, port = text, "53"
    import ipaddress

    try:
        return str(ipaddress.ip_address(host.strip("[]"))), int(port)
    except ValueError as error:
        raise ConfigError(
            _("{value!r} is no address of a DNS server.").format(value=text),
            code="nameserver",
            hint=_("Give an IP address, such as 1.1.1.1 or 127.0.0.1:5353."),
        ) from error


def _asked(resolver: Resolver, name: str, kind: str) -> list[str]:
    """The texts of the records; none where there are none. Raises ``DNSException``."""
    import dns.resolver
    from dns.rdtypes.ANY.MX import MX
    from dns.rdtypes.ANY.TXT import TXT

    try:
        answer = resolver.resolve(f"{name}.", kind)
    except dns.resolver.NoAnswer:
        return []
    except dns.resolver.NXDOMAIN:
        if name.startswith("_dmarc."):
            return []
        raise
    found = []
    for record in answer:
        if isinstance(record, TXT):
            found.append(b"".join(record.strings).decode("utf-8", "replace"))
        elif isinstance(record, MX):
            found.append(f"{record.preference} {record.exchange.to_text()}")
    return found


def _shown(text: str) -> str:
    text = readable(text.encode("utf-8", "replace"))
    return text if len(text) <= _RECORD else text[:_RECORD] + "…"
