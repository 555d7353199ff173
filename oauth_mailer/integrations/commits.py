"""What is to be done once a caller's own transaction of SQLAlchemy is committed, and only then.

SQLAlchemy tells of a commit just before it. The first that is heard of a connection after one is that it
begins anew, or that it goes back to its pool; a session's does so at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, ExceptionContext, event

__all__ = ["after_commit"]

_KEY = "oauth_mailer.after_commit"


@dataclass(slots=True)
class _Waiting:
    committing: bool = False
    calls: list[Callable[[], object]] = field(default_factory=list)


def after_commit(connection: Connection, call: Callable[[], object]) -> None:
    """Call this after the transaction that is open on this connection was committed; never, if it is not.

    It is called when the connection is used again or let go, and must not raise.
    """
    waiting: _Waiting = connection.info.setdefault(_KEY, _Waiting())
    waiting.calls.append(call)
    # Heard once, however often it is asked for.
    for name, hear in _OF_CONNECTION.items():
        event.listen(connection, name, hear)
    event.listen(connection.engine, "handle_error", _failed)
    event.listen(connection.engine.pool, "checkin", _returned)


def _committing(connection: Connection, *_: object) -> None:
    waiting: _Waiting | None = connection.info.get(_KEY)
    if waiting is not None:
        waiting.committing = True


def _failed(context: ExceptionContext) -> None:
    connection = context.connection
    if connection is not None and not connection.closed and not connection.invalidated:
        waiting: _Waiting | None = connection.info.get(_KEY)
        if waiting is not None:
            waiting.committing = False


def _rolled_back(connection: Connection, *_: object) -> None:
    if not connection.invalidated:  # else what was kept with it is gone anyway
        connection.info.pop(_KEY, None)


def _begun(connection: Connection) -> None:
    _do(connection.info)


def _returned(_connection: object, record: Any) -> None:
    _do(record.info)


def _do(info: dict[Any, Any]) -> None:
    waiting: _Waiting | None = info.pop(_KEY, None)
    if waiting is not None and waiting.committing:
        for call in waiting.calls:
            call()


_OF_CONNECTION: dict[str, Callable[..., None]] = {
    "begin": _begun,
    "commit": _committing,
    "commit_twophase": _committing,
    "rollback": _rolled_back,
    "rollback_twophase": _rolled_back,
}
