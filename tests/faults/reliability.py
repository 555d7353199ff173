"""Every step that the sandbox knows, met by one send through the public interface, and what became of it."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from oauth_mailer import (
    Attachment,
    Mailer,
    MailerError,
    Message,
    RawMessage,
    Receipt,
    open_mailer,
)
from oauth_mailer.auth import _oauth_endpoint
from oauth_mailer.logins import account_for, login
from oauth_mailer.sandbox import Sandbox
from oauth_mailer.sandbox.http_faults import GMAIL_STEPS, TOKEN_STEPS
from oauth_mailer.sandbox.smtp_faults import SMTP_STEPS
from oauth_mailer.stores import TokenStore
from oauth_mailer.stores.memory import MemoryStore
from tests.support.google_browser import Person

Kind = Literal["gmail", "token", "smtp"]
Security = Literal["tls", "starttls"]

PATIENT = 30.0  # seconds for one step on the network, so that a busy machine changes no verdict
SHORT = 3.0  # where the server never says what it is waited for

_ENDPOINT = threading.Lock()  # its address is a variable of the whole process
_LETTERS: Mapping[str, Callable[[], Message | RawMessage]] = {
    "": lambda: Message(to="ann@example.com", subject="Hi", text="Hello"),
    "a large message": lambda: Message(
        to="ann@example.com",
        subject="Hi",
        text="Hello",
        attachments=[Attachment(bytes(4 << 20), filename="x.bin")],
    ),
    "two recipients": lambda: Message(to=["ann@example.com", "bob@example.com"], subject="Hi", text="Hello"),
    "a recipient beyond ASCII": lambda: Message(to="李雷@example.com", subject="Hi", text="Hello"),
    "a finished message of 8 bits": lambda: RawMessage(
        "From: {sender}\r\nTo: ann@example.com\r\nMessage-ID: <8bit@example.com>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n你好\r\n".format(
            sender="me@qq.com"
        ).encode()
    ),
}


@dataclass(frozen=True, slots=True)
class Case:
    """A plan of one server. ``security``: of SMTP; ``letter``: what is sent, where it is not the usual."""

    server: Kind
    plan: str
    security: Security = "tls"
    letter: str = ""

    @property
    def step(self) -> str:
        """The step that is on trial."""
        return self.plan.partition(",")[0]

    @property
    def address(self) -> str:
        """Whose account it is: what NetEase says is understood of NetEase."""
        if self.server != "smtp":
            return "me@gmail.com"
        step = SMTP_STEPS.get(self.step)
        return "me@163.com" if step and step.like == "NetEase" else "me@qq.com"

    @property
    def accepts(self) -> bool:
        """Whether the server takes the message at this step, whatever it says."""
        if self.server == "smtp":
            return self.step == "ok" or SMTP_STEPS[self.step].accepts
        return self.step == "ok" or (self.server == "gmail" and GMAIL_STEPS[self.step].accepts)

    @property
    def timeout(self) -> float:
        """Seconds for one step on the network."""
        if self.server == "smtp" and self.step in SMTP_STEPS:
            waits = SMTP_STEPS[self.step].then in ("hang", "drip") and SMTP_STEPS[self.step].stage != "quit"
        else:
            waits = self.step in GMAIL_STEPS and GMAIL_STEPS[self.step].act in ("hang", "drip")
        return SHORT if waits else PATIENT

    def __str__(self) -> str:
        security = self.security if self.server == "smtp" else ""
        return " ".join(filter(None, (self.server, self.plan, security, self.letter)))


def cases() -> Iterator[Case]:
    """All steps of all servers, and the plans that need another letter, or two steps, to be seen."""
    yield from (Case("gmail", f"{step},ok") for step in ("ok", *GMAIL_STEPS))
    yield Case("gmail", "401,401,ok")
    yield from (Case("token", f"{step},ok") for step in TOKEN_STEPS)
    for step, row in {"ok": None, **SMTP_STEPS}.items():
        if step == "drop-in-data":
            continue
        if row is None or not (row.stage == "starttls" or row.lacks == "STARTTLS"):
            yield Case("smtp", f"{step},ok")
        yield Case("smtp", f"{step},ok", "starttls")
        if row and row.stage == "rcpt":
            yield Case("smtp", f"{step},ok", letter="two recipients")
    yield Case("smtp", "no-smtputf8,ok", letter="a recipient beyond ASCII")
    yield Case("smtp", "no-8bitmime,ok", letter="a finished message of 8 bits")
    # A short one may have left, with its end, before the end of the connection is here: then it is unknown.
    for security in get_args(Security):
        yield Case("smtp", "drop-in-data,ok", security, "a large message")


@dataclass(frozen=True, slots=True)
class Try:
    """What one send said, and what the servers have of the message after it."""

    end: Receipt | MailerError
    accepted: int
    by_fallback: int = 0

    @property
    def verdict(self) -> str:
        return "sent" if isinstance(self.end, Receipt) else self.end.verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """``first``: the send; ``again``: the same message once more, where that is allowed; ``next``: another
    one by the same mailer, where the first was sent; ``fallback``: a send that has a second account.

    ``met``: the steps that happened during ``first``; ``elsewhere``: who followed a redirect.
    """

    first: Try
    again: Try | None
    next: Try | None
    fallback: Try
    met: frozenset[str]
    elsewhere: int


@cache
def outcomes() -> dict[Case, Future[Outcome]]:
    """What became of each case. They run beside each other, as many of them only wait."""
    before, _oauth_endpoint.TIMEOUT = _oauth_endpoint.TIMEOUT, 2 * SHORT
    try:
        with ThreadPoolExecutor(12) as pool:
            # Those that wait come first, so that the others have their turn meanwhile.
            ordered = sorted(cases(), key=lambda case: case.timeout)
            return {case: pool.submit(run, case) for case in ordered}
    finally:
        _oauth_endpoint.TIMEOUT = before


def run(case: Case) -> Outcome:
    """One case, on servers of its own."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        sandbox = stack.enter_context(Sandbox())
        healthy = stack.enter_context(Sandbox())
        store = MemoryStore()
        _log_in(case, sandbox, home, store)
        _log_in(Case("smtp", "ok"), healthy, home, store, "backup@qq.com")

        def opened(*fallback: str) -> Mailer:
            with _gmail_at(sandbox.gmail_endpoint):
                return open_mailer(
                    case.address, fallback=fallback, home=home, store=store, timeout=case.timeout
                )

        def tried(mailer: Mailer, message: Message | RawMessage) -> Try:
            end: Receipt | MailerError
            try:
                end = mailer.send(message)
            except MailerError as error:
                end = error
            return Try(end, _having(sandbox, message), _having(healthy, message))

        again = another = None
        with opened() as mailer:
            _prepare(case, sandbox)
            message = _letter(case)
            first = tried(mailer, message)
            if isinstance(first.end, MailerError) and first.end.retry_later:
                again = tried(mailer, message)
            elif first.verdict == "sent":
                another = tried(mailer, Message(to="ann@example.com", text="The next one"))
        met = frozenset(event.step for event in sandbox.events)
        _prepare(case, sandbox)
        with opened("backup@qq.com") as mailer:
            fallback = tried(mailer, _letter(case))
        return Outcome(first, again, another, fallback, met, sandbox.counts["elsewhere"])


def _prepare(case: Case, sandbox: Sandbox) -> None:
    if case.server == "token":
        sandbox.expire_access_tokens()  # else none is asked for within the hour
    sandbox.plan(**{case.server: case.plan})


def _letter(case: Case) -> Message | RawMessage:
    return _LETTERS[case.letter]()


def _log_in(case: Case, sandbox: Sandbox, home: Path, store: TokenStore, address: str = "") -> None:
    if case.server == "smtp":
        server = sandbox.smtp
        account = account_for(
            address or case.address,
            host=server.host,
            port=server.port if case.security == "tls" else server.starttls_port,
            security=case.security,
            ca_file=str(server.ca_file),
            home=home,
        )
        login(account, code=sandbox.code, home=home, store=store)
        return
    person = Person()
    client = sandbox.write_client_secrets(home)
    login(case.address, prompt=person, client_secrets=client, home=home, store=store)
    person.wait()


@contextmanager
def _gmail_at(url: str) -> Iterator[None]:
    with _ENDPOINT:
        os.environ["OAUTH_MAILER_GMAIL_ENDPOINT"] = url
        try:
            yield
        finally:
            del os.environ["OAUTH_MAILER_GMAIL_ENDPOINT"]


def _having(sandbox: Sandbox, message: Message | RawMessage) -> int:
    """How often the server took charge of this message."""
    return sum(message.id.encode() in one.data for one in sandbox.messages)
