"""Messages as programs of this machine hand them to ``sendmail``: addressed to "root", from "cron@this-host".

A submission agent completes such addresses (RFC 6409 §8.3): a user of this machine is who the aliases say,
else the owner of the sending account.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping, Sequence
from email.header import decode_header, make_header
from pathlib import Path

from .address import Address
from .address_list import mailboxes
from .errors import MessageError

__all__ = ["complete", "complete_recipients", "without_dot"]

Aliases = Mapping[str, Sequence[str]]

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*")
_AUTHORS = frozenset({"from", "sender", "reply-to", "resent-from", "resent-sender"})
_RECIPIENTS = frozenset({"to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc"})
_ADDRESSED = re.compile(
    rb"^(?:[ \t]|From |(?:resent-)?(?:from|to|cc|bcc)[ \t]*:)", re.IGNORECASE | re.MULTILINE
)
"""What is no text that somebody wrote by hand: it would show who is in Bcc."""
_COMMENT = re.compile(r"\(([^()\\]*)\)")
_OF_THIS_MACHINE = (".localdomain", ".local", ".lan", ".internal", ".home.arpa")
_TEXT = b"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n"


def complete(data: bytes, own: str, aliases: Aliases, *, name: str = "") -> bytes:
    """The message with each address of this machine in its headers replaced.

    ``own``: the address of the account that sends it; ``aliases``: addresses by user, those of ``*`` for
    every other; ``name``: shown beside the account's address where the sender is a user of this machine, or
    missing. What cannot be read is left as it is; a line that is no header begins the text
    where no addresses follow.
    """
    head, blank, body = _split(data)
    fields: list[bytes] = []
    at = 0
    while found := _FIELD.match(head, at):
        fields.append(_completed(found[1].decode("ascii").lower(), found[0], own, aliases, name))
        at = found.end()
    rest = head[at:]
    if rest and not _ADDRESSED.search(rest):
        # As with every sendmail, the text begins where a line is no header: an echo writes no empty line.
        rest, blank, body = b"", b"\n", rest + blank + body
    names = {field.partition(b":")[0].strip().lower() for field in fields}
    if name and b"from" not in names:
        fields.insert(0, f"From: {Address(own, name)}\n".encode())
    if not rest and not names & {b"mime-version", b"content-type"} and _is_text(body):
        fields.append(_TEXT)
    return b"".join(fields) + rest + blank + body


def complete_recipients(words: Sequence[str], own: str, aliases: Aliases) -> list[Address]:
    """The recipients that a command line names. Raises ``MessageError`` for what is no address."""
    return [one for word in words for one in _everyone(word, own, aliases)]


def without_dot(data: bytes) -> bytes:
    """The message up to a line with a dot alone, which ends it where ``-i`` is not given."""
    found = re.search(rb"^\.\r?\n|^\.\Z", data, re.MULTILINE)
    return data[: found.start()] if found else data


def _split(data: bytes) -> tuple[bytes, bytes, bytes]:
    found = re.search(rb"^\r?\n", data, re.MULTILINE)
    if not found:
        return data if data.endswith(b"\n") else data + b"\n", b"", b""
    return data[: found.start()], found[0], data[found.end() :]


def _is_text(body: bytes) -> bool:
    """Whether it is UTF-8 beyond ASCII: cron and mail send the output of programs without saying so."""
    try:
        return not body.isascii() and bool(body.decode())
    except UnicodeDecodeError:
        return False


def _completed(key: str, field: bytes, own: str, aliases: Aliases, name: str) -> bytes:
    if key not in _AUTHORS | _RECIPIENTS:
        return field
    label, _colon, value = field.partition(b":")
    try:
        text = re.sub(r"\r?\n[ \t]*", " ", value.decode()).strip()
        written = list(mailboxes(text))
        if not any(_is_local(email) for _name, email in written):
            return field
        if key in _RECIPIENTS:
            everyone = _everyone(text, own, aliases)
        else:
            everyone = [_author(text, email, shown, own, name) for shown, email in written]
    except (LookupError, UnicodeError, MessageError):  # among them names in an encoding that nobody knows
        return field
    return label + b": " + ",\n ".join(map(str, everyone)).encode() + b"\n"


def _author(text: str, email: str, shown: str, own: str, name: str) -> Address:
    if not _is_local(email):
        return Address(email, shown)
    comment = _COMMENT.search(text)
    said = name or shown or (comment[1].strip() if comment else "") or email.partition("@")[0]
    return Address(own, str(make_header(decode_header(said))))


def _everyone(text: str, own: str, aliases: Aliases) -> list[Address]:
    found: list[Address] = []
    for shown, email in mailboxes(text):
        if not _is_local(email):
            found.append(Address(email, shown))
            continue
        user = email.partition("@")[0]
        for alias in aliases.get(user, aliases.get("*", (own,))):
            found.extend(Address.parse_list(alias))
    return found


def _is_local(email: str) -> bool:
    _user, at, domain = email.rpartition("@")
    low = domain.lower()
    return not at or "." not in low.strip("[]:") or low.endswith(_OF_THIS_MACHINE) or low in _names()


def _names() -> set[str]:
    """What this machine is called by its own programs; nobody else is asked."""
    found = {socket.gethostname().lower()}
    try:
        found.add(Path("/etc/mailname").read_text("utf-8").strip().lower())  # Debian's name for mail
    except (OSError, UnicodeDecodeError):
        return found
    return found
