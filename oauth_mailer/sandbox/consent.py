"""The consent page: checks what is asked for, shows it to a person, and sends the answer back.

A request that is not right ends on an error page, as with Google; only a checked redirect address, on this
very machine, is ever redirected to.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, urlencode, urlsplit

from aiohttp import web
from multidict import MultiMapping

from ..i18n import _
from .grants import AuthRequest, Grants
from .inbox import Event, Inbox
from .page import consent_page, error_page, html_response

__all__ = ["Consent"]

PATIENCE = 600.0
"""Seconds that a page waits for its answer."""

_MOST_PAGES = 100
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # a SHA-256 in base64url, RFC 7636, 4.2
_ADDRESS = re.compile(r"[^@\s<>]+@[^@\s<>]+")


class _BadRequest(Exception):
    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Consent:
    """The page's handlers.

    ``client_id``: the one client that is known; ``account``: the address shown where the application does not
    say for whom it asks.
    """

    def __init__(self, grants: Grants, inbox: Inbox, *, client_id: str, account: str) -> None:
        self._grants = grants
        self._inbox = inbox
        self._client_id = client_id
        self._account = account
        self._open: dict[str, tuple[float, AuthRequest]] = {}

    def routes(self) -> list[web.RouteDef]:
        """What to serve, and where."""
        return [web.get("/o/oauth2/auth", self.show), web.post("/o/oauth2/consent", self.answer)]

    async def show(self, request: web.Request) -> web.Response:
        """The page that asks."""
        self._inbox.count("consent.shown")
        try:
            asked = _read(request.query, self._client_id)
        except _BadRequest as error:
            return error_page(error.code, error.text)
        return self._page(asked, asked.login_hint or self._account, ticked=asked.scopes)

    async def answer(self, request: web.Request) -> web.Response:
        """What the person decided."""
        origin = request.headers.get("Origin")
        if origin is not None and origin != f"http://{request.host}":
            return error_page("cross_site", _("Another site tried to answer in your place."), status=403)
        form = await request.post()
        asked = self._take(str(form.get("nonce", "")))
        if asked is None:
            text = _("This page was answered before, or it waited too long. Start the login again.")
            return error_page("page_expired", text)
        account = str(form.get("account", "")).strip()
        granted = tuple(scope for scope in asked.scopes if scope in form.getall("scope", []))
        if form.get("decision") == "allow" and not _ADDRESS.fullmatch(account):
            problem = _("Enter an e-mail address.")
            return self._page(asked, account, ticked=granted, problem=problem)
        # Nobody can be given a token for nothing: to allow no scope is to deny.
        if form.get("decision") != "allow" or not granted:
            self._inbox.count("consent.deny")
            self._inbox.note(Event(server="consent", what="consent", accepted=False, account=account))
            return _redirect(asked, error="access_denied")
        self._inbox.count("consent.allow")
        self._inbox.note(
            Event(server="consent", what="consent", accepted=True, text=" ".join(granted), account=account)
        )
        code = self._grants.allow(asked, account, granted)
        return _redirect(asked, code=code, scope=" ".join(granted))

    def _page(
        self, asked: AuthRequest, account: str, *, ticked: Sequence[str], problem: str = ""
    ) -> web.Response:
        nonce = secrets.token_urlsafe(32)
        self._open[nonce] = (time.monotonic() + PATIENCE, asked)
        while len(self._open) > _MOST_PAGES:
            del self._open[next(iter(self._open))]
        text = consent_page(
            client=asked.client_id,
            account=account,
            scopes=asked.scopes,
            ticked=ticked,
            nonce=nonce,
            problem=problem,
        )
        return html_response(text, status=400 if problem else 200, form_target=_target(asked.redirect_uri))

    def _take(self, nonce: str) -> AuthRequest | None:
        until, asked = self._open.pop(nonce, (0.0, None))
        return asked if time.monotonic() < until else None


def _read(query: MultiMapping[str], client_id: str) -> AuthRequest:
    """The authorization request, checked: RFC 6749, 4.1.1; RFC 7636, 4.3; RFC 8252, 7.3."""
    if twice := next((name for name in query if len(query.getall(name)) > 1), None):
        raise _BadRequest("invalid_request", _("The parameter {name} is given twice.").format(name=twice))
    values: Mapping[str, str] = dict(query)
    redirect_uri = values.get("redirect_uri", "")
    if values.get("client_id") != client_id:
        raise _BadRequest("invalid_client", _("No application with this client_id is known here."))
    if not _is_loopback(redirect_uri):
        text = _("The redirect_uri of a desktop application must be http on 127.0.0.1, [::1] or localhost.")
        raise _BadRequest("redirect_uri_mismatch", text)
    if values.get("response_type") != "code":
        text = _("The response_type must be {word}.").format(word="code")
        raise _BadRequest("unsupported_response_type", text)
    if not values.get("state"):
        raise _BadRequest("invalid_request", _("The request has no {name}.").format(name="state"))
    if not (scopes := tuple(dict.fromkeys(values.get("scope", "").split()))):
        raise _BadRequest("invalid_scope", _("The request has no {name}.").format(name="scope"))
    challenge = values.get("code_challenge", "")
    if values.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
        text = _("The request has no code_challenge by the method S256 (PKCE).")
        raise _BadRequest("invalid_request", text)
    if values.get("access_type", "online") not in ("online", "offline"):
        raise _BadRequest("invalid_request", _("The access_type must be online or offline."))
    return AuthRequest(
        client_id=client_id,
        redirect_uri=redirect_uri,
        scopes=scopes,
        state=values["state"],
        challenge=challenge,
        offline=values.get("access_type") == "offline",
        ask_again="consent" in values.get("prompt", "").split(),
        login_hint=values.get("login_hint", ""),
        nonce=values.get("nonce", ""),
    )


def _is_loopback(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.scheme != "http" or parts.fragment or "@" in parts.netloc or any(ord(c) <= 32 for c in uri):
        return False
    try:
        return ipaddress.ip_address(host) in (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))
    except ValueError:
        return host == "localhost"


def _target(redirect_uri: str) -> str:
    """The redirect's origin in a form-action, where no literal IPv6 address can be written (CSP 3, 2.3.1)."""
    netloc = urlsplit(redirect_uri).netloc
    return "http:" if "[" in netloc else f"http://{netloc}"


def _redirect(asked: AuthRequest, **values: str) -> web.Response:
    parts = urlsplit(asked.redirect_uri)
    query = [*parse_qsl(parts.query, keep_blank_values=True), ("state", asked.state), *values.items()]
    location = parts._replace(query=urlencode(query), path=parts.path or "/").geturl()
    return html_response("", status=303, location=location)
