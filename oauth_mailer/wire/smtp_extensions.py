"""What a server can do (RFC 5321 §2.2), what a message needs of it, and how a message looks on its way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from ..errors import RejectedError, RouteError
from ..i18n import _
from ..values import dataclass

__all__ = ["Mail", "commands_for", "extensions_in", "stuffed"]

_ENDING = re.compile(r"[\x00-\x1f<>\x7f]")  # what would end an address or a command


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One message for one transaction: the mailboxes of its envelope, what it needs, and its octets.

    ``size``: octets; ``blocks``: gives them in blocks of any length, with CRLF line ends, one at the end;
    ``early``: whether the first may be made before the server has said that it takes the message.
    """

    sender: str
    recipients: tuple[str, ...]
    size: int
    needs_8bit: bool = False
    needs_smtputf8: bool = False
    blocks: Callable[[], Iterator[bytes]]
    early: bool = True


def extensions_in(lines: Sequence[bytes]) -> Mapping[str, str]:
    """The keywords in a reply to EHLO, in capitals, with their parameters.

    ``AUTH=LOGIN``, an old form that QQ Mail sends beside the new one, counts as ``AUTH LOGIN``.
    """
    found: dict[str, str] = {}
    for line in lines[1:]:
        keyword, _space, parameters = line.decode("ascii", "replace").replace("=", " ", 1).partition(" ")
        name = keyword.upper()
        found[name] = f"{found.get(name, '')} {parameters}".strip()
    return found


def commands_for(mail: Mail, extensions: Mapping[str, str], host: str) -> list[bytes]:
    """MAIL, RCPT… and DATA for this message, each with its line end.

    Raises, before anything is said, ``RejectedError`` where the message is larger than the server takes, and
    ``RouteError`` where the server lacks what it needs.
    """
    limit = extensions.get("SIZE", "")
    if limit.isdecimal() and 0 < int(limit) < mail.size:  # 0: no fixed limit (RFC 1870 §3)
        raise RejectedError(
            _("The message is {size} octets once encoded; {host} takes at most {limit}.").format(
                size=mail.size, host=host, limit=int(limit)
            ),
            code="message-too-large",
            hint=_("Share large files by a link, or send them in several messages."),
        )
    lines = [f"RCPT TO:<{one}>\r\n".encode() for one in mail.recipients]
    utf8 = mail.needs_smtputf8 or not (mail.sender.isascii() and all(map(bytes.isascii, lines)))
    if utf8 and "SMTPUTF8" not in extensions:
        raise RouteError(
            _("{host} takes only addresses and headers of plain English letters (no SMTPUTF8).").format(
                host=host
            ),
            code="smtputf8-missing",
            hint=_("Use an address in plain letters, or another account with --fallback."),
        )
    if mail.needs_8bit and "8BITMIME" not in extensions:
        raise RouteError(
            _("{host} takes only messages of 7-bit characters (no 8BITMIME).").format(host=host),
            code="8bitmime-missing",
            hint=_("Encode the finished message as quoted-printable or base64, or use another account."),
        )
    parameters = f" SIZE={mail.size}" if "SIZE" in extensions else ""
    parameters += " BODY=8BITMIME" if mail.needs_8bit else ""
    parameters += " SMTPUTF8" if utf8 else ""
    if any(map(_ENDING.search, (mail.sender, *mail.recipients))):
        raise AssertionError("a character in an address that would end the command")
    return [f"MAIL FROM:<{mail.sender}>{parameters}\r\n".encode(), *lines, b"DATA\r\n"]


def stuffed(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """A dot more in front of each line that begins with one (RFC 5321 §4.5.2), also across blocks."""
    end = b"\r\n"
    for block in blocks:
        if block.startswith(b".") and end.endswith(b"\n"):
            yield b"."
        # Most have none; to look for the last one takes half the time of looking for the first.
        yield block if block.rfind(b"\n.") < 0 else block.replace(b"\n.", b"\n..")
        end = block[-2:] if len(block) > 1 else (end + block)[-2:]
    if end != b"\r\n":
        raise AssertionError("a message without a line end at its end")
