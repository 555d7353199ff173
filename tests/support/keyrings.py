"""Keyring backends of our own: a good one, and ones that fail as real ones have been seen to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keyring.core
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError


class GoodKeyring(KeyringBackend):
    """Keeps everything, as the interface says."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if (service, username) not in self.entries:
            raise PasswordDeleteError("not found")
        del self.entries[service, username]


class TruncatingKeyring(GoodKeyring):
    """Cuts off what is longer than its entries, and says nothing."""

    def set_password(self, service: str, username: str, password: str) -> None:
        super().set_password(service, username, password[:8])


class ForgetfulKeyring(GoodKeyring):
    """Deletes the old entry, then fails to add the new one, the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = 0

    def set_password(self, service: str, username: str, password: str) -> None:
        if (service, username) in self.entries and not self.failures:
            self.failures += 1
            del self.entries[service, username]
            raise OSError(f"no room for {password}")
        super().set_password(service, username, password)


class ReadOnlyKeyring(GoodKeyring):
    """Only reads, as the backends of package indexes do."""

    priority = 9

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError


class HangingKeyring(GoodKeyring):
    """Waits for a person who never comes."""

    def __init__(self, wait: Callable[[], object]) -> None:
        super().__init__()
        self.wait = wait

    def get_password(self, service: str, username: str) -> str | None:
        self.wait()
        return super().get_password(service, username)


@contextmanager
def using(backend: KeyringBackend | None) -> Iterator[None]:
    """The library uses this backend; None: it looks for one afresh."""
    before = keyring.core._keyring_backend
    vars(keyring.core)["_keyring_backend"] = backend
    try:
        yield
    finally:
        vars(keyring.core)["_keyring_backend"] = before
