"""oauth_mailer for a harness of mail clients that takes contenders as files; see ``benchmarks/README.md``.

The harness gives a job (host, port, security, user, password, cafile, base_url, token, count, concurrency,
sender, to, text, html, subject(i), attachment, route), and calls ``smtp``, ``gmail`` and ``mime`` in a fresh
process each, ``cli_smtp`` and ``cli_gmail`` for the command line of a whole process.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

import oauth_mailer  # where it is not installed, the harness leaves this file out

NAME = "oauth_mailer"
SMTP = {"security": ("none", "starttls", "tls"), "concurrency": (1, 8), "reuse": True}
GMAIL = {"routes": ("raw", "media")}
MIME = True

_PROGRAM = str(Path(sys.executable).with_name("oauth-mailer"))
_GMAIL_USER = "bench@gmail.com"
_BACKEND = Path(__file__).parent.parent / "keyring_backend"

COLD = {
    "import oauth_mailer": ["-c", "import oauth_mailer"],
    "oauth-mailer --version": [_PROGRAM, "--version"],
    "oauth-mailer --help": [_PROGRAM, "--help"],
}


def message(job: Any, number: int) -> oauth_mailer.Message:
    """A new message, as for each i."""
    attachments = [job.attachment] if job.attachment else []
    return oauth_mailer.Message(
        to=job.to, subject=job.subject(number), text=job.text, html=job.html, attachments=attachments
    )


def account(job: Any) -> oauth_mailer.Account:
    """The account that sends by the job's server."""
    return oauth_mailer.Account(
        address=job.sender,
        host=job.host,
        port=job.port,
        security=job.security,
        auth="code" if job.user else "none",
        username=job.user or "",
        ca_file=job.cafile or "",
        store="environment",
    )


def prepare(area: str, _job: Any) -> None:
    """Import what the first send would, for the harness measures that apart."""
    wanted = {
        "gmail": ("googleapiclient.discovery", "oauth_mailer.auth.google", "oauth_mailer.transports.gmail"),
        "smtp": ("oauth_mailer.auth.code", "oauth_mailer.transports.smtp"),
    }
    for name in ("oauth_mailer.mailer", *wanted.get(area, ())):
        import_module(name)


def smtp(job: Any) -> None:
    """Send ``count`` messages over ``concurrency`` connections that are kept, from as many threads."""
    from oauth_mailer.accounts import secret_variable
    from oauth_mailer.address import Address
    from oauth_mailer.auth import open_credential
    from oauth_mailer.stores.environment import EnvironmentStore
    from oauth_mailer.transports.smtp import SmtpTransport
    from oauth_mailer.wire.pool import Limits

    sender = account(job)
    os.environ[secret_variable(job.sender)] = job.password or ""
    home = Path(tempfile.mkdtemp())
    # As the others in the harness: a connection for each, kept to the end.
    limits = Limits(open=job.concurrency, messages=job.count if job.reuse else 1)
    transport = SmtpTransport(
        sender,
        lambda: open_credential(sender, EnvironmentStore(), home),
        timeout=60.0,
        limits=limits,
    )

    failed: list[BaseException] = []

    def work(count: int) -> None:
        try:
            for number in range(count):
                mailer.send(message(job, number))
        except BaseException as error:  # noqa: BLE001 - of a thread, where nobody would see it
            failed.append(error)

    with oauth_mailer.Mailer(oauth_mailer.Route(sender=Address(job.sender), transport=transport)) as mailer:
        if job.concurrency == 1:
            work(job.count)
        else:
            crew = [
                threading.Thread(target=work, args=(job.count // job.concurrency,))
                for _ in range(job.concurrency)
            ]
            for thread in crew:
                thread.start()
            for thread in crew:
                thread.join()
    shutil.rmtree(home)
    if failed:
        raise failed[0]


def gmail(job: Any) -> None:
    """Send ``count`` messages with a valid token by ``open_mailer``."""
    from oauth_mailer.auth.google import Access, access_slot
    from oauth_mailer.stores.memory import MemoryStore
    from oauth_mailer.transports import gmail as transport

    os.environ["OAUTH_MAILER_GMAIL_ENDPOINT"] = job.base_url
    if job.attachment and job.route == "raw" and Path(job.attachment).stat().st_size < 2 << 20:
        # So that a check of this route, which comes with a small attachment, sees it. Larger ones go the way
        # that they really go: by the upload, whatever the harness calls it.
        transport.UPLOAD_FROM = 4 << 20
    home = Path(tempfile.mkdtemp())
    sender = oauth_mailer.Account(address=_GMAIL_USER, provider="gmail", client={"client_id": "bench"})
    oauth_mailer.Accounts(home).add(sender)
    store = MemoryStore()
    store.set(access_slot(sender), Access.of(job.token, 3600).line())
    with oauth_mailer.open_mailer(_GMAIL_USER, home=home, store=store) as mailer:
        for number in range(job.count):
            mailer.send(message(job, number))
    shutil.rmtree(home)


def mime(job: Any) -> int:
    """Build ``count`` messages, all of their octets."""
    from oauth_mailer.address import Address
    from oauth_mailer.mime import render

    octets = 0
    for number in range(job.count):
        _envelope, content = render(message(job, number), Address(job.sender))
        octets += sum(map(len, content.blocks()))
    return octets


def cli_smtp(job: Any) -> list[str]:
    """The whole program; its accounts are in a folder that lasts as long as the harness runs."""
    _set_up(job)
    return _send(job, job.sender)


def cli_gmail(job: Any) -> list[str]:
    """The whole program, with a valid token in a keyring that costs next to nothing."""
    _set_up(job)
    return _send(job, _GMAIL_USER)


def _send(job: Any, sender: str) -> list[str]:
    words = ["--from", sender, "--to", job.to, "--subject", job.subject(0), "--text", job.text]
    return [_PROGRAM, "send", *words, "--html", job.html]


def _set_up(job: Any) -> None:
    from oauth_mailer.auth.google import Access, access_slot
    from oauth_mailer.stores import StoreOptions, open_store

    home = Path(tempfile.mkdtemp(prefix="oauth-mailer-bench-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    path = os.pathsep.join(filter(None, [str(_BACKEND), os.environ.get("PYTHONPATH", "")]))
    os.environ |= {
        "OAUTH_MAILER_HOME": str(home),
        "OAUTH_MAILER_GMAIL_ENDPOINT": job.base_url,
        "PYTHONPATH": path,
        "PYTHON_KEYRING_BACKEND": "json_keyring.Keyring",
        "BENCH_KEYRING_FILE": str(home / "keyring.json"),
    }
    if str(_BACKEND) not in sys.path:
        sys.path.insert(0, str(_BACKEND))
    sender = oauth_mailer.Account(
        address=_GMAIL_USER, provider="gmail", client={"client_id": "bench"}, store="keyring"
    )
    accounts = oauth_mailer.Accounts(home)
    accounts.add(account(job))
    accounts.add(sender)
    open_store("keyring", StoreOptions(home)).set(access_slot(sender), Access.of(job.token, 3600).line())
