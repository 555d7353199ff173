"""Another host, to which a redirect leads: whoever follows it with a token in hand is found out."""

from __future__ import annotations

from aiohttp import web

from .inbox import Event, Inbox

__all__ = ["Elsewhere", "address_elsewhere"]

_PATH = "/elsewhere"


class Elsewhere:
    """Counts who comes: ``elsewhere``, and ``elsewhere.bearer`` for those who show a token."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def routes(self) -> list[web.RouteDef]:
        """What to serve, and where."""
        return [web.route("*", _PATH + "/{rest:.*}", self.found)]

    async def found(self, request: web.Request) -> web.Response:
        """Somebody followed."""
        self._inbox.count("elsewhere")
        if "Authorization" in request.headers:
            self._inbox.count("elsewhere.bearer")
        self._inbox.note(Event(server="gmail", what="redirect followed", accepted=False, text="404"))
        return web.Response(status=404)


def address_elsewhere(request: web.Request) -> str:
    """Where a redirect of this request leads: the same machine by another name, so another host."""
    return f"http://localhost:{request.url.port}{_PATH}{request.path}"
