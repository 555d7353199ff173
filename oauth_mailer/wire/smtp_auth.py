"""One AUTH attempt by one mechanism (RFC 4954), so that a wrong code costs one failed login and no more."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass
from typing import Literal

from ..stores import Secret
from .smtp_channel import Channel, GarbledReply, Reply

__all__ = ["Login", "authenticate", "choose"]

MAX_COMMAND = 510
"""Octets of a command before its line end (RFC 5321 §4.5.3.1.4); longer ones wait for it (RFC 4954 §4)."""

_Steps = Generator[bytes | None, bytes, None]
"""Gives the initial response (None: there is none), then an answer to each challenge as it came."""


@dataclass(frozen=True, slots=True)
class Login:
    """A user name and what proves it."""

    name: str
    secret: Secret
    form: Literal["password", "bearer"]


def _plain(name: str, secret: str) -> _Steps:
    yield f"\0{name}\0{secret}".encode()  # RFC 4616


def _login(name: str, secret: str) -> _Steps:
    yield None
    yield name.encode()  # the prompts differ from server to server, their order does not
    yield secret.encode()


def _cram_md5(name: str, secret: str) -> _Steps:
    challenge = yield None
    try:
        nonce = b64decode(challenge, validate=True)
    except binascii.Error:
        raise GarbledReply(challenge) from None
    import hmac

    yield f"{name} {hmac.new(secret.encode(), nonce, 'md5').hexdigest()}".encode()  # RFC 2195


def _xoauth2(name: str, secret: str) -> _Steps:
    yield f"user={name}\1auth=Bearer {secret}\1\1".encode()
    yield b""  # a challenge is the reason of a refusal, which comes after an empty answer


_MECHANISMS: Mapping[str, Callable[[str, str], _Steps]] = {
    "PLAIN": _plain,
    "LOGIN": _login,
    "CRAM-MD5": _cram_md5,
    "XOAUTH2": _xoauth2,
}

# Inside TLS the simplest is the best: PLAIN is the standard and has an encoding; LOGIN was never one;
# CRAM-MD5 protects nothing that TLS does not, and wants the server to keep the secret in plain text.
_ORDER: Mapping[str, tuple[str, ...]] = {
    "password": ("PLAIN", "LOGIN", "CRAM-MD5"),
    "bearer": ("XOAUTH2",),
}


def choose(form: str, offered: Collection[str]) -> str | None:
    """The mechanism for a secret of this form, or None where the server offers none."""
    return next((one for one in _ORDER[form] if one in offered), None)


def authenticate(channel: Channel, mechanism: str, login: Login) -> Reply:
    """Show the secret once and return the server's last word, which has no part of the secret in it.

    Where the server gave its reason in a challenge (XOAUTH2), the reply's last line is that reason.
    """
    if not channel.encrypted:
        raise AssertionError("a secret is never shown outside TLS")
    steps = _MECHANISMS[mechanism](login.name, login.secret.reveal())
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
        sent.append(b64encode(answer))
        channel.write(sent[-1] + b"\r\n")
        reply = _read(channel, sent)
    if mechanism == "XOAUTH2" and reason:
        return Reply(reply.code, (*reply.lines, _without(_decoded(reason), sent)))
    return reply


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
