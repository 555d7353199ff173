"""What a send may cost, counted and never timed: round trips, writes, system calls, imports, memory, SQL."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import event

import oauth_mailer
from oauth_mailer.accounts import Accounts, secret_variable
from oauth_mailer.auth.google import Access, access_slot
from oauth_mailer.outbox.states import Cause
from oauth_mailer.stores.memory import MemoryStore
from tests.outbox.bench import Bench, outcome
from tests.support import certificates, require_program
from tests.support.google_account import google_account
from tests.support.http_script import Exchange, HttpScript
from tests.support.relay import Relay
from tests.support.smtp_script import CODE, SmtpScript, Talk

ME = "me@qq.com"
MIB = 1 << 20
LARGE = ("PIPELINING", "8BITMIME", "AUTH PLAIN")  # a server that sets no limit of size
TEXT = "A line of a text that is not long.\n" * 40


@pytest.fixture
def sends_from_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret stands in the environment, for the programs that a test starts too."""
    monkeypatch.setenv("OAUTH_MAILER_STORE", "environment")
    monkeypatch.setenv(secret_variable(ME), CODE)


def set_up(server: SmtpScript, port: int = 0) -> None:
    """An account at this server, in the configuration; ``port``: of a line to it."""
    account = server.account(ME, store="environment", auth="none" if server.security == "none" else "code")
    Accounts().add(replace(account, port=port or server.port))


def scripted(security: str) -> SmtpScript:
    # A ticket for a later session, which nobody asked for, would come before or after the client's next word.
    context = certificates.server_context("127.0.0.1", "localhost")
    context.num_tickets = 0
    return SmtpScript(security=security, context=context)


def send(count: int) -> None:
    """So many small messages by one mailer, and the farewell."""
    with oauth_mailer.open_mailer(ME) as mailer:
        for number in range(count):
            mailer.send(oauth_mailer.Message(to="ann@example.com", subject=f"{number}", text=TEXT))


def run(program: str, *arguments: str, before: tuple[str, ...] = ()) -> str:
    """What a Python of its own prints."""
    done = subprocess.run(
        [*before, sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# Round trips and writes


@pytest.mark.usefixtures("sends_from_environment")
@pytest.mark.parametrize(
    ("security", "first"),
    # The connection and the greeting, EHLO, the envelope, the content, QUIT; for TLS from the first octet the
    # greeting comes with the end of its two; a login is one. STARTTLS, the beginning of TLS, its end with the
    # second EHLO: three.
    [("none", 6), ("tls", 8), ("starttls", 10)],
)
def test_a_first_message_waits_for_its_server_no_oftener_than_it_must(security: str, first: int) -> None:
    with scripted(security) as server, Relay(server.port) as line:
        set_up(server, line.port)
        send(1)
        assert len(server.accepted) == 1
    assert line.turns + (1 if security == "tls" else 2) <= first


@pytest.mark.usefixtures("sends_from_environment")
@pytest.mark.parametrize("security", ["none", "tls", "starttls"])
def test_a_further_message_takes_two_round_trips_on_the_same_connection(security: str) -> None:
    with scripted(security) as server:
        turns = []
        for count in (1, 6):
            with Relay(server.port) as line:
                set_up(server, line.port)
                send(count)
            assert line.connections == 1
            turns.append(line.turns)
        assert len(server.accepted) == 7
    assert turns[1] - turns[0] <= 5 * 2


@pytest.mark.usefixtures("sends_from_environment")
def test_a_small_message_leaves_in_three_writes() -> None:
    """Its envelope, its content, its end: the end apart, so that it is known whether it may have left."""
    with SmtpScript(security="tls") as server:
        records = []
        for count in (1, 6):
            with Relay(server.port) as line:
                set_up(server, line.port)
                send(count)
            records.append(line.records)
    assert records[0] >= 5  # the end of the handshake, EHLO, AUTH and the message itself
    assert records[1] - records[0] <= 5 * 3


@pytest.mark.usefixtures("sends_from_environment")
def test_a_further_message_makes_few_system_calls(tmp_path: Path) -> None:
    strace = require_program("strace", "strace")
    program = (
        "import sys, oauth_mailer\n"
        "from oauth_mailer import Message, open_mailer\n"
        f"with open_mailer({ME!r}) as mailer:\n"
        "    for number in range(int(sys.argv[1])):\n"
        f"        mailer.send(Message(to='ann@example.com', subject='Hi', text={TEXT!r}))\n"
    )
    counts = []
    with SmtpScript(security="none") as server:
        set_up(server)
        for count in (1, 21):
            log = tmp_path / f"{count}.log"
            run(program, str(count), before=(strace, "-f", "-qq", "-o", str(log)))
            counts.append(len(log.read_text("utf-8", "replace").splitlines()))
    # A look whether the server is still there, three writes, another look before the last; two reads that are
    # waited for, or four, as the server of the test answers each command by itself; two of random octets.
    assert (counts[1] - counts[0]) / 20 <= 15


@pytest.mark.usefixtures("sends_from_environment")
def test_a_further_message_makes_few_calls_in_python() -> None:
    calls = 0

    def note(_frame: object, event: str, _what: object) -> None:
        nonlocal calls
        calls += event == "call"

    with SmtpScript(security="none") as server:
        set_up(server)
        send(1)  # so that all is imported
        with oauth_mailer.open_mailer(ME) as mailer:
            mailer.send(oauth_mailer.Message(to="ann@example.com", text=TEXT, html=TEXT))
            before = sys.getprofile()
            sys.setprofile(note)  # of this thread, and so not of the server
            try:
                mailer.send(oauth_mailer.Message(to="ann@example.com", subject="Hi", text=TEXT, html=TEXT))
            finally:
                sys.setprofile(before)
    # From the message to the receipt, with all that is checked on the way.
    assert 50 < calls <= 190


# Imports


MODULES = "import sys; before = set(sys.modules)\n{program}\nprint(*sorted(set(sys.modules) - before))"


def modules(program: str) -> set[str]:
    """What is imported by this program besides what each one has."""
    return set(run(MODULES.format(program=program)).splitlines()[-1].split())


def test_importing_the_package_brings_little() -> None:
    found = modules("import oauth_mailer")
    assert {one for one in found if one.startswith("oauth_mailer")} == {"oauth_mailer"}
    assert len(found) <= 35


SEND = f"import oauth_mailer; oauth_mailer.send(to='ann@example.com', text='Hi', account={ME!r})"


@pytest.mark.usefixtures("sends_from_environment")
def test_a_send_by_smtp_imports_what_it_needs() -> None:
    with SmtpScript(security="tls") as server:
        set_up(server)
        found = modules(SEND)
        assert len(server.accepted) == 1
    heavy = {
        "asyncio",
        "cryptography",
        "dataclasses",
        "email.message",
        "encodings.idna",
        "google",
        "googleapiclient",
        "hashlib",
        "http.client",
        "idna",
        "inspect",
        "json",
        "keyring",
        "logging",
        "pathlib",
        "platformdirs",
        "requests",
        "rich",
        "shutil",
        "smtplib",
        "sqlalchemy",
        "subprocess",
        "tomlkit",
        "urllib.parse",
    }
    assert not heavy & found
    assert len(found) <= 120


@pytest.mark.usefixtures("sends_from_environment")
def test_a_send_without_encryption_brings_nothing_of_it() -> None:
    with SmtpScript(security="none") as server:
        set_up(server)
        found = modules(SEND)
        assert len(server.accepted) == 1
    assert not found & {"ssl", "_ssl"}


def test_help_imports_nothing_that_sends() -> None:
    found = modules(
        "import contextlib, io\n"
        "from oauth_mailer.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    assert main(['--help']) == 0"
    )
    heavy = {"asyncio", "email.message", "googleapiclient", "keyring", "logging", "rich", "sqlalchemy", "ssl"}
    assert not heavy & found
    assert not found & {"oauth_mailer.mailer", "oauth_mailer.message", "oauth_mailer.transports"}
    assert len(found) <= 125


# Memory


def swallowed(talk: Talk) -> bool:
    """The server reads a large content and keeps none of it."""
    end = b"\r\n.\r\n"
    tail = talk.buffer
    while not tail.endswith(end):
        if not (data := talk.sock.recv(MIB)):
            return False
        tail = (tail + data)[-5:]
    talk.buffer = b".\r\n"
    return True


def skipped(exchange: Exchange) -> bool:
    """The server reads a large request, keeps none of it, and says yes."""
    found = re.search(rb"(?i)content-length: (\d+)", exchange.head)
    left = int(found[1]) if found else 0
    left -= len(exchange._buffer)
    while left > 0 and (data := exchange.sock.recv(MIB)):
        left -= len(data)
    exchange._buffer = b""
    exchange.say("200 OK", {"id": "m1"})
    return True


def file_of(path: Path, size: int) -> Path:
    path.write_bytes(b"\x5a\xc3\x17" * (size // 3))
    return path


PEAK = """
import sys, tracemalloc
from oauth_mailer import Message, open_mailer
{begin}
with open_mailer({me!r}, store=store) as mailer:
    mailer.send(Message(to="ann@example.com", text="So that all is imported. " * 60_000))
    large = Message(to="ann@example.com", text="Look.", attachments=[sys.argv[1]])
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    mailer.send(large)
    print(tracemalloc.get_traced_memory()[1] - before)
"""


@pytest.mark.usefixtures("sends_from_environment")
def test_an_attachment_of_10_mib_is_never_in_memory(tmp_path: Path) -> None:
    with SmtpScript(security="none", extensions=LARGE, content=swallowed) as server:
        set_up(server)
        path = file_of(tmp_path / "large.bin", 10 * MIB)
        assert int(run(PEAK.format(begin="store = None", me=ME), str(path))) <= 2 * MIB
        assert len(server.received) == 2


GMAIL = """
from oauth_mailer import Accounts
from oauth_mailer.auth.google import Access, access_slot
from oauth_mailer.stores.memory import MemoryStore
store = MemoryStore()
store.set(access_slot(Accounts().get("me@gmail.com")), Access.of("ya29.token", 3600).line())
"""


def test_an_upload_of_24_mib_to_gmail_is_never_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HttpScript(skipped) as server:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", server.url)
        Accounts().add(google_account(server.url))
        path = file_of(tmp_path / "large.bin", 24 * MIB)
        assert int(run(PEAK.format(begin=GMAIL, me="me@gmail.com"), str(path))) <= 8 * MIB


def test_small_mail_to_gmail_goes_over_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    with HttpScript(skipped) as server:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", server.url)
        account = google_account(server.url)
        Accounts().add(account)
        store = MemoryStore()
        store.set(access_slot(account), Access.of("ya29.token", 3600).line())
        with Relay(int(server.url.rpartition(":")[2])) as line:
            monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", f"http://127.0.0.1:{line.port}")
            with oauth_mailer.open_mailer(account.address, store=store) as mailer:
                for number in range(5):
                    mailer.send(oauth_mailer.Message(to="ann@example.com", subject=f"{number}", text=TEXT))
    assert line.connections == 1
    assert line.turns == 5


# Statements


@contextmanager
def statements() -> Iterator[list[str]]:
    """What SQLite itself is told in the block, transactions too, whoever tells it."""
    said: list[str] = []

    def listen(connection: sqlite3.Connection, *_: object) -> None:
        connection.set_trace_callback(said.append)

    def leave(connection: sqlite3.Connection, *_: object) -> None:
        connection.set_trace_callback(None)

    event.listen(sqlalchemy.Pool, "checkout", listen)
    event.listen(sqlalchemy.Pool, "checkin", leave)
    try:
        yield said
    finally:
        event.remove(sqlalchemy.Pool, "checkout", listen)
        event.remove(sqlalchemy.Pool, "checkin", leave)


def test_a_message_is_added_by_one_insert_in_one_transaction() -> None:
    with SmtpScript(security="none") as server, oauth_mailer.Outbox() as outbox:
        set_up(server)
        outbox.add(oauth_mailer.Message(to="ann@example.com", text=TEXT))
        with statements() as said:
            outbox.add(oauth_mailer.Message(to="ann@example.com", text=TEXT))
    assert [one.split()[0] for one in said] == ["BEGIN", "INSERT", "COMMIT"]


def test_claiming_and_settling_take_few_statements(home: Path) -> None:
    bench = Bench(home)
    bench.add()
    bench.add()
    claim, _soonest = bench.claim()
    assert claim is not None
    bench.settle(claim, outcome(Cause.SENT))
    with statements() as said:
        claim, _soonest = bench.claim()
    assert claim is not None
    assert 0 < len(said) <= 9, said
    with statements() as said:
        bench.settle(claim, outcome(Cause.SENT))
    assert 0 < len(said) <= 5, said
    bench.close()
