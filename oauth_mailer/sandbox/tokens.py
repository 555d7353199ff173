"""The token endpoint (RFC 6749, 3.2) and the revocation endpoint (RFC 7009)."""

from __future__ import annotations

import hmac
from base64 import b64decode
from urllib.parse import unquote_plus

from aiohttp import web
from multidict import MultiDict

from .grants import Grants, Refusal
from .http_faults import TOKEN_STEPS
from .inbox import Event, Inbox
from .plan import Plan
from .service_accounts import ServiceAccount

__all__ = ["Tokens"]

_BY_KEY = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_EVENTS = {
    "authorization_code": "token.exchange",
    "refresh_token": "token.refresh",
    _BY_KEY: "token.service-account",
}
_NEVER_KEPT = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class Tokens:
    """The handlers of both. ``client_id``, ``client_secret``: those of the one client that is known;
    ``service_account``: the one that is known."""

    def __init__(
        self,
        grants: Grants,
        inbox: Inbox,
        *,
        plan: str,
        client_id: str,
        client_secret: str,
        service_account: ServiceAccount,
    ) -> None:
        self._grants = grants
        self._service_account = service_account
        self._inbox = inbox
        self.plan = Plan("token", plan, dict.fromkeys(TOKEN_STEPS, "token"), end="token")
        self._client_id = client_id
        self._client_secret = client_secret

    def routes(self) -> list[web.RouteDef]:
        """What to serve, and where."""
        return [
            web.post("/token", self.token),
            web.post("/revoke", self.revoke),
            web.get("/oauth2/v3/certs", self.keys),
        ]

    async def token(self, request: web.Request) -> web.Response:
        """Tokens for an authorization code or a refresh token."""
        self._inbox.count("token.post")
        try:
            form = await _read_form(request)
            kind = form.get("grant_type", "")
            self._inbox.count(_EVENTS.get(kind, "token.other"))
            step = self.plan.next("token") or ""
            fault = TOKEN_STEPS[step] if step else None
            if fault and not fault.accepts:
                self._note("token", fault.label, step=step)
                return await fault.befall(request)
            if kind == _BY_KEY:  # the key is its proof, so there is no client besides
                url = str(request.url.with_query(None))
                who, scopes = self._service_account.check(form.get("assertion", ""), url)
                answer = self._grants.delegate(who, scopes)
            elif kind == "authorization_code":
                answer = self._grants.exchange(
                    form.get("code", ""),
                    client_id=self._authenticate(request, form),
                    redirect_uri=form.get("redirect_uri", ""),
                    verifier=form.get("code_verifier", ""),
                )
            elif kind == "refresh_token":
                answer = self._grants.refresh(
                    form.get("refresh_token", ""),
                    client_id=self._authenticate(request, form),
                    scope=form.get("scope", ""),
                )
            else:
                raise Refusal("unsupported_grant_type", f"Invalid grant_type: {kind[:40]}")
        except Refusal as refusal:
            return self._refuse("token", refusal)
        self._note("token", _EVENTS[kind].removeprefix("token."), step=step, accepted=True)
        if fault:
            return await fault.befall(request, answer)
        return web.json_response(answer, headers=_NEVER_KEPT)

    async def revoke(self, request: web.Request) -> web.Response:
        """Revoke the grant of a token, given in the body or in the address."""
        self._inbox.count("revoke")
        try:
            token = (await _read_form(request, empty=True)).get("token", "") or request.query.get("token", "")
            if not token:
                raise Refusal("invalid_request", "Missing required parameter: token")
            # RFC 7009 answers 200 for a token that is not known; Google answers this.
            if not self._grants.revoke(token):
                raise Refusal("invalid_token", "Token expired or revoked")
        except Refusal as refusal:
            return self._refuse("revocation", refusal)
        self._note("revocation", accepted=True)
        return web.json_response({}, headers=_NEVER_KEPT)

    async def keys(self, _request: web.Request) -> web.Response:
        """The keys that ID tokens are signed with."""
        return web.json_response(self._grants.keys())

    def _note(self, what: str, text: str = "", *, step: str = "", accepted: bool = False) -> None:
        self._inbox.note(Event(server="token", what=what, accepted=accepted, text=text, step=step))

    def _refuse(self, what: str, refusal: Refusal) -> web.Response:
        self._note(what, f"{refusal.status} {refusal.error}: {refusal.description}")
        answer = {"error": refusal.error, "error_description": refusal.description}
        return web.json_response(answer, status=refusal.status, headers=_NEVER_KEPT)

    def _authenticate(self, request: web.Request, form: MultiDict[str]) -> str:
        """The client, by the form or by HTTP Basic (RFC 6749, 2.3.1)."""
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        scheme, _space, value = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                name, _colon, word = b64decode(value, validate=True).decode().partition(":")
            except ValueError:
                raise Refusal("invalid_client", "Unreadable Authorization header.", 401) from None
            client_id, secret = unquote_plus(name), unquote_plus(word)
        if client_id != self._client_id:
            raise Refusal("invalid_client", "The OAuth client was not found.", 401)
        if not hmac.compare_digest(secret.encode(), self._client_secret.encode()):
            raise Refusal("invalid_client", "The provided client secret is invalid.", 401)
        return client_id


async def _read_form(request: web.Request, *, empty: bool = False) -> MultiDict[str]:
    """The parameters in the body, each at most once (RFC 6749, 3.2); ``empty``: the body may be missing."""
    if empty and not request.can_read_body:
        return MultiDict()
    if request.content_type != "application/x-www-form-urlencoded":
        raise Refusal("invalid_request", "The body must be application/x-www-form-urlencoded.")
    try:
        form = MultiDict((name, str(value)) for name, value in (await request.post()).items())
    except (ValueError, LookupError):
        raise Refusal("invalid_request", "The body is not in its charset.") from None
    if len(set(form)) != len(form):
        raise Refusal("invalid_request", "A parameter is given twice.")
    return form
