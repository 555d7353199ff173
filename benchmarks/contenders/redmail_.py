"""red-mail."""

from __future__ import annotations

from typing import Any

NAME = "red-mail"
MODULES = ("redmail",)


def can(job: Any) -> bool:
    """It has no threads."""
    return bool(job.concurrency == 1)


def prepare(_what: str, _job: Any) -> None:
    """Import it."""
    import redmail  # noqa: F401


def smtp(job: Any) -> None:
    """As a context manager, which is its way to keep a connection."""
    import smtplib
    import ssl

    from redmail import EmailSender

    more: dict[str, Any] = {}
    if job.security == "tls":
        more = {"cls_smtp": smtplib.SMTP_SSL, "context": ssl.create_default_context(cafile=job.cafile)}
    user, password = job.user or None, job.password or None
    sender = EmailSender(job.host, job.port, username=user, password=password, use_starttls=False, **more)
    with sender:
        for number in range(job.count):
            sender.send(
                subject=job.subject(number),
                sender=job.sender,
                receivers=[job.to],
                text=job.text,
                html=job.html,
            )
