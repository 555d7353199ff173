"""Servers on loopback that take everything and keep nothing: fast, so that they are not what is measured."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from socket import create_connection, create_server
from typing import TYPE_CHECKING

from ..job import Job

if TYPE_CHECKING:
    from ..measure import Bench

__all__ = ["gmail", "plain_sink", "proxy", "smtp_sink", "tls_sink"]

USER, PASSWORD = "alice@bench.example", "a-secret-of-loopback"


def _start(bench: Bench, name: str, *arguments: str) -> int:
    """Start a server, which ends with the benchmark; its port."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name(f"{name}.py")), *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    bench.stack.callback(process.wait)
    bench.stack.callback(process.terminate)
    assert process.stdout is not None
    return int(process.stdout.readline())


def smtp_sink(bench: Bench) -> Job:
    """Our own server: PIPELINING, no login, no TLS."""
    return Job(port=_start(bench, "smtp_sink"))


def plain_sink(bench: Bench) -> tuple[Job, str]:
    """Postfix's ``smtp-sink`` if there is one, else our own; and which it is."""
    program = bench.program("smtp-sink")
    if program is None:
        return smtp_sink(bench), "benchmarks' own sink"
    with closing(create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    user = ["-u", "nobody"] if sys.platform != "win32" and _is_root() else []
    process = subprocess.Popen([program, *user, f"127.0.0.1:{port}", "200"], stderr=subprocess.DEVNULL)
    bench.stack.callback(process.wait)
    bench.stack.callback(process.terminate)
    for _ in range(200):
        with suppress(OSError), create_connection(("127.0.0.1", port), 1):
            return Job(port=port), "smtp-sink"
        time.sleep(0.02)
    raise RuntimeError("smtp-sink does not listen")


def tls_sink(bench: Bench) -> Job:
    """Our own server, TLS from the first octet, which insists on a login."""
    import trustme

    authority = trustme.CA()
    cafile, pair = bench.folder / "ca.pem", bench.folder / "server.pem"
    authority.cert_pem.write_to_path(str(cafile))
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(pair))
    port = _start(bench, "smtp_sink", str(pair))
    return Job(port=port, security="tls", user=USER, password=PASSWORD, cafile=str(cafile))


def gmail(bench: Bench) -> Job:
    """A stand-in for the Gmail API, over plain HTTP: TLS costs everybody the same."""
    return Job(base_url=f"http://127.0.0.1:{_start(bench, 'gmail_api')}")


def proxy(bench: Bench, job: Job, log: Path) -> Job:
    """The same server behind a slow line that counts round trips into this file."""
    return job.but(port=_start(bench, "proxy", str(job.port), str(log)))


def _is_root() -> bool:
    import os

    return os.name == "posix" and os.geteuid() == 0
