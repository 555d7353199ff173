"""A message, a credential and a transport, for tests that speak to a scripted SMTP server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, cast

from oauth_mailer.address import Address
from oauth_mailer.errors import LoginRequired
from oauth_mailer.message import Envelope
from oauth_mailer.mime import Content
from oauth_mailer.stores import Secret
from oauth_mailer.transports import Acceptance
from oauth_mailer.transports.smtp import SmtpTransport

from .smtp_script import CODE, SmtpScript

HELLO = b"Subject: Hi\r\n\r\nHello\r\n"


class Code:
    """A credential that counts. ``secrets``: what it gives, one after the other as each is refused."""

    def __init__(self, *secrets: str, form: Literal["password", "bearer"] = "password") -> None:
        self.form = form
        self.secrets = list(secrets or (CODE,))
        self.refused: list[str] = []

    def get(self) -> Secret:
        return Secret(self.secrets[0])

    def renew(self, refused: Secret) -> Secret:
        self.refused.append(refused.reveal())
        if len(self.secrets) == 1:
            raise LoginRequired("No more.", code="no-more")
        del self.secrets[0]
        return self.get()


class Octets:
    """Content made of these blocks; an error among them is raised there."""

    is_watched = False

    def __init__(
        self, *blocks: bytes | Exception, needs_8bit: bool = False, needs_smtputf8: bool = False
    ) -> None:
        self._blocks = blocks
        self.size = sum(len(block) for block in blocks if isinstance(block, bytes))
        self.needs_8bit = needs_8bit
        self.needs_smtputf8 = needs_smtputf8

    def blocks(self) -> Iterator[bytes]:
        for block in self._blocks:
            if isinstance(block, Exception):
                raise block
            yield block


def content(*blocks: bytes | Exception, **needs: bool) -> Content:
    return cast(Content, Octets(*(blocks or (HELLO,)), **needs))


def envelope(*recipients: str, sender: str = "me@qq.com") -> Envelope:
    to = tuple(Address(one) for one in recipients or ("ann@example.com",))
    return Envelope(Address(sender), to, to)


def transport(
    server: SmtpScript,
    credential: Code | None = None,
    *,
    timeout: float = 5,
    limits: Any = None,
    **fields: Any,
) -> SmtpTransport:
    opened: Callable[[], Any] = lambda: credential or Code()  # noqa: E731
    return SmtpTransport(server.account(**fields), opened, timeout=timeout, limits=limits)


def send(
    server: SmtpScript,
    *recipients: str,
    what: Content | None = None,
    sender: str = "me@qq.com",
    credential: Code | None = None,
    timeout: float = 5,
    **fields: Any,
) -> Acceptance:
    """Send one message and close."""
    way = transport(server, credential, timeout=timeout, **fields)
    try:
        return way.send(envelope(*recipients, sender=sender), what or content())
    finally:
        way.close()
