"""What the web side does when a plan tells it to misbehave, as rows of data: one row is one step.

A step that begins with ``accept-`` takes charge of the message; the others do not. Sources of the errors:
the Gmail API's guide to errors; RFC 6749, 5.2, for the token endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..i18n import N_
from .faults import Fault, google_error

__all__ = ["GMAIL_STEPS", "TOKEN_STEPS"]

_HTML = "<!doctype html><title>Error</title><h1>Server Error</h1><p>Please try again in 30 seconds.</p>"
_LATER = {"Retry-After": "30"}


def _activation() -> Fault:
    url = "https://console.developers.google.com/apis/api/gmail.googleapis.com/overview?project=123456789012"
    message = (
        "Gmail API has not been used in project 123456789012 before or it is disabled. Enable it by visiting "
        f"{url} then retry."
    )
    links = [{"description": "Google developers console API activation", "url": url}]
    details = [{"@type": "type.googleapis.com/google.rpc.Help", "links": links}]
    fault = google_error(403, "accessNotConfigured", message, domain="usageLimits", details=details)
    return replace(fault, label="403 accessNotConfigured: Gmail API has not been used in project …")


def _used_up(reason: str, message: str, status: int = 403, **more: Any) -> Fault:
    return google_error(status, reason, message, domain="usageLimits", **more)


def _with_retry_after(fault: Fault) -> Fault:
    return replace(fault, headers=_LATER, label=f"{fault.label} (Retry-After: 30)")


_LIMITS = {
    "403-rateLimitExceeded": _used_up("rateLimitExceeded", "Rate Limit Exceeded"),
    "403-userRateLimitExceeded": _used_up("userRateLimitExceeded", "User Rate Limit Exceeded"),
    "403-dailyLimitExceeded": _used_up("dailyLimitExceeded", "Daily Limit Exceeded"),
    "403-quotaExceeded": _used_up("quotaExceeded", "Quota exceeded for quota group 'default'"),
    "429": _used_up("rateLimitExceeded", "Too many concurrent requests for user.", 429),
    "429-userRateLimitExceeded": _used_up("userRateLimitExceeded", "User-rate limit exceeded.", 429),
}
_DOWN = google_error(503, "backendError", "The service is currently unavailable.")

GMAIL_STEPS: Mapping[str, Fault] = {
    "close": Fault(act="close", text=N_("closes the connection without an answer; accepts nothing")),
    "hang": Fault(act="hang", text=N_("never answers; accepts nothing")),
    "slow": Fault(status=503, act="drip", text=N_("lets its answer drip without an end; accepts nothing")),
    "html": Fault(body=_HTML, content_type="text/html", text=N_("answers 200 with HTML; accepts nothing")),
    "redirect": Fault(status=307, act="redirect", text=N_("answers 307 to another host; accepts nothing")),
    "redirect-302": Fault(
        status=302, act="redirect", text=N_("answers 302 to another host; accepts nothing")
    ),
    "accept-close": Fault(
        act="close", accepts=True, text=N_("accepts, then closes the connection without an answer")
    ),
    "accept-hang": Fault(act="hang", accepts=True, text=N_("accepts, then never answers")),
    "accept-slow": Fault(
        act="drip", accepts=True, text=N_("accepts, then lets its answer drip without an end")
    ),
    "accept-late": Fault(body=None, act="late", accepts=True, text=N_("accepts, and answers a second later")),
    "accept-cut": Fault(
        body=None, act="cut", accepts=True, text=N_("accepts, then closes in the middle of the answer")
    ),
    "accept-truncated": Fault(body='{"id": "18c0', accepts=True, text=N_("accepts, and answers half a JSON")),
    "accept-empty": Fault(accepts=True, text=N_("accepts, and answers 200 with nothing in it")),
    "accept-html": Fault(
        body=_HTML, content_type="text/html", accepts=True, text=N_("accepts, and answers 200 with HTML")
    ),
    "accept-gzip": Fault(
        body=None, zipped=True, accepts=True, text=N_("accepts, and answers in gzip, asked for or not")
    ),
    "accept-redirect": Fault(
        status=303, act="redirect", accepts=True, text=N_("accepts, and answers 303 to another host")
    ),
    "accept-503": replace(_DOWN, accepts=True, text=N_("accepts, and answers 503 all the same")),
    "400": google_error(400, "invalidArgument", "Invalid To header"),
    "400-failedPrecondition": google_error(
        400, "failedPrecondition", "Mail service not enabled", name="FAILED_PRECONDITION"
    ),
    "401": google_error(401, "authError", "Request had invalid authentication credentials."),
    **_LIMITS,
    **{f"{name}-retry-after": _with_retry_after(fault) for name, fault in _LIMITS.items()},
    "403": google_error(403, "forbidden", "Forbidden"),
    "403-domainPolicy": google_error(
        403, "domainPolicy", "The domain administrators have disabled Gmail apps."
    ),
    "403-accessNotConfigured": _activation(),
    "403-insufficientPermissions": google_error(
        403, "insufficientPermissions", "Insufficient Permission: Request had insufficient scopes."
    ),
    "403-delegationDenied": google_error(403, "delegationDenied", "Delegation denied for you@gmail.com"),
    "413": google_error(413, "uploadTooLarge", "Request is too large."),
    "500": google_error(500, "backendError", "Internal error encountered."),
    "502": Fault(status=502, body=_HTML, content_type="text/html", label="502, HTML"),
    "503": _DOWN,
    "503-retry-after": _with_retry_after(_DOWN),
    "504": google_error(504, "backendError", "Deadline exceeded."),
}


def _oauth(error: str, description: str = "", *, status: int = 400, **more: Any) -> Fault:
    said = f', "error_description": "{description}"' if description else ""
    body = f'{{"error": "{error}"{said}}}'
    return Fault(status=status, body=body, label=f"{status} {error}", **more)


_TOO_MANY = _oauth("rate_limit_exceeded", status=429)

TOKEN_STEPS: Mapping[str, Fault] = {
    "close": Fault(act="close", text=N_("closes the connection without an answer")),
    "hang": Fault(act="hang", text=N_("never answers")),
    "slow": Fault(act="drip", text=N_("lets its answer drip without an end")),
    "html": Fault(body=_HTML, content_type="text/html", text=N_("answers 200 with HTML")),
    "truncated": Fault(body='{"access_token": "ya29.', text=N_("answers half a JSON")),
    "empty": Fault(text=N_("answers 200 with nothing in it")),
    "missing-token": Fault(
        body='{"expires_in": 3599, "token_type": "Bearer"}', text=N_("answers without an access token")
    ),
    "missing-expiry": Fault(
        body=None,
        without=("expires_in",),
        accepts=True,
        text=N_("gives a token without saying how long it lives"),
    ),
    "missing-type": Fault(
        body=None,
        without=("token_type", "scope"),
        accepts=True,
        text=N_("gives a token without its type and scope"),
    ),
    "gzip": Fault(body=None, zipped=True, accepts=True, text=N_("gives a token, in gzip")),
    "late": Fault(body=None, act="late", accepts=True, text=N_("gives a token, a second later")),
    "redirect": Fault(status=307, act="redirect", text=N_("answers 307 to another host")),
    "invalid_grant": _oauth("invalid_grant", "Token has been expired or revoked."),
    "invalid_client": _oauth("invalid_client", "The OAuth client was not found.", status=401),
    "admin_policy_enforced": _oauth("admin_policy_enforced", "Access is restricted by the administrator."),
    "429": _TOO_MANY,
    "429-retry-after": _with_retry_after(_TOO_MANY),
    "500": _oauth("internal_failure", status=500),
    "503": Fault(status=503, body=_HTML, content_type="text/html", label="503, HTML"),
}
