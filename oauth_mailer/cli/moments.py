"""Points in time and spans of it, as a person types them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from ..i18n import _
from .exits import UsageError

__all__ = ["moment", "shown", "span"]

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"\+?((?:\d+[smhdw])+)")


def span(text: str, option: str) -> timedelta:
    """``90s``, ``30m``, ``2h``, ``1d``, ``2w``, ``1h30m``. Raises ``UsageError`` that names the option."""
    found = _span(text, option)
    if found is None:
        raise UsageError(
            _("{option} {text!r} is no span of time.").format(option=option, text=text),
            code="usage",
            hint=_("Write for example 30m, 12h or 30d."),
        )
    return found


def moment(text: str, option: str, *, after: datetime | None = None) -> datetime:
    """A point in time: ``2026-11-05 18:00`` (of this machine's zone), ISO 8601 with a zone, or ``+2h``.

    ``after``: what ``+2h`` counts from, by default now. Raises ``UsageError`` that names the option.
    """
    try:
        if (wait := _span(text, option)) is not None:
            return (after or datetime.now(UTC)) + wait
        found = datetime.fromisoformat(text.strip())
        if found.tzinfo is not None:
            return found.astimezone(UTC)
        # Of this machine's zone. What its clocks leave out when they are put on is that much later.
        return _BEGIN + timedelta(seconds=found.timestamp())
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            _("{option} {text!r} is no time.").format(option=option, text=text),
            code="usage",
            hint=_("Write for example '2026-11-05 18:00', 2026-11-05T18:00+08:00, or +2h."),
        ) from None


def shown(time: datetime, *, exactly: bool = False) -> str:
    """The time for a person, in this machine's zone. ``exactly``: with seconds and the zone."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S %z" if exactly else "%Y-%m-%d %H:%M")


def _span(text: str, option: str) -> timedelta | None:
    if not (found := _SPAN.fullmatch(text.strip())):
        return None
    try:
        return timedelta(
            seconds=sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)(\D)", found[1]))
        )
    except (OverflowError, ValueError):
        raise UsageError(
            _("{option} {text!r} is too long.").format(option=option, text=text),
            code="usage",
            hint=_("Write for example 30m, 12h or 30d."),
        ) from None
