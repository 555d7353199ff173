"""One AUTH attempt by one mechanism (RFC 4954), so that a wrong code costs one failed login and no more."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Generator, Mapping
from typing import Any, Literal

from ..providers import Server
from ..stores import Secret
from ..values import dataclass
from .smtp_channel import Channel, GarbledReply, Reply
from .smtp_connect import ascii_host

__all__ = ["Answered", "Login", "authenticate", "choose"]

MAX_COMMAND = 510
"""Octets of a command before its line end (RFC 5321 §4.5.3.1.4); longer ones wait for it (RFC 4954 §4)."""

_TOLD = ("status", "scope", "openid-configuration")
"""What RFC 7628 §3.2.2 lets a server say of a token that it refuses; Google's XOAUTH2 has the first two."""

_Steps = Generator[bytes | None, bytes, None]
"""Gives the initial response (None: there is none), then an answer to each challenge as it came."""


@dataclass(frozen=True, slots=True)
class Login:
    """A user name and what proves it."""

    name: str
    secret: Secret
    form: Literal["password", "bearer"]


@dataclass(frozen=True, slots=True)
class Answered:
    """The server's last word, and why it refused a token, as ``status: …, scope: …``, where it said so."""

    reply: Reply
    reason: bytes = b""


def _plain(login: Login, _server: Server) -> _Steps:
    yield f"\0{login.name}\0{login.secret.reveal()}".encode()  # RFC 4616


def _login(login: Login, _server: Server) -> _Steps:
    yield None
    yield login.name.encode()  # the prompts differ from server to server, their order does not
    yield login.secret.reveal().encode()


def _cram_md5(login: Login, _server: Server) -> _Steps:
    challenge = yield None
    try:
        nonce = b64decode(challenge, validate=True)
    except binascii.Error:
        raise GarbledReply(challenge) from None
    import hmac

    digest = hmac.new(login.secret.reveal().encode(), nonce, "md5").hexdigest()
    yield f"{login.name} {digest}".encode()  # RFC 2195


def _oauthbearer(login: Login, server: Server) -> _Steps:
    name = login.name.replace("=", "=3D").replace(",", "=2C")  # RFC 5801 §4, saslname
    place = f"host={ascii_host(server.host)}\1port={server.port}\1"
    yield f"n,a={name},\1{place}auth=Bearer {login.secret.reveal()}\1\1".encode()  # RFC 7628 §3.1
    yield b"\1"  # RFC 7628 §3.2.3: a challenge is the reason of a refusal, which comes after this octet


def _xoauth2(login: Login, _server: Server) -> _Steps:
    yield f"user={login.name}\1auth=Bearer {login.secret.reveal()}\1\1".encode()
    yield b""  # a challenge is the reason of a refusal, which comes after an empty answer


_MECHANISMS: Mapping[str, Callable[[Login, Server], _Steps]] = {
    "PLAIN": _plain,
    "LOGIN": _login,
    "CRAM-MD5": _cram_md5,
    "OAUTHBEARER": _oauthbearer,
    "XOAUTH2": _xoauth2,
}

# Inside TLS the simplest is the best: PLAIN is the standard and has an encoding; LOGIN was never one;
# CRAM-MD5 protects nothing that TLS does not, and wants the server to keep the secret in plain text.
# Of the two for tokens the standard comes first: it names the host and port that the token is shown to, so
# that a server can refuse one that was meant for another, and it says how a refusal is told. XOAUTH2, from
# which it was made, is all that older servers have, and Microsoft's.
_ORDER: Mapping[str, tuple[str, ...]] = {
    "password": ("PLAIN", "LOGIN", "CRAM-MD5"),
    "bearer": ("OAUTHBEARER", "XOAUTH2"),
}


def choose(form: str, offered: Collection[str]) -> str | None:
    """The mechanism for a secret of this form, or None where the server offers none."""
    return next((one for one in _ORDER[form] if one in offered), None)


def authenticate(channel: Channel, mechanism: str, login: Login, server: Server) -> Answered:
    """Show the secret once and return the server's last word, which has no part of the secret in it.

    Where the server gave its reason in a challenge, as it may for a token, the reply's last line is that
    reason: JSON, or what came in place of it.
    """
    if not channel.encrypted:
        raise AssertionError("a secret is never shown outside TLS")
    steps = _MECHANISMS[mechanism](login, server)
    sent = [login.secret.reveal().encode()]
    first = next(steps)
    command = f"AUTH {mechanism}".encode()
    if first is not None and len(command) + 1 + 4 * ((len(first) + 2) // 3) <= MAX_COMMAND:
        sent.append(b64encode(first))
        command += b" " + sent[-1]
        first = None
    channel.write(command + b"\r\n")
    reply, reason = _read(channel, sent), b""
    while reply.code == 334:
        if first is not None:
            answer, first = first, None
        else:
            reason = reply.text
            try:
                answer = steps.send(reason) or b""
            except StopIteration:
                raise GarbledReply(b"334 " + _without(reason, sent)) from None
        if login.form == "password" or len(answer) > 1:  # an answer of one octet is no secret
            sent.append(b64encode(answer))
        channel.write(b64encode(answer) + b"\r\n")
        reply = _read(channel, sent)
    if login.form == "password" or not reason:
        return Answered(reply)
    said, told = _explained(_decoded(reason), sent)
    return Answered(Reply(reply.code, (*reply.lines, said)), told)


def _explained(reason: bytes, sent: list[bytes]) -> tuple[bytes, bytes]:
    """The reason as it came, and what it tells; both without what was shown, however that was written."""
    import json

    try:
        found = json.loads(reason)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return _without(reason, sent), b""
    # Written anew: its own escapes could hide a secret from whoever looks for it.
    said = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    told = ", ".join(f"{name}: {found[name]}" for name in _TOLD if _is_told(found.get(name)))
    quoted = [json.dumps(one.decode("utf-8", "replace"), ensure_ascii=False)[1:-1].encode() for one in sent]
    return _without(_octets(said), [*sent, *quoted]), _without(_octets(told), sent)


def _is_told(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool) and value != ""


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")  # JSON may hold half of a character


def _read(channel: Channel, sent: list[bytes]) -> Reply:
    try:
        reply = channel.read_reply()
    except GarbledReply as error:
        raise GarbledReply(_without(error.data, sent)) from None
    return (
        reply if reply.code == 334 else Reply(reply.code, tuple(_without(one, sent) for one in reply.lines))
    )


def _decoded(text: bytes) -> bytes:
    try:
        return b64decode(text, validate=True)
    except binascii.Error:
        return text


def _without(text: bytes, sent: list[bytes]) -> bytes:
    """Some servers repeat what they were sent; it must not get into errors and logs."""
    for secret in sorted(filter(None, sent), key=len, reverse=True):
        text = text.replace(secret, b"***")
    return text
