"""Which addresses a token or a message may be sent to."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from ..errors import ConfigError
from ..i18n import _

__all__ = ["check_endpoint", "is_loopback"]


def is_loopback(host: str) -> bool:
    """Whether this host is the machine itself: ``localhost``, 127.0.0.0/8 or ::1."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_endpoint(url: str, name: str) -> str:
    """The address, if secrets may be sent there: https, or http on a loopback address.

    ``name``: where the address came from (a variable, a field of the client file), for the message.
    Raises ``ConfigError`` otherwise.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        odd = parts.port == 0 or "@" in parts.netloc or parts.scheme not in ("http", "https")
    except ValueError:
        host, odd = "", True
    # What is before an @ looks like the host and is not; what is not ASCII has to be encoded.
    if not host or odd or not all(32 < ord(char) < 127 for char in url):
        raise ConfigError(
            _("{name} is no web address.").format(name=name),
            code="endpoint-malformed",
            hint=_("Give an address such as https://gmail.googleapis.com"),
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigError(
            _("{name} is a plain http address: a token sent there could be read on the way.").format(
                name=name
            ),
            code="endpoint-plain-http",
            hint=_("Use https; http is allowed for a loopback address only."),
        )
    return url
