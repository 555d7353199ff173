"""yagmail."""

from __future__ import annotations

from typing import Any

NAME = "yagmail"
MODULES = ("yagmail",)


def can(job: Any) -> bool:
    """It has no threads."""
    return bool(job.concurrency == 1)


def prepare(_what: str, _job: Any) -> None:
    """Import it."""
    import yagmail  # noqa: F401


def smtp(job: Any) -> None:
    """By one client; it logs in anew for each message."""
    import ssl

    import yagmail

    tls = job.security == "tls"
    more = {"context": ssl.create_default_context(cafile=job.cafile)} if tls else {}
    with yagmail.SMTP(
        job.user or job.sender,
        job.password or "none",
        host=job.host,
        port=job.port,
        smtp_ssl=tls,
        smtp_starttls=False,
        smtp_skip_login=not job.user,
        **more,
    ) as client:
        for number in range(job.count):
            client.send(job.to, job.subject(number), [job.text, job.html], prettify_html=False)
