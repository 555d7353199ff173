"""One message on an open connection: MAIL, RCPT…, DATA, the octets, the dot (RFC 5321 §3.3, RFC 2920).

Until the dot has left, whatever goes wrong means *not sent*; from then on until the server's reply is read,
*unknown*; after a reply that says yes, nothing that happens changes that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from ..errors import RejectedError, RouteError, SendError, TransientError
from ..i18n import _
from ..replies import Stage
from .smtp_channel import Channel, GarbledReply, Reply
from .smtp_connect import FOREIGN
from .smtp_extensions import Mail, stuffed

__all__ = ["Transaction"]

_BLOCK = 1 << 16
_BATCH = 50  # commands in one write: so few replies fit any buffer, and neither side waits for the other


class Transaction:
    """How far it got: ``step`` is ``mail``, ``data``, ``dot`` or ``accepted``.

    ``in_step``: whether the connection may be used again afterwards. ``refusal`` makes the error for a reply.
    """

    def __init__(self, channel: Channel, refusal: Callable[[Stage, Reply], SendError]) -> None:
        self.step = "mail"
        self.in_step = False
        self._channel = channel
        self._refusal = refusal

    def run(self, commands: Sequence[bytes], mail: Mail, *, pipelining: bool) -> tuple[Reply, dict[str, str]]:
        """The reply that accepts the message, and the reason for each recipient that was refused.

        ``commands``: see ``smtp_extensions.commands_for``.
        """
        blocks = stuffed(mail.blocks())
        early = blocks if mail.early else iter(())
        refused, first = self._envelope(commands, mail.recipients, early, _BATCH if pipelining else 1)
        self.step = "data"
        self._content(first, blocks)
        reply = self._finish()
        self.step, self.in_step = "accepted", True
        return reply, refused

    def _envelope(
        self, commands: Sequence[bytes], recipients: Sequence[str], early: Iterator[bytes], batch_size: int
    ) -> tuple[dict[str, str], bytes]:
        """The reason for each recipient that was refused, and the first of the ``early`` blocks, if any."""
        replies, first = self._exchange(commands, early, batch_size)
        data = replies[-1] if len(replies) == len(commands) else None
        in_data = data is not None and 300 <= data.code < 400
        # If DATA was taken, the only ways on are the message and the end of the connection (RFC 2920 §3.1);
        # after an answer that DATA cannot have, nobody knows what the server takes the next octets for.
        self.in_step = data is None or data.code >= 400
        if not replies[0].positive:
            raise self._refusal("mail", replies[0])
        answers = zip(recipients, replies[1:], strict=False)
        failures = {one: self._refusal("rcpt", reply) for one, reply in answers if not reply.positive}
        if len(failures) == len(recipients):
            raise _nobody_left(failures)
        if data is not None and not in_data:
            raise self._refusal("data", data)
        self.in_step = False
        return {one: error.text for one, error in failures.items()}, first

    def _exchange(
        self, commands: Sequence[bytes], early: Iterator[bytes], batch_size: int
    ) -> tuple[list[Reply], bytes]:
        """The replies so far as it made sense to go on, and the first of the ``early`` blocks, if any."""
        replies: list[Reply] = []
        first = b""
        data = len(commands) - 1
        for at in range(0, len(commands), batch_size):
            batch = commands[at : at + batch_size]
            if at == data and not any(reply.positive for reply in replies[1:]):
                break  # nobody is left to send to
            self._channel.write(b"".join(batch))
            if at + batch_size > data:  # it is made ready while the server thinks
                first = next(early, b"")
            for number in range(at, at + len(batch)):
                replies.append(reply := self._channel.read_reply())
                if reply.code == 421:  # the server closes; what else was asked is not answered
                    stage: Stage = "mail" if number == 0 else "data" if number == data else "rcpt"
                    raise self._refusal(stage, reply)
            if not replies[0].positive:
                break
        return replies, first

    def _content(self, first: bytes, blocks: Iterator[bytes]) -> None:
        pending = first
        for block in blocks:
            pending = pending + block if pending else block
            if len(pending) >= _BLOCK:
                self._push(pending)
                pending = b""
        self._push(pending)
        # Whoever refuses or hangs up before the end is told apart from whoever falls silent after it.
        if self._channel.poll():
            raise self._early() or GarbledReply(b"")

    def _push(self, data: bytes) -> None:
        try:
            self._channel.write(data)
        except OSError as error:
            if refusal := self._early():
                raise refusal from error
            raise

    def _early(self) -> SendError | None:
        """What a server that ended the transfer says of it, if it says anything."""
        with suppress(*FOREIGN):
            reply = self._channel.read_reply(1.0)
            if reply.code >= 400:
                return self._refusal("data", reply)
        return None

    def _finish(self) -> Reply:
        self._channel.must_go_on()
        self.step = "dot"
        try:
            self._channel.write(b".\r\n")
        except ConnectionError:
            if self._channel.taken == 0:  # the connection was gone: not one octet of the end has left
                self.step = "data"
            raise
        reply = self._channel.read_reply()
        if reply.code >= 400:
            self.in_step = reply.code != 421
            raise self._refusal("dot", reply)
        if not reply.positive:
            raise GarbledReply(f"{reply.code} ".encode() + reply.text)
        return reply


def _nobody_left(failures: Mapping[str, SendError]) -> SendError:
    """The error where every recipient was refused: if one may be accepted later, so may the message."""
    errors = list(failures.values())
    later = [error for error in errors if isinstance(error, TransientError)]
    if later:
        return max(later, key=lambda error: error.retry_after or 0.0)
    if route := next((error for error in errors if isinstance(error, RouteError)), None):
        return route
    first = errors[0]
    return RejectedError(
        first.message
        if len(errors) == 1
        else _("All {count} recipients were refused; the first: {reason}").format(
            count=len(errors), reason=first.message
        ),
        code=first.code,
        hint=first.hint,
        text=first.text,
        refused={one: error.text for one, error in failures.items()},
    )
