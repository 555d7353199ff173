"""Certificates of an authority of our own, for servers on loopback."""

from __future__ import annotations

import atexit
import ssl
import tempfile
from datetime import datetime
from functools import cache
from pathlib import Path

import trustme

NAMES = ("localhost", "127.0.0.1")


@cache
def authority() -> trustme.CA:
    return trustme.CA()


@cache
def _folder() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="oauth-mailer-certificates-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


@cache
def ca_file() -> str:
    """The authority's certificate, as a file."""
    path = _folder() / "ca.pem"
    authority().cert_pem.write_to_path(str(path))
    return str(path)


def key_and_chain(*names: str) -> Path:
    """One file with a private key and its certificate, for a server program."""
    path = _folder() / "server.pem"
    authority().issue_cert(*(names or NAMES)).private_key_and_cert_chain_pem.write_to_path(str(path))
    return path


@cache
def server_context(*names: str, not_after: datetime | None = None, trusted: bool = True) -> ssl.SSLContext:
    """TLS settings of a server with a certificate for these names."""
    issuer = authority() if trusted else trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issuer.issue_cert(*(names or NAMES), not_after=not_after).configure_cert(context)
    return context
