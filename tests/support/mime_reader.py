"""A reader of finished messages, written from the standards alone (RFC 5322, 2045, 2046, 2047, 2231).

It stands beside the standard library's parser as a second opinion, shares nothing with the code that it
judges, and is strict: what a good message never has is an error (``Unsound``), not something to get around.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~-"
FIELD = re.compile(rb"([!-9;-~]+):(.*)", re.S)
ENCODED_WORD = re.compile(r"=\?([^?*\s]+)(?:\*[^?\s]+)?\?([BQbq])\?([^?\s]*)\?=")
PARAMETER = re.compile(
    rf'\s*;\s*(?P<name>[.{ATEXT}]+)=(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[^\s;"()<>@,:\\/\[\]?=]+))'
)
MAILBOX = re.compile(
    rf'(?P<phrase>(?:\s*+(?:"(?:[^"\\]|\\.)*+"|[{ATEXT}]++))*+)\s*+<(?P<angle>[^<>\s]+)>\s*'
    rf"|\s*(?P<bare>[^<>\s,;:\"()]+(?::[^<>\s,;\"()]*\])?)\s*",
    re.S,
)
WORD = re.compile(rf'"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<atom>[{ATEXT}]+)')


class Unsound(AssertionError):
    """The message breaks a rule."""


@dataclass
class Part:
    """One part: its fields in order, unfolded, and its content decoded."""

    fields: list[tuple[str, str]]
    kind: str
    parameters: dict[str, str]
    disposition: str
    disposition_parameters: dict[str, str]
    encoding: str
    content: bytes
    parts: list[Part] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [value for one, value in self.fields if one.lower() == name.lower()]

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    def text(self, name: str) -> str:
        """A field of free text, decoded."""
        return decoded_words(self.one(name))

    def mailboxes(self, name: str) -> list[tuple[str, str]]:
        return mailboxes(self.one(name))

    @property
    def body(self) -> str:
        return self.content.decode(self.parameters.get("charset", "us-ascii"))

    def walk(self) -> list[Part]:
        return [self, *(deeper for part in self.parts for deeper in part.walk())]

    def find(self, kind: str) -> Part:
        (found,) = [part for part in self.walk() if part.kind == kind]
        return found

    def attachments(self) -> list[Part]:
        return [part for part in self.walk() if part.disposition]


def read(data: bytes) -> Part:
    """A whole message. Raises ``Unsound`` for lines too long, bare CR or LF, 8-bit octets and the like."""
    if not data.endswith(b"\r\n"):
        raise Unsound("no line end at the end")
    if re.search(rb"\r(?!\n)|(?<!\r)\n", data):
        raise Unsound("a CR or LF alone")
    for line in data.split(b"\r\n"):
        if len(line) > 998:
            raise Unsound(f"a line of {len(line)} octets")
        if b"\0" in line:
            raise Unsound("NUL")
    message = _part(data)
    if message.all("MIME-Version") != ["1.0"]:
        raise Unsound("not one MIME-Version")
    for name in (
        "From",
        "To",
        "Cc",
        "Reply-To",
        "Subject",
        "Date",
        "Message-ID",
        "In-Reply-To",
        "References",
    ):
        if len(message.all(name)) > 1:
            raise Unsound(f"{name} stands there more than once")
    return message


def _part(data: bytes) -> Part:
    head, blank, body = data.partition(b"\r\n\r\n")
    if data.startswith(b"\r\n"):
        head, body = b"", data[2:]
    elif not blank:
        raise Unsound("no blank line after the header")
    fields = _fields(head)
    by_name = {name.lower(): value for name, value in fields}
    if len([name for name, _value in fields if name.lower().startswith("content-")]) != len(
        [name for name in by_name if name.startswith("content-")]
    ):
        raise Unsound("a Content- field stands there more than once")
    kind, parameters = _with_parameters(by_name.get("content-type", "text/plain"))
    disposition, named = _with_parameters(by_name.get("content-disposition", ""))
    encoding = by_name.get("content-transfer-encoding", "7bit").lower()
    part = Part(fields, kind, parameters, disposition, named, encoding, b"")
    if kind.startswith("multipart/"):
        if encoding != "7bit":
            raise Unsound("an encoded multipart")
        part.parts = [_part(one) for one in _split(body, parameters["boundary"])]
    else:
        part.content = _decoded(body, encoding)
    return part


def _fields(head: bytes) -> list[tuple[str, str]]:
    fields: list[bytes] = []
    for line in head.split(b"\r\n") if head else []:
        if not line.strip(b" \t"):
            raise Unsound("a header line of blanks")
        if len(line) > 76 and ENCODED_WORD.search(line.decode("utf-8")):
            raise Unsound("a line with an encoded word longer than 76 octets")
        if line[:1] in (b" ", b"\t"):
            fields[-1] += line
        else:
            fields.append(line)
    found = []
    for one in fields:
        match = FIELD.fullmatch(one)
        if not match:
            raise Unsound(f"no header field: {one[:60]!r}")
        found.append((match[1].decode("ascii"), match[2].decode("utf-8").strip(" \t")))
    return found


def _split(body: bytes, boundary: str) -> list[bytes]:
    if not re.fullmatch(r"[A-Za-z0-9'()+_,./:=? -]{0,69}[A-Za-z0-9'()+_,./:=?-]", boundary):
        raise Unsound("no boundary")
    pieces = re.split(rb"(?:^|\r\n)--" + re.escape(boundary.encode()) + rb"(--)?[ \t]*(?:\r\n|\Z)", body)
    # The text before the first boundary, then by turns whether it is the last one, and what follows it.
    marks, parts = pieces[1::2], pieces[2::2]
    if not marks or marks[-1] is None or any(mark is not None for mark in marks[:-1]):
        raise Unsound("a multipart that is not closed once, at its end")
    if pieces[0] or parts[-1]:
        raise Unsound("text outside of the parts")
    return parts[:-1]


def _decoded(body: bytes, encoding: str) -> bytes:
    if encoding == "7bit":
        if not body.isascii():
            raise Unsound("8-bit octets in 7bit")
        return body
    if any(len(line) > 76 for line in body.split(b"\r\n")):
        raise Unsound("an encoded line longer than 76 octets")
    if encoding == "base64":
        if not re.fullmatch(rb"(?:[A-Za-z0-9+/]+={0,2}\r\n)*(?:\r\n)?", body):
            raise Unsound("no base64")
        return base64.b64decode(body.replace(b"\r\n", b""), validate=True)
    if encoding != "quoted-printable":
        raise Unsound(f"encoding {encoding}")
    lines = body.split(b"\r\n")
    if any(line.endswith((b" ", b"\t")) for line in lines):
        raise Unsound("a blank at the end of a line")
    if any(not re.fullmatch(rb"(?:[\t !-<>-~]|=[0-9A-F]{2})*=?", line) for line in lines):
        raise Unsound("no quoted-printable")
    joined = b"\r\n".join(lines).replace(b"=\r\n", b"")
    return re.sub(rb"=([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), joined)


def decoded_words(text: str) -> str:
    """Free text with its encoded words decoded; blanks between two of them are no part of the text."""
    result, at, after_word = "", 0, False
    for found in ENCODED_WORD.finditer(text):
        if len(found[0]) > 75:
            raise Unsound("an encoded word longer than 75 octets")
        between = text[at : found.start()]
        if not (after_word and between and not between.strip(" \t")):
            result += between
        result += _decoded_word(found)
        at, after_word = found.end(), True
    return result + text[at:]


def _decoded_word(found: re.Match[str]) -> str:
    text = found[3]
    if found[2] in "Bb":
        data = base64.b64decode(text, validate=True)
    else:
        if not re.fullmatch(r"(?:[!-<>@-~]|=[0-9A-F]{2})*", text):
            raise Unsound("no Q encoding")
        data = unquote_to_bytes(text.replace("%", "%25").replace("_", " ").replace("=", "%"))
    return data.decode(found[1])  # each by itself: a character is in one word


def mailboxes(text: str) -> list[tuple[str, str]]:
    """The names, decoded, and the addresses in a list without groups and comments."""
    found, at = [], 0
    while at < len(text):
        match = MAILBOX.match(text, at)
        if not match or (match.end() < len(text) and text[match.end()] != ","):
            raise Unsound(f"no mailbox: {text[at : at + 60]!r}")
        found.append((_phrase(match["phrase"] or ""), match["angle"] or match["bare"]))
        at = match.end() + 1
    return found


def _phrase(text: str) -> str:
    words: list[tuple[str, bool]] = []
    for found in WORD.finditer(text):
        if found["quoted"] is not None:  # an encoded word in quotes is none (RFC 2047 §5)
            words.append((re.sub(r"\\(.)", r"\1", found["quoted"]), False))
        elif encoded := ENCODED_WORD.fullmatch(found["atom"]):
            if not re.fullmatch(r"[A-Za-z0-9!*+/=_-]*", encoded[3]):
                raise Unsound("an encoded word in a phrase with characters that are not for it")
            if len(found["atom"]) > 75:
                raise Unsound("an encoded word longer than 75 octets")
            words.append((_decoded_word(encoded), True))
        else:
            words.append((found["atom"], False))
    name = ""
    for number, (word, encoded_too) in enumerate(words):
        name += word if not number or (encoded_too and words[number - 1][1]) else f" {word}"
    return name


def _with_parameters(text: str) -> tuple[str, dict[str, str]]:
    value = re.match(r"[^;]*", text)
    assert value
    at, plain, extended = value.end(), dict[str, str](), dict[str, dict[int, tuple[str, bool]]]()
    while at < len(text):
        found = PARAMETER.match(text, at)
        if not found:
            raise Unsound(f"no parameter: {text[at : at + 60]!r}")
        at = found.end()
        quoted = found["quoted"]
        content = found["token"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        name, star, rest = found["name"].lower().partition("*")
        if not star:
            if name in plain:
                raise Unsound("a parameter stands there twice")
            plain[name] = content
        else:
            number, _star, marked = rest.partition("*") if rest else ("0", "*", "")
            extended.setdefault(name, {})[int(number)] = (content, rest == "" or rest.endswith("*"))
            assert not marked
    return value[0].strip().lower(), {**plain, **{name: _joined(pieces) for name, pieces in extended.items()}}


def _joined(pieces: dict[int, tuple[str, bool]]) -> str:
    """RFC 2231 §4.1; each piece is decoded by itself, as some programs do."""
    if sorted(pieces) != list(range(len(pieces))):
        raise Unsound("a piece of a parameter is missing")
    charset, _language, _first = pieces[0][0].split("'", 2) if pieces[0][1] else ("us-ascii", "", "")
    result = ""
    for number in range(len(pieces)):
        text, is_encoded = pieces[number]
        if number == 0 and is_encoded:
            text = text.split("'", 2)[2]
        result += unquote_to_bytes(text).decode(charset) if is_encoded else text
    return result
