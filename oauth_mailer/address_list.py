"""A list of mailboxes as people and programs write it (RFC 5322 §3.4).

The parser is our own: linear in the length of its input, and strict.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .errors import MessageError
from .i18n import _

__all__ = ["MAX_LENGTH", "mailboxes", "malformed"]

# Blanks, a quoted text, a separator, or a word; the colons of an IPv6 address are none.
_TOKEN = r'[ \t]+|"[^"\\]*(?:\\.[^"\\]*)*"|[()<>,:;]|(?:[^ \t"()<>,:;\\@]+|@(?:\[[0-9A-Za-z.:]*\])?)+'
_IN_COMMENT = r"\\.|[^\\()]+|[()]"

MAX_LENGTH = 1 << 22
"""Characters of a list of addresses."""


def malformed(text: str) -> MessageError:
    """The error for a text that is no address, or not only one."""
    shown = text if len(text) <= 80 else text[:77] + "..."
    return MessageError(
        _("{text!r} is no mail address, or could be read in two ways.").format(text=shown),
        code="address-malformed",
        hint=_('Write it as ann@example.com or "Ann" <ann@example.com>.'),
    )


def mailboxes(text: str) -> Iterator[tuple[str, str]]:
    """The name and the address of each mailbox; groups are dissolved, comments left out.

    The addresses are not checked yet. Raises ``MessageError`` for what could be read in two ways.
    """
    words: list[str] = []
    in_group = ended = False  # ended: a mailbox or a group has, so a separator must follow
    tokens = _tokens(text)
    for token in tokens:
        if token == "<":
            if ended:
                raise malformed(text)
            email = _angle(tokens, text)
            yield _name(words, email, text), email
            ended = True
        elif token in (",", ";"):
            if token == ";" and not in_group:
                raise malformed(text)
            if not ended and (email := "".join(words).strip(" \t")):
                yield "", email
            in_group = in_group and token != ";"
            words, ended = [], token == ";"
        elif token == ":":
            if in_group or ended or not "".join(words).strip(" \t"):
                raise malformed(text)
            in_group, words = True, []
        elif token in (">", ")") or (ended and token.strip(" \t")):
            raise malformed(text)
        else:
            words.append(token)
    if in_group:
        raise malformed(text)
    if not ended and (email := "".join(words).strip(" \t")):
        yield "", email


def _tokens(text: str) -> Iterator[str]:
    """Words, quoted texts, blanks and separators; a comment counts as a blank, nested ones too."""
    at = 0
    pattern = re.compile(_TOKEN)
    while at < len(text):
        found = pattern.match(text, at)
        if not found:
            raise malformed(text)  # a quote without its end, or a backslash outside of quotes
        at, token = found.end(), found[0]
        if token == "(":
            at, token = _after_comment(text, at), " "
        yield token


def _after_comment(text: str, at: int) -> int:
    depth = 1
    for found in re.compile(_IN_COMMENT).finditer(text, at):
        depth += (found[0] == "(") - (found[0] == ")")
        if not depth:
            return found.end()
    raise malformed(text)


def _angle(tokens: Iterator[str], text: str) -> str:
    parts: list[str] = []
    for token in tokens:
        if token == ">":
            return "".join(parts).strip(" \t")
        if token in ("<", ",", ":", ";", ")"):
            break
        parts.append(token)
    raise malformed(text)


def _name(words: list[str], email: str, text: str) -> str:
    """The name in front of an address. One that looks like another address has to be quoted."""
    parts: list[str] = []
    for word in words:
        if word[0] == '"':
            parts.append(re.sub(r"\\(.)", r"\1", word[1:-1]))
        elif not word.strip(" \t"):
            if parts[-1:] != [" "]:
                parts.append(" ")
        elif "@" in word and not word.startswith("=?"):
            if "".join(words).strip(" \t").lower() == email.lower():
                return ""
            raise malformed(text)
        else:
            parts.append(word)
    return "".join(parts)
