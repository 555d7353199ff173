from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oauth_mailer.sandbox import Sandbox

from .google_login import PASSPHRASE


@pytest.fixture
def google_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that keeps secrets in an encrypted file, and has no screen."""
    monkeypatch.setenv("OAUTH_MAILER_STORE", "encrypted_file")
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", PASSPHRASE)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def google(google_host: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Google's part, played by the stand-in, which is where such a host finds Gmail."""
    with Sandbox() as made:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", made.gmail_endpoint)
        yield made


@pytest.fixture
def client(google: Sandbox, tmp_path: Path) -> str:
    """The client's file, as downloaded."""
    return str(google.write_client_secrets(tmp_path))
