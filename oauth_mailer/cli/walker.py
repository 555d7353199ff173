"""Follows a consent page as a browser would, where there is no browser: for the local stand-in only."""

from __future__ import annotations

import urllib.parse
import urllib.request
from collections.abc import Callable
from html.parser import HTMLParser

__all__ = ["follow_consent"]

_TIMEOUT = 20.0  # seconds for one page


def follow_consent(url: str, tell: Callable[[str], None]) -> None:
    """Fetch the consent page, press *Allow*, and follow the redirect to whoever listens for the answer.

    ``tell`` is called with a line for each step. Raises ``OSError`` where a page cannot be had, and
    ``ValueError`` where it has no such button.
    """
    # No proxy: both ends are on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=_TIMEOUT) as page:
        tell(f"GET  {_without_query(url)} → {page.status}")
        form = _Form(page.read().decode("utf-8"), page.url)
    with opener.open(form.action, data=form.allow(), timeout=_TIMEOUT) as page:
        tell(f"POST {_without_query(form.action)} (Allow) → {page.status}, {_without_query(page.url)}")
        page.read()


def _without_query(url: str) -> str:
    return url.partition("?")[0]


class _Form(HTMLParser):
    """The first form of a page: where it goes, its hidden fields and its buttons."""

    def __init__(self, html: str, url: str) -> None:
        super().__init__()
        self.action = url
        self._fields: list[tuple[str, str]] = []
        self._buttons: list[tuple[str, str]] = []
        self._url = url
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One element of the page."""
        found = {name: value or "" for name, value in attrs}
        if tag == "form" and found.get("action"):
            self.action = urllib.parse.urljoin(self._url, found["action"])
        elif tag == "button" or (tag == "input" and found.get("type") == "submit"):
            self._buttons.append((found.get("name", ""), found.get("value", "")))
        elif tag == "input" and "name" in found and (found.get("type") != "checkbox" or "checked" in found):
            self._fields.append((found["name"], found.get("value", "")))

    def allow(self) -> bytes:
        """The body of a POST that presses *Allow*."""
        for name, value in self._buttons:
            if "allow" in (name.lower(), value.lower()):
                return urllib.parse.urlencode([*self._fields, (name, value)]).encode("ascii")
        raise ValueError("the page has no button to allow")
