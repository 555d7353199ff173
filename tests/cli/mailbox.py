"""Accounts on submission servers of the test's own, for the program under test."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from oauth_mailer.accounts import Accounts, secret_variable
from tests.support import certificates
from tests.support.smtp_script import CODE, Act, SmtpScript, Talk, close, hang

__all__ = ["CODE", "Mailbox", "mailbox", "mailboxes"]

_PATIENCE = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Received:
    """One message, as it came."""

    sender: str
    recipients: list[str]
    data: bytes


class Mailbox:
    """The server of one account: what it saw, and how it behaves from now on."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.ca_file = certificates.ca_file()
        self.variable = secret_variable(address)
        self.reached = threading.Event()
        self._acts: dict[str, Act] = {}
        self.server = SmtpScript(
            extensions=("SIZE 9000000", "8BITMIME", "SMTPUTF8", "AUTH PLAIN"),
            mail=self._act("mail", b"250 ok\r\n"),
            rcpt=self._act("rcpt", b"250 ok\r\n"),
            dot=self._act("dot", b"250 queued as 4F2A\r\n"),
        )
        self.port = self.server.port
        self._stack = ExitStack()
        self._stack.enter_context(self.server)

    @property
    def messages(self) -> list[Received]:
        """The messages it took charge of."""
        return [
            Received(_path(mail.sender), [_path(line) for line in mail.recipients], mail.data)
            for mail in self.server.accepted
        ]

    @property
    def logins(self) -> int:
        """How often a code was shown to it."""
        return len(self.server.auths)

    def refuse_recipients(self, reply: bytes, *, only: str = "") -> None:
        """Refuse every recipient, or the one whose address has this in it, with this line."""

        def act(talk: Talk) -> bool:
            return talk.say(reply + b"\r\n" if only in talk.recipients[-1] else b"250 ok\r\n")

        self._acts["rcpt"] = act

    def answer_logins(self, reply: bytes) -> None:
        """Answer every login with this line, whatever the code."""
        self.server.answer("auth", reply + b"\r\n")

    def hang_up_after_the_message(self) -> None:
        """Take the message and close without a word."""
        self._acts["dot"] = close

    def keep_silent(self, step: str) -> None:
        """Answer no more from this step on: ``mail`` (before anything was handed over) or ``dot`` (after)."""

        def act(talk: Talk) -> bool:
            self.reached.set()
            return hang(talk)

        self._acts[step] = act

    def answer_again(self, step: str) -> None:
        """From now on, answer this step as at first."""
        self._acts.pop(step, None)

    def wait_for_silence(self) -> None:
        """Until the client waits for the answer that never comes."""
        assert self.reached.wait(_PATIENCE)

    def stop(self) -> None:
        """Refuse connections from now on."""
        self._stack.close()

    def _act(self, step: str, default: bytes) -> Act:
        return lambda talk: self._acts[step](talk) if step in self._acts else talk.say(default)


@contextmanager
def mailboxes(home: Path, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> Iterator[list[Mailbox]]:
    """Accounts that are set up, each on a server of its own, their codes in the environment."""
    with ExitStack() as stack:
        made = [stack.enter_context(mailbox(address)) for address in addresses]
        for box in made:
            Accounts(home).add(box.server.account(box.address, host="127.0.0.1", store="environment"))
            monkeypatch.setenv(box.variable, CODE)
        yield made


@contextmanager
def mailbox(address: str) -> Iterator[Mailbox]:
    """A server for one account, which need not be set up."""
    box = Mailbox(address)
    try:
        yield box
    finally:
        box.stop()


def _path(line: str) -> str:
    found = re.search("<(.*?)>", line)
    return found[1] if found else ""
