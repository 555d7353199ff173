"""Hands finished bytes to a provider and says truthfully what became of them.

One kind of transport is one file here, and the file's name is the value of an account's ``transport``.
Each file has a function ``open(account, credential, timeout) -> Transport``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from ..accounts import Account
from ..auth import Credential
from ..errors import ConfigError
from ..i18n import _
from ..message import Envelope
from ..mime import Content
from ..rooms import room, rooms
from ..values import dataclass, field

__all__ = ["TIMEOUT", "Acceptance", "Transport", "open_transport"]

TIMEOUT = 60.0
"""Seconds that one step on the network (connecting, one reply, one block of data) may take.

All steps of one send together may take ten times that, and longer only for a large message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """The provider took charge of the message.

    ``remote_id``: the provider's own name for it (Gmail's id, the queue id in an SMTP reply), if it gave
    one; ``refused``: the reason for each recipient that was refused while others were accepted.
    """

    remote_id: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)


class Transport(Protocol):
    """A way out. May be used from several threads at once."""

    @property
    def name(self) -> str:
        """The kind, as in the configuration."""

    def send(self, envelope: Envelope, content: Content) -> Acceptance:
        """Returns only once the provider took charge of the message.

        Raises ``SendError`` and nothing else, with one exception: a ``MessageError`` of ``content`` (a file
        that changed while it was read) passes through, after the transfer was broken off so that nothing
        was accepted. After the provider accepted, nothing is raised.
        """

    def close(self) -> None:
        """Give back what is held open. Never raises; the transport may be used again afterwards."""


def open_transport(
    account: Account, credential: Callable[[], Credential], *, timeout: float = TIMEOUT
) -> Transport:
    """The way out of this account. Connects to nothing yet.

    ``credential`` is called when one is first needed: a transport that writes files needs none.
    """
    if (found := room(__name__, account.transport)) is None:
        raise ConfigError(
            _("{address} is set to send by {transport!r}, which this version cannot do.").format(
                address=account.address, transport=account.transport
            ),
            code="transport-unknown",
            hint=_("Set its transport to one of: {known}.").format(known=", ".join(rooms(__name__))),
        )
    transport: Transport = found.open(account, credential, timeout)
    return transport
