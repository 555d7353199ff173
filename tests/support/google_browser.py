"""A browser of the test's own for the sandbox's consent page, and a person who decides there."""

from __future__ import annotations

import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from html.parser import HTMLParser

from oauth_mailer.stores import Secret

_PATIENCE = 60.0  # seconds


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = found["action"]
        elif tag == "input":
            self.fields.append((found["name"], found.get("value", "")))


def fetch(url: str, data: bytes | None = None) -> tuple[int, str, str]:
    """The status, the last address and the text of a page, redirects followed."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, data=data, timeout=_PATIENCE) as page:
            return page.status, page.url, page.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.url or "", error.read().decode()


def decide(url: str, *, allow: bool = True, without: str = "", account: str = "") -> tuple[int, str, str]:
    """Answer the consent page at this address; what the browser ends on.

    ``without``: a scope whose box is unticked; ``account``: chosen in place of the one that is shown.
    """
    page = _Page(fetch(url)[2])
    fields = [
        (name, account if name == "account" and account else value)
        for name, value in page.fields
        if not without or value != without
    ]
    form = urllib.parse.urlencode([*fields, ("decision", "allow" if allow else "deny")])
    return fetch(urllib.parse.urljoin(url, page.action), form.encode())


class Person:
    """A prompt whose browser is ``acts``: called with the address of the page, in a thread of its own.

    ``lines``: what is typed, in turn; ``ended``: what each page ended on.
    """

    def __init__(
        self, acts: Callable[[str], tuple[int, str, str]] | None = decide, lines: tuple[str, ...] = ()
    ) -> None:
        self.heard: list[str] = []
        self.ended: list[tuple[int, str, str]] = []
        self.url = ""
        self._acts = acts
        self._lines = list(lines)
        self._threads: list[threading.Thread] = []

    def say(self, text: str) -> None:
        self.heard.append(text)

    def ask(self, question: str, done: threading.Event) -> str | None:
        self.heard.append(question)
        if self._lines:
            return self._lines.pop(0)
        return self.pasted() if self._acts is None else None

    def pasted(self) -> str:
        raise AssertionError("nothing to type")

    def ask_secret(self, question: str) -> Secret:
        raise AssertionError(question)

    def open_browser(self, url: str) -> bool:
        self.url = url
        if self._acts is None:
            return False
        thread = threading.Thread(target=lambda: self.ended.append(self._acts(url)), daemon=True)  # type: ignore[misc]
        self._threads.append(thread)
        thread.start()
        return True

    def wait(self) -> tuple[int, str, str]:
        """What the last page ended on."""
        for thread in self._threads:
            thread.join(_PATIENCE)
        return self.ended[-1]
