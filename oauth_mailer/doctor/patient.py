"""Whom the checks examine, how one follows from another, and how long it may all take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from ..accounts import Account, Accounts
from ..auth import Credential, open_credential, secret_slot
from ..errors import ConfigError, MailerError
from ..i18n import _, system_text
from ..stores import Secret, Slot, StoreOptions, TokenStore, open_store, store_kind
from ..transports import Transport, open_transport
from .finding import Finding, failed, skipped, warning

__all__ = ["Check", "Machine", "Patient", "Settings", "examined", "within"]

STEPS = 6
"""Steps that all checks of one account may take together before those that connect are left out."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to examine.

    ``home``: the folder of the configuration; ``store``: a token store in place of that configured;
    ``timeout``: seconds for one step on the network; ``offline``: connect to nothing; ``nameserver``: asked
    for records of domains in place of the system's own, as HOST or HOST:PORT; ``ask_passphrase``: see
    ``open_mailer``.
    """

    home: Path
    store: TokenStore | None = None
    timeout: float = 10.0
    offline: bool = False
    nameserver: str = ""
    ask_passphrase: Callable[[str], Secret] | None = None


class Machine:
    """This computer; ``only``: the one account that is asked about, or nothing for all."""

    name = ""

    def __init__(self, settings: Settings, only: str | None = None) -> None:
        self.settings = settings
        self.only = only
        self._until = time.monotonic() + STEPS * settings.timeout

    @property
    def out_of_time(self) -> bool:
        """Whether what may be spent on the network is spent."""
        return time.monotonic() >= self._until


class Patient(Machine):
    """One account. What several checks need is found out once."""

    def __init__(self, account: Account, accounts: Accounts, settings: Settings) -> None:
        super().__init__(settings, account.address)
        self.name = account.address
        self.account = account
        self.accounts = accounts
        self.visit: object = None
        """What the conversation with its server told, once there was one."""
        self.domain_missing = False
        """Whether the domain of its address was found not to be there."""

    @property
    def needs_login(self) -> bool:
        """Whether it shows a secret at all: over a connection without encryption it shows none."""
        encrypted = self.account.transport != "smtp" or self.account.server.security != "none"
        return self.account.auth != "none" and encrypted

    @property
    def slot(self) -> Slot:
        """The place of its secret."""
        return secret_slot(self.account) or Slot(self.account.address, "code")

    @cached_property
    def store(self) -> TokenStore:
        """Where its secret rests. Raises ``ConfigError`` or ``StoreError``."""
        if self.settings.store is not None:
            return self.settings.store
        kind = store_kind(self.account.store)
        options = StoreOptions(
            self.accounts.home, self.accounts.store_settings(kind), self.settings.ask_passphrase
        )
        return open_store(kind, options)

    @cached_property
    def line(self) -> Secret | None:
        """What the store has for it. Raises ``StoreError``."""
        return self.store.get(self.slot)

    @cached_property
    def credential(self) -> Credential:
        """What it proves itself with. Raises ``ConfigError``."""
        return open_credential(self.account, self.store, self.accounts.home, timeout=self.settings.timeout)

    @cached_property
    def transport(self) -> Transport:
        """Its way out. Raises ``ConfigError``."""
        return open_transport(self.account, lambda: self.credential, timeout=self.settings.timeout)


Subject = TypeVar("Subject", bound=Machine)


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the row.

    ``word``: its stable name; ``look``: gives what it finds, or raises the error that a send would end in;
    ``needs``: the checks without whose success it makes no sense; ``connects``: whether it uses the network.
    """

    word: str
    look: Callable[..., Finding | Iterable[Finding]]
    needs: tuple[str, ...] = ()
    connects: bool = False


def examined(checks: Sequence[Check], subject: Machine) -> Iterator[Finding]:
    """What these checks find, one after the other."""
    ungrounded: set[str] = set()
    for check in checks:
        if check.connects and subject.settings.offline:
            continue
        missing = next((need for need in check.needs if need in ungrounded), "")
        for one in _looked(check, subject, missing):
            found = replace(one, check=one.check or check.word, account=one.account or subject.name)
            if found.state in ("failed", "skipped"):
                ungrounded.add(check.word)
            yield found


def _looked(check: Check, subject: Machine, missing: str) -> Iterable[Finding]:
    if missing:
        return [skipped(_("Not checked: it needs {check}.").format(check=missing))]
    if check.connects and subject.out_of_time:
        return [
            warning(
                _("Not checked: the time is over."),
                cause=_("What was checked before took too long."),
                hint=_("Give it more: oauth-mailer doctor --timeout SECONDS"),
            )
        ]
    try:
        found = check.look(subject)
        return [found] if isinstance(found, Finding) else list(found)
    except MailerError as error:
        return [failed(error)]
    except OSError as error:
        return [failed(_system_error(error))]


def _system_error(error: OSError) -> ConfigError:
    reason = system_text(error.strerror) or type(error).__name__
    return ConfigError(
        _("The system refused: {reason}.").format(
            reason=f"{error.filename}: {reason}" if error.filename else reason
        ),
        code="system",
        hint=_("Check that the user who runs this may do so."),
    )


def within(seconds: float, work: Callable[[], _T]) -> _T:
    """Do it on a thread that is left behind if it hangs. Raises ``TimeoutError``, or what ``work`` raises."""
    results: list[_T] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again by the caller's thread
            errors.append(error)
        done.set()

    threading.Thread(target=run, name="oauth-mailer-doctor", daemon=True).start()
    if not done.wait(seconds):
        raise TimeoutError("it did not answer")
    if errors:
        raise errors[0]
    return results[0]
