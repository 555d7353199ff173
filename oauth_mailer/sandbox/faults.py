"""What the web side answers when a plan tells it to misbehave, as rows of data."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

__all__ = ["GMAIL_STEPS", "TOKEN_STEPS", "Fault", "google_error", "hang_up", "until_gone"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One answer."""

    status: int
    body: str
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        """The answer to give."""
        return web.Response(
            status=self.status, text=self.body, content_type=self.content_type, headers=self.headers
        )


def google_error(
    status: int,
    reason: str,
    message: str,
    *,
    headers: Mapping[str, str] | None = None,
    domain: str = "global",
    **more: Any,
) -> Fault:
    """An error in the form of Google's JSON APIs."""
    names = {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        500: "INTERNAL",
        503: "UNAVAILABLE",
    }
    error: dict[str, Any] = {
        "code": status,
        "message": message,
        "errors": [{"message": message, "domain": domain, "reason": reason}],
    }
    if status in names:
        error["status"] = names[status]
    body = json.dumps({"error": error | more}, indent=2)
    return Fault(status, body, headers=headers or {})


def _activation() -> Fault:
    url = "https://console.developers.google.com/apis/api/gmail.googleapis.com/overview?project=123456789012"
    return google_error(
        403,
        "accessNotConfigured",
        "Gmail API has not been used in project 123456789012 before or it is disabled. Enable it by visiting "
        f"{url} then retry.",
        domain="usageLimits",
        details=[
            {
                "@type": "type.googleapis.com/google.rpc.Help",
                "links": [{"description": "Google developers console API activation", "url": url}],
            }
        ],
    )


_HTML = "<!doctype html><title>Error</title><h1>Server Error</h1><p>Please try again in 30 seconds.</p>"

GMAIL_STEPS: dict[str, Fault | None] = {
    # None: not an answer, but something done to the connection.
    "ok": None,
    "accept-close": None,
    "close": None,
    "hang": None,
    "accept-html": Fault(200, _HTML, "text/html"),
    "accept-truncated": Fault(200, '{"id": "18c0'),
    "401": google_error(401, "authError", "Request had invalid authentication credentials."),
    "403-rateLimitExceeded": google_error(
        403, "rateLimitExceeded", "Rate Limit Exceeded", domain="usageLimits"
    ),
    "403-userRateLimitExceeded": google_error(
        403,
        "userRateLimitExceeded",
        "User Rate Limit Exceeded. Rate of requests for user exceed configured project quota.",
        domain="usageLimits",
    ),
    "403-dailyLimitExceeded": google_error(
        403, "dailyLimitExceeded", "Daily Limit Exceeded", domain="usageLimits"
    ),
    "403-domainPolicy": google_error(
        403, "domainPolicy", "The domain administrators have disabled Gmail apps."
    ),
    "403-accessNotConfigured": _activation(),
    "400-failedPrecondition": google_error(400, "failedPrecondition", "Mail service not enabled")
    ,
    "429": google_error(429, "rateLimitExceeded", "Too many concurrent requests for user."),
    "429-retry-after": google_error(
        429, "rateLimitExceeded", "User-rate limit exceeded.", headers={"Retry-After": "30"}
    ),
    "500": google_error(500, "backendError", "Internal error encountered."),
    "502": Fault(502, _HTML, "text/html"),
    "503": google_error(503, "backendError", "The service is currently unavailable."),
}

TOKEN_STEPS: dict[str, Fault | None] = {
    "ok": None,
    "close": None,
    "hang": None,
    "html": Fault(200, _HTML, "text/html"),
    "missing-token": Fault(200, '{"expires_in": 3599, "token_type": "Bearer"}'),
    "invalid_grant": Fault(
        400, '{"error": "invalid_grant", "error_description": "Token has been expired or revoked."}'
    ),
    "429": Fault(429, '{"error": "rate_limit_exceeded"}', headers={"Retry-After": "30"}),
    "500": Fault(500, '{"error": "internal_failure"}'),
    "503": Fault(503, _HTML, "text/html"),
}


async def hang_up(request: web.Request) -> web.StreamResponse:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()  # goes nowhere: there is nobody to give it to


async def until_gone(request: web.Request) -> web.StreamResponse:
    """Never answer; ends when the other side gives up, or with the server."""
    gone = asyncio.get_running_loop().create_future()
    await gone
    return web.Response()
