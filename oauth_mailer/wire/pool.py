"""Keeps connections warm for the next message, and never lets one go stale under a message."""

from __future__ import annotations

import os
import threading
import time
import weakref
from contextlib import AbstractContextManager
from functools import cache

from ..values import dataclass
from .smtp_session import SmtpSession

__all__ = ["Limits", "Pool"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a connection is kept.

    ``age`` and ``idle``: seconds since it was opened and last used; ``messages``: how many go over one (a new
    connection with its login costs the round trips of four further messages; a server that would have fewer
    says so by closing, which no message suffers from);
    ``open``: how many there are at once; ``silence``: seconds of idleness after which the server is asked
    whether it is still there; ``patience``: seconds that it has for the answer.
    """

    age: float = 300.0
    idle: float = 30.0
    messages: int = 100
    open: int = 4
    silence: float = 5.0
    patience: float = 5.0


class Pool:
    """Warm sessions of one account, for several threads.

    A child process that was forked off has none of its parent's: two that speak on one connection would
    destroy it. At the interpreter's end, or when nobody holds the pool any more, the sessions are closed.

    ``preparing`` and ``logging_in`` are locks for whoever fills the pool; they are here because a child
    process needs new ones, as another thread of its parent may have held them.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._idle: list[SmtpSession] = []
        self._prepare()
        _all_pools().add(self)
        weakref.finalize(self, _part_from, self._idle)

    @property
    def turn(self) -> AbstractContextManager[object]:
        """Waits, as a context manager, until fewer than ``limits.open`` connections are in use."""
        return self._turns

    def take(self) -> SmtpSession | None:
        """A session that is proven to be alive, or None: then a new one is needed."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                session = self._idle.pop()
            if self._fit(session):
                return session
            session.quit(0.1)

    def give(self, session: SmtpSession) -> None:
        """Keep the session for the next message if it can take one, else part from it. Never raises."""
        if session.usable and session.messages < self.limits.messages:
            session.idle_since = time.monotonic()
            with self._lock:
                if len(self._idle) < self.limits.open:
                    self._idle.append(session)
                    return
        session.quit()

    def close(self) -> None:
        """Part from all sessions that are not in use. Never raises."""
        with self._lock:
            sessions, self._idle[:] = list(self._idle), []
        for session in sessions:
            session.quit()

    def forget(self) -> None:
        """In a child process: let go of the parent's sessions without a word to the server."""
        sessions, self._idle[:] = list(self._idle), []
        self._prepare()
        for session in sessions:
            session.abandon()

    def _prepare(self) -> None:
        self._lock = threading.Lock()
        self.preparing = threading.Lock()
        self.logging_in = threading.Lock()
        self._turns = threading.BoundedSemaphore(self.limits.open)

    def _fit(self, session: SmtpSession) -> bool:
        now = time.monotonic()
        idle = now - session.idle_since
        if now - session.opened_at > self.limits.age or idle > self.limits.idle or not session.quiet():
            return False
        return not (session.needs_reset or idle > self.limits.silence) or session.answers(
            self.limits.patience
        )


def _part_from(sessions: list[SmtpSession]) -> None:
    while sessions:
        sessions.pop().quit(0.1)


@cache
def _all_pools() -> weakref.WeakSet[Pool]:
    pools: weakref.WeakSet[Pool] = weakref.WeakSet()

    def forget() -> None:
        for pool in pools:
            pool.forget()

    if hasattr(os, "register_at_fork"):  # where there is no fork, nothing is to be done
        os.register_at_fork(after_in_child=forget)
    return pools
