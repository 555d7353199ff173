"""Gmail by the Gmail API (``users.messages.send``).

``wire.one_post`` carries the request, so that one ``send`` is one POST whatever the network does. Small mail
goes as base64url ``raw`` in JSON, which is a line to write; large mail by the upload address, streamed, whose
request google-api-python-client makes. The API takes the recipients from the headers, so blind ones are put
in front as a Bcc header, which Google removes.
"""

from __future__ import annotations

import json
import os
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from ..accounts import Account
from ..auth import Credential
from ..errors import OutcomeUnknown, RejectedError, RouteError
from ..i18n import _
from ..message import Envelope
from ..mime import Content
from ..stores import Secret
from ..wire.endpoint import check_endpoint
from ..wire.one_post import Answer, PostClient
from . import Acceptance
from ._gmail_errors import refusal

__all__ = ["UPLOAD_FROM", "GmailTransport"]

UPLOAD_FROM = 1 << 20
"""Octets from which a message is streamed to the upload address rather than sent inside JSON."""

_ENDPOINT = "https://gmail.googleapis.com"
_SEND = "/gmail/v1/users/me/messages/send?alt=json"


def open(account: Account, credential: Callable[[], Credential], timeout: float) -> GmailTransport:  # noqa: A001
    """The transport of a Gmail account."""
    return GmailTransport(account.address, credential, timeout=timeout, ca_file=account.ca_file)


class GmailTransport:
    """Sends by the Gmail API; may be used from several threads at once.

    ``credential`` gives the bearer token's credential when first needed; ``timeout``: seconds for one step on
    the network. ``OAUTH_MAILER_GMAIL_ENDPOINT`` names another root of the API.
    """

    name = "gmail"

    def __init__(
        self, address: str, credential: Callable[[], Credential], *, timeout: float, ca_file: str = ""
    ) -> None:
        root = os.environ.get("OAUTH_MAILER_GMAIL_ENDPOINT", "") or _ENDPOINT
        self._root = check_endpoint(root, "OAUTH_MAILER_GMAIL_ENDPOINT").rstrip("/")
        self._address = address
        self._open_credential = credential
        self._client = PostClient(timeout=timeout, ca_file=ca_file)
        self._lock = threading.Lock()
        self._credential: Credential | None = None
        self._api: Any = None

    def send(self, envelope: Envelope, content: Content) -> Acceptance:
        """Send; see ``Transport.send``."""
        if stranger := next((one for one in envelope.named if one not in envelope.recipients), None):
            raise RouteError(
                _(
                    "Gmail sends to everyone in the headers, and {address} is named there but not to get it."
                ).format(address=stranger.email),
                code="gmail-partial-recipients",
                hint=_("Send it by SMTP, or name only those who shall get it."),
            )
        credential = self._ready()
        body = _Stream(_bcc_header(envelope), content)
        secret = credential.get()
        answer = self._post(body, secret)
        if answer.status == 401:
            # A token may be revoked before its time: it is renewed once; the server has refused the request.
            secret = credential.renew(secret)
            answer = self._post(body, secret)
        return self._judge(answer, secret)

    def close(self) -> None:
        """Close kept connections."""
        self._client.close()

    def _ready(self) -> Credential:
        with self._lock:
            if self._credential is None:
                self._credential = self._open_credential()
            return self._credential

    def _post(self, body: _Stream, token: Secret) -> Answer:
        """The only place that chooses the way: JSON is written here, an upload by Google's library."""
        if len(body) >= UPLOAD_FROM:
            return self._upload(body, token)
        raw = urlsafe_b64encode(b"".join(body))
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token.reveal()}"}
        return self._client.post(f"{self._root}{_SEND}", headers, _Whole(b'{"raw":"%b"}' % raw), "POST")

    def _upload(self, body: _Stream, token: Secret) -> Answer:
        carrier = _Carrier(self._client, token)
        request = _large(self._messages(), body)
        # The library puts another host into the upload address, but neither its scheme nor its path.
        upload = urlsplit(request.uri)
        request.uri = f"{self._root}{upload.path}?{upload.query}"
        try:
            request.execute(http=carrier, num_retries=0)
        except Exception:  # whatever the library makes of an answer, the answer itself counts
            if carrier.answer is None:
                raise  # it came from below: a SendError, or a MessageError of the content
        if carrier.answer is None:
            raise AssertionError("a request was executed without its carrier")
        return carrier.answer

    def _messages(self) -> Any:
        """The part of the API that sends, as Google's own description has it."""
        with self._lock:
            if self._api is None:
                from googleapiclient.discovery import build

                service = build(
                    "gmail",
                    "v1",
                    http=_Carrier(self._client, Secret("")),  # each request is executed with its own
                    static_discovery=True,
                    cache_discovery=False,
                    client_options={"api_endpoint": self._root},
                )
                self._api = service.users().messages()
            return self._api

    def _judge(self, answer: Answer, token: Secret) -> Acceptance:
        if not 200 <= answer.status < 300:
            raise refusal(answer, self._address, token)
        try:
            remote_id = json.loads(answer.body)["id"]
        except (ValueError, KeyError, TypeError, RecursionError):
            remote_id = None
        if not isinstance(remote_id, str) or not remote_id or not remote_id.isprintable():
            raise OutcomeUnknown(
                _("Gmail answered {status}, but without the message's id: it may have been sent.").format(
                    status=answer.status
                ),
                code="gmail-answer-unreadable",
                hint=_("Look into the Sent folder before you send it again."),
            )
        return Acceptance(remote_id=remote_id)


class _Stream:
    """A message as the body of a request: its length is known, and each iteration starts afresh."""

    def __init__(self, head: bytes, content: Content) -> None:
        self._head = head
        self._content = content

    def __len__(self) -> int:
        return len(self._head) + self._content.size

    def __iter__(self) -> Iterator[bytes]:
        if self._head:
            yield self._head
        yield from self._content.blocks()


class _Whole:
    """Octets in memory as the body of a request, in blocks so that a time-out is one of progress."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[bytes]:
        return (bytes(self._data[at : at + 65536]) for at in range(0, len(self._data), 65536))


class _Carrier:
    """What google-api-python-client takes for an ``http`` object: one ``request`` is one request."""

    def __init__(self, client: PostClient, token: Secret) -> None:
        self._client = client
        self._token = token
        self.answer: Answer | None = None

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> tuple[Any, bytes]:
        from httplib2 import Response

        own = {name: value for name, value in (headers or {}).items() if name.lower() != "accept-encoding"}
        own["authorization"] = f"Bearer {self._token.reveal()}"
        data = (
            body
            if isinstance(body, _Stream)
            else _Whole(body.encode() if isinstance(body, str) else body or b"")
        )
        self.answer = answer = self._client.post(uri, own, data, method)
        response = Response({**answer.headers, "status": str(answer.status)})
        response.reason = answer.reason
        return response, answer.body


def _large(messages: Any, body: _Stream) -> Any:
    from googleapiclient.errors import MediaUploadSizeError

    try:
        return messages.send(userId="me", media_body=_media(body))
    except MediaUploadSizeError as error:  # the route's limit is kept without the Bcc header
        raise RejectedError(
            _("The message is too large for Gmail."),
            code="message-too-large",
            hint=_("Share large files by a link."),
        ) from error


def _media(body: _Stream) -> Any:
    from googleapiclient.http import MediaUpload

    class Media(MediaUpload):  # type: ignore[misc]
        """Hands the stream itself over where the library expects the octets, so that none are copied."""

        def chunksize(self) -> int:
            return len(body)

        def mimetype(self) -> str:
            return "message/rfc822"

        def size(self) -> int:
            return len(body)

        def resumable(self) -> bool:
            return False  # a resumable upload takes several requests, and its end could not be told for sure

        def getbytes(self, begin: int, end: int) -> _Stream:
            if (begin, end) != (0, len(body)):
                raise AssertionError("a part of the message was asked for")
            return body

    return Media()


def _bcc_header(envelope: Envelope) -> bytes:
    named = set(envelope.named)
    blind = [one.email for one in envelope.recipients if one not in named]
    return b"Bcc: " + ",\r\n ".join(blind).encode() + b"\r\n" if blind else b""
