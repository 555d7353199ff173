"""A browser of the test's own for the pages of ``oidc_provider``, and a person who types and clicks there."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

from .google_browser import Person

__all__ = ["DevicePerson", "decide"]

_PATIENCE = 60.0  # seconds
_MOST_PAGES = 10


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self.cancel = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = found["action"]
        elif tag == "input" and "name" in found:
            self.fields[found["name"]] = found.get("value", "")
        elif tag == "a" and found.get("href", "").endswith("/abort"):
            self.cancel = found["href"]


def decide(url: str, who: str, *, allow: bool = True, code: str = "") -> tuple[int, str, str]:
    """Log in on the pages that begin here, and allow what is asked, or cancel; what the browser ends on.

    ``who``: typed as the name; ``code``: typed where a device's code is asked for.
    """
    opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))
    typed = {"login": who, "password": "hers", "user_code": code}
    form: bytes | None = None
    cancelled = False
    for _number in range(_MOST_PAGES):
        try:
            with opener.open(url, form, timeout=_PATIENCE) as answer:
                status, url, text = answer.status, answer.url, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.url or "", error.read().decode()
        page = _Page(text)
        if page.action is None or cancelled:
            return status, url, text
        cancelled = page.fields.get("prompt") == "consent" and not allow
        url = urljoin(url, page.cancel if cancelled else page.action)
        filled = {name: typed.get(name) or value for name, value in page.fields.items()}
        form = None if cancelled else urlencode(filled).encode()
    raise AssertionError(f"more than {_MOST_PAGES} pages")


class DevicePerson(Person):
    """Has no browser there; ``acts`` is called with the page and the code as soon as both were shown."""

    def __init__(self, acts: Callable[[str, str], object]) -> None:
        super().__init__(None)
        self._does = acts

    def say(self, text: str) -> None:
        super().say(text)
        shown = [line.strip() for line in self.heard if line.startswith("  ")]
        if len(shown) == 2 and text.strip() == shown[1]:
            self._does(shown[0], shown[1])
