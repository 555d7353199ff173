"""The device code flow (RFC 8628): a person consents on any computer, and this one asks until it is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

from ..accounts import Account
from ..errors import LoginRequired, TransientError
from ..i18n import _
from ..stores import Secret
from ..values import dataclass
from ._oauth_authority import giver
from ._oauth_client import Client
from ._oauth_endpoint import Endpoint
from ._oauth_grant import granted, refused
from ._oauth_tokens import Access, Consent, scopes_of

__all__ = ["DeviceRequest", "Invitation"]

GRANT = "urn:ietf:params:oauth:grant-type:device_code"

INTERVAL = 5.0
"""Seconds between two questions where the authority names none (RFC 8628 §3.2), and those that are added
where it finds us too quick (§3.5)."""

LONGEST_INTERVAL = 60.0
LONGEST_LIFE = 3600.0
"""Seconds that a code is believed to be good at most; Microsoft's are good for 15 minutes."""

_DENIED = frozenset({"access_denied", "authorization_declined"})  # Microsoft has a word of its own
_EXPIRED = frozenset({"expired_token", "code_expired"})


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a person needs: ``page`` to open, on any computer, and ``code`` to type there.

    ``page_with_code``: the page with the code in it already, or empty; ``life``: seconds that it is good for.
    """

    page: str
    code: str
    page_with_code: str
    life: float


class DeviceRequest:
    """One request, good for one consent.

    ``timeout``: seconds to wait for the person at most; ``pause``, ``clock``: how time passes and is told.
    """

    def __init__(
        self,
        account: Account,
        client: Client,
        *,
        timeout: float,
        pause: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._account = account
        self._client = client
        self._timeout = timeout
        self._pause = pause
        self._clock = clock
        self._device_code = Secret("")
        self._interval = INTERVAL
        self._until = 0.0

    def invite(self) -> Invitation:
        """Ask for a code (RFC 8628 §3.1).

        Raises ``LoginRequired`` where the authority gives none, ``TransientError`` where none can be had now.
        """
        form = {"client_id": self._client.client_id, "scope": " ".join(scopes_of(self._account))}
        endpoint = self._endpoint()
        status = endpoint.post(self._client.device_uri, urlencode(form | self._secret())).status
        fields = endpoint.fields
        if status != 200 or "error" in fields:
            raise refused(self._account, endpoint)
        device_code, code = fields.get("device_code"), fields.get("user_code")
        # The second name is of drafts of the standard; some still use it.
        page = fields.get("verification_uri") or fields.get("verification_url")
        if not isinstance(device_code, str) or not device_code or not _printable(code) or not _is_page(page):
            raise endpoint.nonsense()
        self._device_code = Secret(device_code)
        self._interval = min(_number(fields.get("interval"), INTERVAL), LONGEST_INTERVAL)
        life = min(_number(fields.get("expires_in"), self._timeout), LONGEST_LIFE, self._timeout)
        self._until = self._clock() + life
        whole = fields.get("verification_uri_complete")
        return Invitation(str(page), str(code), str(whole) if _is_page(whole) else "", life)

    def wait(self) -> tuple[Consent, Access]:
        """The tokens, once the person has consented (RFC 8628 §3.4).

        Raises ``LoginRequired`` where that was denied, did not happen in time, or is not what was asked for.
        """
        form = {
            "grant_type": GRANT,
            "device_code": self._device_code.reveal(),
            "client_id": self._client.client_id,
        }
        out_of_reach: TransientError | None = None
        while self._clock() + self._interval < self._until:
            self._pause(self._interval)
            endpoint = self._endpoint()
            try:
                status = endpoint.post(self._client.token_uri, urlencode(form | self._secret())).status
            except TransientError as error:
                # Asked more seldom, as §3.5 wants it: it may come back in time.
                out_of_reach, self._interval = error, min(2 * self._interval + 1.0, LONGEST_INTERVAL)
                continue
            out_of_reach = None
            word = endpoint.fields.get("error")
            if word == "slow_down":
                self._interval += INTERVAL
            elif word in _EXPIRED:
                break
            elif word in _DENIED:
                raise giver(self._account).denied(self._account, endpoint.said)
            elif word != "authorization_pending":
                if status != 200 or word is not None:
                    raise refused(self._account, endpoint)
                return granted(self._account, self._client, endpoint)
        raise out_of_reach or LoginRequired(
            _("Nobody entered the code in time. Nothing was changed."),
            code="consent-timeout",
            hint=_("Start the login again; --timeout SECONDS gives more time."),
        )

    def _endpoint(self) -> Endpoint:
        return Endpoint(
            giver(self._account).title,
            ca_file=self._account.ca_file,
            hide=(self._device_code, self._client.client_secret),
        )

    def _secret(self) -> dict[str, str]:
        secret = self._client.client_secret.reveal()
        return {"client_secret": secret} if secret else {}


def _printable(text: Any) -> bool:
    return isinstance(text, str) and 0 < len(text) <= 100 and text.isprintable()


def _is_page(url: Any) -> bool:
    """Whether this is an address to show to a person: printable, and of the web."""
    if not isinstance(url, str) or not all(32 < ord(char) < 127 for char in url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _number(value: Any, default: float) -> float:
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e9 else default
