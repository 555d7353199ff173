"""What one authority that gives out tokens has of its own; what all of them share is in the walls beside
this.

A room that asks for consent is one class made of ``Authority``, and its one value ``AUTHORITY``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..accounts import Account
from ..errors import ConfigError, LoginRequired, RouteError, SendError
from ..i18n import _
from ..stores import Secret
from . import authority_of
from ._oauth_client import Client

if TYPE_CHECKING:
    from ._oauth_endpoint import Endpoint
    from ._oauth_tokens import Consent

__all__ = ["Authority", "giver"]


class Authority(ABC):
    """``name``: its room's file; ``title``: its name for people.

    ``scopes``: what a consent asks for at least; ``identity``: what is asked for besides, to learn whose
    consent it is; ``sending``: what lets an account send, by its transport; ``unlisted``: scopes that its
    answers need not name. ``takes``: the options of a login that make sense for it, beside those of every
    consent: of ``client_secrets``, ``service_account``, ``client_id``, ``tenant``, ``device``;
    ``own_domains``: the preset for addresses of a customer's own domain. ``redirect``: where the browser
    brings the answer; ``asked``: what its consent page wants to be told besides. ``hosts``: how the names of
    its hosts end; ``client_names``: a regular expression for client ids, and ``client_form`` the same in
    words. ``connections``: where a person sees and ends what was allowed; ``kept_form``: of what is kept, for
    who hands in a consent.
    """

    name = ""
    title = ""
    scopes: tuple[str, ...] = ()
    identity: tuple[str, ...] = ("openid", "email")
    sending: Mapping[str, frozenset[str]] = {}
    unlisted: frozenset[str] = frozenset()
    takes: frozenset[str] = frozenset({"client_id"})
    own_domains = ""
    redirect = "http://127.0.0.1:{port}/"
    asked: Mapping[str, str] = {}
    hosts: tuple[str, ...] = ()
    client_names = ""
    client_form = ""
    connections = ""
    kept_form = '{"client_id": "…", "refresh_token": "…"}'

    # The client

    @abstractmethod
    def client_from(self, fields: Mapping[str, Any], secret: Secret) -> Client:
        """The client with these fields of the configuration or of a stored token; absent addresses are its
        own.

        Raises ``ConfigError`` for an address that a token may not be sent to.
        """

    def client_named(self, account: Account, client_id: str, tenant: str) -> Client:
        """The client with this id. ``tenant``: see ``logins.login``. Raises ``ConfigError``."""
        return self.client_from({"client_id": client_id}, Secret(""))

    def read_client(self, path: Path) -> Client:
        """The client in a file as this authority's console gives it out. Raises ``ConfigError``."""
        raise ConfigError(
            _("{title} gives out no files of OAuth clients.").format(title=self.title),
            code="client-file",
            hint=_("Name the client by its id: --client-id ID"),
        )

    @abstractmethod
    def no_client(self, account: Account) -> ConfigError:
        """The error where no client is known, with the steps to one."""

    def with_client(self, account: Account) -> str:
        """What to do where another client is needed."""
        return _("Run: oauth-mailer login {address} --client-id ID").format(address=account.address)

    # What is asked

    def page(
        self,
        client: Client,
        scopes: Sequence[str],
        *,
        redirect_uri: str,
        state: Secret,
        verifier: Secret,
        who: str,
    ) -> str:
        """The address of the page that asks a person: RFC 6749 §4.1.1, RFC 7636 §4.3.

        ``who``: the address whose consent is wanted.
        """
        from base64 import urlsafe_b64encode
        from hashlib import sha256
        from urllib.parse import urlsplit

        from oauthlib.oauth2 import WebApplicationClient

        digest = sha256(verifier.reveal().encode()).digest()
        # oauthlib knows https only. Plain http is allowed on this very machine, and put back below.
        address = str(
            WebApplicationClient(client.client_id).prepare_request_uri(
                urlsplit(client.auth_uri)._replace(scheme="https").geturl(),
                redirect_uri=redirect_uri,
                scope=list(scopes),
                state=state.reveal(),
                code_challenge=urlsafe_b64encode(digest).rstrip(b"=").decode(),
                code_challenge_method="S256",
                **self.asked,
                login_hint=who,
            )
        )
        return f"{urlsplit(client.auth_uri).scheme}:{address.partition(':')[2]}"

    def ask_to_refresh(self, endpoint: Endpoint, consent: Consent, scopes: Sequence[str]) -> None:
        """Ask for the next access token (RFC 6749 §6); the answer is in ``endpoint.fields``."""
        from oauthlib.oauth2 import WebApplicationClient

        client, secret = consent.client, consent.client.client_secret.reveal()
        form = WebApplicationClient(client.client_id).prepare_refresh_body(
            refresh_token=consent.refresh_token.reveal(),
            scope=list(scopes),
            client_id=client.client_id,
            **({"client_secret": secret} if secret else {}),
        )
        endpoint.post(client.token_uri, form)

    # What is answered

    def plain_scope(self, scope: str) -> str:
        """The same for all names of one scope."""
        return scope

    def names_in(self, claims: Mapping[str, Any]) -> list[str]:
        """The addresses by which an ID token says whose it is."""
        return [claims["email"]] if isinstance(claims.get("email"), str) else []

    def mailbox(self, email: str) -> str:
        """The same for all spellings of one mailbox."""
        return email.lower()

    def denied(self, account: Account, description: str) -> LoginRequired:
        """The error for a consent that was denied; ``description``: the page's words, safe to print."""
        return LoginRequired(
            _("The consent was denied on {title}'s page. Nothing was changed.").format(title=self.title),
            code="consent-denied",
            hint=_("To allow it after all, run: oauth-mailer login {address}").format(
                address=account.address
            ),
            text=description,
        )

    def not_asked(self, account: Account, error: str, description: str) -> LoginRequired:
        """The error for a page that refused to ask; both texts are the page's own, safe to print."""
        return LoginRequired(
            _("{title} refused the consent: {error}. Nothing was changed.").format(
                title=self.title, error=error
            ),
            code="consent-refused",
            hint=_("Check the client in {title}'s console, then run: oauth-mailer login {address}").format(
                title=self.title, address=account.address
            ),
            text=description,
        )

    def refusal(
        self, account: Account, fields: Mapping[str, Any], text: str, last_good: float | None = None
    ) -> SendError:
        """The error for an answer with which a token endpoint refuses (RFC 6749 §5.2).

        ``text``: what it says, safe to print; ``last_good``: when it last gave a token for this consent, in
        seconds since 1970, or None where nobody knows.
        """
        again = _("Run: oauth-mailer login {address}").format(address=account.address)
        word = fields.get("error")
        if word in ("invalid_grant", "interaction_required", "consent_required", "login_required"):
            return LoginRequired(
                _("{title} no longer accepts the consent of {address}.").format(
                    title=self.title, address=account.address
                ),
                code="consent-ended",
                hint=again,
                text=text,
            )
        if word in ("invalid_client", "unauthorized_client"):
            return LoginRequired(
                _("{title} does not accept the OAuth client of {address}: it was deleted or changed.").format(
                    title=self.title, address=account.address
                ),
                code="client-refused",
                hint=self.with_client(account),
                text=text,
            )
        if word in ("invalid_scope", "access_denied"):
            return LoginRequired(
                _("The consent of {address} no longer covers what is asked for.").format(
                    address=account.address
                ),
                code="consent-ended",
                hint=again,
                text=text,
            )
        return RouteError(
            _("{title} refused a token for {address}.").format(title=self.title, address=account.address),
            code="token-refused",
            hint=again,
            text=text,
        )

    def no_device(self, account: Account) -> ConfigError:
        """The error where a device code is asked for, and this authority lets none send mail."""
        return ConfigError(
            _("{title} does not let an account send mail by a device code.").format(title=self.title),
            code="device-unsupported",
            hint=_(
                "On a host without a browser: oauth-mailer login {address} --no-browser\n"
                "Open its page on any computer, and paste the address that the browser ends on."
            ).format(address=account.address),
        )

    def no_code(self, account: Account) -> ConfigError:
        """The error where a password or code is given for an account that takes consents only."""
        return ConfigError(
            _("{title} takes no password or authorization code for {address}, only a consent.").format(
                title=self.title, address=account.address
            ),
            code="code-unsupported",
            hint=_("Run: oauth-mailer login {address}").format(address=account.address),
        )

    # What is known of a consent

    def ends(self, account: Account) -> datetime | None:
        """When the consent of this account may end by itself, or None where that is not known."""
        return None

    def ends_why(self, day: str, time: str) -> tuple[str, str]:
        """Why it may end then (``day``, ``time``: in UTC), and what to do about it."""
        raise AssertionError("it is not known when such a consent ends")

    def too_much(self, account: Account, scopes: frozenset[str]) -> tuple[str, str] | None:
        """What it is if these scopes allow more than to send: a text, and why that is worse than need be."""
        return None

    def no_less(self, account: Account) -> str:
        """Why this account can do with no less, where it asks for too much; empty where it can."""
        return ""

    def reaching(self, account: Account, way: str) -> str:
        """What to do for a token with which the account can send by this way, a name in ``sending``."""
        return _("Run: oauth-mailer login {address}").format(address=account.address)

    @property
    def kept_alive(self) -> str:
        """What is said where a login was forgotten here and could not be revoked there."""
        return _("What {title} still allows: {url}").format(title=self.title, url=self.connections)


def giver(account: Account) -> Authority:
    """Who gives out the tokens of this account. Asked only for accounts that have such a one."""
    authority = authority_of(account)
    if authority is None:
        raise AssertionError(f"auth = {account.auth!r} has no tokens")
    return authority
