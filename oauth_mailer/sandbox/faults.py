"""What the web side does when a plan tells it to misbehave, as rows of data."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from aiohttp import web

__all__ = ["GMAIL_STEPS", "TOKEN_STEPS", "Fault", "Refused", "google_error"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One answer that is not the usual one.

    ``act``: whether to answer at all, to close the connection, or to say nothing until the other side gives
    up; ``accepts``: whether the message counts as accepted all the same.
    """

    status: int = 200
    body: str = ""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    act: Literal["answer", "close", "hang"] = "answer"
    accepts: bool = False

    def response(self) -> web.Response:
        """The answer to give."""
        return web.Response(
            status=self.status, text=self.body, content_type=self.content_type, headers=self.headers
        )

    async def befall(self, request: web.Request) -> web.Response:
        """Let it happen to this request."""
        if self.act == "hang":
            # Nobody ever sets it: the server cancels this when the other side is gone, or when it stops.
            await asyncio.get_running_loop().create_future()
        if self.act == "close" and request.transport is not None:
            request.transport.close()
        return self.response()


class Refused(Exception):
    """A request that is not right; ``fault`` is the answer to it."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.status)
        self.fault = fault


def google_error(
    status: int,
    reason: str,
    message: str,
    *,
    headers: Mapping[str, str] | None = None,
    domain: str = "global",
    name: str = "",
    **more: Any,
) -> Fault:
    """An error in the form of Google's JSON APIs.

    ``name``: its canonical status, by default that of the HTTP status; ``more``: what else stands in it.
    """
    error: dict[str, Any] = {
        "code": status,
        "message": message,
        "errors": [{"message": message, "domain": domain, "reason": reason}],
    }
    if name or status in _NAMES:
        error["status"] = name or _NAMES[status]
    return Fault(status, json.dumps({"error": error | more}, indent=2), headers=headers or {})


_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


def _activation() -> Fault:
    url = "https://console.developers.google.com/apis/api/gmail.googleapis.com/overview?project=123456789012"
    message = (
        "Gmail API has not been used in project 123456789012 before or it is disabled. Enable it by visiting "
        f"{url} then retry."
    )
    links = [{"description": "Google developers console API activation", "url": url}]
    details = [{"@type": "type.googleapis.com/google.rpc.Help", "links": links}]
    return google_error(403, "accessNotConfigured", message, domain="usageLimits", details=details)


def _used_up(reason: str, message: str, status: int = 403, **more: Any) -> Fault:
    return google_error(status, reason, message, domain="usageLimits", **more)


_HTML = "<!doctype html><title>Error</title><h1>Server Error</h1><p>Please try again in 30 seconds.</p>"
_CLOSE = Fault(act="close")
_HANG = Fault(act="hang")
_DOWN = google_error(503, "backendError", "The service is currently unavailable.")

GMAIL_STEPS: Mapping[str, Fault] = {
    "close": _CLOSE,
    "hang": _HANG,
    "accept-close": replace(_CLOSE, accepts=True),
    "accept-hang": replace(_HANG, accepts=True),
    "accept-html": Fault(200, _HTML, "text/html", accepts=True),
    "accept-truncated": Fault(200, '{"id": "18c0', accepts=True),
    "accept-503": replace(_DOWN, accepts=True),
    "401": google_error(401, "authError", "Request had invalid authentication credentials."),
    "403-rateLimitExceeded": _used_up("rateLimitExceeded", "Rate Limit Exceeded"),
    "403-userRateLimitExceeded": _used_up("userRateLimitExceeded", "User Rate Limit Exceeded"),
    "403-dailyLimitExceeded": _used_up("dailyLimitExceeded", "Daily Limit Exceeded"),
    "403-domainPolicy": google_error(
        403, "domainPolicy", "The domain administrators have disabled Gmail apps."
    ),
    "403-accessNotConfigured": _activation(),
    "400-failedPrecondition": google_error(
        400, "failedPrecondition", "Mail service not enabled", name="FAILED_PRECONDITION"
    ),
    "429": _used_up("rateLimitExceeded", "Too many concurrent requests for user.", 429),
    "429-retry-after": _used_up(
        "rateLimitExceeded", "User-rate limit exceeded.", 429, headers={"Retry-After": "30"}
    ),
    "500": google_error(500, "backendError", "Internal error encountered."),
    "502": Fault(502, _HTML, "text/html"),
    "503": _DOWN,
}

TOKEN_STEPS: Mapping[str, Fault] = {
    "close": _CLOSE,
    "hang": _HANG,
    "html": Fault(200, _HTML, "text/html"),
    "missing-token": Fault(200, '{"expires_in": 3599, "token_type": "Bearer"}'),
    "invalid_grant": Fault(
        400, '{"error": "invalid_grant", "error_description": "Token has been expired or revoked."}'
    ),
    "429": Fault(429, '{"error": "rate_limit_exceeded"}', headers={"Retry-After": "30"}),
    "500": Fault(500, '{"error": "internal_failure"}'),
    "503": Fault(503, _HTML, "text/html"),
}
