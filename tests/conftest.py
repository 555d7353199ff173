from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgresql import PostgreSQL, postgresql

_NOT_OURS = (
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "ALL_PROXY",
    "https_proxy",
    "http_proxy",
    "all_proxy",
    "BROWSER",
    "SSL_CERT_FILE",
)


if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell starts what runs in the background without it, and the programs under test would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration folder of the test's own; no setting, proxy or keyring of the host is seen."""
    folder = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith("OAUTH_MAILER_") or name in _NOT_OURS]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OAUTH_MAILER_HOME", str(folder))
    monkeypatch.setenv("OAUTH_MAILER_LANG", "en")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    return folder


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    """A PostgreSQL of the tests' own; a test that asks for it skips where none is installed."""
    with postgresql() as server:
        yield server


@pytest.fixture
def postgresql_url(postgresql_server: PostgreSQL) -> Iterator[str]:
    """An empty database in it."""
    with postgresql_server.database() as url:
        yield url


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI, which has all that the tests need, a skip is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    in_ci = os.environ.get("CI") == "true" and sys.platform == "linux"
    if in_ci and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
