"""Gmail's ``users.messages.send``: judges the request as Google does, and keeps the message."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from aiohttp import web

from .faults import Fault, Refused, google_error
from .grants import Access, Grants
from .http_faults import GMAIL_STEPS
from .inbox import Event, Inbox, Received
from .letters import Letter, LetterError
from .plan import Plan
from .sends import (
    Send,
    check_kind,
    invalid,
    read_body,
    read_json,
    read_media,
    read_multipart,
    read_thread,
)
from .uploads import MOST_OCTETS, Uploads, too_large

__all__ = ["MOST_RECIPIENTS", "Gmail"]

MOST_RECIPIENTS = 100

_SCOPES = {
    "https://mail.google.com/",
    "https://www.googleapis.com/auth/gmail.compose",
    "https://www.googleapis.com/auth/gmail.modify",
    "https://www.googleapis.com/auth/gmail.send",
}
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/", error="invalid_token"'}


class Gmail:
    """The handlers. ``plan``: what happens to requests that are right in themselves."""

    def __init__(self, grants: Grants, inbox: Inbox, *, plan: str) -> None:
        self._grants = grants
        self._inbox = inbox
        self.plan = Plan("Gmail", plan, dict.fromkeys(GMAIL_STEPS, "send"), end="send")
        self._uploads: Uploads[tuple[Access, str]] = Uploads()
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
        return await self._answer(request, read_json)

    async def upload(self, request: web.Request) -> web.Response:
        """The message as it is: alone (``media``), after its JSON (``multipart``), or announced."""
        kind = request.query.get("uploadType", "")
        if kind == "resumable":
            return await self.begin(request)
        return await self._answer(request, read_multipart if kind == "multipart" else read_media)

    async def begin(self, request: web.Request) -> web.Response:
        """The first request of an upload in parts: tells where to put the message."""
        self._inbox.count("gmail.begin")
        try:
            access = self._authorize(request)
            kind = request.headers.get("X-Upload-Content-Type", "message/rfc822")
            check_kind(kind.partition(";")[0].strip().lower())
            thread = await read_thread(request) if request.can_read_body else ""
            name = self._uploads.open((access, thread), request.headers.get("X-Upload-Content-Length", ""))
        except Refused as refused:
            return await self._refuse(request, refused)
        location = request.url.with_query(uploadType="resumable", upload_id=name)
        return web.Response(headers={"Location": str(location), "X-GUploader-UploadID": name})

    async def resume(self, request: web.Request) -> web.Response:
        """The message or a part of it; 308 until all of it is there."""
        self._inbox.count("gmail.part")
        name = request.query.get("upload_id", "")
        try:
            data = await read_body(request)
            kept = self._uploads.put(name, request.headers.get("Content-Range", ""), data)
            if kept is not None:
                headers = {"Range": f"bytes=0-{kept - 1}"} if kept else {}
                return web.Response(status=308, headers={"X-GUploader-UploadID": name, **headers})
            (access, thread), whole = self._uploads.close(name)
            self._inbox.count("gmail.post")
            return await self._settle(request, access, Send(thread, whole))
        except Refused as refused:
            return await self._refuse(request, refused)

    async def _answer(
        self, request: web.Request, read: Callable[[web.Request], Awaitable[Send]]
    ) -> web.Response:
        try:
            # The body first, so that a refusal never meets a client that is still writing.
            await read_body(request)
            self._inbox.count("gmail.post")
            access = self._authorize(request)
            return await self._settle(request, access, await read(request))
        except Refused as refused:
            return await self._refuse(request, refused)

    def _authorize(self, request: web.Request) -> Access:
        scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            message = "Request is missing required authentication credential. Expected OAuth 2 access token."
            raise Refused(google_error(401, "required", message, headers=_CHALLENGE))
        access = self._grants.access(token)
        if access is None:
            message = "Request had invalid authentication credentials. Expected OAuth 2 access token."
            raise Refused(google_error(401, "authError", message, headers=_CHALLENGE))
        if not access.scopes & _SCOPES:
            message = "Request had insufficient authentication scopes."
            raise Refused(google_error(403, "insufficientPermissions", message))
        user = request.match_info["user"]
        if user != "me" and user.lower() != access.account.lower():
            raise Refused(google_error(403, "delegationDenied", f"Delegation denied for {access.account}"))
        return access

    async def _settle(self, request: web.Request, access: Access, sent: Send) -> web.Response:
        """Judge the message, let happen what the plan says, else accept."""
        recipients = self._judge(sent)
        step = self.plan.next("send") or ""
        fault = GMAIL_STEPS[step] if step else None
        if fault and not fault.accepts:
            self._inbox.count("gmail.fault")
            self._note(fault, step, access.account)
            return await fault.befall(request)
        name = secrets.token_hex(8)
        thread = sent.thread or name
        self._threads.add(thread)
        answer = {"id": name, "threadId": thread, "labelIds": ["SENT"]}
        self._inbox.add(
            Received(
                route="gmail",
                account=access.account,
                sender=access.account,
                recipients=recipients,
                data=sent.data,
                at=datetime.now(UTC),
                id=name,
            ),
            text=_answered(fault) if fault else "200",
            step=step,
        )
        return await fault.befall(request, answer) if fault else web.json_response(answer)

    def _judge(self, sent: Send) -> tuple[str, ...]:
        """The recipients of a message that Gmail would send."""
        if len(sent.data) > MOST_OCTETS:
            raise too_large()
        if sent.thread and sent.thread not in self._threads:
            raise Refused(google_error(404, "notFound", "Requested entity was not found."))
        try:
            letter = Letter(sent.data)
            letter.addresses("From", "Reply-To", "Sender")
            recipients = letter.addresses("To", "Cc", "Bcc")
        except LetterError as error:
            raise invalid(str(error)) from None
        if not recipients:
            raise invalid("Recipient address required")
        if len(recipients) > MOST_RECIPIENTS:
            raise invalid("Too many recipients")
        return recipients

    async def _refuse(self, request: web.Request, refused: Refused) -> web.Response:
        self._inbox.count("gmail.refused")
        self._note(refused.fault)
        return await refused.fault.befall(request)

    def _note(self, fault: Fault, step: str = "", account: str = "") -> None:
        self._inbox.note(
            Event(
                server="gmail",
                what="message",
                accepted=False,
                text=_answered(fault),
                step=step,
                account=account,
            )
        )


def _answered(fault: Fault) -> str:
    """What the other side gets to read in any case."""
    return fault.label or (str(fault.status) if fault.act in ("answer", "late", "redirect") else "")
