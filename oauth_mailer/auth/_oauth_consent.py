"""The protocol of one consent: the address of the page, and the code that comes back made into tokens.

The libraries say what is asked and what an answer means (RFC 6749 §4.1, RFC 7636, RFC 8252); the forms go
over our own connection.
"""

from __future__ import annotations

import secrets

from ..accounts import Account
from ..stores import Secret
from ._oauth_authority import giver
from ._oauth_client import Client
from ._oauth_endpoint import Endpoint
from ._oauth_grant import granted, refused
from ._oauth_tokens import Access, Consent, scopes_of

__all__ = ["ConsentRequest"]


class ConsentRequest:
    """One request for consent, good for one answer. ``state`` is what the answer has to bring back."""

    def __init__(self, account: Account, client: Client, redirect_uri: str, state: Secret) -> None:
        self._account = account
        self._client = client
        self._redirect_uri = redirect_uri
        self._state = state
        self._verifier = Secret(secrets.token_urlsafe(64))

    def url(self) -> str:
        """The address of the page that asks the person."""
        return giver(self._account).page(
            self._client,
            scopes_of(self._account),
            redirect_uri=self._redirect_uri,
            state=self._state,
            verifier=self._verifier,
            who=self._account.address,
        )

    def exchange(self, code: Secret) -> tuple[Consent, Access]:
        """The tokens for the code, if they are what was asked for.

        Raises ``LoginRequired`` where the authority or the person gave less than is needed, or it is another
        account than asked, and ``TransientError`` where the authority could not be asked.
        """
        from oauthlib.oauth2 import WebApplicationClient

        client, secret = self._client, self._client.client_secret
        form = WebApplicationClient(client.client_id).prepare_request_body(
            code=code.reveal(),
            redirect_uri=self._redirect_uri,
            code_verifier=self._verifier.reveal(),
            **({"client_secret": secret.reveal()} if secret else {}),
        )
        endpoint = Endpoint(
            giver(self._account).title,
            ca_file=self._account.ca_file,
            hide=(code, secret, self._verifier),
        )
        if endpoint.post(client.token_uri, form).status != 200 or "error" in endpoint.fields:
            raise refused(self._account, endpoint)
        return granted(self._account, client, endpoint)
