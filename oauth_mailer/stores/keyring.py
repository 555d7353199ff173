"""Secrets in the keyring of the desktop or the system: Keychain, Credential Manager, Secret Service, KWallet.

The library ``keyring`` finds it. Three things are done here that the library does not do: a backend that
keeps secrets in a plain file, or nowhere, is refused by name; every call is under a time-out, for a locked
keyring may wait for ever for a person who is not there; and what was written is read back, and the old
secret put back if it is not the same.

``timeout`` in ``[stores.keyring]``: seconds. By default 3 where nobody can be asked, so that a job of cron
ends with an error instead of hanging, and 60 where a person is there to answer the system's own window.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .. import private_file
from ..errors import StoreError
from ..i18n import _
from . import Secret, Slot, StoreOptions, is_seconds, storable
from . import _keyring_trouble as trouble

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

__all__ = ["MAX_UNITS", "SERVICE", "KeyringStore", "open"]

SERVICE = "oauth-mailer"
MAX_UNITS = 1280
"""UTF-16 code units in an entry: what Windows holds. The same everywhere, so that no account is stuck."""

_TIMEOUT_ALONE = 3.0
_TIMEOUT_WITH_PERSON = 60.0

_KEPT_NOWHERE = ("keyring.backends.fail", "keyring.backends.null")
# All of keyrings.alt: files in plain text, and encrypted ones that ask for a password on the terminal.
_KEPT_IN_FILES = ("keyrings.alt", "keyring.backends.file")

_ONE_AT_A_TIME = threading.Lock()

_T = TypeVar("_T")


class KeyringStore:
    """The system's keyring behind the interface of a token store."""

    kind = "keyring"
    writable = True

    def __init__(self, home: Path | str, *, timeout: float = _TIMEOUT_ALONE) -> None:
        self._lock_name = Path(home) / "keyring"
        self._timeout = timeout

    def get(self, slot: Slot) -> Secret | None:
        """As in ``TokenStore``."""
        return self._within_time(lambda _given_up: _get(_backends(), str(slot)))

    def set(self, slot: Slot, secret: Secret) -> None:
        """As in ``TokenStore``. Raises ``StoreError`` too for a secret longer than ``MAX_UNITS``."""
        text = storable(secret)
        if (units := len(text.encode("utf-16-le")) // 2) > MAX_UNITS:
            raise StoreError(
                _("The secret is too long for a keyring: {units} units of UTF-16, at most {limit}.").format(
                    units=units, limit=MAX_UNITS
                ),
                code="keyring-too-long",
                hint=_("Set OAUTH_MAILER_STORE=encrypted_file, which has no such limit."),
            )
        self._within_time(lambda given_up: self._replace(str(slot), secret, given_up), text)

    def delete(self, slot: Slot) -> None:
        """As in ``TokenStore``."""
        self._within_time(lambda given_up: self._remove(str(slot), given_up))

    def _replace(self, name: str, secret: Secret, given_up: threading.Event) -> None:
        # Windows' backend moves one entry aside to make room for the next: only one writer at a time.
        with private_file.locked(self._lock_name, timeout=self._timeout):
            backends = _backends()
            old = _get(backends, name)
            if old == secret or given_up.is_set():
                return
            try:
                _set(backends, name, secret)
                if _get(backends, name) == secret:
                    return
            except Exception:
                _put_back(backends, name, old)
                raise
            _put_back(backends, name, old)
            raise trouble.not_kept()

    def _remove(self, name: str, given_up: threading.Event) -> None:
        with private_file.locked(self._lock_name, timeout=self._timeout):
            backends = _backends()
            for backend in backends:
                if _get([backend], name) is not None and not given_up.is_set():
                    backend.delete_password(SERVICE, name)
            if not given_up.is_set() and _get(backends, name) is not None:
                raise trouble.not_kept()

    def _within_time(self, work: Callable[[threading.Event], _T], secret: str = "") -> _T:
        """Do it on a thread that is left behind if it hangs, and that does not keep the program from ending.

        Work that was given up is told so, and changes nothing any more. ``secret`` is kept out of errors.
        """
        given_up, done = threading.Event(), threading.Event()
        results: list[_T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                with _ONE_AT_A_TIME:  # not every backend may be called from two threads at once
                    if not given_up.is_set():
                        results.append(work(given_up))
            except BaseException as error:  # noqa: BLE001 - raised again by the caller's thread
                errors.append(error)
            done.set()

        threading.Thread(target=run, name="oauth-mailer-keyring", daemon=True).start()
        try:
            in_time = done.wait(self._timeout)
        finally:
            given_up.set()
        if not in_time:
            raise trouble.timed_out(self._timeout)
        if errors:
            if isinstance(errors[0], StoreError) or not isinstance(errors[0], Exception):
                raise errors[0]
            raise trouble.explained(errors[0], secret) from None  # it could hold the secret
        return results[0]


def _backends() -> list[KeyringBackend]:
    """The backends to use, best first. Raises ``StoreError`` where there is none that is safe."""
    import keyring
    from keyring.backends.chainer import ChainerBackend

    chosen = keyring.get_keyring()
    members = chosen.backends if isinstance(chosen, ChainerBackend) else [chosen]
    safe = [backend for backend in members if not _is_one_of(backend, (*_KEPT_NOWHERE, *_KEPT_IN_FILES))]
    if safe:
        return safe
    files = [backend for backend in members if _is_one_of(backend, _KEPT_IN_FILES)]
    raise trouble.refused_file(_name(files[0])) if files else trouble.no_keyring(_name(chosen))


def _is_one_of(backend: object, modules: tuple[str, ...]) -> bool:
    # By the classes it is made of: a subclass under another name is no safer.
    names = [kind.__module__ for kind in type(backend).__mro__]
    return any(name == module or name.startswith(f"{module}.") for name in names for module in modules)


def _name(backend: object) -> str:
    return f"{type(backend).__module__}.{type(backend).__qualname__}"


def _set(backends: list[KeyringBackend], name: str, secret: Secret) -> None:
    # As the library's own chain does: a backend that only reads passes on to the next.
    for backend in backends:
        try:
            backend.set_password(SERVICE, name, secret.reveal())
        except NotImplementedError:
            continue
        return


def _get(backends: list[KeyringBackend], name: str) -> Secret | None:
    for backend in backends:
        text: Any = backend.get_password(SERVICE, name)
        if text:
            return Secret(text)
    return None


def _put_back(backends: list[KeyringBackend], name: str, old: Secret | None) -> None:
    """After a failed write; raises ``StoreError`` where the old secret is seen to be gone for good."""
    try:
        now = _get(backends, name)
    except Exception:  # noqa: BLE001 - it cannot be read, so it is not known to be gone: the first error is told
        return
    if now == old:
        return
    try:
        if old is None:
            backends[0].delete_password(SERVICE, name)
        else:
            _set(backends, name, old)
    except Exception:  # noqa: BLE001 - whatever the backend raises
        raise trouble.old_secret_lost() from None


def open(options: StoreOptions) -> KeyringStore:  # noqa: A001 - the name every room has
    """The store; the keyring itself is looked for when it is first used."""
    settings = options.checked("keyring", {"timeout": is_seconds})
    usual = _TIMEOUT_ALONE if options.ask_passphrase is None else _TIMEOUT_WITH_PERSON
    return KeyringStore(options.home, timeout=float(settings.get("timeout", usual)))
