"""What the outbox shows, and what a person does with many at once, by the program."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oauth_mailer import Message
from oauth_mailer.cli.columns import width
from oauth_mailer.cli.outbox import SUBCOMMANDS
from oauth_mailer.outbox import Outbox, State

from .mailbox import Mailbox, mailboxes
from .outbox_worker import HELLO, call, entry, queue
from .program import run
from .typist import Typist

ME, YOU = "me@corp.example", "you@corp.example"
posix = pytest.mark.skipif(os.name != "posix", reason="needs a terminal of POSIX")

HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202eevil"


@pytest.fixture
def box(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with mailboxes(home, monkeypatch, ME) as [made]:
        yield made


@pytest.fixture
def one_of_each(box: Mailbox) -> Mailbox:
    """1 is sent, 2 rejected, 3 unknown, 4 cancelled, 5 queued for tomorrow."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    with Outbox() as outbox:
        outbox.add(Message(to="ann@example.com", subject="Hello", text="x"))
        outbox.run(once=True)
        box.refuse_recipients(b"550 5.1.1 no such user")
        outbox.add(Message(to="ann@example.com", subject="Hello", text="x"))
        outbox.run(once=True)
        box.answer_again("rcpt")
        box.hang_up_after_the_message()
        outbox.add(Message(to="ann@example.com", subject="Hello", text="x"))
        outbox.run(once=True)
        box.answer_again("dot")
        outbox.add(Message(to="bob@example.com", text="x"), not_before=tomorrow)
        outbox.add(Message(to="bob@example.com", text="x"), not_before=tomorrow)
        outbox.cancel(4)
    return box


def listed(*words: str) -> list[int]:
    done = call("outbox", "list", "--json", *words)
    assert done.code == 0, done
    return [one["entry"] for one in json.loads(done.out)["entries"]]


def test_the_list_shows_what_is_not_sent_or_may_need_somebody(one_of_each: Mailbox) -> None:
    assert listed() == [2, 3, 5]
    assert listed("--all") == [1, 2, 3, 4, 5]
    assert listed("--state", "unknown", "--state", "sent") == [1, 3]
    assert listed("--all", "--limit", "2") == [4, 5], "the newest ones"
    assert listed("--all", "--account", ME.upper()) == [1, 2, 3, 4, 5]
    assert listed("--all", "--account", YOU) == []

    table = call("outbox", "list")
    assert table.code == 0
    head, *rows = table.out.splitlines()
    assert head.split() == ["NUMBER", "STATE", "WHEN", "ACCOUNT", "TO", "SUBJECT", "WHY"]
    assert [row.split()[:2] for row in rows] == [["2", "rejected"], ["3", "unknown"], ["5", "queued"]]
    assert call("outbox", "list", "--state", "sending").err == "There are no such messages.\n"
    short = call("outbox", "list", "--limit", "1")
    assert len(short.out.splitlines()) == 2
    assert "--limit 0 shows all" in short.err
    assert call("outbox", "list", "--all", "--state", "sent").code == 64


def test_a_list_of_nothing_says_where_the_rest_is(box: Mailbox) -> None:
    with Outbox() as outbox:
        outbox.add(Message(to="ann@example.com", text="x"))
        outbox.run(once=True)
    nothing = call("outbox", "list")
    assert (nothing.code, nothing.out) == (0, "")
    assert (
        nothing.err == "Nothing waits, and nothing needs you. All there is: oauth-mailer outbox list --all\n"
    )
    assert len(call("outbox", "list", "--all").out.splitlines()) == 2


def test_a_long_list_comes_as_it_is_read_a_line_each(box: Mailbox) -> None:
    with Outbox() as outbox, outbox.begin() as connection:
        for number in range(450):  # more than is read at a time, or looked at for the columns
            message = Message(to="ann@example.com", subject=f"no. {number}", text="x")
            outbox.add(message, connection=connection)
    done = run("outbox", "list", "--json")
    assert done.out.startswith('{"entries": [\n')
    assert [one["subject"] for one in json.loads(done.out)["entries"]] == [f"no. {n}" for n in range(450)]
    for line in done.out.splitlines()[1:]:
        assert json.loads(line.removesuffix("]}").removesuffix(","))["state"] == "queued"
    assert len(run("outbox", "list").out.splitlines()) == 101
    assert len(run("outbox", "list", "--limit", "0").out.splitlines()) == 451


@pytest.mark.parametrize("most", ["-1", "99999999999999999999"])
def test_64_for_a_number_of_rows_that_makes_no_sense(box: Mailbox, most: str) -> None:
    done = call("outbox", "list", "--limit", most, "--json")
    assert (done.code, done.json["error"]["code"]) == (64, "usage")


def test_an_outbox_that_cannot_be_read_is_one_object_with_the_error(
    box: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x", "ascii")
    monkeypatch.setenv("OAUTH_MAILER_OUTBOX_URL", f"sqlite:///{tmp_path / 'file' / 'outbox.db'}")
    for words in (("list",), ("stats",), ("show", "1"), ("run", "--once"), ("purge",), ("retry", "1")):
        done = call("outbox", *words, "--json")
        assert done.code == 75, done
        assert done.json["error"]["type"] == "OutboxError"
        assert done.json["error"]["hint"] in done.err.replace("\n  ", "\n")


def test_show_tells_all_that_happened(one_of_each: Mailbox) -> None:
    told = call("outbox", "show", "3", "--json").json
    assert (told["entry"], told["state"], told["attempts"]) == (3, "unknown", 1)
    assert told["to"] == ["ann@example.com"]
    assert told["subject"] == "Hello"
    assert [(one["state"], one["verdict"]) for one in told["history"]] == [
        ("queued", ""),
        ("sending", ""),
        ("unknown", "unknown"),
    ]
    assert all(datetime.fromisoformat(one["at"]).tzinfo for one in told["history"])
    assert "oauth-mailer outbox retry 3" in told["hint"]

    sent = call("outbox", "show", "1")
    assert "smtp" in sent.out
    assert "History" in sent.out
    assert sent.err == "", "nothing is left to do"
    assert "oauth-mailer outbox retry 4" in call("outbox", "show", "4").err
    missing = call("outbox", "show", "99", "--json")
    assert (missing.code, missing.json["error"]["code"]) == (64, "outbox-no-entry")
    assert call("outbox", "show", "1", "--eml", "--json").code == 64


def parted(data: bytes) -> list[bytes]:
    """The message, cut where its boundary stands, which is another one each time."""
    found = re.search(rb'boundary="(.*?)"', data)
    assert found is not None
    return data.split(found[1])


def test_show_prints_the_message_as_it_goes_out(box: Mailbox, tmp_path: Path) -> None:
    (tmp_path / "报告.txt").write_text("numbers", encoding="utf-8")
    queue(*HELLO, "--bcc", "boss@example.com", "--attach", str(tmp_path / "报告.txt"))
    shown = run("outbox", "show", "1", "--eml")
    assert (shown.code, shown.err) == (0, "")
    assert run("outbox", "run", "--once").code == 0
    assert parted(shown.out.encode()) == parted(box.messages[0].data)
    assert "boss" not in shown.out


def test_what_others_wrote_cannot_steer_the_terminal(box: Mailbox) -> None:
    subject = "=?utf-8?q?" + "".join(f"={octet:02X}" for octet in HOSTILE.encode()) + "?="
    eml = f"From: {ME}\nTo: ann@example.com\nSubject: {subject}\n\nraw \x1b[2J text\n"
    done = run("send", "--queue", "--eml", "-", stdin=eml.encode())
    assert done.code == 0, done
    box.refuse_recipients(b"550 5.1.1 \x1b]0;owned\x07 no \xe2\x80\xae such user")
    shown = [
        run("outbox", *words)
        for words in (
            ("list",),
            ("run", "--once"),
            ("list",),
            ("list", "--json"),
            ("show", "1"),
            ("show", "1", "--json"),
            ("run", "--once", "--json"),
        )
    ]
    for done in shown:
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", done.out + done.err), done
    assert "\u202eevil" in json.loads(shown[3].out)["entries"][0]["subject"], "scripts get it as it is"
    assert "\\u202eevil" in shown[0].out


@posix
def test_a_message_shown_on_a_terminal_cannot_steer_it(box: Mailbox) -> None:
    eml = f"From: {ME}\nTo: ann@example.com\nSubject: x\n\nraw \x1b[2J text\n"
    assert run("send", "--queue", "--eml", "-", stdin=eml.encode()).code == 0
    typist = Typist("outbox", "show", "1", "--eml")
    assert typist.end() == 0
    assert "raw \\x1b[2J text" in typist.screen
    assert "\x1b" not in typist.screen


@posix
def test_the_table_fits_the_terminal(box: Mailbox) -> None:
    queue("--to", f"{'a' * 60}@example.com", "--subject", "很长的标题" * 20, "--text", "x")
    typist = Typist("outbox", "list", env={"COLUMNS": "120"})
    assert typist.end() == 0
    rows = [line for line in typist.screen.splitlines() if line.strip()]
    assert len(rows) == 2
    assert all(width(row) <= 120 for row in rows), rows
    assert "…" in rows[1]


def test_stats_count_and_say_who_waits(one_of_each: Mailbox) -> None:
    with Outbox() as outbox:
        outbox.add(Message(to="ann@example.com", text="x"), account=YOU)
    told = call("outbox", "stats", "--json").json
    assert told["counts"] == {
        "queued": 2,
        "sending": 0,
        "sent": 1,
        "rejected": 1,
        "unknown": 1,
        "cancelled": 1,
    }
    assert (told["due"], told["waiting"]) == (1, {ME: 1, YOU: 1})
    assert datetime.fromisoformat(told["next_due"]) > datetime.now(UTC)
    assert [(one["account"], one["code"]) for one in told["need_you"]] == [(YOU, "no-account")]
    shown = call("outbox", "stats")
    assert shown.code == 0
    assert re.search(r"^unknown +1$", shown.out, re.M)
    assert f"oauth-mailer login {YOU}" in shown.err


def test_purge_deletes_what_is_settled_and_only_that(one_of_each: Mailbox) -> None:
    assert call("outbox", "purge", "--older-than", "1d", "--json").json == {"purged": 0}
    assert call("outbox", "purge", "--older-than", "0s", "--json").json == {"purged": 2}
    assert listed("--all") == [2, 3, 5]
    assert call("outbox", "purge", "--older-than", "0s", "--state", "rejected").code == 0
    assert listed("--all") == [3, 5]
    assert call("outbox", "purge", "--older-than", "long ago").code == 64
    assert call("outbox", "purge", "--state", "queued").code == 64


def test_what_cannot_be_changed_is_told_and_holds_up_nobody(one_of_each: Mailbox) -> None:
    done = call("outbox", "cancel", "1", "5", "99", "--json")
    assert done.code == 64, done
    assert done.json["entries"] == [5]
    assert [(one["entry"], one["code"]) for one in done.json["failed"]] == [
        (1, "outbox-move"),
        (99, "outbox-no-entry"),
    ]
    assert "Message 1 of the outbox cannot be cancelled: it is sent." in done.err
    assert entry(5).state is State.CANCELLED


def test_all_in_a_state_are_changed_only_once_somebody_said_yes(one_of_each: Mailbox) -> None:
    refused = call("outbox", "retry", "--all", "--state", "unknown", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (64, "no-prompt")
    assert "--yes" in refused.json["error"]["hint"]
    assert entry(3).state is State.UNKNOWN
    done = call("outbox", "retry", "--all", "--state", "unknown", "--yes", "--json")
    assert (done.code, done.json["entries"]) == (0, [3])
    none = call("outbox", "retry", "--all", "--state", "unknown", "--yes")
    assert (none.code, none.err) == (0, "There are no such messages.\n")
    for words in ((), ("--all",), ("3", "--all", "--state", "unknown"), ("3", "--state", "unknown")):
        assert call("outbox", "retry", *words).code == 64, words


@posix
def test_a_person_is_asked_before_all_are_sent_again(one_of_each: Mailbox) -> None:
    words = ("outbox", "retry", "--all", "--state", "unknown")
    typist = Typist(*words)
    assert typist.answer([("[y/N]", "n")]) == 130
    assert "would arrive twice" in typist.screen
    assert entry(3).state is State.UNKNOWN
    assert Typist(*words).answer([("[y/N]", "y")]) == 0
    assert entry(3).state is State.QUEUED


def test_the_command_alone_shows_its_commands(box: Mailbox) -> None:
    alone = call("outbox")
    assert (alone.code, alone.out) == (64, "")
    for name in SUBCOMMANDS:
        assert f"\n  {name} " in alone.err
        helped = call("outbox", name, "--help")
        assert (helped.code, helped.err) == (0, "")
        assert f"Usage: oauth-mailer outbox {name}" in helped.out
        assert "Examples:\n  " in helped.out
    assert call("help", "outbox", "run").out == call("outbox", "run", "--help").out
    assert call("--json", "outbox", "stats").json["due"] == 0
    assert call("outbox", "--json", "stats").json["due"] == 0
    wrong = call("outbox", "lst", "--json")
    assert (wrong.code, wrong.json["error"]["type"]) == (64, "UsageError")
    assert "Did you mean list?" in wrong.err
    assert call("outbox", "--json").json["error"]["hint"] == "Run: oauth-mailer outbox --help"
    assert call("outbox", "show").code == 64
    assert call("outbox", "show", "first").code == 64


def test_without_its_extra_the_outbox_says_what_to_install(box: Mailbox, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'sqlalchemy':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}')\n"
        "sys.meta_path.insert(0, Missing())\n",
        "ascii",
    )
    env = {"PYTHONPATH": str(tmp_path)}
    for words in (("outbox", "list"), ("outbox", "run"), ("send", "--queue", *HELLO)):
        done = run(*words, "--json", env=env)
        assert done.code == 78, done
        assert done.json["error"]["code"] == "extra-missing"
        assert "pip install 'oauth-mailer[outbox]'" in done.json["error"]["hint"]
    assert run("outbox", "run", "--help", env=env).code == 0
    assert run("send", *HELLO, env=env).code == 0, "a plain send does not need it"


ENGLISH = re.compile(r"[A-Za-z']+ [a-z]+ [a-z]+")
TYPED = re.compile(
    r"oauth-mailer( [a-z]+)*|<[^>]*>|\([a-z-]+\)|--[a-z-]+|[^ ]+@[^ ]+"
    r"|550 5.1.1 no such user|queued as 4F2A"  # the server's own words
)


def test_somebody_who_reads_chinese_reads_no_english_sentence(
    one_of_each: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTH_MAILER_LANG", "zh_CN")
    with Outbox() as outbox:
        outbox.add(Message(to="ann@example.com", text="x"), account=YOU)
    one_of_each.hang_up_after_the_message()
    for words in (
        ("send", "--queue", *HELLO, "--key", "a"),
        ("send", "--queue", *HELLO, "--key", "a"),
        ("send", "--queue", *HELLO, "--key", "b", "--at", "+2h"),
        ("send", *HELLO, "--key", "b"),
        ("outbox", "list"),
        ("outbox", "stats"),
        ("outbox", "run", "--once"),
        ("outbox", "list", "--state", "unknown"),
        *(("outbox", "show", str(number)) for number in (1, 2, 4, 5, 7)),
        ("outbox", "retry", "2", "1"),
        ("outbox", "cancel", "--all", "--state", "unknown"),
        ("outbox", "cancel", "--all", "--state", "unknown", "--yes"),
        ("outbox", "purge"),
        ("outbox", "lst"),
    ):
        done = call(*words)
        assert not ENGLISH.search(TYPED.sub("", done.out + done.err)), (words, done)
        assert re.search("[\u4e00-\u9fff]", done.out + done.err), (words, done)
