"""A database on another machine: mail goes there over verified TLS, unless somebody named less."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from socket import create_server, socket

import pytest

from oauth_mailer import OutboxError
from oauth_mailer.outbox import Outbox
from tests.support.certificates import ca_file, server_context

pytest.importorskip("psycopg", reason="pip install 'oauth-mailer[postgresql]'")

HOST = "db.example"
USER = b"user\0mailer\0"


class Server:
    """Answers a request for TLS as it is told, and keeps what is said to it then."""

    def __init__(self, listening: socket, context: ssl.SSLContext | None) -> None:
        self.port = listening.getsockname()[1]
        self.heard: list[bytes] = []
        self._listening = listening
        self._context = context
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):  # the test is over
            while True:
                connection, _peer = self._listening.accept()
                with closing(connection):
                    connection.settimeout(10)
                    with suppress(OSError):
                        self._answer(connection)

    def _answer(self, connection: socket) -> None:
        first = connection.recv(8)
        if first[4:] != (80877103).to_bytes(4):  # SSLRequest, as PostgreSQL documents it
            self.heard.append(first + connection.recv(4096))
            return
        if self._context is None:
            connection.sendall(b"N")
            self.heard += filter(None, [connection.recv(4096)])
            return
        connection.sendall(b"S")
        with self._context.wrap_socket(connection, server_side=True) as encrypted:
            self.heard.append(encrypted.recv(4096))


@contextmanager
def serving(context: ssl.SSLContext | None) -> Iterator[Server]:
    with closing(create_server(("127.0.0.1", 0))) as listening:
        yield Server(listening, context)


def trouble(server: Server, home: Path, said: str = "", host: str = HOST) -> OutboxError:
    """What comes of an outbox there; no server of these ever lets anybody in."""
    at = f"postgresql://mailer@{host}:{server.port}/mail?hostaddr=127.0.0.1&connect_timeout=10{said}"
    with Outbox(at, home=home) as outbox, pytest.raises(OutboxError) as caught:
        outbox.stats()
    return caught.value


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PGSSLMODE", "PGSSLROOTCERT", "PGSERVICE", "PGHOST", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("APPDATA", str(tmp_path))


def test_a_server_without_tls_is_told_nothing(home: Path) -> None:
    with serving(None) as server:
        error = trouble(server, home)
    assert error.code == "outbox-tls"
    assert "sslmode=disable" in error.hint
    assert server.heard == []


@pytest.mark.parametrize(("name", "trusted"), [(HOST, False), ("other.example", True)])
def test_a_server_that_cannot_prove_who_it_is_is_told_nothing(
    name: str, trusted: bool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", ca_file())
    with serving(server_context(name, trusted=trusted)) as server:
        error = trouble(server, home)
    assert error.code == "outbox-tls"
    assert "certificate" in error.message
    assert not any(USER in heard for heard in server.heard)


@pytest.mark.parametrize("way", ["SSL_CERT_FILE", "PGSSLROOTCERT", "the URL", "the usual file"])
def test_a_verified_server_is_spoken_to(
    way: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = ""
    if way == "the URL":
        said = f"&sslrootcert={ca_file()}"
    elif way == "the usual file":
        for folder in (tmp_path / ".postgresql", tmp_path / "postgresql"):
            folder.mkdir()
            (folder / "root.crt").write_bytes(Path(ca_file()).read_bytes())
    else:
        monkeypatch.setenv(way, ca_file())
    with serving(server_context(HOST)) as server:
        error = trouble(server, home, said)
    assert error.code == "outbox-unreachable"  # it hung up, once it had been told who came
    assert any(USER in heard for heard in server.heard)


@pytest.mark.parametrize("named", ["the URL", "PGSSLMODE"])
def test_who_names_less_gets_it(named: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if named == "PGSSLMODE":
        monkeypatch.setenv("PGSSLMODE", "disable")
    with serving(None) as server:
        trouble(server, home, "&sslmode=disable" if named == "the URL" else "")
    assert any(USER in heard for heard in server.heard)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_on_this_machine_nothing_has_to_be_named(host: str, home: Path) -> None:
    with serving(None) as server:
        trouble(server, home, host=host)
    assert any(USER in heard for heard in server.heard)
