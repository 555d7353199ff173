"""The sandbox as a whole: its servers, in a thread of their own."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import ssl
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trustme
from aiohttp import web

from ..errors import ConfigError
from ..i18n import _
from .consent import Consent
from .gmail import Gmail
from .grants import Grants
from .inbox import Inbox, Received
from .smtp import SmtpDesk, quiet
from .tokens import Tokens

__all__ = ["Sandbox", "SmtpServer"]

_HOST = "127.0.0.1"
_MOST_BODY = 64 << 20  # octets; a message of the greatest size in base64, and its JSON
_GRACE = 0.1  # seconds for answers that are being written when the sandbox stops
_STARTING = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """Where to send by SMTP: ``port`` with TLS from the start, ``starttls_port`` with STARTTLS.

    ``ca_file``: the certificate (PEM) of the throw-away authority that the server's is signed by.
    """

    host: str
    port: int
    starttls_port: int
    ca_file: Path


@dataclass(frozen=True, slots=True)
class _Ports:
    web: int
    tls: int
    starttls: int


class Sandbox:
    """A stand-in for Google and for an SMTP provider, on 127.0.0.1 only; a context manager.

    ``gmail``, ``token``, ``smtp``: plans, what becomes of one attempt after another (``503,ok``; the last
    step goes on for ever); ``code``: the authorization code of every address by SMTP; ``account``: the
    address on the consent page where the application names none; ``rotate``: a new refresh token with each
    refresh; ``lifetime``: seconds that access tokens live; ``port``: of the web side, 0 for any free one.
    Raises ``ConfigError`` for a step that is not known.
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
    ) -> None:
        self.code = code
        self._port = port
        self._inbox = Inbox()
        self._grants = Grants(rotate=rotate, lifetime=lifetime)
        self._client_id = (
            f"{secrets.randbelow(10**12):012}-{secrets.token_hex(16)}.apps.googleusercontent.com"
        )
        self._client_secret = f"GOCSPX-{secrets.token_urlsafe(21)}"
        self._authority = trustme.CA()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._authority.issue_cert(_HOST, "localhost").configure_cert(context)
        self._context = context
        self._desk = SmtpDesk(self._inbox, context, code=code, plan=smtp)
        client = {"client_id": self._client_id, "client_secret": self._client_secret}
        self._rooms = (
            Consent(self._grants, self._inbox, client_id=self._client_id, account=account),
            Tokens(self._grants, self._inbox, plan=token, **client),
            Gmail(self._grants, self._inbox, plan=gmail),
        )
        self._folder: Path | None = None
        self._ports: _Ports | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start all servers; returns when they listen. Raises ``ConfigError`` where the port is taken."""
        if self._thread is not None:
            raise ConfigError(
                _("This sandbox was started before."), code="sandbox-started", hint=_("Make a new one.")
            )
        self._folder = Path(tempfile.mkdtemp(prefix="oauth-mailer-sandbox-"))  # private to the user
        self._authority.cert_pem.write_to_path(str(self._folder / "ca.pem"))
        ready: Future[_Ports] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="sandbox", daemon=True)
        self._thread.start()
        try:
            self._ports = ready.result(_STARTING)
        except OSError as error:
            self.stop()
            raise ConfigError(
                _("The sandbox cannot listen on port {port}: {reason}").format(
                    port=self._port, reason=error.strerror or error
                ),
                code="sandbox-port",
                hint=_("Choose another port, or 0 for any free one."),
            ) from error

    def stop(self) -> None:
        """Stop all servers and drop all connections; may be called again."""
        if self._loop is not None and self._stopping is not None:
            loop, self._loop = self._loop, None
            loop.call_soon_threadsafe(self._stopping.set)
        if self._thread is not None:
            self._thread.join()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)  # another program may still read in it
            self._folder = None

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

    @property
    def gmail_endpoint(self) -> str:
        """The root of the Gmail API, for ``OAUTH_MAILER_GMAIL_ENDPOINT``."""
        return self._web

    @property
    def smtp(self) -> SmtpServer:
        """The SMTP servers."""
        ports = self._listening()
        folder = self._folder or Path()
        return SmtpServer(host=_HOST, port=ports.tls, starttls_port=ports.starttls, ca_file=folder / "ca.pem")

    @property
    def messages(self) -> list[Received]:
        """What was accepted so far, oldest first."""
        return self._inbox.messages

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
        """Forget messages and counts; tokens stay."""
        self._inbox.clear()

    def expire_access_tokens(self) -> None:
        """Make all access tokens invalid, as time would; refresh tokens go on working."""
        self._grants.expire_access_tokens()

    def revoke_tokens(self) -> None:
        """Make all tokens invalid, as when the account's password was changed."""
        self._grants.revoke_tokens()

    @property
    def _web(self) -> str:
        return f"http://{_HOST}:{self._listening().web}"

    def _listening(self) -> _Ports:
        if self._ports is None:
            raise ConfigError(
                _("The sandbox has no addresses before it is started."),
                code="sandbox-not-started",
                hint=_("Use it in a with statement, or call start()."),
            )
        return self._ports

    def _run(self, ready: Future[_Ports]) -> None:
        # The same kind of loop on every system; Windows has another one by default.
        with quiet(), asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._serve(ready))

    async def _serve(self, ready: Future[_Ports]) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        application = web.Application(client_max_size=_MOST_BODY)
        for room in self._rooms:
            application.add_routes(room.routes())
        # A handler ends with its connection, so that one which waits for ever is none that stays for ever.
        runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=_GRACE
        )
        listeners: list[asyncio.Server] = []
        try:
            await runner.setup()
            site = web.TCPSite(runner, _HOST, self._port)
            await site.start()
            listeners = [await self._listen(starttls=False), await self._listen(starttls=True)]
            sockets = [runner.addresses[0], *(one.sockets[0].getsockname() for one in listeners)]
            ready.set_result(_Ports(*(address[1] for address in sockets)))
            await self._stopping.wait()
        except OSError as error:
            ready.set_exception(error)
        finally:
            for listener in listeners:
                listener.close()
            for transport in self._desk.connections.copy():
                assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what TCP and TLS have
                transport.abort()
            await runner.cleanup()
            await _end_the_rest()

    async def _listen(self, *, starttls: bool) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(
            lambda: self._desk.protocol(starttls=starttls),
            _HOST,
            0,
            ssl=None if starttls else self._context,
        )


async def _end_the_rest() -> None:
    """End what still runs, such as TLS handshakes that nobody finishes, and let transports close."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    for _turn in range(3):
        await asyncio.sleep(0)
