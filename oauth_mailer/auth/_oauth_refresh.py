"""One refresh, and what it gave."""

from __future__ import annotations

from ..accounts import Account
from ..stores import Secret
from ._oauth_authority import giver
from ._oauth_endpoint import Endpoint
from ._oauth_tokens import Access, Consent, scopes_of

__all__ = ["refreshed"]


def refreshed(
    account: Account, consent: Consent, timeout: float, *, last_good: float | None = None
) -> tuple[Access, Secret]:
    """An access token, and the refresh token for the next time: the same one, or its successor.

    ``timeout``: seconds for one step on the network; ``last_good``: when the one before came, in seconds
    since 1970, if that is known.

    Raises ``LoginRequired`` where the consent is no longer good, ``RouteError`` where the client is not, and
    ``TransientError`` where the authority could not be asked or answered nonsense.
    """
    authority = giver(account)
    hidden = (consent.refresh_token, consent.client.client_secret)
    endpoint = Endpoint(authority.title, ca_file=account.ca_file, hide=hidden, timeout=timeout)
    authority.ask_to_refresh(endpoint, consent, scopes_of(account))
    # Whatever a library made of it, the answer itself is read.
    if isinstance(endpoint.fields.get("error"), str):
        raise authority.refusal(account, endpoint.fields, endpoint.said, last_good)
    access = Access.granted(endpoint.fields)
    # A successor that is named but empty is none.
    successor = endpoint.fields.get("refresh_token") or consent.refresh_token.reveal()
    if access is None or endpoint.status != 200 or not isinstance(successor, str):
        raise endpoint.nonsense()
    return access, Secret(successor)
