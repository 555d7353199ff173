"""One mailbox, checked on creation (RFC 5321, 5322, 6531; domains by IDNA 2008).

Strict, because an address that two programs read differently sends a message to somebody else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

from .address_list import MAX_LENGTH, mailboxes, malformed
from .errors import MessageError
from .i18n import _
from .values import dataclass

__all__ = ["Address", "check_text", "quoted", "unique"]

# atext of RFC 5322 and RFC 6532, by what it is not: a class of all Unicode takes ten milliseconds to compile.
_ATEXT = r"[^\x00-\x20\x7f\"(),.:;<>@\[\\\]]"
# What not every message needs is a text, which `re` compiles, and keeps, when it is first used.
_LOCAL = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_PHRASE = rf"{_ATEXT}+(?: {_ATEXT}+)*"
_ALONE = re.compile(r"[^\s\"(),:;<>\\]{1,254}")  # one address and nothing else, as most lists are
# C0 and C1 controls (tab too), the line separators that some programs take for line ends, lone surrogates.
_UNFIT = "[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]"


def check_text(text: str, what: Callable[[], str]) -> str:
    """The text, if it may stand in a header; ``what`` gives its name for the error.

    Raises ``MessageError`` for line breaks, control characters and lone surrogates.
    """
    if not isinstance(text, str):
        raise TypeError(f"{what()} must be a text, not {type(text).__name__}")
    if not text.isprintable() and (found := re.search(_UNFIT, text)):
        code = ord(found[0])
        if 0xD800 <= code <= 0xDFFF:
            raise MessageError(
                _("{what} contains half a character (U+{code:04X}).").format(what=what(), code=code),
                code="lone-surrogate",
                hint=_("Read it with the right encoding."),
            )
        raise MessageError(
            _("{what} contains a line break or control character (U+{code:04X}).").format(
                what=what(), code=code
            ),
            code="control-character",
            hint=_("Remove it; a header is one line of text."),
        )
    return text


def quoted(text: str) -> str:
    """The text as a quoted string (RFC 5322 §3.2.4)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unique(addresses: Iterable[Address]) -> tuple[Address, ...]:
    """Each mailbox once, as and where it was first written."""
    given = tuple(addresses)
    if len(given) < 2:
        return given
    found: dict[str, Address] = {}
    for address in given:
        found.setdefault(address.key, address)
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox: ``Address("ann@example.com", "Ann")``.

    ``email``: ``local@domain``; the domain is kept in lower case and ASCII (an A-label for an international
    one). A local part outside ASCII needs a server with SMTPUTF8; a quoted one is refused. ``str()`` of it is
    read back by ``parse`` as the same. Raises ``MessageError`` for anything else.
    """

    email: str
    name: str = ""

    def __post_init__(self) -> None:
        name = self.name
        if name != "":
            name = check_text(name, lambda: _("A display name")).strip(" ")
        email = check_text(self.email, lambda: _("An address")).strip(" ")
        local, _at, domain = email.rpartition("@")
        if not _LOCAL.fullmatch(local) or not (local.isascii() or _is_plain(local)):
            raise malformed(email)
        email = f"{local}@{_ascii_domain(domain, email)}"
        # RFC 5321 §4.5.3.1: 64 octets for the local part, 256 for the path with its angle brackets.
        if len(local.encode()) > 64 or len(email.encode()) > 254:
            raise malformed(email)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "email", email)

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
        key = self.email.lower()
        return key if key.isascii() else unicodedata.normalize("NFC", key)  # as RFC 6532 §3.1 has it

    def __str__(self) -> str:
        if not self.name:
            return self.email
        # What looks like an encoded word is one to many readers, unless it is quoted.
        plain = re.fullmatch(_PHRASE, self.name) and "=?" not in self.name
        return f"{self.name if plain else quoted(self.name)} <{self.email}>"

    @classmethod
    def parse(cls, text: str) -> Address:
        """One mailbox as people write it: ``ann@example.com`` or ``Ann <ann@example.com>``.

        Raises ``MessageError`` where it is not exactly one.
        """
        found = cls.parse_list(text)
        if len(found) != 1:
            raise malformed(text)
        return found[0]

    @classmethod
    def parse_list(cls, text: str) -> tuple[Address, ...]:
        """The mailboxes in a list separated by commas; quoted names, comments, groups (RFC 5322 §3.4).

        Groups are dissolved and comments left out. Raises ``MessageError`` for anything that could be read
        in two ways.
        """
        if isinstance(text, str) and _ALONE.fullmatch(text):
            return (cls(text),)
        check_text(text, lambda: _("An address"))
        if len(text) > MAX_LENGTH:
            raise MessageError(
                _("The list of addresses is too long."), code="address-list-too-long", hint=_("Split it.")
            )
        return tuple(cls(email, name) for name, email in mailboxes(text))


def _is_plain(local: str) -> bool:
    """Whether a local part outside ASCII has nothing invisible in it, and nothing that is a dot, an @ or a
    quote to programs that fold widths."""
    return local.isprintable() and bool(_LOCAL.fullmatch(unicodedata.normalize("NFKC", local)))


def _ascii_domain(domain: str, whole: str) -> str:
    if domain[:1] == "[" and domain[-1:] == "]":
        literal = domain[1:-1]
        tagged = literal[:5].lower() == "ipv6:"
        try:
            return (
                f"[{'IPv6:' if tagged else ''}{_ip(literal[5:] if tagged else literal, 6 if tagged else 4)}]"
            )
        except ValueError:
            raise malformed(whole) from None
    if not domain.isascii() and len(domain) <= 253:
        import idna

        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise malformed(whole) from error
    if len(domain) > 253 or not _DOMAIN.fullmatch(domain):
        raise malformed(whole)
    return domain.lower()


def _ip(text: str, version: int) -> str:
    import ipaddress

    address = ipaddress.ip_address(text)
    if address.version != version or "%" in text:
        raise ValueError(text)
    return str(address)
