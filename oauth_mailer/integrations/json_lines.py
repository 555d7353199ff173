"""A formatter for ``logging``: each record is one object of JSON on one line.

handler = logging.StreamHandler()
handler.setFormatter(JSONLines())
logging.getLogger("oauth_mailer").addHandler(handler)
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from datetime import UTC, datetime
from typing import Any

from ..errors import MailerError
from ..events import FIELDS

__all__ = ["JSONLines", "places"]

# What some reader takes for the end of a line, steers a terminal, or cannot be encoded; JSON has escapes.
_UNFIT = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST = 20  # of a traceback, the innermost frames


class JSONLines(logging.Formatter):
    """``time`` (ISO 8601, UTC), ``level``, ``logger``, ``message``; of a try also the fields of ``FIELDS``.

    An exception is in ``exception``: its type, where it was raised, and those that led to it. What it says
    is there only if it is an error of ours: another's may quote what it was given, a secret too. ``plain``:
    ASCII only, for a stream that carries no more.
    """

    def __init__(self, *, plain: bool = False) -> None:
        super().__init__()
        self._plain = plain

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        # By name, so that nothing that somebody else puts on a record gets in.
        told |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info and record.exc_info[1] is not None:
            told["exception"] = _exception(record.exc_info[1])
        line = json.dumps(told, ensure_ascii=self._plain, default=str)
        return _UNFIT.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def _exception(error: BaseException) -> list[dict[str, Any]]:
    """The error, then what led to it."""
    found: list[dict[str, Any]] = []
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        one: dict[str, Any] = {"type": type(link).__qualname__, "at": places(link)}
        if isinstance(link, MailerError):
            one |= {"code": link.code, "message": link.message}
        found.append(one)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return found


def places(error: BaseException) -> list[str]:
    """Where it was raised, the innermost place last; without lines of code, and without what it says."""
    frames = traceback.extract_tb(error.__traceback__)[-_LONGEST:]
    return [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
