"""Forms posted to an authority's endpoints (token, revocation, device), each once, over our own connection.

Not ``requests``, which google-auth and oauthlib would take: it follows redirects with the form in hand, reads
``.netrc``, knows nothing of ``SSL_CERT_FILE``, and logs what it is given. The libraries say what is in the
form and what the answer means; only the way is ours.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..errors import OutcomeUnknown, SendError, TransientError
from ..i18n import _
from ..replies import readable
from ..stores import Secret
from ..wire.http_connection import reason
from ..wire.one_post import Answer, PostClient

__all__ = ["Endpoint", "plain"]

TIMEOUT = 30.0
"""Seconds for one step on the network."""

_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}


_PASSING = {"internal_failure", "server_error", "temporarily_unavailable", "rate_limit_exceeded"}
"""Words of a server that is out of order; google-auth would ask it three times in a row."""


class Endpoint:
    """Posts forms. ``title``: whose endpoint it is; ``ca_file``: as in ``tls.client_context``; ``hide``: what
    is in them and is never shown.

    ``timeout``: seconds for one step on the network, ``TIMEOUT`` at most; ``fields``: the JSON object in the
    latest answer, empty where it was none, and ``status`` its status.
    """

    def __init__(
        self, title: str, *, ca_file: str = "", hide: Iterable[Secret] = (), timeout: float = math.inf
    ) -> None:
        self.fields: Mapping[str, Any] = {}
        self.status = 0
        self.title = title
        self._hide = [secret.reveal() for secret in hide if secret]
        self._client = PostClient(timeout=min(timeout, TIMEOUT), ca_file=ca_file)

    @property
    def said(self) -> str:
        """What the server says is wrong (RFC 6749 §5.2), safe to print; a page of HTML says nothing."""
        words = [self.fields.get("error"), self.fields.get("error_description")]
        text = ": ".join(word for word in words if isinstance(word, str))
        for secret in self._hide:  # some repeat what they were sent
            text = text.replace(secret, "***")
        return readable(text.encode("utf-8", "replace"))

    def post(self, url: str, form: str | bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """The answer, if the server could be asked and is not out of order.

        Raises ``TransientError`` otherwise, and ``RouteError`` for a certificate that is not trusted. No mail
        depends on what the server made of the form, so *unknown* counts as *later*.
        """
        body = _Whole(form.encode() if isinstance(form, str) else form)
        own = {name: value for name, value in (headers or {}).items() if name.lower() not in _OWN}
        self.fields = {}
        try:
            answer = self._client.post(url, {**own, **_FORM}, body)
        except OutcomeUnknown as error:
            why = reason(error.__cause__) if isinstance(error.__cause__, Exception) else ""
            raise _later(
                _("{title} took the request for a token but did not answer ({reason}).").format(
                    title=self.title, reason=why
                )
            ) from error
        finally:
            self._client.close()  # hours pass until the next one
        self.fields, self.status = _fields_of(answer), answer.status
        words = [self.fields.get("error"), self.fields.get("error_description")]
        if (
            answer.status >= 500
            or answer.status in (408, 429)
            or any(word in _PASSING for word in words if isinstance(word, str))
        ):
            raise _later(
                _("{title} gives out no token just now (status {status}).").format(
                    title=self.title, status=answer.status
                ),
                self.said,
                _seconds(answer.headers.get("retry-after", "")),
            )
        return answer

    def nonsense(self) -> TransientError:
        """The error for an answer that is none of a token endpoint."""
        return TransientError(
            _(
                "What answers in place of {title}'s token endpoint gives no token (a proxy, or a sign-in "
                "page?)."
            ).format(title=self.title),
            code="token-answer",
            hint=_("Sign in to the network, check HTTPS_PROXY, and try again."),
        )

    def __call__(
        self, url: str, method: str = "POST", body: Any = None, headers: Any = None, **_options: Any
    ) -> _Response:
        """What google-auth takes for its transport; it asks for nothing but tokens here."""
        if method != "POST":
            raise AssertionError(f"{method}: a token is asked for by POST")
        return _Response(self.post(url, body, headers), self.fields)


class _Response:
    """An answer as google-auth reads it."""

    def __init__(self, answer: Answer, fields: Mapping[str, Any]) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.data = plain(fields)


class _Whole:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[bytes]:
        yield self._data


_OWN = frozenset(name.lower() for name in _FORM)


def plain(fields: Mapping[str, Any]) -> bytes:
    """An answer as the libraries are given it: without the lifetime, on whose odd forms they stumble."""
    return json.dumps({name: value for name, value in fields.items() if name != "expires_in"}).encode()


def _fields_of(answer: Answer) -> Mapping[str, Any]:
    try:
        found = json.loads(answer.body) if answer.whole else None
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}


def _later(message: str, text: str = "", retry_after: float | None = None) -> SendError:
    return TransientError(
        message,
        code="token-endpoint",
        hint=_("Nothing was sent; try again later."),
        text=text,
        retry_after=retry_after,
    )


def _seconds(header: str) -> float | None:
    return min(float(header), 86_400.0) if header.isdecimal() and header.isascii() else None
