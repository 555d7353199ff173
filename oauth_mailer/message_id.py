"""The identity of a message."""

from __future__ import annotations

import os
import time

__all__ = ["new_message_id"]


def new_message_id() -> str:
    """A Message-ID that no other message has (RFC 5322 §3.6.4) and that tells nothing of this machine.

    The sender is not known yet when a message is made and may differ by route, so no domain of anybody's
    is claimed: ``.invalid`` is reserved for names that belong to nobody (RFC 2606 §2).
    """
    return f"<{time.time_ns() // 1_000_000:x}.{os.urandom(12).hex()}@oauth-mailer.invalid>"
