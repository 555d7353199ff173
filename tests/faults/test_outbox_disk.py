"""A disk that is full or fails, a damaged file, a database that is away: it is said, nothing is half kept."""

from __future__ import annotations

import logging
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from oauth_mailer import Attachment, MailerError, Message, OutboxError
from oauth_mailer.accounts import Accounts
from oauth_mailer.outbox import Outbox, State
from tests.cli.program import run
from tests.support import require_program
from tests.support.disks import enlarge, read_only, small_disk
from tests.support.outbox_place import ME, OTHER, Place, add
from tests.support.postgresql import PostgreSQL
from tests.support.smtp_script import SmtpScript

pytestmark = [pytest.mark.fault(36), pytest.mark.fault(36, program=True)]

SECRET = "canary-in-the-text"
PASSWORD = "canary-password"
ROUNDS = 4


@pytest.fixture
def place(sqlite_place: Place) -> Place:
    return sqlite_place


def said(text: str = SECRET, **fields: object) -> Message:
    return Message(to="ann@example.com", subject="Hi", text=text, **fields)  # type: ignore[arg-type]


@contextmanager
def refused(*codes: str, caplog: pytest.LogCaptureFixture | None = None) -> Iterator[None]:
    """It is an error of ours that says what to do; neither it nor the log shows what nobody else may see."""
    if caplog is not None:
        caplog.set_level(logging.DEBUG)
    with pytest.raises(OutboxError) as caught:
        yield
    error = caught.value
    assert error.code in codes, error
    assert error.hint
    assert str(error).isprintable()
    shown = "".join(traceback.format_exception(error)) + repr(vars(error)) + (caplog.text if caplog else "")
    assert SECRET not in shown
    assert PASSWORD not in shown


Program = Callable[..., None]


@pytest.fixture
def by_the_program(place: Place, tmp_path: Path) -> Program:
    """The same for a person at a terminal: exit code 75, and as little is shown."""
    home = tmp_path / "configuration"
    home.mkdir()
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(500_000))
    with SmtpScript() as server:
        Accounts(home).add(server.account(ME))

    def check(*codes: str, url: str = "") -> None:
        env = {"OAUTH_MAILER_HOME": str(home), "OAUTH_MAILER_OUTBOX_URL": url or f"sqlite:///{place.file}"}
        words = ("--to", "ann@example.com", "--text", SECRET, "--attach", str(large))
        done = run("send", "--queue", "--json", *words, env=env)
        assert (done.code, done.json["error"]["code"] in codes) == (75, True), done
        assert done.json["error"]["hint"]
        assert not re.search(rf"Traceback|{SECRET}|{PASSWORD}", done.out + done.err)

    return check


# No room


def test_a_full_disk_keeps_what_was_added_and_nothing_of_the_rest(
    place: Place, caplog: pytest.LogCaptureFixture, by_the_program: Program
) -> None:
    with small_disk(place.home, "400k"), place.outbox() as outbox:
        kept = []
        with refused("outbox-full", "outbox-disk", caplog=caplog):
            for _number in range(100):
                kept.append(outbox.add(said(attachments=[Attachment(os.urandom(10_000))]), account=OTHER).id)
        assert kept
        by_the_program("outbox-full", "outbox-disk")
        assert [entry.id for entry in outbox.find()] == kept
        place.sound()
        enlarge(place.home, "4m")
        more = outbox.add(said(attachments=[Attachment(os.urandom(10_000))]), account=OTHER)
        assert [entry.id for entry in outbox.find()] == [*kept, more.id]
        place.sound()


def test_a_disk_that_is_full_from_the_start_is_said_to_be(place: Place) -> None:
    with small_disk(place.home, "16k"):
        with place.outbox() as outbox, refused("outbox-full", "outbox-disk"):
            outbox.add(said(), account=OTHER)
        enlarge(place.home, "4m")
        with place.outbox() as outbox:
            outbox.add(said(), account=OTHER)
        place.sound()


class Clears(logging.Handler):
    """Whoever reads the log makes room."""

    def __init__(self, file: Path) -> None:
        super().__init__(logging.ERROR)
        self.file = file
        self.read: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.read.append(record.getMessage())
        self.file.unlink(missing_ok=True)


def test_a_result_that_has_no_room_is_kept_when_there_is_some(place: Place) -> None:
    """What was sent is known to be, though the disk was full just then."""
    reader = Clears(place.home / "filler")

    def fill(_talk: object) -> bool:
        with reader.file.open("wb") as file, suppress(OSError):
            file.write(bytes(1_000_000))
        return True

    log = logging.getLogger("oauth_mailer.outbox.worker")
    log.addHandler(reader)
    try:
        with small_disk(place.home, "700k"), SmtpScript(content=[fill]) as server, place.outbox() as outbox:
            place.account(server)
            entry = outbox.add(said())
            outbox.run(once=True)
            assert outbox.get(entry.id).state is State.SENT
            assert len(server.accepted) == 1
    finally:
        log.removeHandler(reader)
    assert all("could not be written down" in line for line in reader.read)


LIMITED = """
import resource, signal, sys
from oauth_mailer import Attachment, Message, OutboxError
from oauth_mailer.outbox import Outbox
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Outbox(home=sys.argv[1]) as outbox:
    outbox.add(Message(to="ann@example.com"), account="other@example.org")
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    try:
        large = Message(to="ann@example.com", attachments=[Attachment(bytes(500_000))])
        outbox.add(large, account="other@example.org")
    except OutboxError as error:
        print(error.code, len(list(outbox.find())))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for the size of a file")
def test_a_file_that_must_not_grow_is_said_to_be(place: Place) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(place.home)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout in ("outbox-disk 1\n", "outbox-full 1\n")
    place.sound()


# No leave to write


def test_a_folder_that_cannot_be_written_is_said_to_be(
    place: Place, caplog: pytest.LogCaptureFixture, by_the_program: Program
) -> None:
    with place.outbox() as outbox:
        add(outbox, 2, account=OTHER)
    before = place.file.read_bytes()
    with read_only(place.home):
        with place.outbox() as outbox, refused("outbox-readonly", "outbox-unreadable", caplog=caplog):
            outbox.add(said(), account=OTHER)
        by_the_program("outbox-readonly")
    assert place.file.read_bytes() == before
    with place.outbox() as outbox:
        assert len(list(outbox.find())) == 2


def test_a_folder_in_which_nothing_can_be_made_is_said_to_be(place: Place, by_the_program: Program) -> None:
    with read_only(place.home):
        with place.outbox() as outbox, refused("outbox-readonly"):
            outbox.add(said(), account=OTHER)
        by_the_program("outbox-readonly")
    assert not place.file.exists()


# A file that is none


def test_a_folder_in_the_place_of_the_file_is_said_to_be(place: Place, by_the_program: Program) -> None:
    place.file.mkdir()
    with place.outbox() as outbox, refused("outbox-unreadable"):
        outbox.add(said(), account=OTHER)
    by_the_program("outbox-unreadable")


def test_a_file_in_the_place_of_the_folder_is_said_to_be(place: Place, by_the_program: Program) -> None:
    file = place.home / "file"
    file.touch()
    url = f"sqlite:///{file}/outbox.db"
    with Outbox(url, home=place.home) as outbox, refused("outbox-unreadable"):
        outbox.add(said(), account=OTHER)
    by_the_program("outbox-unreadable", url=url)


def test_a_file_of_another_kind_is_said_to_be_and_left_as_it_is(
    place: Place, by_the_program: Program
) -> None:
    place.file.write_text("a letter to nobody\n" * 1000, "utf-8")
    before = place.file.read_bytes()
    with place.outbox() as outbox, refused("outbox-corrupt"):
        outbox.add(said(), account=OTHER)
    by_the_program("outbox-corrupt")
    assert place.file.read_bytes() == before


# A lock


def test_a_lock_is_waited_for_and_then_said_to_be_held(
    place: Place, caplog: pytest.LogCaptureFixture, by_the_program: Program
) -> None:
    with place.outbox() as outbox:
        add(outbox, 1, account=OTHER)
    url = f"sqlite:///{place.file}?timeout=0.2"
    with closing(sqlite3.connect(place.file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with Outbox(url, home=place.home) as outbox:
            for call in (lambda: outbox.add(said(), account=OTHER), lambda: outbox.run(once=True)):
                with refused("outbox-locked", caplog=caplog):
                    call()
            by_the_program("outbox-locked", url=url)
            other.execute("ROLLBACK")
            outbox.add(said(), account=OTHER)
    with place.outbox() as outbox:
        assert len(list(outbox.find())) == 2
    place.sound()


@pytest.mark.parametrize("wait", ["-1", "soon", "1e9"])
def test_a_time_to_wait_that_is_none_is_refused(wait: str, place: Place) -> None:
    with pytest.raises(MailerError) as caught:
        Outbox(f"sqlite:///{place.file}?timeout={wait}", home=place.home)
    assert caught.value.code == "outbox-url"


# A damaged file


@pytest.fixture
def sound_file(place: Place, tmp_path: Path) -> Path:
    """Of an outbox with a few messages in it."""
    with place.outbox() as outbox:
        with outbox.begin() as connection:
            for number in range(20):
                outbox.add(
                    said(attachments=[Attachment(bytes([number]) * 3000)]),
                    key=f"key-{number}",
                    account=ME,
                    connection=connection,
                )
        outbox.cancel(7)
    assert not place.file.with_name("outbox.db-wal").exists()
    return Path(shutil.copy(place.file, tmp_path / "sound.db"))


def looked_at(outbox: Outbox) -> Iterator[Callable[[], object]]:
    """All that a person may do."""
    yield lambda: [outbox.get(entry.id) for entry in outbox.find()]
    yield lambda: [outbox.message(number) for number in range(1, 21)]
    yield lambda: [outbox.history(number) for number in range(1, 21)]
    yield outbox.stats
    yield lambda: outbox.add(said(), account=ME)
    yield lambda: outbox.retry(7)
    yield lambda: outbox.cancel(8)
    yield lambda: outbox.run(once=True)
    yield outbox.purge


def damaged(data: bytes, where: str, chance: random.Random) -> bytes:
    if where == "the end is missing":
        return data[: chance.randrange(100, len(data))]
    changed = bytearray(data)
    for _number in range(chance.choice([1, 10, 100])):
        at = chance.randrange(100 if where == "the header" else len(data))
        new = bytes(512) if where == "zeros" else chance.randbytes(1)
        changed[at : at + len(new)] = new
    return bytes(changed)


@pytest.mark.parametrize("where", ["the header", "all over", "the end is missing", "zeros"])
def test_a_damaged_file_is_said_to_be_or_its_messages_go_out_as_they_were(
    where: str, sound_file: Path, place: Place
) -> None:
    chance = random.Random(where)
    with SmtpScript() as server:
        place.account(server)
        for _number in range(ROUNDS):
            for path in place.home.glob("outbox.db*"):
                path.unlink()
            place.file.write_bytes(damaged(sound_file.read_bytes(), where, chance))
            with place.outbox() as outbox:
                for call in looked_at(outbox):
                    with suppress(MailerError):
                        call()
        for mail in server.accepted:
            assert SECRET.encode() in mail.data, "what is damaged is not sent"


def test_a_file_that_is_damaged_within_is_said_to_be(sound_file: Path, place: Place) -> None:
    """Its first page is sound, so that it is opened; all others are not."""
    data = sound_file.read_bytes()
    place.file.write_bytes(data[:4096] + bytes(len(data) - 4096))
    with place.outbox() as outbox, refused("outbox-corrupt"):
        outbox.add(said(), account=OTHER)


# A disk that fails


TWICE = """
import os, sys
from oauth_mailer import Message, OutboxError
from oauth_mailer.outbox import Outbox
with Outbox(home=sys.argv[1]) as outbox:
    outbox.add(Message(to="ann@example.com"), account="other@example.org")
    os.write(1, b"first;")
    try:
        outbox.add(Message(to="ann@example.com"), account="other@example.org", key="once")
        os.write(1, b"second;")
    except OutboxError as error:
        os.write(1, error.code.encode())
"""


class Traced:
    """That program, and the system calls that it made, each with its files and its result.

    ``options``: for strace.
    """

    def __init__(self, place: Place, log: Path, *options: str) -> None:
        if sys.platform != "linux":
            pytest.skip("looks at system calls, as Linux lets it")
        strace = [require_program("strace", "strace"), "-f", "-y", "-o", str(log), *options]
        program = [sys.executable, "-c", TWICE, str(place.home)]
        done = subprocess.run([*strace, *program], capture_output=True, text=True, timeout=100, check=True)
        self.out = done.stdout
        self.calls = [line.partition(" ")[2].strip() for line in log.read_text().splitlines()]

    def where(self, pattern: str, begin: int = 0, end: int | None = None) -> list[int]:
        """The places of the calls that begin like this."""
        found = enumerate(self.calls[begin:end], begin)
        return [number for number, call in found if re.match(pattern, call)]


def test_what_is_added_is_on_disk_when_that_is_said(place: Place, tmp_path: Path) -> None:
    traced = Traced(place, tmp_path / "log", "-e", "trace=pwrite64,write,fsync,fdatasync,openat")
    assert traced.out == "first;second;"
    (first,), (second,) = (traced.where(rf'write\(1.*"{word};"') for word in ("first", "second"))
    log, file, folder = (re.escape(str(path)) for path in (f"{place.file}-wal", place.file, place.home))
    for begin, end in ((0, first), (first, second)):
        written = traced.where(rf"pwrite64\(\d+<{log}>", begin, end)
        synced = traced.where(rf"f(data)?sync\(\d+<{log}>\) += 0", begin, end)
        assert written
        assert synced[-1] > written[-1], "all that was written is synced before the call returns"
    made = traced.where(rf'openat\(.*"{file}", .*O_EXCL')
    named = traced.where(rf"fsync\(\d+<{folder}>\) += 0")
    assert made[0] < named[0] < first, "and so is the name of the new file"


def test_a_disk_that_cannot_sync_is_said_to_fail_and_a_key_makes_up_for_it(
    place: Place, tmp_path: Path
) -> None:
    whole = Traced(place, tmp_path / "log", "-e", "trace=fdatasync,write")
    assert whole.out == "first;second;"
    (first,) = whole.where(r'write\(1.*"first;"')
    good = len(whole.where("fdatasync", 0, first))
    for path in place.home.glob("outbox.db*"):
        path.unlink()
    broken = ("-e", "trace=fdatasync", "-e", f"inject=fdatasync:error=EIO:when={good + 1}+")
    assert Traced(place, tmp_path / "log", *broken).out == "first;outbox-disk"
    place.sound()
    with place.outbox() as outbox:
        assert [entry.key for entry in outbox.find()] in ([None], [None, "once"]), "as a whole or not at all"
        assert [outbox.message(entry.id) for entry in outbox.find()]
        outbox.add(Message(to="ann@example.com"), account=OTHER, key="once")
        assert [entry.key for entry in outbox.find()] == [None, "once"]


# A server that is away


def test_a_server_that_is_away_is_said_to_be(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture, by_the_program: Program
) -> None:
    for where in (f"@/none?host={tmp_path}", f"@127.0.0.1:1/none?password={PASSWORD}"):
        url = f"postgresql://me:{PASSWORD}{where}"
        with Outbox(url, home=place.home) as outbox, refused("outbox-unreachable", caplog=caplog):
            outbox.add(said(), account=OTHER)
        by_the_program("outbox-unreachable", url=url)
        assert PASSWORD not in repr(outbox._database)


@pytest.fixture
def guarded(postgresql_server: PostgreSQL) -> Iterator[str]:
    """The URL of a database for a user who needs a password: this one."""
    import psycopg

    rules = postgresql_server.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    with postgresql_server.database() as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE USER guarded PASSWORD '{PASSWORD}'")
        rules.write_text("local all guarded scram-sha-256\n" + before)
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("GRANT ALL ON SCHEMA public TO guarded")
        yield url.replace("postgres@", f"guarded:{PASSWORD}@", 1)
        rules.write_text(before)
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("DROP OWNED BY guarded")
        connection.execute("DROP USER guarded")


def test_a_wrong_password_is_said_to_be(
    guarded: str, place: Place, caplog: pytest.LogCaptureFixture, by_the_program: Program
) -> None:
    wrong = guarded.replace(PASSWORD, f"{PASSWORD}-wrong")
    with Outbox(wrong, home=place.home) as outbox, refused("outbox-unreachable", caplog=caplog):
        outbox.add(said(), account=OTHER)
    by_the_program("outbox-unreachable", url=wrong)
    with Outbox(guarded, home=place.home) as outbox:
        assert outbox.add(said(), account=OTHER).id == 1


@pytest.mark.parametrize("how", ["from the start", "meanwhile"])
def test_a_server_that_takes_no_writes_is_said_to(
    how: str, guarded: str, place: Place, caplog: pytest.LogCaptureFixture, by_the_program: Program
) -> None:
    closed = f"{guarded}&options=-c%20default_transaction_read_only%3Don"
    if how == "meanwhile":
        with Outbox(guarded, home=place.home) as outbox:
            add(outbox, 1, account=OTHER)
    with Outbox(closed, home=place.home) as outbox, refused("outbox-readonly", caplog=caplog):
        outbox.add(said(), account=OTHER)
    by_the_program("outbox-readonly", url=closed)
    with Outbox(guarded, home=place.home) as outbox:
        assert len(list(outbox.find())) == (how == "meanwhile")


def test_a_connection_that_is_cut_is_made_anew(
    guarded: str, place: Place, postgresql_server: PostgreSQL
) -> None:
    import psycopg

    with Outbox(guarded, home=place.home) as outbox:
        outbox.add(said(), account=OTHER, key="one")
        with psycopg.connect(postgresql_server.url(), autocommit=True) as connection:
            cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'guarded'"
            connection.execute(cut)
        outbox.add(said(), account=OTHER, key="two")
        assert [entry.key for entry in outbox.find()] == ["one", "two"]
