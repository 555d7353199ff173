"""Messages for the inbox, handed over as a program would: by SMTP, or by the Gmail API."""

from __future__ import annotations

import json
import smtplib
import ssl
from base64 import urlsafe_b64encode
from email.message import EmailMessage
from typing import Any

from oauth_mailer.sandbox import Received, Sandbox

from .application import SEND_PATH, Answer, Application, ask

ME = "me@qq.com"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da63fccf"
    "c0500f0004850180a9a4b7ab0000000049454e44ae426082"
)


def mail(text: str | None = "Hello\n", html: str = "", **headers: str) -> EmailMessage:
    """An ordinary message; ``headers``: further ones, or others; an empty one is left out."""
    made = EmailMessage()
    fields = {"From": f"Me <{ME}>", "To": "Ann <ann@example.com>", "Subject": "Hi"}
    for name, value in (fields | {key.replace("_", "-"): value for key, value in headers.items()}).items():
        if value:
            made[name] = value
    if text is not None:
        made.set_content(text)
    if html and text is None:
        made.set_content(html, subtype="html")
    elif html:
        made.add_alternative(html, subtype="html")
    return made


def by_smtp(
    sandbox: Sandbox, *messages: EmailMessage | bytes, to: tuple[str, ...] = ("ann@example.com",)
) -> str:
    """Send these; returns the id of the last."""
    before = len(sandbox.messages)
    context = ssl.create_default_context(cafile=sandbox.smtp.ca_file)
    with smtplib.SMTP_SSL(
        sandbox.smtp.host, sandbox.smtp.port, "client", context=context, timeout=30
    ) as client:
        client.login(ME, sandbox.code)
        for message in messages:
            data = (
                message
                if isinstance(message, bytes)
                else message.as_bytes(policy=message.policy.clone(linesep="\r\n"))
            )
            client.sendmail(ME, to, data)
    return sandbox.wait_for(before + len(messages))[-1].id


def by_gmail(sandbox: Sandbox, message: EmailMessage | bytes) -> Received:
    """Send this, as me@gmail.com."""
    data = message if isinstance(message, bytes) else message.as_bytes()
    token = Application(sandbox).tokens()["access_token"]
    body = json.dumps({"raw": urlsafe_b64encode(data).decode()}).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    assert ask(sandbox.gmail_endpoint + SEND_PATH, body=body, headers=headers).status == 200
    return sandbox.messages[-1]


def get(sandbox: Sandbox, path: str, **headers: str) -> Answer:
    """Ask the inbox; ``headers`` with ``_`` for ``-``."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(sandbox.inbox_url.rstrip("/") + path, headers=sent)


def opened(sandbox: Sandbox, message: EmailMessage | bytes, *to: str) -> dict[str, Any]:
    """Send this; what the inbox tells of it."""
    answer = get(sandbox, f"/api/messages/{by_smtp(sandbox, message, to=to or ('ann@example.com',))}")
    assert answer.status == 200, answer.text
    return answer.json
