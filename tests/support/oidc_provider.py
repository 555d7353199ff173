"""A certified authorization server that is not ours, npm's ``oidc-provider``, on loopback for one test.

Its version stands in ``authorization_server/package.json``. It is installed once, into a folder of the user's
cache, by npm and without any script of a package; see ``authorization_server/server.mjs`` for its settings.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

from oauth_mailer.auth.microsoft import SEND

from . import require_program, unavailable
from .google_login import SEND as GMAIL_SEND
from .server_log import PATIENCE, ServerLog

__all__ = ["APP", "DESKTOP", "TENANT", "AuthorizationServer", "authorization_server"]

APP = "11111111-2222-3333-4444-555555555555"
"""A public client as Microsoft registers one, and ``DESKTOP`` one as Google does: id and secret."""

DESKTOP = ("1234-abcd.apps.googleusercontent.com", "GOCSPX-canary-client")

TENANT = "consumers"
"""In whose place the server is."""

_FOLDER = Path(__file__).parent / "authorization_server"
_LIFE = 300  # seconds after which the server ends, should nobody stop it
_OLDEST_NODE = 18
_MAILBOXES = (
    "mailboxes",
    "canary-of-the-mail-server",
)  # the mail server, which asks what a token is good for
_INSTALL = ("install", "--no-save", "--package-lock=false", "--ignore-scripts", "--no-audit", "--no-fund")
_ROUTES = {
    "authorization": f"/{TENANT}/oauth2/v2.0/authorize",
    "token": f"/{TENANT}/oauth2/v2.0/token",
    "device_authorization": f"/{TENANT}/oauth2/v2.0/devicecode",
    "revocation": f"/{TENANT}/oauth2/v2.0/revoke",
    "introspection": "/introspect",
}
_FOR_PEOPLE = {
    "application_type": "native",
    "response_types": ["code"],
    "grant_types": [
        "authorization_code",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
    ],
}
_CLIENTS = [
    {
        **_FOR_PEOPLE,
        "client_id": APP,
        "token_endpoint_auth_method": "none",
        "redirect_uris": ["http://localhost", "http://127.0.0.1/"],
    },
    {
        **_FOR_PEOPLE,
        "client_id": DESKTOP[0],
        "client_secret": DESKTOP[1],
        "token_endpoint_auth_method": "client_secret_post",
        "redirect_uris": ["http://127.0.0.1/"],
    },
    {
        "client_id": _MAILBOXES[0],
        "client_secret": _MAILBOXES[1],
        "token_endpoint_auth_method": "client_secret_post",
        "response_types": [],
        "grant_types": [],
        "redirect_uris": [],
    },
]


class AuthorizationServer:
    """The running server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def address(self, name: str) -> str:
        """Of an endpoint: ``authorization``, ``token``, ``revocation``."""
        return self.url + _ROUTES[name]

    def post(self, name: str, **form: str) -> tuple[int, dict[str, Any]]:
        """What this endpoint answers to a form: the status, and the JSON."""
        try:
            status, text = self._ask(_ROUTES[name], urlencode(form).encode())
        except HTTPError as error:
            with error:
                status, text = error.code, error.read().decode()
        return status, json.loads(text) if text else {}

    def introspected(self, token: str) -> dict[str, Any]:
        """What the server says about a token to the mail server (RFC 7662)."""
        name, secret = _MAILBOXES
        status, answer = self.post("introspection", token=token, client_id=name, client_secret=secret)
        assert status == 200, answer
        return answer

    def refresh(self, token: str) -> tuple[int, dict[str, Any]]:
        """What whoever shows this refresh token gets: here not our code, but a thief or a copy."""
        return self.post("token", grant_type="refresh_token", client_id=APP, refresh_token=token)

    def later(self, seconds: float) -> None:
        """Let time pass for the server."""
        self._ask(f"/test/later?seconds={seconds}")

    def happened(self, name: str, grant: str = "") -> list[dict[str, Any]]:
        """The events of this name: ``grant.success``, ``grant.error``, ``grant.revoked``, ``slow_down``.

        ``grant``: of these grants only, by the end of their names.
        """
        events = json.loads(self._ask("/test/events")[1])
        return [one for one in events if one["name"] == name and one.get("grant", "").endswith(grant)]

    def _ask(self, path: str, form: bytes | None = None) -> tuple[int, str]:
        with build_opener(ProxyHandler({})).open(Request(self.url + path, form), timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()


@contextmanager
def authorization_server(*, lifetime: int = 3600, interval: int = 1) -> Iterator[AuthorizationServer]:
    """Run one. ``lifetime``: seconds that access tokens and device codes are good for; ``interval``: seconds
    that a device has to wait between two questions."""
    node = _node()
    settings = {
        "modules": _installed().as_uri(),
        "life": _LIFE,
        "lifetime": lifetime,
        "interval": interval,
        "routes": _ROUTES,
        "clients": _CLIENTS,
        "scopes": ["openid", "offline_access", "email", "profile", SEND, GMAIL_SEND],
    }
    log = ServerLog([node, str(_FOLDER / "server.mjs"), json.dumps(settings)])
    try:
        log.wait_for("^listening on ")
        [url] = [line.removeprefix("listening on ") for line in log.lines if line.startswith("listening on ")]
        yield AuthorizationServer(url)
    finally:
        log.stop()


def _node() -> str:
    node = require_program("node", "nodejs")
    version = subprocess.run(
        [node, "--version"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    found = re.match(r"v(\d+)", version)
    if found is None or int(found[1]) < _OLDEST_NODE:
        unavailable(f"needs Node.js {_OLDEST_NODE} or later, not {version.strip()}")
    return node


def _installed() -> Path:
    """The folder of the server's modules."""
    version = json.loads((_FOLDER / "package.json").read_text("utf-8"))["dependencies"]["oidc-provider"]
    place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "oauth-mailer-tests"
    folder = place / f"oidc-provider-{version}"
    if not folder.exists():
        npm = require_program("npm", "npm")
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place) as made:
            new = Path(made) / "new"
            new.mkdir()
            shutil.copy(_FOLDER / "package.json", new)
            done = subprocess.run(
                [npm, *_INSTALL], cwd=new, capture_output=True, text=True, timeout=100, check=False
            )
            if done.returncode:
                unavailable(f"npm cannot install oidc-provider {version}: {done.stderr.strip()[-500:]}")
            try:
                new.rename(folder)
            except OSError:  # another suite was quicker
                if not folder.exists():
                    raise
    return folder / "node_modules"
