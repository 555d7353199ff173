"""Forms posted to Google's token and revocation endpoints, each once, over our own connection.

Not ``requests``, which google-auth and oauthlib would take: it follows redirects with the form in hand, reads
``.netrc``, knows nothing of ``SSL_CERT_FILE``, and logs what it is given. The libraries say what is in the
form and what the answer means; only the way is ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import OutcomeUnknown, SendError, TransientError
from ..i18n import _
from ..replies import readable
from ..wire.one_post import Answer, PostClient

__all__ = ["Endpoint", "fields_of", "said"]

TIMEOUT = 30.0
"""Seconds for one step on the network."""

_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}


class Endpoint:
    """Posts forms. ``ca_file``: as in ``tls.client_context``; ``answer``: the latest one."""

    def __init__(self, *, ca_file: str = "") -> None:
        self.answer: Answer | None = None
        self._client = PostClient(timeout=TIMEOUT, ca_file=ca_file)

    def post(self, url: str, form: str | bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """The answer, if the server could be asked and is not out of order.

        Raises ``TransientError`` otherwise, and ``RouteError`` for a certificate that is not trusted. No mail
        depends on what the server made of the form, so *unknown* counts as *later*.
        """
        body = _Whole(form.encode() if isinstance(form, str) else form)
        own = {name: value for name, value in (headers or {}).items() if name.lower() not in _OWN}
        try:
            self.answer = answer = self._client.post(url, {**own, **_FORM}, body)
        except OutcomeUnknown as error:
            raise _later(
                _("Google took the request for a token but did not answer."), error.message
            ) from error
        finally:
            self._client.close()  # hours pass until the next one
        if answer.status >= 500 or answer.status in (408, 429):
            raise _later(
                _("Google gives out no token just now (status {status}).").format(status=answer.status),
                said(answer),
                _seconds(answer.headers.get("retry-after", "")),
            )
        return answer

    def __call__(
        self, url: str, method: str = "POST", body: Any = None, headers: Any = None, **_options: Any
    ) -> _Response:
        """What google-auth takes for its transport; it asks for nothing but tokens here."""
        if method != "POST":
            raise AssertionError(f"{method}: a token is asked for by POST")
        return _Response(self.post(url, body, headers))


class _Response:
    """An answer as google-auth reads it."""

    def __init__(self, answer: Answer) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.data = answer.body if answer.whole else b""


class _Whole:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[bytes]:
        yield self._data


_OWN = frozenset(name.lower() for name in _FORM)


def fields_of(answer: Answer) -> Mapping[str, Any]:
    """The JSON object in an answer; empty where it is none."""
    try:
        found = json.loads(answer.body) if answer.whole else None
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}


def said(answer: Answer) -> str:
    """What the server says is wrong (RFC 6749 §5.2), safe to print; a page of HTML says nothing."""
    fields = fields_of(answer)
    words = [fields.get("error"), fields.get("error_description")]
    return readable(": ".join(word for word in words if isinstance(word, str)).encode("utf-8", "replace"))


def _later(message: str, text: str, retry_after: float | None = None) -> SendError:
    return TransientError(
        message,
        code="token-endpoint",
        hint=_("Nothing was sent; try again later."),
        text=text,
        retry_after=retry_after,
    )


def _seconds(header: str) -> float | None:
    return min(float(header), 86_400.0) if header.isdecimal() and header.isascii() else None
