"""How entries of the outbox are shown: for scripts, and for a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError
from ...i18n import _

if TYPE_CHECKING:
    from ...outbox import Entry, Stats

__all__ = ["STATES", "Waiting", "fields", "iso", "state_word", "who_waits"]

STATES = ("queued", "sending", "sent", "rejected", "unknown", "cancelled")
"""As they are typed, and written in JSON; those of ``outbox.State``, without importing it."""


def state_word(state: str) -> str:
    """The state for a person."""
    words = {
        "queued": _("queued"),
        "sending": _("sending"),
        "sent": _("sent"),
        "rejected": _("rejected"),
        "unknown": _("unknown"),
        "cancelled": _("cancelled"),
    }
    return words[state]


def iso(moment: datetime | None) -> str | None:
    """The time for scripts: ISO 8601, UTC."""
    return None if moment is None else moment.isoformat(timespec="seconds")


def fields(entry: Entry) -> dict[str, Any]:
    """An entry for scripts."""
    return {
        "entry": entry.id,
        "state": str(entry.state),
        "account": entry.account,
        "message_id": entry.message_id,
        "key": entry.key,
        "subject": entry.subject,
        "to": list(entry.recipients),
        "size": entry.size,
        "priority": entry.priority,
        "fallback": None if entry.fallback is None else list(entry.fallback),
        "created": iso(entry.created),
        "due": iso(entry.due),
        "expires": iso(entry.expires),
        "changed": iso(entry.changed),
        "attempts": entry.attempts,
        "sent_as": entry.sent_as,
        "transport": entry.transport,
        "remote_id": entry.remote_id,
        "refused": dict(entry.refused),
        "code": entry.code,
        "text": entry.text,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An account whose messages wait for a person.

    ``messages``: how many; ``code``: why; ``text``, ``hint``: the same for a person, and what to do.
    """

    account: str
    messages: int
    code: str
    text: str
    hint: str


def who_waits(stats: Stats) -> Iterator[Waiting]:
    """The accounts that wait for a person, those that are not set up here among them."""
    from ...accounts import Accounts

    accounts = Accounts()
    for address in sorted({*stats.waiting, *stats.paused}):
        messages = stats.waiting.get(address, 0)
        try:
            accounts.get(address)
        except ConfigError as error:
            if messages:
                if error.code == "no-account":
                    text = _("{account} is not set up here; messages that wait for it: {count}.")
                else:
                    text = _("{reason} Messages of {account} that wait for it: {count}.")
                yield Waiting(
                    account=address,
                    messages=messages,
                    code=error.code,
                    text=text.format(reason=error.message, account=address, count=messages),
                    hint=error.hint,
                )
            continue
        if address in stats.paused:
            yield Waiting(
                account=address,
                messages=messages,
                code=stats.paused[address],
                text=_("{account} waits for you ({code}); messages that wait for it: {count}.").format(
                    account=address, code=stats.paused[address], count=messages
                ),
                hint=stats.hints.get(address)
                or _("Run: oauth-mailer doctor {address}").format(address=address),
            )
