"""What the standard library comes to: smtplib with EmailMessage, http.client, and its own MIME writer."""

from __future__ import annotations

import smtplib
import ssl
import threading
from base64 import urlsafe_b64encode
from email import policy
from typing import Any

NAME = "the standard library"


def connected(job: Any) -> smtplib.SMTP:
    """A connection, logged in."""
    if job.security == "tls":
        context = ssl.create_default_context(cafile=job.cafile)
        server: smtplib.SMTP = smtplib.SMTP_SSL(job.host, job.port, context=context)
    else:
        server = smtplib.SMTP(job.host, job.port)
    if job.user:
        server.login(job.user, job.password)
    return server


def smtp(job: Any) -> None:
    """A connection for each thread, kept to the end."""

    def work(count: int) -> None:
        with connected(job) as server:
            for number in range(count):
                server.send_message(job.email_message(number))

    crew = [
        threading.Thread(target=work, args=(job.count // job.concurrency,)) for _ in range(job.concurrency)
    ]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()


def gmail(job: Any) -> None:
    """One connection that is kept, the message in JSON."""
    import http.client
    import json

    connection = http.client.HTTPConnection(job.base_url.partition("//")[2])
    headers = {"Authorization": f"Bearer {job.token}", "Content-Type": "application/json"}
    for number in range(job.count):
        raw = urlsafe_b64encode(job.email_message(number).as_bytes()).decode()
        connection.request(
            "POST", "/gmail/v1/users/me/messages/send", json.dumps({"raw": raw}).encode(), headers
        )
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"status {answer.status}")


def mime(job: Any) -> int:
    """EmailMessage and its generator."""
    return sum(len(job.email_message(n).as_bytes(policy=policy.SMTP)) for n in range(job.count))
