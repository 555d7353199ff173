"""Microsoft: a person's consent to send by SMTP, for Outlook.com and for Microsoft 365.

What is particular to Microsoft is here and in the walls ``_microsoft_…``; the rest is in the walls
``_oauth_…``. Sources: Microsoft's pages "Authenticate an IMAP, POP or SMTP connection using OAuth", "Redirect
URI restrictions" (http for the name localhost only, any port), "device authorization grant", "Refresh
tokens".
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from ..accounts import Account
from ..errors import ConfigError, LoginRequired, RouteError, SendError
from ..i18n import N_, _
from ..stores import Secret, Slot, TokenStore
from ..wire.endpoint import check_endpoint
from ._microsoft_refusals import Row, row_for
from ._oauth_authority import Authority
from ._oauth_client import Client, client_at
from ._oauth_credential import BearerCredential, forget
from ._oauth_tokens import consent_slot

__all__ = ["AUTHORITY", "Microsoft", "forget", "open", "slot"]

SEND = "https://outlook.office.com/SMTP.Send"
"""May send by SMTP, and nothing else."""

OFFLINE = "offline_access"
"""So that a refresh token comes at all."""

ENDPOINT = "https://login.microsoftonline.com"
"""That of the world; some countries have their own (``login.partner.microsoftonline.cn``)."""

VARIABLE = "OAUTH_MAILER_MICROSOFT_ENDPOINT"

_TENANT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def open(account: Account, store: TokenStore, home: Path | str, timeout: float) -> BearerCredential:  # noqa: A001
    """The credential of an account with ``auth = "microsoft"``."""
    return BearerCredential(account, store, home, timeout=timeout)


def slot(account: Account) -> Slot:
    """Where the one secret rests that the account cannot do without."""
    return consent_slot(account)


class Microsoft(Authority):
    """Microsoft; see ``Authority``."""

    name = "microsoft"
    title = "Microsoft"
    scopes = (SEND, OFFLINE)
    identity = ("openid", "email", "profile")
    sending: Mapping[str, frozenset[str]] = {"smtp": frozenset({SEND})}
    unlisted = frozenset({OFFLINE, "openid", "email", "profile"})
    takes = frozenset({"client_id", "tenant", "device"})
    own_domains = "microsoft365"
    # Without a slash at its end: it has to be what the app has, but for the port.
    redirect = "http://localhost:{port}"
    # Who is logged in to several accounts chooses; consent is asked for only where it is missing.
    asked: Mapping[str, str] = {"prompt": "select_account"}
    hosts = (".microsoftonline.com", ".microsoftonline.us", ".partner.microsoftonline.cn")
    client_names = r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
    client_form = N_(
        "Such a name has five groups of digits and letters: 11111111-2222-3333-4444-555555555555."
    )
    connections = "https://account.live.com/consent/Manage"

    def client_from(self, fields: Mapping[str, Any], secret: Secret) -> Client:
        """See ``Authority``."""
        return client_at(fields, secret, **_addresses("common"))

    def client_named(self, account: Account, client_id: str, tenant: str) -> Client:
        """See ``Authority``. By default the tenant of personal accounts, or the one that the domain is of."""
        if not re.fullmatch(self.client_names, client_id):
            raise ConfigError(
                _("{client!r} is no Application (client) ID of Microsoft's.").format(client=client_id),
                code="client-id",
                hint=_(self.client_form),
            )
        domain = account.address.rpartition("@")[2].lower()
        tenant = tenant or ("consumers" if account.preset.domains else domain)
        if not _TENANT.fullmatch(tenant):
            raise ConfigError(
                _("{tenant!r} is no tenant.").format(tenant=tenant),
                code="tenant-wrong",
                hint=_("Use consumers, organizations, common, or the domain or id of an organisation."),
            )
        return client_at({"client_id": client_id}, Secret(""), **_addresses(tenant))

    def no_client(self, account: Account) -> ConfigError:
        """See ``Authority``."""
        return ConfigError(
            _("{title} needs an app registration of your own, and none is known here yet.").format(
                title=_(account.preset.title)
            ),
            code="client-missing",
            hint=_(
                "Make one in five minutes, free of charge: https://entra.microsoft.com (App "
                "registrations, New)\n"
                "1. Supported account types: with personal Microsoft accounts for Outlook.com\n"
                "2. Redirect URI: Public client (mobile & desktop), http://localhost\n"
                "3. Authentication: Allow public client flows: Yes (needed for --device)\n"
                "4. API permissions: Microsoft Graph, Delegated, SMTP.Send\n"
                "Then run: oauth-mailer login {address} --client-id ID (the Application (client) ID)"
            ).format(address=account.address),
        )

    def plain_scope(self, scope: str) -> str:
        """See ``Authority``; capitals do not count, and the resource has two names."""
        return scope.lower().replace("://outlook.office365.com/", "://outlook.office.com/")

    def names_in(self, claims: Mapping[str, Any]) -> list[str]:
        """See ``Authority``; an organisation may give out no ``email``."""
        names = [claims.get(name) for name in ("email", "preferred_username", "upn")]
        return [name for name in names if isinstance(name, str) and "@" in name]

    def denied(self, account: Account, description: str) -> LoginRequired:
        """See ``Authority``; it says so too where a rule of the organisation denied it."""
        row = row_for(description)
        return _said(row, account, description) if row else super().denied(account, description)

    def not_asked(self, account: Account, error: str, description: str) -> LoginRequired:
        """See ``Authority``."""
        row = row_for(description)
        return _said(row, account, description) if row else super().not_asked(account, error, description)

    def refusal(
        self, account: Account, fields: Mapping[str, Any], text: str, last_good: float | None = None
    ) -> SendError:
        """See ``Authority``."""
        error = super().refusal(account, fields, text, last_good)
        row = row_for(str(fields.get("error_description", "")))
        if row is None:
            return error
        return (
            _said(row, account, text)
            if isinstance(error, LoginRequired)
            else _said(row, account, text, RouteError)
        )

    def no_code(self, account: Account) -> ConfigError:
        """See ``Authority``."""
        return ConfigError(
            _(
                "Microsoft takes no password for sending mail any more: at Outlook.com since 16 September "
                "2024; "
                "at Microsoft 365 it is switched off at the end of 2026."
            ),
            code="password-ended",
            hint=_("Log in by consent. Run: oauth-mailer login {address}").format(address=account.address),
        )

    def too_much(self, account: Account, scopes: frozenset[str]) -> tuple[str, str] | None:
        """See ``Authority``."""
        known = {self.plain_scope(SEND), *self.unlisted}
        more = sorted(one for one in scopes if self.plain_scope(one) not in known)
        if not more:
            return None
        return (
            _("It may do more than send: {scopes}.").format(scopes=", ".join(more)),
            _("To send, SMTP.Send is enough, and whoever steals it can only send."),
        )

    @property
    def kept_alive(self) -> str:
        """See ``Authority``."""
        return _(
            "Microsoft lets no program revoke a consent: what was kept here is deleted, and nothing can "
            "be sent "
            "with it from here. To end it at Microsoft too, remove the app: {url} (personal account) or "
            "https://myapps.microsoft.com (organisation)"
        ).format(url=self.connections)


_Kind = TypeVar("_Kind", bound=SendError)


def _said(row: Row, account: Account, text: str, kind: type[_Kind] = LoginRequired) -> _Kind:  # type: ignore[assignment]
    return kind(
        _(row.cause).format(address=account.address),
        code=row.code,
        hint=_(row.hint).format(address=account.address),
        text=text,
    )


def _addresses(tenant: str) -> dict[str, str]:
    endpoint = check_endpoint(os.environ.get(VARIABLE) or ENDPOINT, VARIABLE).rstrip("/")
    root = f"{endpoint}/{tenant}/oauth2/v2.0"
    return {
        "auth_uri": f"{root}/authorize",
        "token_uri": f"{root}/token",
        "device_uri": f"{root}/devicecode",
    }


AUTHORITY = Microsoft()
