"""The work that every contender is given: a message described as data, and where to send it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

__all__ = ["Job"]

_LINE = "A quick brown fox jumps over the lazy dog, and the mail waits for none of them."


@dataclass(slots=True, kw_only=True)
class Job:
    """Where to and what; ``count`` messages over ``concurrency`` connections.

    ``security``: ``none`` or ``tls``; ``user``: empty where there is no login; ``cafile``: the authority to
    trust; ``base_url``: the root of the Gmail API; ``attachment``: a path, or empty.
    """

    host: str = "127.0.0.1"
    port: int = 0
    security: str = "none"
    user: str = ""
    password: str = ""
    cafile: str = ""
    base_url: str = ""
    token: str = "ya29.bench"
    count: int = 1
    concurrency: int = 1
    reuse: bool = True
    sender: str = "alice@bench.example"
    to: str = "bob@bench.example"
    attachment: str = ""
    route: str = ""

    @classmethod
    def load(cls, text: str) -> Job:
        """What ``dump`` wrote."""
        return cls(**json.loads(text))

    def dump(self) -> str:
        """As one line."""
        return json.dumps(asdict(self))

    def but(self, **changes: Any) -> Job:
        """The same with these changes."""
        return Job(**{**asdict(self), **changes})

    def subject(self, number: int) -> str:
        """Each message has its own."""
        return f"Measured message {number}"

    @property
    def text(self) -> str:
        """About 1.6 kB."""
        return f"{_LINE[:70]}\n" * 23

    @property
    def html(self) -> str:
        """About 3.4 kB."""
        return "<html><body>\n" + f"<p>{_LINE}</p>\n" * 38 + "</body></html>\n"

    def email_message(self, number: int = 0, policy: Any = None) -> EmailMessage:
        """The message as the standard library has it."""
        from email.utils import formatdate, make_msgid

        made = EmailMessage(policy) if policy else EmailMessage()
        made["From"], made["To"], made["Subject"] = self.sender, self.to, self.subject(number)
        made["Date"], made["Message-ID"] = formatdate(), make_msgid(domain="bench.example")
        made.set_content(self.text)
        made.add_alternative(self.html, subtype="html")
        if self.attachment:
            made.add_attachment(
                Path(self.attachment).read_bytes(),
                maintype="application",
                subtype="octet-stream",
                filename=Path(self.attachment).name,
            )
        return made
