"""An OAuth client of the user's own (RFC 8252): who it is, and where its forms go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..stores import Secret
from ..values import dataclass
from ..wire.endpoint import check_endpoint

__all__ = ["Client", "client_at"]

_PUBLIC = ("client_id", "auth_uri", "token_uri", "revocation_uri", "device_uri")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client that runs on a person's own machine. A secret proves nothing there, but some want it.

    ``revocation_uri``, ``device_uri``: empty where the authority has none.
    """

    client_id: str
    client_secret: Secret
    auth_uri: str
    token_uri: str
    revocation_uri: str = ""
    device_uri: str = ""

    @property
    def public(self) -> dict[str, str]:
        """The part that may stand in the configuration."""
        return {name: text for name in _PUBLIC if (text := getattr(self, name))}


def client_at(fields: Mapping[str, Any], secret: Secret, **known: str) -> Client:
    """The client with these fields of the configuration or of a stored token.

    ``known``: the authority's own addresses, for those that are absent. Raises ``ConfigError`` for an address
    that a token may not be sent to.
    """
    places = {name: fields.get(name) or known.get(name, "") for name in _PUBLIC[1:]}
    checked = {name: check_endpoint(url, name) for name, url in places.items() if url}
    return Client(client_id=str(fields.get("client_id", "")), client_secret=secret, **checked)
