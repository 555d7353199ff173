"""Checks of the outbox, where there is one: whether it opens, and what in it waits for a person."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ..errors import OutboxError
from ..i18n import _
from .finding import Finding, failed, ok, warning
from .patient import Machine, within

if TYPE_CHECKING:
    from ..outbox import Stats

__all__ = ["outbox"]

_OVERDUE = timedelta(minutes=15)
"""From then on, nobody seems to be sending."""


def outbox(machine: Machine) -> Iterator[Finding]:
    """What is in it; nothing where there is none."""
    url = os.environ.get("OAUTH_MAILER_OUTBOX_URL", "")
    if not url and not (machine.settings.home / "outbox.db").exists():
        return
    if machine.settings.offline and url and not url.startswith("sqlite"):
        return
    try:
        stats = within(machine.settings.timeout, lambda: _stats(machine))
    except TimeoutError:
        yield failed(
            OutboxError(
                _("The outbox did not answer within {seconds:g} seconds.").format(
                    seconds=machine.settings.timeout
                ),
                code="outbox-timeout",
                hint=_("Check that its database runs, and that no other program holds its lock."),
            )
        )
        return
    yield _contents(stats)
    yield from _settled(stats)
    yield from _waiting(stats, machine)


def _stats(machine: Machine) -> Stats:
    from ..outbox import Outbox

    with Outbox(home=machine.settings.home) as opened:
        return opened.stats()


def _contents(stats: Stats) -> Finding:
    counts = ", ".join(f"{state}: {count}" for state, count in stats.counts.items() if count)
    return ok(_("It opens. Messages: {counts}.").format(counts=counts or 0))


def _settled(stats: Stats) -> Iterator[Finding]:
    from ..outbox import State

    if count := stats.counts.get(State.UNKNOWN, 0):
        yield _named(
            "outbox-unknown",
            warning(
                _("Messages that may have been sent, or not: {count}.").format(count=count),
                cause=_("Only a person can find out, and say whether they are sent again."),
                hint=_("Run: oauth-mailer outbox list --state unknown"),
            ),
        )
    if count := stats.counts.get(State.REJECTED, 0):
        yield _named(
            "outbox-rejected",
            warning(
                _("Messages that were refused for good: {count}.").format(count=count),
                cause=_("They are not tried again by themselves."),
                hint=_("Run: oauth-mailer outbox list --state rejected"),
            ),
        )


def _waiting(stats: Stats, machine: Machine) -> Iterator[Finding]:
    for account, why in sorted(stats.paused.items()):
        if machine.only is None or account.lower() == machine.only.lower():
            yield _named(
                "outbox-paused",
                warning(
                    _("Messages of {address} that wait until somebody acts: {count} ({code}).").format(
                        address=account, count=stats.waiting.get(account, 0), code=why
                    ),
                    cause=_("The account could not send; once it can, they go out."),
                    hint=stats.hints.get(account)
                    or _("Run: oauth-mailer doctor {address}").format(address=account),
                ),
            )
    if (
        stats.oldest is not None
        and (late := datetime.now(UTC) - stats.oldest) > _OVERDUE
        and not stats.paused
    ):
        yield _named(
            "outbox-overdue",
            warning(
                _("Messages that should have left: {count}; the oldest {minutes} minutes ago.").format(
                    count=stats.due, minutes=int(late.total_seconds() // 60)
                ),
                cause=_("No worker seems to run."),
                hint=_("Run: oauth-mailer outbox run"),
            ),
        )


def _named(word: str, found: Finding) -> Finding:
    from dataclasses import replace

    return replace(found, check=word)
