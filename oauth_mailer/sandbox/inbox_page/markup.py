"""What the HTML of a message consists of, and how it is shown without letting it reach anything."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from urllib.parse import urlsplit

from .tags import Tag, Text, Token, read_tags

__all__ = ["Link", "Markup", "framed", "read_markup", "shortened"]

_MOST = 2 << 20  # characters that are looked through
_MOST_LINKS = 1000
_MOST_BEFORE_HEAD = 10_000  # characters in which <head> is looked for
_REMOTE = re.compile(r"\s*(?:https?:|//)", re.IGNORECASE)
_CSS_URL = re.compile(r"url\(\s*[\"']?\s*((?:https?:)?//[^\"')\s]+)", re.IGNORECASE)
_NOT_SEEN = {"head", "template"}
_ACTIVE = {"script", "iframe", "object", "embed", "applet", "frame"}
_INVISIBLE = dict.fromkeys([0xAD, 0x34F, 0x61C, *range(0x200B, 0x2010), *range(0x2028, 0x202F), 0xFEFF])

_REACHES_OUT = re.compile(
    r"<\s*(?:applet|base|embed|fencedframe|frame|iframe|link|meta|object|portal)\b", re.IGNORECASE
)
_CID = re.compile(r"([\"'=(]\s*)cid:([^\"'\s)>]{1,250})", re.IGNORECASE)
_HEAD = re.compile(
    r"<head\b[^>]*>|<html\b[^>]*>(?!\s*<head\b)|<!doctype\b[^>]*>(?!\s*<html\b)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Link:
    """A link: where to, its text, and what is wrong with it (a key of ``LINK_PROBLEMS``), if anything."""

    href: str
    text: str
    problem: str = ""


@dataclass(slots=True)
class Markup:
    """``remote``: images that are fetched from elsewhere where that is allowed; ``content_ids``: the parts of
    the message that it shows; ``without_alt``: images that say nothing to who cannot see them; ``active``:
    elements that no mail program runs; ``text``: all that is read, on one line."""

    links: list[Link] = field(default_factory=list)
    remote: set[str] = field(default_factory=set)
    content_ids: set[str] = field(default_factory=set)
    images: int = 0
    without_alt: int = 0
    active: set[str] = field(default_factory=set)
    text: str = ""


class _Reader:
    def __init__(self) -> None:
        self.found = Markup()
        self._texts: list[str] = []
        self._hidden = ""  # the element that is not shown, if we are in one
        self._href: str | None = None
        self._link_from = 0

    def read(self, tokens: Iterable[Token]) -> Markup:
        for token in tokens:
            match token:
                case Text(text, inside=""):
                    self._texts.append("" if self._hidden else text)
                case Text(text, inside="style"):
                    self.found.remote.update(_CSS_URL.findall(text))
                case Tag(name, end=True):
                    self._end(name)
                case Tag(name, attributes):
                    self._start(name, attributes)
        self._end_link()
        self.found.text = shortened("".join(self._texts))
        return self.found

    def _start(self, name: str, values: Mapping[str, str]) -> None:
        if name in _NOT_SEEN and not self._hidden:
            self._hidden = name
        if name == "body":
            self._hidden = ""
        if name in _ACTIVE:
            self.found.active.add(name)
        if name == "img":
            self.found.images += 1
            self.found.without_alt += "alt" not in values
            self._texts.append(f" {values.get('alt', '')} ")
        self._note_remote(name, values)
        if name == "a":
            self._end_link()
        if name in ("a", "area") and ("href" in values or not {"id", "name"} & values.keys()):
            self._href, self._link_from = values.get("href", ""), len(self._texts)
            if name == "area":
                self._texts.append(values.get("alt", ""))
                self._end_link()
        self._texts.append("" if name in _IN_A_LINE else " ")

    def _end(self, name: str) -> None:
        if name == self._hidden:
            self._hidden = ""
        if name == "a":
            self._end_link()
        self._texts.append("" if name in _IN_A_LINE else " ")

    def _note_remote(self, name: str, values: Mapping[str, str]) -> None:
        wanted = [values.get("background", ""), values.get("poster", "")]
        if name in ("img", "input", "image"):
            wanted += [values.get("src", ""), values.get("href", ""), values.get("xlink:href", "")]
        if name in ("img", "source"):
            wanted += [one.strip().partition(" ")[0] for one in values.get("srcset", "").split(",")]
        self.found.remote.update(one.strip() for one in wanted if _REMOTE.match(one))
        self.found.remote.update(_CSS_URL.findall(values.get("style", "")))

    def _end_link(self) -> None:
        if self._href is not None and len(self.found.links) < _MOST_LINKS:
            text = shortened("".join(self._texts[self._link_from :]))
            self.found.links.append(Link(self._href.strip(), text, _problem(self._href)))
        self._href = None


_IN_A_LINE = {"a", "b", "i", "em", "strong", "span", "font", "u", "s", "small", "big", "code", "sub", "sup"}


def read_markup(html: str) -> Markup:
    """Look through HTML; the first 2 million characters of it."""
    html = html[:_MOST]
    found = _Reader().read(read_tags(html))
    found.content_ids = {one[1] for one in _CID.findall(html)}
    return found


def shortened(text: str, most: int = 1_000_000) -> str:
    """The text on one line, without what nobody sees."""
    return " ".join(text.translate(_INVISIBLE).split())[:most]


def framed(html: str, pictures: Mapping[str, str]) -> str:
    """The HTML as it goes into the frame: links open a new tab, and ``cid:`` leads to ``pictures``.

    The policy that comes with it, not this, is what keeps it from running or fetching anything. But for
    some elements a browser connects to a server before it asks the policy; these are taken out.
    """
    html = _without_reaching_out(html)
    html = _CID.sub(
        lambda found: found[1] + escape(pictures[found[2]]) if found[2] in pictures else found[0], html
    )
    heads = _HEAD.search(html[:_MOST_BEFORE_HEAD])
    at = heads.end() if heads else 0
    return f'{html[:at]}<base target="_blank">{html[at:]}'


def _without_reaching_out(html: str) -> str:
    kept = []
    at = 0
    for found in _REACHES_OUT.finditer(html):
        if found.start() < at:
            continue
        # A blank, so that what stood around it does not become another element.
        kept += [html[at : found.start()], " "]
        end = html.find(">", found.end())
        at = end + 1 or len(html)
    return "".join([*kept, html[at:]])


def _problem(href: str) -> str:
    href = href.strip()
    scheme = re.match(r"[a-z][a-z0-9+.-]*:", href, re.IGNORECASE)
    if not href or href == "#":
        return "empty"
    if "{{" in href or "{%" in href or "%7B%7B" in href.upper():
        return "unfilled"
    if scheme and scheme[0].lower() in ("javascript:", "vbscript:", "data:"):
        return "script"
    if href.startswith("#"):
        return ""
    if not scheme:
        return "relative"
    try:
        parts = urlsplit(href)
    except ValueError:
        return "malformed"
    return "malformed" if parts.scheme in ("http", "https") and not parts.hostname else ""
