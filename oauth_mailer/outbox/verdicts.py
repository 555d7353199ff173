"""What the end of a send means for the entry and for its account. Read from the error's attributes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..accounts import Accounts
from ..errors import ConfigError, MailerError
from ..logins import login_state
from ..routes import Receipt
from ..stores import store_kind
from .pacing import LANE_LONGEST, entry_pause
from .results import Outcome
from .states import Cause

__all__ = ["login_mark", "outcome_of_error", "outcome_of_receipt"]

_OF_THE_MESSAGE = frozenset(
    {"8bitmime-missing", "gmail-partial-recipients", "sender-mismatch", "smtputf8-missing"}
)
"""Codes of errors of a route that another message would not meet."""

_OF_THE_ACCOUNT = frozenset(
    {
        *("connection-quota", "daily-limit", "ip-blocked", "ip-throttled", "login-limit", "rate-limit"),
        *("gmail-429", "gmail-daily-limit-exceeded", "gmail-quota-exceeded", "gmail-rate-limit-exceeded"),
        *("gmail-resource-exhausted", "gmail-user-rate-limit-exceeded"),
    }
)
"""Codes of errors that say that all messages of the account have to wait."""

_OF_A_RECIPIENT = 5.0
"""Seconds that the account waits at most where a recipient is not taken yet (``recipient-later``).

What goes to others must not wait for a mailbox that is full; a server that says so of everybody must not be
asked at full speed.
"""


def outcome_of_receipt(receipt: Receipt) -> Outcome:
    """It was sent; maybe not to everybody."""
    return Outcome(
        cause=Cause.SENT,
        attempts=receipt.attempts,
        receipt=receipt,
        lane=True if len(receipt.attempts) == 1 else None,
        code="partly-refused" if receipt.refused else "",
        refused=receipt.refused,
    )


def outcome_of_error(error: MailerError, account: str, attempts: int, home: Path) -> Outcome:
    """``account``: by which it was to go out; ``attempts``: how often the entry was begun, this time too."""
    text = error.text or error.message
    common: dict[str, Any] = {"attempts": error.attempts, "code": error.code, "text": text}
    pause = entry_pause(attempts, error.retry_after)
    if error.verdict != "not_sent":
        return Outcome(cause=Cause.UNKNOWN, pause=pause, **common)
    if error.retry_later:
        waits = error.retry_after if error.code in _OF_THE_ACCOUNT else None
        longest = _OF_A_RECIPIENT if error.code == "recipient-later" else LANE_LONGEST
        return Outcome(
            cause=Cause.LATER, pause=pause, lane=False, lane_pause=waits, lane_longest=longest, **common
        )
    if error.for_good or error.code in _OF_THE_MESSAGE:
        return Outcome(cause=Cause.REJECTED, refused=getattr(error, "refused", {}), **common)
    # Nothing is wrong with the message: it stays in the queue until somebody mends the account.
    return Outcome(
        cause=Cause.LATER,
        paused=error.code,
        hint=error.hint,
        mark=login_mark(account, home),
        lane_pause=error.retry_after,
        **common,
    )


def login_mark(account: str, home: Path) -> str:
    """A text that changes when a person acts on the login of this account; it holds no secret."""
    try:
        known = Accounts(home).get(account)
    except ConfigError as error:  # there is none, or somebody is just writing the file
        return error.code
    return f"{login_state(known, home=home)} {store_kind(known.store)} {known.logged_in}"
