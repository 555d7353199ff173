"""What to say and to whom."""

from __future__ import annotations

from dataclasses import dataclass

from .address import Address

__all__ = ["Envelope"]


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who a message is from and whom it goes to (RFC 5321 §2.3.1), apart from what its headers show.

    ``recipients``: each mailbox once; ``named``: the mailboxes that the To and Cc headers show. A recipient
    that is not named is a blind one.
    """

    sender: Address
    recipients: tuple[Address, ...]
    named: tuple[Address, ...] = ()
