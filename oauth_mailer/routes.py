"""One way out of the mailer, what is checked before it is taken, and what is said after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from .address import Address
from .errors import Attempt, MailerError, MessageError, RouteError
from .i18n import _
from .message import Envelope, Message, RawMessage
from .mime import Content
from .transports import Acceptance, Transport
from .values import dataclass, field

__all__ = ["Receipt", "Route"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof that a provider took charge of a message; prints as one line.

    ``message_id``: the Message-ID header; ``remote_id``: the provider's own name for it; ``refused``: the
    reason for each recipient that was refused while others were accepted; ``attempts``: all tries, in order.
    """

    message_id: str
    account: str
    transport: str
    accepted_at: datetime
    remote_id: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()

    @property
    def status(self) -> str:
        """Always ``sent``; what was not sent is an error, not a receipt."""
        return "sent"

    def __str__(self) -> str:
        line = _("Sent {message_id} as {account} by {transport}").format(
            message_id=self.message_id, account=self.account, transport=self.transport
        )
        if self.refused:
            line += _(", but refused: {addresses}").format(addresses=", ".join(self.refused))
        return line


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One way out and who sends by it.

    ``max_size`` (octets of the finished message) and ``max_recipients`` are checked before anything is
    connected; ``sender_must_match``: a finished message from another address is not tried at all.
    """

    sender: Address
    transport: Transport
    max_size: int | None = None
    max_recipients: int | None = None
    sender_must_match: bool = False

    @property
    def account(self) -> str:
        """The account's address."""
        return self.sender.email


def check(
    route: Route,
    message: Message | RawMessage,
    envelope: Envelope,
    content: Content | None,
    original: Address | None,
) -> None:
    """Refuse what is known to fail before anything is connected.

    ``content``: None where it is known to fit; ``original``: the sender of the first route, where this is
    another one's. Raises ``MessageError`` where no route could take the message, ``RouteError`` where this
    one cannot.
    """
    if content is not None and route.max_size is not None and content.size > route.max_size:
        raise MessageError(
            _("The message is {size} octets once encoded; {account} takes at most {limit}.").format(
                size=content.size, account=route.account, limit=route.max_size
            ),
            code="message-too-large",
            hint=_("Share large files by a link, or send them in several messages."),
        )
    if route.max_recipients is not None and len(envelope.recipients) > route.max_recipients:
        raise MessageError(
            _("The message has {count} recipients; {account} takes at most {limit} a message.").format(
                count=len(envelope.recipients), account=route.account, limit=route.max_recipients
            ),
            code="too-many-recipients",
            hint=_("Send it several times, each to at most {limit} of them.").format(
                limit=route.max_recipients
            ),
        )
    if original is None and route.sender_must_match and isinstance(message, RawMessage):
        sender = message.sender
        if sender is not None and sender.key != route.sender.key:
            raise RouteError(
                _("The message is from {sender}, but {account} may only send as itself.").format(
                    sender=sender.email, account=route.account
                ),
                code="sender-mismatch",
                hint=_("Change its From header, or send it with --from {sender}.").format(
                    sender=sender.email
                ),
            )


def failed(route: Route, transport: Transport, error: MailerError) -> Attempt:
    """The record of a try that ended in this error."""
    return Attempt(
        account=route.account,
        transport=transport.name,
        verdict=error.verdict,
        code=error.code,
        text=error.text or error.message,
    )


def accepted(
    message: Message | RawMessage,
    route: Route,
    transport: Transport,
    acceptance: Acceptance,
    earlier: list[Attempt],
) -> Receipt:
    """The receipt for a message that this route's provider took charge of."""
    attempt = Attempt(
        account=route.account, transport=transport.name, verdict="sent", text=acceptance.remote_id
    )
    return Receipt(
        message_id=message.id,
        account=route.account,
        transport=transport.name,
        accepted_at=datetime.now(UTC),
        remote_id=acceptance.remote_id,
        refused=acceptance.refused,
        attempts=(*earlier, attempt),
    )


def most_hopeful(failures: Sequence[MailerError]) -> MailerError:
    """What to report when every route failed: the one that passes with time, the soonest, else the first."""
    later = [error for error in failures if error.retry_later]
    if not later:
        return failures[0]
    return min(later, key=lambda error: error.retry_after or 0.0)
