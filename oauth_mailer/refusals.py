"""Logins that a provider refused, remembered by all processes of one folder.

A code that was refused once is not shown again, by any process, until a person acts (logs in, or puts
another secret in its place) or the time is over after which the provider's row says that trying makes sense:
NetEase blocks the address of a computer after a few wrong codes, QQ limits logins.

The file says which secret was refused by a hash that is slow on purpose (scrypt, RFC 7914) and salted.
"""

from __future__ import annotations

import os
import time
from binascii import crc32
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from . import private_file
from .errors import LoginRequired, SendError, TransientError
from .i18n import _
from .logs import Log
from .values import dataclass

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Refusals"]

FILE_NAME = "refused.json"

_REMEMBERED = frozenset({"ip-blocked", "login-limit"})
"""Codes of ``TransientError`` that say that logging in is what the provider has too much of."""

_TURN = 30.0
"""Seconds to wait for other processes that log in by the same account; a login takes less than one."""

_log = Log(__name__)


class Refusals:
    """What was refused. ``home``: the folder of the file, which is made only when something is refused.

    A folder that cannot be written keeps no mail back: then only this object remembers.
    """

    def __init__(self, home: Path | str) -> None:
        self._home = home
        self._own: dict[str, _Refusal] = {}

    def check(self, address: str, secret: str) -> None:
        """Raise the error with which this secret of this account was refused, if that still counts."""
        refusal = self._read().get(address.lower())
        if refusal is None or refusal.over() or not refusal.is_of(secret):
            return
        raise refusal.error()

    def note(self, address: str, secret: str, error: SendError) -> None:
        """Remember that a server answered this secret with this error, if it is one to remember."""
        if isinstance(error, LoginRequired) or error.code in _REMEMBERED:
            refusal = _Refusal.of(secret, error)
            self._own[address.lower()] = refusal
            self._change(address, refusal)

    @contextmanager
    def turn(self, address: str, secret: str) -> Iterator[None]:
        """Hold the account's turn while this secret is shown to the server.

        Processes that start at the same moment would all show a wrong one otherwise. Raises what ``check``
        raises when the turn comes. Where the folder is not there or cannot be written, or the turn does not
        come for too long, nothing is waited for.
        """
        with ExitStack() as stack:
            mark = f"{crc32(address.lower().encode()):08x}"  # two accounts of one mark would only wait
            with suppress(OSError):
                stack.enter_context(private_file.held(self._place(f".login-{mark}.lock"), _TURN))
            self.check(address, secret)
            yield

    def forget(self, address: str) -> None:
        """A person has acted."""
        self._own.pop(address.lower(), None)
        if address.lower() in self._read():
            self._change(address, None)

    def stands(self, address: str) -> bool:
        """Whether a login of this account was refused and nobody has acted since."""
        refusal = self._read().get(address.lower())
        return refusal is not None and not refusal.over()

    def _read(self) -> dict[str, _Refusal]:
        try:
            data = private_file.read(self._place(FILE_NAME))
            import json  # most often there is no file

            fields = json.loads(data)
            found = {address: _Refusal(**entry) for address, entry in fields.items()}
        except FileNotFoundError:
            found = {}
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            _log.debug("%s cannot be read (%s)", FILE_NAME, type(error).__name__)
            found = {}
        return found | self._own

    def _place(self, name: str) -> str:
        return os.path.join(self._home, name)  # noqa: PTH118 - a Path takes long to import

    def _change(self, address: str, refusal: _Refusal | None) -> None:
        import json
        from pathlib import Path

        path = Path(self._place(FILE_NAME))
        try:
            with private_file.locked(path):
                found = {name: one for name, one in self._read().items() if not one.over()}
                found.pop(address.lower(), None)
                if refusal is not None:
                    found[address.lower()] = refusal
                content = json.dumps({name: one.fields() for name, one in found.items()}, indent=1)
                private_file.replace(path, content.encode())
        except OSError as error:
            _log.debug("%s cannot be written (%s)", FILE_NAME, type(error).__name__)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """One refused secret; times in seconds since 1970, ``until`` None where only a person can help."""

    salt: str
    mark: str
    since: float
    until: float | None
    login: bool
    message: str
    code: str
    hint: str
    text: str

    def __post_init__(self) -> None:
        texts = (self.salt, self.mark, self.message, self.code, self.hint, self.text)
        if not all(isinstance(one, str) for one in texts) or not isinstance(self.login, bool):
            raise TypeError("a wrong value")
        if not isinstance(self.since, int | float) or not isinstance(self.until, int | float | None):
            raise TypeError("a wrong value")

    @classmethod
    def of(cls, secret: str, error: SendError) -> _Refusal:
        salt, now = os.urandom(16).hex(), time.time()
        return cls(
            salt=salt,
            mark=_mark(secret, salt),
            since=now,
            until=None if error.retry_after is None else now + error.retry_after,
            login=isinstance(error, LoginRequired),
            message=error.message,
            code=error.code,
            hint=error.hint,
            text=error.text,
        )

    def fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def over(self) -> bool:
        # A clock that was set back proves nothing about how long it has been.
        return self.until is not None and self.until <= time.time()

    def is_of(self, secret: str) -> bool:
        import hmac

        return hmac.compare_digest(self.mark, _mark(secret, self.salt))

    def error(self) -> SendError:
        left = None if self.until is None else min(self.until - time.time(), self.until - self.since)
        message = self.message + " " + _("(That was its answer before; it was not asked again.)")
        if not self.login:
            return TransientError(message, code=self.code, hint=self.hint, text=self.text, retry_after=left)
        error = LoginRequired(message, code=self.code, hint=self.hint, text=self.text)
        error.retry_after = left
        return error


def _mark(secret: str, salt: str) -> str:
    import hashlib

    given = secret.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(given, salt=bytes.fromhex(salt), n=2**14, r=8, p=1, dklen=16).hex()
