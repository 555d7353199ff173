"""The web inbox: a page that shows what arrived, as it arrives, and the same as JSON for programs.

The page is plain files beside this one. Nothing of a message is ever part of it but as text; its HTML is
shown in a frame that may neither run nor fetch anything, by the policy that ``html`` answers with.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from ...errors import ConfigError
from ...i18n import _
from ..inbox import Event, Inbox, Received
from ..plan import Plan, change_plans
from ..steps import known_steps
from .files import page, page_file
from .guard import guarded, problem
from .markup import framed
from .names import disposition
from .reading import Attachment, Reading, read_message
from .stream import Stream, happened, plans_now
from .views import PICTURES, detail, summary

__all__ = ["InboxPage"]

_MOST_LISTED = 500
_MOST_LOGGED = 100
_MOST_READINGS = 4


class InboxPage:
    """Its handlers. ``plans``: by the server's name; ``settings``: where to send to, once that is known."""

    def __init__(
        self, inbox: Inbox, plans: Mapping[str, Plan], settings: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._inbox = inbox
        self._plans = plans
        self._settings = settings
        self._stream = Stream(inbox, plans, self._summary)
        self._summaries: dict[str, Mapping[str, Any]] = {}
        self._readings: OrderedDict[str, Reading] = OrderedDict()
        inbox.listen(self._forget)

    def routes(self) -> list[web.RouteDef]:
        """What to serve, and where."""
        one = "/api/messages/{id}"
        return [
            web.get("/", guarded(self.page, "page")),
            web.get("/inbox/{file}", guarded(page_file, "data")),
            web.get("/api/messages", guarded(self.messages, "data")),
            web.delete("/api/messages", guarded(self.clear, "change")),
            web.get(one, guarded(self.message, "data")),
            web.get(one + "/raw", guarded(self.raw, "data")),
            web.get(one + "/html", guarded(self.html, "data")),
            web.get(one + "/attachments/{number}", guarded(self.attachment, "data")),
            web.get(one + "/pictures/{number}", guarded(self.picture, "picture")),
            web.get("/api/events", guarded(self._stream.serve, "data"), allow_head=False),
            web.get("/api/log", guarded(self.log, "data")),
            web.get("/api/plan", guarded(self.plan, "data")),
            web.post("/api/plan", guarded(self.change_plan, "change")),
        ]

    def plans_changed(self) -> None:
        """Tell the pages; in any thread."""
        self._stream.plans_changed()

    async def page(self, _request: web.Request) -> web.Response:
        """The page."""
        return page({"settings": self._settings(), "steps": known_steps()})

    async def messages(self, request: web.Request) -> web.Response:
        """The newest messages, newest first, and how many there are. ``?limit=``: so many at most."""
        limit = request.query.get("limit", str(_MOST_LISTED))
        if not (limit.isascii() and limit.isdecimal() and len(limit) < 10):
            return problem(400, "limit", _("The limit is a number."))
        all_of_them = self._inbox.messages
        newest = all_of_them[: -int(limit) - 1 : -1]
        return web.json_response(
            {"messages": [self._summary(one) for one in newest], "total": len(all_of_them)}
        )

    async def clear(self, _request: web.Request) -> web.Response:
        """Forget messages, events and counts."""
        self._inbox.clear()
        return web.Response(status=204)

    async def message(self, request: web.Request) -> web.Response:
        """All of one message but its octets."""
        if (message := self._find(request)) is None:
            return _unknown()
        reading = await self._reading(message)
        found = await asyncio.to_thread(detail, message, reading, self._summary(message))
        return web.json_response(found)

    async def raw(self, request: web.Request) -> web.Response:
        """Its octets, exactly as they came."""
        if (message := self._find(request)) is None:
            return _unknown()
        headers = {"Content-Disposition": disposition(f"{message.id}.eml")}
        return web.Response(body=message.data, content_type="message/rfc822", headers=headers)

    async def html(self, request: web.Request) -> web.Response:
        """Its HTML, for a frame. ``?remote=1``: with images from elsewhere."""
        message = self._find(request)
        reading = await self._reading(message) if message else None
        if message is None or reading is None or reading.html is None:
            return _unknown()
        path = f"/api/messages/{message.id}/pictures/"
        pictures = {
            one.content_id: f"{path}{number}"
            for number, one in enumerate(reading.attachments)
            if one.content_id and one.media_type in PICTURES
        }
        remote = " https: http:" if request.query.get("remote") == "1" else ""
        policy = [
            "default-src 'none'",
            f"img-src data: http://{request.headers['Host']}{path}{remote}",
            "style-src 'unsafe-inline'",
            "form-action 'none'",
            "frame-ancestors 'self'",
            # Without scripts and of no origin, also when it is opened by itself.
            "sandbox allow-popups allow-popups-to-escape-sandbox",
        ]
        return web.Response(
            text=await asyncio.to_thread(framed, reading.html, pictures),
            content_type="text/html",
            headers={"Content-Security-Policy": "; ".join(policy), "X-Frame-Options": "SAMEORIGIN"},
        )

    async def attachment(self, request: web.Request) -> web.Response:
        """An attachment, to be saved; a browser never shows it."""
        if (found := await self._attachment(request)) is None:
            return _unknown()
        headers = {"Content-Disposition": disposition(found.name)}
        return web.Response(body=found.content, content_type="application/octet-stream", headers=headers)

    async def picture(self, request: web.Request) -> web.Response:
        """An image that belongs to the HTML. The frame has no origin, so any may ask who knows the id."""
        found = await self._attachment(request)
        if found is None or not found.content_id or found.media_type not in PICTURES:
            return _unknown()
        headers = {
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
            "Cross-Origin-Resource-Policy": "cross-origin",
        }
        return web.Response(body=found.content, content_type=found.media_type, headers=headers)

    async def log(self, _request: web.Request) -> web.Response:
        """What was accepted and refused lately, newest first."""
        return web.json_response(
            {"events": [happened(one) for one in reversed(self._inbox.events[-_MOST_LOGGED:])]}
        )

    async def plan(self, _request: web.Request) -> web.Response:
        """What is left of the plans, and the steps that there are."""
        return web.json_response({"plans": plans_now(self._plans), "steps": known_steps()})

    async def change_plan(self, request: web.Request) -> web.Response:
        """Other plans for some or all of the servers."""
        try:
            wanted = json.loads(await request.text())
        except (ValueError, RecursionError, LookupError):
            wanted = None
        if not isinstance(wanted, dict) or not all(
            name in self._plans and isinstance(text, str) for name, text in wanted.items()
        ):
            return problem(
                400, "plan", _("The body must be like {example}.").format(example='{"smtp": "421,ok"}')
            )
        try:
            change_plans(self._plans, wanted)
        except ConfigError as error:
            return problem(400, error.code, error.message, hint=error.hint)
        self.plans_changed()
        return web.json_response({"plans": plans_now(self._plans)})

    def _find(self, request: web.Request) -> Received | None:
        wanted = request.match_info["id"]
        return next((one for one in reversed(self._inbox.messages) if one.id == wanted), None)

    async def _attachment(self, request: web.Request) -> Attachment | None:
        number = request.match_info["number"]
        message = self._find(request)
        if message is None or not (number.isascii() and number.isdecimal() and len(number) < 5):
            return None
        found = (await self._reading(message)).attachments
        return found[int(number)] if int(number) < len(found) else None

    async def _reading(self, message: Received) -> Reading:
        reading = self._readings.get(message.id)
        if reading is None:
            reading = await asyncio.to_thread(read_message, message.data)
            self._readings[message.id] = reading
            while len(self._readings) > _MOST_READINGS:
                self._readings.popitem(last=False)
        return reading

    def _summary(self, message: Received) -> Mapping[str, Any]:
        found = self._summaries.get(message.id)
        if found is None:
            found = self._summaries[message.id] = summary(message)
        return found

    def _forget(self, event: Event | None) -> None:
        """When all messages are."""
        if event is None:
            self._summaries = {}
            self._readings = OrderedDict()


def _unknown() -> web.Response:
    return problem(404, "not-found", _("There is no such thing; it may have been cleared."))
