"""Texts of every kind for property tests, and how the standard library reads a message."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.utils import getaddresses, parseaddr
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from oauth_mailer import Address
from oauth_mailer.message import Message as OurMessage
from oauth_mailer.mime import render

moderately = settings(max_examples=120, deadline=None, derandomize=True)
"""So many examples, the same on every run."""

ME = Address("me@example.org", "Me")
FAMILY = "👨‍👩‍👧‍👦"

# Whatever may stand in a header: all but controls, line separators and halves of characters.
_CHARACTERS = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])
_PIECES = st.sampled_from(
    [
        *(" ", "  ", *",;:@()<>[].'%*_=?-/", '"', "\\", "=?", "?=", "=?="),
        *("=?utf-8?q?x?=", "=?UTF-8?Q?=0ABcc:_x@y?=", "a" * 80, "word", "Ann Lee", "Grüße", "季度报告"),
        *(FAMILY, "שלום", "مرحبا", "e\u0301", "\u00a0", "\u3000", "\u200d", "\ufeff"),
    ]
)
LINES = st.lists(st.one_of(_PIECES, st.text(_CHARACTERS, max_size=12)), max_size=12).map("".join)
"""Texts for a header."""

NAMES = LINES.map(lambda text: text.strip(" "))
"""Display names."""

FILE_NAMES = LINES.map(lambda text: text.replace("\\", "").replace("/", "").strip() or "x").filter(
    lambda name: name not in (".", "..")
)

_LOCALS = st.from_regex(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,12}(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,12}){0,2}", fullmatch=True
)
_DOMAINS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z]{2,6}){1,2}", fullmatch=True)
# The standard library's reader, which judges here, knows none on Python 3.11.2.
_LITERALS = [one for one in ("x@[192.0.2.1]", "x@[IPv6:2001:db8::1]") if parseaddr(one)[1] == one]
EMAILS = st.one_of(
    st.tuples(_LOCALS, _DOMAINS).map("@".join),
    st.sampled_from(["a@b", f"{'l' * 64}@{'d' * 63}.{'d' * 63}.{'d' * 57}.de", *_LITERALS]),
)
"""Addresses in ASCII."""

ADDRESSES = st.builds(Address, EMAILS, NAMES)

BODIES = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.sampled_from(
            [
                *(
                    "\n",
                    "\r",
                    "\r\n",
                    "\n\n",
                    ".",
                    "\n.\n",
                    "From ",
                    "\nFrom here",
                    "--",
                    "=",
                    "=\n",
                    "=20\n",
                ),
                *(" \n", "\t\n", "\0", "\x0b", "\x0c", "\u0085", "\u2028", FAMILY, "报告", "ä"),
                *("a" * width + "\n" for width in range(72, 81)),
                *("a" * width + end for width in range(70, 77) for end in (" \n", "\t\n", ".\n", "=\n")),
                *("From " + "a" * width + "\n" for width in range(66, 76)),
                *("b" * 998 + "\n", "b" * 5000, "From From " + "é" * 30),
            ]
        ),
    ),
    max_size=12,
).map("".join)
"""Texts for a body."""


def as_sent(text: str) -> str:
    """What becomes of a text: CR, LF and CRLF are line ends, and a last line gets one."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return (text if not text or text.endswith("\n") else text + "\n").replace("\n", "\r\n")


def octets(message: OurMessage, sender: Address = ME, **how: Any) -> bytes:
    """The whole message as it goes out; its announced size is its size."""
    _envelope, content = render(message, sender, **how)
    data = b"".join(content.blocks())
    assert content.size == len(data)
    return data


def modern(data: bytes) -> EmailMessage:
    """As the standard library reads it by its policy of today."""
    message = message_from_bytes(data, policy=policy.default)
    assert not [found for part in message.walk() for found in part.defects]
    return message


def classic(data: bytes) -> Message:
    """As the standard library reads it by its policy of old."""
    message = message_from_bytes(data)
    assert not [found for part in message.walk() for found in part.defects]
    return message


def classic_text(message: Message, name: str) -> str:
    raw = message[name].replace("\r\n", "").replace("\n", "")
    return str(make_header(decode_header(raw)))


def modern_mailboxes(message: EmailMessage, name: str) -> list[tuple[str, str]]:
    """Without the blanks in names: it puts one between two encoded words, and leaves out doubled ones."""
    return [(bare(one.display_name), one.addr_spec) for one in message[name].addresses]


def bare(name: str) -> str:
    """A name without its blanks."""
    return "".join(name.split())


def classic_mailboxes(message: Message, name: str) -> list[tuple[str, str]]:
    raw = message[name].replace("\r\n", "").replace("\n", "")
    return [(str(make_header(decode_header(shown))), email) for shown, email in getaddresses([raw])]
