"""Google: a person's consent to send mail by the Gmail API, or by SMTP.

What is particular to Google is here and in the walls ``_google_…``; the rest is in the walls ``_oauth_…``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ..accounts import Account
from ..errors import ConfigError, LoginRequired, MailerError, SendError
from ..i18n import N_, _
from ..stores import Secret, Slot, TokenStore
from ._google_age import ended_in_testing, ends_if_testing, looks_like_testing
from ._google_client import client_from, read_client
from ._google_scopes import ALL, SEND, SENDING, check_scopes
from ._oauth_authority import Authority
from ._oauth_client import Client
from ._oauth_consent import ConsentRequest
from ._oauth_credential import BearerCredential as GoogleCredential
from ._oauth_credential import forget, keep, lock_file, revoke
from ._oauth_endpoint import Endpoint
from ._oauth_tokens import Access, Consent, access_slot, consent_slot, given_at, scopes_of

__all__ = [
    "ALL",
    "AUTHORITY",
    "IDENTITY",
    "SENDING",
    "Access",
    "Client",
    "Consent",
    "ConsentRequest",
    "GoogleCredential",
    "access_slot",
    "check_scopes",
    "client_from",
    "consent_slot",
    "ends_if_testing",
    "forget",
    "given_at",
    "keep",
    "lock_file",
    "read_client",
    "revoke",
    "scopes_of",
    "slot",
]

IDENTITY = ("openid", "email")
"""What lets Google say which account it was; OpenID Connect Core 1.0 §5.4."""

_PLAINLY = {
    "deleted_client": "invalid_client",
    "disabled_client": "invalid_client",
    "invalid_rapt": "access_denied",
    "admin_policy_enforced": "access_denied",
}
"""Google's own words, as RFC 6749 §5.2 would have them."""

_AUDIENCE = "https://console.cloud.google.com/auth/audience"


def open(account: Account, store: TokenStore, home: Path | str, timeout: float) -> GoogleCredential:  # noqa: A001
    """The credential of an account with ``auth = "google"``.

    Raises ``LoginRequired`` where what was consented to does not let it send by its transport.
    """
    check_scopes(account)
    return GoogleCredential(account, store, home, timeout=timeout)


def slot(account: Account) -> Slot:
    """Where the one secret rests that the account cannot do without."""
    return consent_slot(account)


class Google(Authority):
    """Google; see ``Authority``."""

    name = "google"
    title = "Google"
    scopes = (SEND,)
    identity = IDENTITY
    sending = SENDING
    takes = frozenset({"client_secrets", "service_account"})
    own_domains = "gmail"
    # So that a refresh token comes at all, and comes the second time too.
    asked: Mapping[str, str] = {"access_type": "offline", "prompt": "consent"}
    hosts = (".google.com", ".googleapis.com")
    client_names = r".+\.apps\.googleusercontent\.com"
    client_form = N_("Such names end in .apps.googleusercontent.com.")
    connections = "https://myaccount.google.com/connections"
    kept_form = '{"client_id": "…", "client_secret": "…", "refresh_token": "…"}'

    def client_from(self, fields: Mapping[str, Any], secret: Secret) -> Client:
        """See ``Authority``."""
        return client_from(fields, secret)

    def read_client(self, path: Path) -> Client:
        """See ``Authority``."""
        return read_client(path)

    def no_client(self, account: Account) -> ConfigError:
        """See ``Authority``."""
        return ConfigError(
            _("Gmail needs an OAuth client of your own, and none is known here yet."),
            code="client-missing",
            hint=_(
                "In a terminal, this leads you there, step by step: oauth-mailer login {address}\n"
                "By yourself: enable the Gmail API in https://console.cloud.google.com, then\n"
                "publish the app, or the login ends after 7 days: https://console.cloud.google.com/auth/audience\n"
                "create a client of the type Desktop app and download its JSON, in\n"
                "https://console.cloud.google.com/auth/clients\n"
                "Then run: oauth-mailer login {address} --client-secrets FILE"
            ).format(address=account.address),
        )

    def with_client(self, account: Account) -> str:
        """See ``Authority``."""
        return _("Run: oauth-mailer login {address} --client-secrets FILE").format(address=account.address)

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
        """See ``Authority``; google-auth-oauthlib writes it."""
        from urllib.parse import urlsplit

        from google_auth_oauthlib.flow import Flow
        from oauthlib.oauth2 import WebApplicationClient
        from requests_oauthlib import OAuth2Session

        session = OAuth2Session(client=WebApplicationClient(client.client_id), scope=list(scopes))
        # oauthlib knows https only. Plain http is allowed on this very machine, and put back below.
        asked_at = urlsplit(client.auth_uri)._replace(scheme="https").geturl()
        config = {"auth_uri": asked_at, "token_uri": client.token_uri, "client_id": client.client_id}
        flow = Flow(session, "installed", {"installed": config}, redirect_uri=redirect_uri)
        flow.code_verifier = verifier.reveal()
        address, _state = flow.authorization_url(state=state.reveal(), **self.asked, login_hint=who)
        return f"{urlsplit(client.auth_uri).scheme}:{address.partition(':')[2]}"

    def ask_to_refresh(self, endpoint: Endpoint, consent: Consent, scopes: Sequence[str]) -> None:
        """See ``Authority``; google-auth asks."""
        from google.oauth2.credentials import Credentials

        client = consent.client
        credentials = Credentials(
            token=None,
            refresh_token=consent.refresh_token.reveal(),
            token_uri=client.token_uri,
            client_id=client.client_id,
            client_secret=client.client_secret.reveal(),
        )
        try:
            credentials.refresh(endpoint)
        except MailerError:
            raise
        except Exception:  # noqa: BLE001 - an answer that makes no sense fails in the library in many ways
            return  # not its error but the answer itself is read: the error's text may hold a token

    def plain_scope(self, scope: str) -> str:
        """See ``Authority``; this is what Google calls it in its answers."""
        return "email" if scope == "https://www.googleapis.com/auth/userinfo.email" else scope

    def mailbox(self, email: str) -> str:
        """See ``Authority``. A Gmail mailbox has two domains, and dots do not count."""
        local, _at, domain = email.lower().rpartition("@")
        if domain in ("gmail.com", "googlemail.com"):
            return local.partition("+")[0].replace(".", "") + "@gmail.com"
        return f"{local}@{domain}"

    def denied(self, account: Account, description: str) -> LoginRequired:
        """See ``Authority``."""
        error = super().denied(account, description)
        error.hint += "\n" + _(
            "If Google showed that the app is blocked, add your address as a test user, or publish the "
            "app: {url}"
        ).format(url=_AUDIENCE)
        return error

    def refusal(
        self, account: Account, fields: Mapping[str, Any], text: str, last_good: float | None = None
    ) -> SendError:
        """See ``Authority``."""
        word = fields.get("error")
        if fields.get("error_subtype") == "invalid_rapt":  # a Workspace asks for the person every few hours
            word = "invalid_rapt"
        if word == "invalid_grant" and looks_like_testing(account, last_good):
            return ended_in_testing(account, text)
        if word == "invalid_grant":
            return LoginRequired(
                _(
                    "Google no longer accepts the consent of {address}. It was revoked; or the Google "
                    "password "
                    "was changed; or it was not used for six months; or it was older than 7 days while "
                    "the app "
                    "is in Testing; or an administrator ended it; or the clock of this computer is wrong."
                ).format(address=account.address),
                code="consent-ended",
                hint=_("Run: oauth-mailer login {address}").format(address=account.address)
                + "\n"
                + _("If it ended after 7 days, publish the app: {url}").format(url=_AUDIENCE),
                text=text,
            )
        error = super().refusal(account, {"error": _PLAINLY.get(str(word), word)}, text)
        if error.code == "client-refused":
            error.hint = _(
                "Download its JSON again, then run: oauth-mailer login {address} --client-secrets FILE"
            ).format(address=account.address)
        return error

    def no_code(self, account: Account) -> ConfigError:
        """See ``Authority``."""
        error = super().no_code(account)
        error.hint = _("For Gmail by SMTP with an app password, add --provider gmail-smtp.")
        return error

    def ends(self, account: Account) -> datetime | None:
        """See ``Authority``."""
        return ends_if_testing(account)

    def ends_why(self, day: str, time: str) -> tuple[str, str]:
        """See ``Authority``."""
        return (
            _("If your app is in testing, Google ends this consent on {day}, at {time} UTC.").format(
                day=day, time=time
            ),
            _("See whether it says In production: {url}").format(url=_AUDIENCE),
        )

    def too_much(self, account: Account, scopes: frozenset[str]) -> tuple[str, str] | None:
        """See ``Authority``."""
        if ALL not in scopes:
            return None
        return (
            _("It may read and delete all mail too: {scopes}.").format(scopes=", ".join(sorted(scopes))),
            _("To send by the Gmail API, gmail.send is enough, and whoever steals it can only send."),
        )

    def no_less(self, account: Account) -> str:
        """See ``Authority``."""
        return _("Gmail's SMTP takes no less.") if "smtp" in (account.transport, *account.fallback) else ""

    def reaching(self, account: Account, way: str) -> str:
        """See ``Authority``."""
        if way == "gmail":
            return _("Run: oauth-mailer login {address} --provider gmail").format(address=account.address)
        return _(
            "For a consent to {scope}, run: oauth-mailer login {address} --provider gmail-xoauth2\n"
            "For a program that speaks the Gmail API: oauth-mailer token {address} --for api"
        ).format(scope=ALL, address=account.address)

    @property
    def kept_alive(self) -> str:
        """See ``Authority``."""
        return _("The store had no token of it, so none was revoked. What Google still allows: {url}").format(
            url=self.connections
        )


AUTHORITY = Google()
