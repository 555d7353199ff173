"""One mailbox, checked on creation (RFC 5321, 5322, 6531; domains by IDNA 2008).

The parser is our own: linear in the length of its input, and strict, because an address that two programs
read differently sends a message to somebody else.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .errors import MessageError
from .i18n import _

__all__ = ["Address", "check_text"]

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-"
_LOCAL = re.compile(rf"[{_ATEXT}\x80-\U0010ffff]+(?:\.[{_ATEXT}\x80-\U0010ffff]+)*")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_PHRASE = re.compile(rf"[{_ATEXT}]+(?: [{_ATEXT}]+)*")
# C0 and C1 controls (tab too), the line separators that some programs take for line ends, lone surrogates.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_TOKEN = re.compile(r'[ \t]+|"(?:[^"\\]|\\.)*"|[()<>,:;]|\\.|[^ \t"()<>,:;\\]+', re.S)
_MAX_LIST = 1 << 22


def check_text(text: str, what: str) -> str:
    """The text, if it may stand in a header; ``what`` names it for the error.

    Raises ``MessageError`` for line breaks, control characters and lone surrogates.
    """
    if not isinstance(text, str):
        raise TypeError(f"{what} must be a text, not {type(text).__name__}")
    if found := _UNFIT.search(text):
        raise MessageError(
            _("{what} contains a line break or control character (U+{code:04X}).").format(
                what=what, code=ord(found[0])
            ),
            code="control-character",
            hint=_("Remove it; a header is one line of text."),
        )
    return text


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox: ``Address("ann@example.com", "Ann")``.

    ``email``: ``local@domain``; the domain is kept in lower case and ASCII (an A-label for an international
    one). A local part outside ASCII needs a server with SMTPUTF8. Raises ``MessageError`` for anything else.
    """

    email: str
    name: str = ""

    def __post_init__(self) -> None:
        check_text(self.name, _("A display name"))
        email = check_text(self.email, _("An address")).strip(" ")
        local, at, domain = email.rpartition("@")
        if not at or not _LOCAL.fullmatch(local) or len(local.encode()) > 64:
            raise _malformed(self.email)
        object.__setattr__(self, "name", self.name.strip(" "))
        object.__setattr__(self, "email", f"{local}@{_ascii_domain(domain, self.email)}")
        if len(self.email.encode()) > 254:  # RFC 5321 §4.5.3.1.3, less the angle brackets
            raise _malformed(self.email)

    @property
    def local(self) -> str:
        """What stands before the @."""
        return self.email.rpartition("@")[0]

    @property
    def domain(self) -> str:
        """What stands after the @, in ASCII and lower case."""
        return self.email.rpartition("@")[2]

    @property
    def is_ascii(self) -> bool:
        """Whether every server can take it; otherwise it needs SMTPUTF8 (RFC 6531)."""
        return self.email.isascii()

    @property
    def key(self) -> str:
        """The same for two spellings of one mailbox; local parts differ in case on paper only."""
        return self.email.lower()

    def __str__(self) -> str:
        if not self.name:
            return self.email
        plain = _PHRASE.fullmatch(self.name) or not self.name.isascii()
        name = self.name if plain else '"' + re.sub(r'(["\\])', r"\\\1", self.name) + '"'
        return f"{name} <{self.email}>"

    @classmethod
    def parse(cls, text: str) -> Address:
        """One mailbox as people write it: ``ann@example.com`` or ``Ann <ann@example.com>``.

        Raises ``MessageError`` where it is not exactly one.
        """
        found = cls.parse_list(text)
        if len(found) != 1:
            raise _malformed(text)
        return found[0]

    @classmethod
    def parse_list(cls, text: str) -> tuple[Address, ...]:
        """The mailboxes in a list separated by commas; quoted names, comments, groups (RFC 5322 §3.4).

        Raises ``MessageError`` for anything that could be read in two ways.
        """
        if len(text) > _MAX_LIST:
            raise MessageError(
                _("The list of addresses is too long."), code="address-list-too-long", hint=_("Split it.")
            )
        return tuple(cls(email, name) for name, email in _mailboxes(check_text(text, _("An address"))))


def _mailboxes(text: str) -> Iterator[tuple[str, str]]:
    """The names and addresses in a list; groups are dissolved, comments left out."""
    words: list[str] = []
    in_group = False
    tokens = _tokens(text)
    for token in tokens:
        if token == "<":
            yield _name(words), _angle(tokens, text)
            words = []
            for after in tokens:
                if after == "," or (after == ";" and in_group):
                    in_group = in_group and after != ";"
                    break
                if after.strip():
                    raise _malformed(text)
        elif token in (",", ";"):
            if token == ";" and not in_group:
                raise _malformed(text)
            in_group = in_group and token != ";"
            if "".join(words).strip():
                yield "", "".join(words).strip()
            words = []
        elif token == ":":
            if in_group or not "".join(words).strip():
                raise _malformed(text)
            in_group, words = True, []
        elif token in (">", "\\"):
            raise _malformed(text)
        else:
            words.append(token)
    if in_group:
        raise _malformed(text)
    if "".join(words).strip():
        yield "", "".join(words).strip()


def _tokens(text: str) -> Iterator[str]:
    """Words, quoted words, blanks and separators; comments are read over, nested ones too."""
    depth = at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if not found:
            raise _malformed(text)  # a quote without its end
        at, token = found.end(), found[0]
        if token == "(":
            depth += 1
        elif token == ")":
            depth -= 1
            if depth < 0:
                raise _malformed(text)
        elif not depth:
            yield token
    if depth:
        raise _malformed(text)


def _angle(tokens: Iterator[str], text: str) -> str:
    parts: list[str] = []
    for token in tokens:
        if token == ">":
            return "".join(parts).strip()
        if token in ("<", ",", ":", ";"):
            break
        parts.append(token)
    raise _malformed(text)


def _name(words: list[str]) -> str:
    parts = [re.sub(r"\\(.)", r"\1", word[1:-1]) if word[:1] == '"' else word for word in words]
    return re.sub(" +", " ", "".join(parts).replace("\t", " ")).strip()


def _ascii_domain(domain: str, whole: str) -> str:
    if domain[:1] == "[" and domain[-1:] == "]":
        literal = domain[1:-1]
        tagged = literal[:5].lower() == "ipv6:"
        try:
            return (
                f"[{'IPv6:' if tagged else ''}{_ip(literal[5:] if tagged else literal, 6 if tagged else 4)}]"
            )
        except ValueError:
            raise _malformed(whole) from None
    if not domain.isascii():
        import idna

        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise _malformed(whole) from error
    labels = domain.split(".")
    if len(domain) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise _malformed(whole)
    return domain.lower()


def _ip(text: str, version: int) -> str:
    address = ipaddress.ip_address(text)
    if address.version != version or "%" in text:
        raise ValueError(text)
    return str(address)


def _malformed(text: str) -> MessageError:
    shown = text if len(text) <= 80 else text[:77] + "..."
    return MessageError(
        _("{text!r} is no mail address, or could be read in two ways.").format(text=shown),
        code="address-malformed",
        hint=_('Write it as ann@example.com or "Ann" <ann@example.com>.'),
    )
