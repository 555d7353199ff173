"""The tags and texts of HTML, in one pass whose time grows with the length only, whatever it contains.

That of the standard library takes minutes for some documents of a hundred thousand characters, and nobody
knows what a message contains.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import unescape

__all__ = ["Tag", "Text", "Token", "read_tags"]

_NAME = re.compile(r"[a-zA-Z][^\s/>]*")
_ATTRIBUTE = re.compile(
    r"""[\s/]*([^\s/>=][^\s/>=]*|=[^\s/>=]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>][^\s>]*)?))?"""
)
_TAG_END = re.compile(r"[\s/]*>")
_OPEN_QUOTE = re.compile(r"\s*[\"']")
_RAW = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in ("script", "style", "title", "textarea", "iframe", "noembed", "noframes", "xmp")
}
"""Elements whose content is text up to their end, whatever it looks like."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag, its name in small letters; ``end``: whether it ends an element; the first attribute of a name
    counts."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    end: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A text; ``inside``: the element that it is the raw content of, such as a script, if it is."""

    text: str
    inside: str = ""


Token = Tag | Text


def read_tags(html: str) -> Iterator[Token]:
    """All tags and texts, in order, but for comments, declarations, and a last tag without its end."""
    at = 0
    while at < len(html):
        opens = html.find("<", at)
        if opens < 0:
            break
        if opens > at:
            yield Text(_plain(html[at:opens]))
        if name := _NAME.match(html, opens + 1):
            attributes, at = _attributes(html, name.end())
            if at < 0:
                return
            tag = Tag(name[0].lower(), attributes)
            yield tag
            if ends := _RAW.get(tag.name):
                found = ends.search(html, at)
                stop = found.start() if found else len(html)
                yield Text(html[at:stop], tag.name)
                at = stop
        elif html.startswith("<!--", opens):
            at = html.find("-->", opens + 2) + 3
            if at < 3:
                return
        elif html[opens + 1 : opens + 2] in ("/", "!", "?"):
            end = html.find(">", opens)
            if end < 0:
                return
            if html[opens + 1] == "/" and (name := _NAME.match(html, opens + 2)):
                yield Tag(name[0].lower(), end=True)
            at = end + 1
        else:
            yield Text("<")
            at = opens + 1
    if at < len(html):
        yield Text(_plain(html[at:]))


def _attributes(html: str, at: int) -> tuple[dict[str, str], int]:
    """Those of a tag, and where it ends: -1 if it does not."""
    found: dict[str, str] = {}
    while True:
        if end := _TAG_END.match(html, at):
            return found, end.end()
        one = _ATTRIBUTE.match(html, at)
        if one is None or one.end() == len(html):
            return found, -1
        if _OPEN_QUOTE.match(html, one.end()) and html[one.start() : one.end()].rstrip().endswith("="):
            return found, -1  # a value that does not end
        value = next((group for group in one.groups()[1:] if group is not None), "")
        found.setdefault(one[1].lower(), _plain(value))
        at = one.end()


def _plain(text: str) -> str:
    """With character references replaced."""
    try:
        return unescape(text) if "&" in text else text
    except ValueError:  # a number of thousands of digits
        return text
