from __future__ import annotations

from collections.abc import Iterator

import pytest

from oauth_mailer.auth.microsoft import VARIABLE
from oauth_mailer.stores.memory import MemoryStore
from tests.support.oidc_mailboxes import Mailboxes
from tests.support.oidc_provider import AuthorizationServer, authorization_server


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch) -> Iterator[AuthorizationServer]:
    """In the place of Microsoft."""
    with authorization_server() as server:
        monkeypatch.setenv(VARIABLE, server.url)
        yield server


@pytest.fixture
def mailboxes(authority: AuthorizationServer) -> Iterator[Mailboxes]:
    with Mailboxes(authority) as server:
        yield server


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()
