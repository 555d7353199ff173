"""Gmail's ``users.messages.send``: judges the request as Google does, and keeps the message."""

from __future__ import annotations

import json
import re
import secrets
from base64 import urlsafe_b64decode
from binascii import Error as BadBase64
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from .faults import GMAIL_STEPS, Fault, google_error
from .grants import Access, Grants
from .inbox import Inbox, Received
from .letters import Letter, LetterError
from .plan import Plan
from .uploads import BadUpload, Uploads, read_related

__all__ = ["MOST_OCTETS", "MOST_RECIPIENTS", "Gmail"]

MOST_OCTETS = 36_700_160
"""Octets of a whole message (the discovery document's ``maxSize``)."""

MOST_RECIPIENTS = 100

_SCOPES = {
    "https://mail.google.com/",
    "https://www.googleapis.com/auth/gmail.compose",
    "https://www.googleapis.com/auth/gmail.modify",
    "https://www.googleapis.com/auth/gmail.send",
}
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/", error="invalid_token"'}
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*={0,2}")
_STANDARD_TO_URL = str.maketrans("+/", "-_")


class _Refused(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.status)
        self.fault = fault


class Gmail:
    """The handlers. ``plan``: what happens to requests that are right in themselves."""

    def __init__(self, grants: Grants, inbox: Inbox, *, plan: str) -> None:
        self._grants = grants
        self._inbox = inbox
        self._plan = Plan("Gmail", plan, dict.fromkeys(GMAIL_STEPS, "send"), end="send")
        self._uploads: Uploads[tuple[Access, str]] = Uploads(MOST_OCTETS)
        self._threads: set[str] = set()

    def routes(self) -> list[web.RouteDef]:
        """What to serve, and where."""
        path = "/gmail/v1/users/{user}/messages/send"
        return [
            web.post(path, self.send),
            web.post("/upload" + path, self.upload),
            web.post("/resumable/upload" + path, self.begin),
            web.put("/upload" + path, self.resume),
            web.put("/resumable/upload" + path, self.resume),
        ]

    async def send(self, request: web.Request) -> web.Response:
        """The message in JSON, as base64url."""
        return await self._answer(request, _read_json)

    async def upload(self, request: web.Request) -> web.Response:
        """The message as it is: alone (``media``), after its JSON (``multipart``), or announced."""
        kind = request.query.get("uploadType", "")
        if kind == "resumable":
            return await self.begin(request)
        readers = {"media": _read_media, "multipart": _read_multipart}
        return await self._answer(request, readers.get(kind, _read_unknown))

    async def begin(self, request: web.Request) -> web.Response:
        """The first request of an upload in parts: tells where to put the message."""
        self._inbox.count("gmail.begin")
        try:
            access = self._authorize(request)
            kind = request.headers.get("X-Upload-Content-Type", "message/rfc822")
            _check_kind(kind.partition(";")[0].strip().lower())
            thread = _thread_of(await _json_body(request)) if request.can_read_body else ""
            name = self._uploads.open((access, thread), request.headers.get("X-Upload-Content-Length", ""))
        except _Refused as refused:
            return self._refuse(refused.fault)
        except BadUpload as error:
            return self._refuse(_bad_upload(error))
        location = request.url.with_query(uploadType="resumable", upload_id=name)
        return web.Response(headers={"Location": str(location), "X-GUploader-UploadID": name})

    async def resume(self, request: web.Request) -> web.Response:
        """The message or a part of it; 308 until all of it is there."""
        self._inbox.count("gmail.part")
        name = request.query.get("upload_id", "")
        try:
            data = await _body(request)
            kept = self._uploads.put(name, request.headers.get("Content-Range", ""), data)
            if kept is not None:
                headers = {"Range": f"bytes=0-{kept - 1}"} if kept else {}
                return web.Response(status=308, headers={"X-GUploader-UploadID": name, **headers})
            (access, thread), whole = self._uploads.close(name)
            self._inbox.count("gmail.post")
            return await self._settle(request, access, thread, whole)
        except _Refused as refused:
            return self._refuse(refused.fault)
        except BadUpload as error:
            return self._refuse(_bad_upload(error))

    async def _answer(
        self, request: web.Request, read: Callable[[web.Request], Awaitable[tuple[str, bytes]]]
    ) -> web.Response:
        try:
            # The body first, so that a refusal never meets a client that is still writing.
            body = await _body(request)
            self._inbox.count("gmail.post")
            access = self._authorize(request)
            thread, data = await read(request) if body else _nothing()
            return await self._settle(request, access, thread, data)
        except _Refused as refused:
            return self._refuse(refused.fault)

    def _authorize(self, request: web.Request) -> Access:
        scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            message = "Request is missing required authentication credential. Expected OAuth 2 access token."
            raise _Refused(google_error(401, "required", message, headers=_CHALLENGE))
        access = self._grants.access(token)
        if access is None:
            message = "Request had invalid authentication credentials. Expected OAuth 2 access token."
            raise _Refused(google_error(401, "authError", message, headers=_CHALLENGE))
        if not access.scopes & _SCOPES:
            message = "Request had insufficient authentication scopes."
            raise _Refused(google_error(403, "insufficientPermissions", message))
        user = request.match_info["user"]
        if user != "me" and user.lower() != access.account.lower():
            raise _Refused(google_error(403, "delegationDenied", f"Delegation denied for {access.account}"))
        return access

    async def _settle(self, request: web.Request, access: Access, thread: str, data: bytes) -> web.Response:
        """Judge the message, let happen what the plan says, else accept."""
        recipients = self._judge(thread, data)
        step = self._plan.next("send")
        fault = GMAIL_STEPS[step] if step else None
        if fault and not fault.accepts:
            self._inbox.count("gmail.fault")
            return await fault.befall(request)
        name = secrets.token_hex(8)
        self._threads.add(thread or name)
        self._inbox.add(
            Received(
                route="gmail",
                account=access.account,
                sender=access.account,
                recipients=recipients,
                data=data,
                at=datetime.now(UTC),
                id=name,
            )
        )
        if fault:
            return await fault.befall(request)
        return web.json_response({"id": name, "threadId": thread or name, "labelIds": ["SENT"]})

    def _judge(self, thread: str, data: bytes) -> tuple[str, ...]:
        """The recipients of a message that Gmail would send."""
        if len(data) > MOST_OCTETS:
            raise _Refused(_too_large())
        if thread and thread not in self._threads:
            raise _Refused(google_error(404, "notFound", "Requested entity was not found."))
        try:
            letter = Letter(data)
            letter.addresses("From", "Reply-To", "Sender")
            recipients = letter.addresses("To", "Cc", "Bcc")
        except LetterError as error:
            raise _Refused(_invalid(str(error))) from None
        if not recipients:
            raise _Refused(_invalid("Recipient address required"))
        if len(recipients) > MOST_RECIPIENTS:
            raise _Refused(_invalid("Too many recipients"))
        return recipients

    def _refuse(self, fault: Fault) -> web.Response:
        self._inbox.count("gmail.refused")
        return fault.response()


def _invalid(message: str) -> Fault:
    return google_error(400, "invalidArgument", message)


def _too_large() -> Fault:
    message = f"Message size exceeds fixed limit of {MOST_OCTETS} bytes."
    return google_error(413, "uploadTooLarge", message)


def _bad_upload(error: BadUpload) -> Fault:
    return _too_large() if error.status == 413 else google_error(error.status, "badRequest", str(error))


def _nothing() -> tuple[str, bytes]:
    message = "'raw' RFC822 payload message string or uploading message via /upload/* URL required"
    raise _Refused(_invalid(message))


async def _body(request: web.Request) -> bytes:
    try:
        return await request.read()  # kept by the request: the next call gives the same
    except web.HTTPRequestEntityTooLarge:
        raise _Refused(_too_large()) from None


async def _json_body(request: web.Request) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise _Refused(_unsupported(request.content_type, "application/json"))
    return _parse_json(await _body(request))


def _parse_json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise _Refused(google_error(400, "parseError", "Parse Error")) from None
    if not isinstance(value, dict):
        raise _Refused(google_error(400, "parseError", "Parse Error"))
    return value


async def _read_json(request: web.Request) -> tuple[str, bytes]:
    value = await _json_body(request)
    raw = value.get("raw")
    if not raw:
        return _nothing()
    if not isinstance(raw, str):
        raise _Refused(_bad_raw())
    text = raw.translate(_STANDARD_TO_URL)
    if not _BASE64URL.fullmatch(text):
        raise _Refused(_bad_raw())
    text = text.rstrip("=")
    try:
        return _thread_of(value), urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except BadBase64:
        raise _Refused(_bad_raw()) from None


async def _read_media(request: web.Request) -> tuple[str, bytes]:
    _check_kind(request.content_type)
    return "", await _body(request)


async def _read_multipart(request: web.Request) -> tuple[str, bytes]:
    if request.content_type != "multipart/related":
        raise _Refused(_unsupported(request.content_type, "multipart/related"))
    try:
        metadata, kind, data = read_related(request.headers["Content-Type"], await _body(request))
    except BadUpload as error:
        raise _Refused(_bad_upload(error)) from None
    _check_kind(kind)
    return _thread_of(_parse_json(metadata)), data


async def _read_unknown(request: web.Request) -> tuple[str, bytes]:
    message = "The uploadType must be media, multipart or resumable."
    raise _Refused(google_error(400, "badRequest", message))


def _check_kind(kind: str) -> None:
    if not kind.startswith("message/"):
        raise _Refused(_unsupported(kind, "message/*"))


def _unsupported(kind: str, valid: str) -> Fault:
    message = f"Media type '{kind[:80]}' is not supported. Valid media types: [{valid}]"
    return google_error(400, "badContent", message)


def _bad_raw() -> Fault:
    return google_error(
        400, "badRequest", "Invalid value at 'message.raw' (TYPE_BYTES), Base64 decoding failed"
    )


def _thread_of(value: dict[str, Any]) -> str:
    thread = value.get("threadId", "")
    if not isinstance(thread, str):
        raise _Refused(google_error(400, "badRequest", "Invalid value at 'message.thread_id' (TYPE_STRING)"))
    return thread
