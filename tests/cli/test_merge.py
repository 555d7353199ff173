"""A message for each row, by the program."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from oauth_mailer.outbox import Outbox, State

from .mailbox import Mailbox, mailboxes
from .program import ROOT, run
from .typist import Typist

ME = "me@corp.example"
LETTER = "---\nto: {{ email | named(name) }}\nsubject: Hi {{ name }}\n---\nHello {{ name }}!\n"


@pytest.fixture
def box(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with mailboxes(home, monkeypatch, ME) as [made]:
        yield made


@pytest.fixture
def letter(tmp_path: Path) -> str:
    path = tmp_path / "letter.txt"
    path.write_text(LETTER, "utf-8")
    return str(path)


def table(folder: Path, *rows: str) -> str:
    path = folder / "guests.csv"
    path.write_text("email,name\n" + "".join(f"{row}\n" for row in rows), "gb18030")
    return str(path)


def guests(folder: Path, count: int) -> str:
    return table(folder, *(f"u{number}@example.com,N{number}" for number in range(count)))


def recipients(box: Mailbox) -> list[str]:
    return sorted(mail.recipients[0] for mail in box.messages)


def test_each_row_gets_its_message_once_and_a_report_tells_what_became_of_it(
    tmp_path: Path, box: Mailbox, letter: str
) -> None:
    rows = table(tmp_path, "li@example.com,李雷", 'ann@example.com,"Smith, Ann"')
    report = tmp_path / "report.csv"
    words = ("merge", letter, rows, "--yes", "--report", str(report))
    done = run(*words)
    assert done.code == 0, done
    assert "2 sent, 0 rejected, 0 unknown, 0 left." in done.err
    assert recipients(box) == ["ann@example.com", "li@example.com"]
    again = run(*words, "--json")
    assert again.code == 0, again
    assert again.json["added"] == 0
    assert again.json["sent"] == 2
    assert len(box.messages) == 2, "typed once more, nothing is sent"
    with report.open(encoding="utf-8-sig", newline="") as file:
        told = list(csv.DictReader(file))
    assert [(line["line"], line["to"], line["state"]) for line in told] == [
        ("2", "li@example.com", "sent"),
        ("3", "ann@example.com", "sent"),
    ]


def test_nothing_is_sent_while_a_row_is_wrong(tmp_path: Path, box: Mailbox, letter: str) -> None:
    rows = table(tmp_path, "ann@example.com,Ann", "nobody,Bob")
    done = run("merge", letter, rows, "--yes")
    assert done.code == 65, done
    assert "Line 3:" in done.err
    assert "1 of 2 rows cannot be sent; nothing was sent." in done.err
    assert not box.messages
    done = run("merge", letter, rows, "--yes", "--skip-wrong", "--report", str(tmp_path / "r.csv"))
    assert done.code == 0, done
    assert recipients(box) == ["ann@example.com"]
    assert "3,,wrong" in (tmp_path / "r.csv").read_text("utf-8-sig")


def test_a_dry_run_writes_the_messages_into_a_folder(tmp_path: Path, box: Mailbox, letter: str) -> None:
    folder = tmp_path / "preview"
    done = run("merge", letter, guests(tmp_path, 3), "--dry-run", str(folder))
    assert done.code == 0, done
    assert len(list(folder.glob("*.eml"))) == 3
    assert not box.messages
    with Outbox() as outbox:
        assert sum(outbox.stats().counts.values()) == 0


def test_a_person_is_shown_three_rows_and_asked(tmp_path: Path, box: Mailbox, letter: str) -> None:
    rows = guests(tmp_path, 5)
    refused = run("merge", letter, rows)
    assert refused.code == 64
    assert "--yes" in refused.err, "nobody can be asked"
    typist = Typist("merge", letter, rows)
    assert typist.answer([("[y/N]", "n")]) == 130
    assert typist.screen.count("Subject: Hi N") == 3
    assert not box.messages
    assert Typist("merge", letter, rows).answer([("[y/N]", "y")]) == 0
    assert len(box.messages) == 5


def test_an_interrupted_job_goes_on_where_it_stopped(tmp_path: Path, box: Mailbox, letter: str) -> None:
    rows = guests(tmp_path, 6)
    box.keep_silent("mail")
    process = subprocess.Popen(
        [sys.executable, "-m", "oauth_mailer", "merge", letter, rows, "--yes"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
    )
    try:
        box.wait_for_silence()
        # Two in a row may count as one: the second comes when the first was heard.
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
        _out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode in (130, 76), err.decode()
    box.answer_again("mail")
    with Outbox() as outbox:
        unknown = list(outbox.find(states=[State.UNKNOWN]))
        assert len(unknown) <= 1, "what was on its way when a person would not wait"
        for entry in unknown:
            outbox.retry(entry.id)
    done = run("merge", letter, rows, "--yes")
    assert done.code == 0, done
    assert recipients(box) == [f"u{number}@example.com" for number in range(6)]


def test_a_job_that_is_stopped_while_rows_are_added_says_how_to_go_on(
    tmp_path: Path, box: Mailbox, letter: str
) -> None:
    rows = guests(tmp_path, 600)
    report = tmp_path / "report.csv"
    typist = Typist("merge", letter, rows, "--yes", "--queue", "--report", str(report))
    typist.wait_for("Adding to the outbox")
    typist.process.send_signal(signal.SIGINT)
    assert typist.answer([]) == 130
    assert "To go on where it stopped, type the same command again." in typist.screen
    with Outbox() as outbox:
        added = len(list(outbox.find()))
    assert added < 600
    lines = report.read_text("utf-8-sig").splitlines()
    states = [row["state"] for row in csv.DictReader(lines)]
    assert states == ["queued"] * added + ["left"] * (600 - added)

    done = run("merge", letter, rows, "--yes", "--queue")
    assert done.code == 0, done
    assert f"{600 - added} messages were added to the outbox; {added} were there already." in done.err
    assert not box.messages


def test_a_refused_login_stops_the_job_and_its_rows_are_kept(
    tmp_path: Path, box: Mailbox, letter: str
) -> None:
    box.answer_logins(b"535 5.7.8 authentication failed")
    done = run("merge", letter, guests(tmp_path, 4), "--yes")
    assert done.code == 77, done
    assert f"oauth-mailer login {ME}" in done.err
    assert box.logins == 1
    with Outbox() as outbox:
        assert outbox.stats().counts[State.QUEUED] == 4


def test_the_outbox_may_send_them_later(tmp_path: Path, box: Mailbox, letter: str) -> None:
    done = run("merge", letter, guests(tmp_path, 3), "--yes", "--queue", "--json")
    assert done.code == 0, done
    assert done.json["queued"] == 3
    assert not box.messages
    with Outbox() as outbox:
        outbox.run(once=True)
    assert len(box.messages) == 3


def test_rejected_rows_are_told_by_the_exit_code(tmp_path: Path, box: Mailbox, letter: str) -> None:
    box.refuse_recipients(b"550 5.1.1 no such user", only="u1@")
    done = run("merge", letter, guests(tmp_path, 3), "--yes")
    assert done.code == 69, done
    assert "2 sent, 1 rejected, 0 unknown, 0 left." in done.err
