"""oauth_mailer as ``open_mailer`` gives it: at most four connections, each for at most a hundred messages."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

NAME = "oauth_mailer's own pool (4 connections, 100 messages each)"


def can(job: Any) -> bool:
    """Only where nothing is counted: there it differs from a single connection by design."""
    return bool(job.count > 10)


def prepare(_what: str, _job: Any) -> None:
    """Import it."""
    import oauth_mailer.transports.smtp  # noqa: F401


def smtp(job: Any) -> None:
    """Threads that share one mailer."""
    import oauth_mailer
    from oauth_mailer.accounts import secret_variable

    with TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ[secret_variable(job.sender)] = job.password
        oauth_mailer.Accounts(home).add(
            oauth_mailer.Account(
                address=job.sender,
                host=job.host,
                port=job.port,
                security=job.security,
                auth="code" if job.user else "none",
                ca_file=job.cafile,
                store="environment",
            )
        )

        def work(count: int) -> None:
            for number in range(count):
                mailer.send(
                    oauth_mailer.Message(to=job.to, subject=job.subject(number), text=job.text, html=job.html)
                )

        with oauth_mailer.open_mailer(job.sender, home=home) as mailer:
            crew = [
                threading.Thread(target=work, args=(job.count // job.concurrency,))
                for _ in range(job.concurrency)
            ]
            for thread in crew:
                thread.start()
            for thread in crew:
                thread.join()
