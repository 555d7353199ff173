"""Who a message is to go out by, and whether it could: asked before it is kept."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from ..account import WAYS
from ..accounts import FILE_NAME, Accounts
from ..address import Address
from ..mailer import Mailer, capturing
from ..message import Message, RawMessage
from ..mime import envelope_of

__all__ = ["Senders", "addresses"]


class Senders:
    """The accounts that are set up in this folder. ``open_mailer``: makes one that sends by this address.

    They are kept while the configuration stays as it is: reading it costs as much as adding a message.
    """

    def __init__(self, home: Path, open_mailer: Callable[[str], Mailer]) -> None:
        self._home = home
        self._file = os.fspath(home / FILE_NAME)
        self._open_mailer = open_mailer
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, Mailer]] = {}
        self._state: tuple[int, ...] | None = None

    def check(self, message: Message | RawMessage, account: str) -> tuple[str, list[str]]:
        """The account's address, by default the default one's, and whom the message goes to.

        What is known to fail is refused: see ``Mailer.check``. An account that is not set up here is another
        machine's, which will send it. Raises ``ConfigError`` where none is named and there is no default one.
        """
        address, mailer = self._find(account)
        envelope = mailer.check(message) if mailer else envelope_of(message, Address(address))
        return address, [one.email for one in envelope.recipients]

    def _find(self, account: str) -> tuple[str, Mailer | None]:
        with self._lock:
            if (state := _state(self._file)) != self._state:
                self._known.clear()
                self._state = state
            if (known := self._known.get(account)) is not None and not capturing():
                return known
            accounts = Accounts(self._home)
            if capturing():  # of a test: no account needs to be there, and what is made is not kept
                mailer = self._open_mailer(account or accounts.default)
                return mailer.routes[0].account, mailer
            if account and account not in accounts:
                return account, None
            address = accounts.get(account).address
            known = self._known[account] = (address, self._open_mailer(address))
            return known


def addresses(fallback: Sequence[str] | None) -> tuple[str, ...] | None:
    """These names as they are kept: one alone may be a text. Raises ``MessageError`` for what cannot be one.

    A name without ``@`` is another way of the sending account, which is known when it is sent.
    """
    if fallback is None:
        return None
    given = (fallback,) if isinstance(fallback, str) else tuple(fallback)
    for one in given:
        if one not in WAYS:
            Address(one)
    return given


def _state(path: str) -> tuple[int, ...] | None:
    """What changes when the file is replaced; None where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - once for each message: it takes half as long
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
