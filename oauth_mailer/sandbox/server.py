"""The sandbox as a whole: its servers, in a thread of their own."""

from __future__ import annotations

import json
import secrets
import shutil
import ssl
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trustme

from ..errors import ConfigError
from ..i18n import _, system_text
from .consent import Consent
from .elsewhere import Elsewhere
from .gmail import Gmail
from .grants import Access, Grants
from .inbox import Event, Inbox, Received
from .inbox_page import InboxPage
from .listening import HOST, Listening, Ports, Taken
from .plan import change_plans
from .service_accounts import ServiceAccount
from .smtp import SmtpDesk
from .tokens import Tokens

__all__ = ["Sandbox", "SmtpServer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """Where to send by SMTP: ``port`` with TLS from the start, ``starttls_port`` with STARTTLS.

    ``ca_file``: the certificate (PEM) of the throw-away authority that the server's is signed by.
    """

    host: str
    port: int
    starttls_port: int
    ca_file: Path


class Sandbox:
    """A stand-in for Google and for an SMTP provider, on 127.0.0.1 only; a context manager.

    ``gmail``, ``token``, ``smtp``: plans, what becomes of one attempt after another (``503,ok``; the last
    step goes on for ever); ``code``: the authorization code of every address by SMTP; ``account``: the
    address on the consent page where the application names none; ``rotate``: a new refresh token with each
    refresh; ``lifetime``: seconds that access tokens live; ``port``: of the web side, ``smtp_port`` and
    ``starttls_port``: of SMTP inside TLS and with STARTTLS, 0 for any free one; ``watch``: called with each
    event, in the sandbox's own thread. Raises ``ConfigError`` for a step that is not known;
    ``known_steps()`` names them all.
    """

    def __init__(
        self,
        *,
        gmail: str = "ok",
        token: str = "ok",
        smtp: str = "ok",
        code: str = "abcdefghijklmnop",
        account: str = "you@gmail.com",
        rotate: bool = False,
        lifetime: float = 3600.0,
        port: int = 0,
        smtp_port: int = 0,
        starttls_port: int = 0,
        watch: Callable[[Event], None] | None = None,
    ) -> None:
        self.code = code
        self._wanted = Ports(port, smtp_port, starttls_port)
        self._inbox = Inbox(watch)
        self._grants = Grants(rotate=rotate, lifetime=lifetime)
        self._client_id = (
            f"{secrets.randbelow(10**12):012}-{secrets.token_hex(16)}.apps.googleusercontent.com"
        )
        self._client_secret = f"GOCSPX-{secrets.token_urlsafe(21)}"
        self._authority = trustme.CA()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._authority.issue_cert(HOST, "localhost").configure_cert(context)
        client = {"client_id": self._client_id, "client_secret": self._client_secret}
        consent = Consent(self._grants, self._inbox, client_id=self._client_id, account=account)
        self.service_account = ServiceAccount(
            {account.partition("@")[2]}, {"https://www.googleapis.com/auth/gmail.send"}
        )
        tokens = Tokens(self._grants, self._inbox, plan=token, service_account=self.service_account, **client)
        api = Gmail(self._grants, self._inbox, plan=gmail)
        desk = SmtpDesk(self._inbox, context, code=code, plan=smtp, grants=self._grants)
        self._plans = {"gmail": api.plan, "token": tokens.plan, "smtp": desk.plan}
        self._page = InboxPage(self._inbox, self._plans, self._settings)
        rooms = (consent, tokens, api, Elsewhere(self._inbox), self._page)
        self._servers = Listening((route for room in rooms for route in room.routes()), desk, context)
        self._folder: Path | None = None
        self._ports: Ports | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start all servers; returns when they listen. Raises ``ConfigError`` where the port is taken."""
        if self._folder is not None or self._ports is not None:
            raise ConfigError(
                _("This sandbox was started before."), code="sandbox-started", hint=_("Make a new one.")
            )
        self._folder = Path(tempfile.mkdtemp(prefix="oauth-mailer-sandbox-"))  # private to the user
        self._authority.cert_pem.write_to_path(str(self._folder / "ca.pem"))
        try:
            self._ports = self._servers.start(self._wanted)
        except Taken as taken:
            self.stop()
            raise ConfigError(
                _("The sandbox cannot listen on port {port}: {reason}").format(
                    port=taken.port, reason=system_text(taken.reason)
                ),
                code="sandbox-port",
                hint=_("Choose another port, or 0 for any free one."),
            ) from taken

    def stop(self) -> None:
        """Stop all servers and drop all connections; may be called again."""
        self._servers.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)  # another program may still read in it
            self._folder = None

    def plan(self, *, gmail: str = "", token: str = "", smtp: str = "") -> None:
        """From now on, these plans; a server that is left out goes on as before.

        So an account can be logged in while all is well. Raises ``ConfigError`` for a step that is not known:
        then nothing changes.
        """
        change_plans(self._plans, {"gmail": gmail, "token": token, "smtp": smtp})
        self._page.plans_changed()

    @property
    def client_secrets(self) -> dict[str, Any]:
        """The client JSON of a desktop application as from Google, with this sandbox's addresses."""
        return {
            "installed": {
                "client_id": self._client_id,
                "project_id": "oauth-mailer-sandbox",
                "auth_uri": f"{self._web}/o/oauth2/auth",
                "token_uri": f"{self._web}/token",
                "revocation_uri": f"{self._web}/revoke",
                "auth_provider_x509_cert_url": f"{self._web}/oauth2/v3/certs",
                "client_secret": self._client_secret,
                "redirect_uris": ["http://localhost"],
            }
        }

    def write_client_secrets(self, folder: Path) -> Path:
        """Write the client JSON into a folder; returns the file's path."""
        path = folder / "client_secret.json"
        path.write_text(json.dumps(self.client_secrets, indent=2), "utf-8")
        return path

    def write_service_account_key(self, folder: Path) -> Path:
        """Write the key of the service account into a folder; returns the file's path.

        It may send for all of the account's domain.
        """
        path = folder / "service_account.json"
        path.write_text(json.dumps(self.service_account.key_file(f"{self._web}/token"), indent=2), "utf-8")
        return path

    @property
    def gmail_endpoint(self) -> str:
        """The root of the Gmail API, for ``OAUTH_MAILER_GMAIL_ENDPOINT``."""
        return self._web

    @property
    def inbox_url(self) -> str:
        """The page that shows what arrived; the same as JSON is below ``/api/``."""
        return f"{self._web}/"

    @property
    def smtp(self) -> SmtpServer:
        """The SMTP servers."""
        ports = self._listening()
        folder = self._folder or Path()
        return SmtpServer(host=HOST, port=ports.tls, starttls_port=ports.starttls, ca_file=folder / "ca.pem")

    @property
    def folder(self) -> Path:
        """The sandbox's own folder, private to the user; it goes when the sandbox stops."""
        return self.smtp.ca_file.parent

    @property
    def messages(self) -> list[Received]:
        """What was accepted so far, oldest first."""
        return self._inbox.messages

    @property
    def events(self) -> list[Event]:
        """What was accepted and refused so far, oldest first: messages, logins, tokens, commands."""
        return self._inbox.events

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each event happened, such as ``gmail.post`` or ``smtp.auth``; 0 for what never did."""
        return self._inbox.counts

    def wait_for(self, count: int, timeout: float = 30.0) -> list[Received]:
        """The messages, as soon as there are so many. Raises ``TimeoutError`` after ``timeout`` seconds."""
        return self._inbox.wait_for(count, timeout)

    def wait_for_event(self, event: str, count: int, timeout: float = 30.0) -> None:
        """Wait until an event happened so often. Raises ``TimeoutError`` after ``timeout`` seconds."""
        self._inbox.wait_for_event(event, count, timeout)

    def clear(self) -> None:
        """Forget messages, events and counts; tokens stay."""
        self._inbox.clear()

    def access(self, token: str) -> Access | None:
        """What this access token allows now, and to whom; None where it is worth nothing."""
        return self._grants.access(token)

    def expire_access_tokens(self) -> None:
        """Make all access tokens invalid, as time would; refresh tokens go on working."""
        self._grants.expire_access_tokens()

    def revoke_tokens(self) -> None:
        """Make all tokens invalid, as when the account's password was changed."""
        self._grants.revoke_tokens()

    @property
    def _web(self) -> str:
        return f"http://{HOST}:{self._listening().web}"

    def _settings(self) -> dict[str, Any]:
        """Where to send to, as the page says it."""
        server = self.smtp
        smtp = {
            "host": server.host,
            "port": server.port,
            "starttls_port": server.starttls_port,
            "ca_file": str(server.ca_file),
        }
        return {"gmail_endpoint": self.gmail_endpoint, "smtp": smtp, "code": self.code}

    def _listening(self) -> Ports:
        if self._ports is None:
            raise ConfigError(
                _("The sandbox has no addresses before it is started."),
                code="sandbox-not-started",
                hint=_("Use it in a with statement, or call start()."),
            )
        return self._ports
