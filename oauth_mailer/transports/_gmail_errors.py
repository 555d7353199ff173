"""What a refusal by the Gmail API means, as rows of data.

Sources: the Gmail API's guide to errors and its page on quotas; the Workspace help's page 166852 on limits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ..errors import LoginRequired, OutcomeUnknown, RejectedError, RouteError, SendError, TransientError
from ..i18n import N_, _
from ..stores import Secret
from ..values import dataclass
from ..wire.one_post import Answer

__all__ = ["refusal"]

_MINUTE = 60.0  # the send quota is counted by the minute
_DAY = 86400.0  # the daily limit is a rolling one of 24 hours
_MAX_WAIT = 7 * _DAY


@dataclass(frozen=True, slots=True)
class _Row:
    """One reason: its kind of error, when to try again at the earliest, what it says, what to do."""

    kind: type[SendError]
    cause: str
    remedy: str
    wait: float | None = None


_TOO_FAST = _Row(
    TransientError,
    N_("Gmail's sending rate for this account is used up for now."),
    N_("Wait a little and send it again."),
    _MINUTE,
)
_LOGIN_AGAIN = N_("Run: oauth-mailer login {address}")

_NO_SCOPE = _Row(
    LoginRequired,
    N_("The consent given to the app does not include sending mail."),
    _LOGIN_AGAIN,
)
_NOT_ENABLED = _Row(
    RouteError,
    N_("The Gmail API is not enabled in the Google Cloud project of your client."),
    N_("Enable it, wait a minute and send again: {url}"),
)
_NO_MAILBOX = _Row(
    RouteError,
    N_("Gmail does not send for this account (is the mail service switched on for it?)."),
    N_("Open Gmail in the browser with this account and see what it says."),
)

_REASONS: Mapping[str, _Row] = {
    "rateLimitExceeded": _TOO_FAST,
    "userRateLimitExceeded": _TOO_FAST,
    "RATE_LIMIT_EXCEEDED": _TOO_FAST,
    "RESOURCE_EXHAUSTED": _TOO_FAST,
    "dailyLimitExceeded": _Row(
        TransientError,
        N_("Gmail's daily sending limit for this account is used up."),
        N_("Send it tomorrow, or by another account with --fallback."),
        _DAY,
    ),
    "quotaExceeded": _Row(
        TransientError,
        N_("The quota of the Google Cloud project is used up."),
        N_("Wait, or raise the quota in Google's console."),
        _DAY,
    ),
    "domainPolicy": _Row(
        RouteError,
        N_("The administrator of this Workspace domain does not allow apps to send mail."),
        N_("Ask the administrator to allow the app, or use another account."),
    ),
    "insufficientPermissions": _NO_SCOPE,
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": _NO_SCOPE,
    "accessNotConfigured": _NOT_ENABLED,
    "SERVICE_DISABLED": _NOT_ENABLED,
    "failedPrecondition": _NO_MAILBOX,
    "FAILED_PRECONDITION": _NO_MAILBOX,
    "delegationDenied": _Row(
        LoginRequired,
        N_("The consent belongs to another Google account."),
        _LOGIN_AGAIN,
    ),
}

_REJECTED = _Row(RejectedError, N_("Gmail refused the message."), N_("Mend the message as its reason says."))
_REDIRECTED = _Row(
    TransientError,
    N_("Something on the way to Gmail answered with a redirect, which is not followed."),
    N_("Sign in to the network (a captive portal?), check the proxy, and send it again."),
)

_STATUSES: Mapping[int, _Row] = {
    301: _REDIRECTED,
    302: _REDIRECTED,
    307: _REDIRECTED,
    308: _REDIRECTED,
    400: _REJECTED,
    401: _Row(LoginRequired, N_("Google no longer accepts the login of this account."), _LOGIN_AGAIN),
    403: _Row(RouteError, N_("Gmail does not allow this account to send."), N_("See Google's reason above.")),
    404: _Row(
        RouteError, N_("There is no Gmail API at this address."), N_("Check OAUTH_MAILER_GMAIL_ENDPOINT.")
    ),
    408: _Row(TransientError, N_("Gmail did not get the whole message in time."), N_("Send it again.")),
    413: _Row(RejectedError, N_("The message is too large for Gmail."), N_("Share large files by a link.")),
    422: _REJECTED,
    429: _TOO_FAST,
}
_REFUSED = _Row(
    RouteError,
    N_("What answers in place of Gmail did not take the message."),
    N_("Check OAUTH_MAILER_GMAIL_ENDPOINT, and the proxy."),
)

_CONSOLE = "https://console.cloud.google.com/apis/library/gmail.googleapis.com"


def refusal(answer: Answer, address: str, token: Secret) -> SendError:
    """The error for an answer that is no 2xx; ``address`` is the account's, ``token`` what was shown."""
    errors = list(_reasons(answer.body))
    texts = [text for _reason, text in errors if text]
    text = texts[0] if texts else answer.reason
    text = _printable(text.replace(token.reveal(), "***") if token else text)
    if answer.taken and not 400 <= answer.status < 500 and answer.status not in _STATUSES:
        # The guide says "retry"; but a server that fails after it has the message may have sent it. Nor does
        # it say no with 101 or 303, which sends to another page after the deed.
        return OutcomeUnknown(
            _("Gmail failed with {status} after it had the message: it may have been sent.").format(
                status=answer.status
            ),
            code=f"gmail-{answer.status}",
            hint=_("Look into the Sent folder before you send it again."),
            text=text,
        )
    reason, row = _row(answer, [reason for reason, _text in errors])
    url = next((found for found in map(_activation_url, texts) if found), _CONSOLE)
    message = _(row.cause)
    hint = _(row.remedy).format(address=address, url=url)
    words = re.sub("(?<=[a-z])(?=[A-Z])|_", "-", reason or str(answer.status))
    code = f"gmail-{words}".lower()
    if text:
        message += " " + _("Google says: {text}").format(text=text)
    if row.kind is TransientError:
        wait = _retry_after(answer.headers.get("retry-after", ""), text) or row.wait
        return TransientError(message, code=code, hint=hint, text=text, retry_after=wait)
    return row.kind(message, code=code, hint=hint, text=text)


def _row(answer: Answer, reasons: list[str]) -> tuple[str, _Row]:
    for reason in reasons:
        if row := _REASONS.get(reason):
            return reason, row
    if row := _STATUSES.get(answer.status):
        return "", row
    if 400 <= answer.status < 500:
        return "", _REFUSED
    # Answered before the whole message was there.
    return "", _Row(TransientError, N_("Gmail cannot take the message now."), N_("Send it again later."))


def _reasons(body: bytes) -> Iterator[tuple[str, str]]:
    """The reasons and texts in Google's JSON, the most telling first; nothing where it is no such JSON."""
    try:
        found = json.loads(body)
        error = (found[0] if isinstance(found, list) else found)["error"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return
    if not isinstance(error, dict):
        yield "", error if isinstance(error, str) else ""  # as OAuth has it (RFC 6750 §3.1)
        return
    message = error.get("message")
    message = message if isinstance(message, str) else ""
    for item in [*_dicts(error.get("errors")), *_dicts(error.get("details"))]:
        if isinstance(reason := item.get("reason"), str):
            text = item.get("message")
            yield reason, text if isinstance(text, str) and text else message
    status = error.get("status")
    yield status if isinstance(status, str) else "", message
    for item in _dicts(error.get("details")):
        metadata = item.get("metadata")
        for source in [*_dicts(item.get("links")), *_dicts([metadata])]:
            yield from (("", text) for text in source.values() if isinstance(text, str))


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _activation_url(text: str) -> str:
    found = re.search(r"https://console\.(?:developers|cloud)\.google\.com/[\w./?=&%-]{1,300}", text)
    return found.group() if found else ""


def _printable(text: str) -> str:
    text = " ".join(text.split())[:500]
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _retry_after(header: str, text: str) -> float | None:
    """Seconds to wait by the Retry-After header (RFC 9110 §10.2.3) or by the time in Google's text."""
    header = header.strip()
    if header.isdecimal() and header.isascii():
        return min(float(header), _MAX_WAIT)
    at: datetime | None = None
    try:
        if header:
            from email.utils import parsedate_to_datetime

            at = parsedate_to_datetime(header).astimezone(UTC)
        elif found := re.search(r"Retry after (\d{4}-\d\d-\d\dT[\d:.]+Z)", text):
            at = datetime.fromisoformat(found.group(1))
    except (ValueError, OverflowError):
        return None
    return min(max((at - datetime.now(UTC)).total_seconds(), 1.0), _MAX_WAIT) if at else None
