"""Messages that are sent later, by the program."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default as modern
from pathlib import Path

import pytest

from oauth_mailer import Message
from oauth_mailer.outbox import Outbox, State
from tests.support.smtp_script import close

from .mailbox import CODE, Mailbox, mailbox, mailboxes
from .outbox_worker import HELLO, call, entry, lines, queue
from .program import run
from .test_send import KEYS

ME, YOU = "me@corp.example", "you@corp.example"


@pytest.fixture
def box(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """The account me@corp.example, on a server of the test's own."""
    with mailboxes(home, monkeypatch, ME) as [made]:
        yield made


def kept() -> list[State]:
    """Where all entries are."""
    with Outbox() as outbox:
        return [one.state for one in outbox.find()]


def test_what_is_queued_now_is_sent_by_the_next_run_as_it_was(box: Mailbox, tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    report.write_text("as it was", "utf-8")
    done = run("send", "--queue", *HELLO, "--attach", str(report))
    assert done.code == 0, done
    assert "Queued as number 1." in done.err
    assert "oauth-mailer outbox run" in done.err
    assert box.server.connections == 0
    report.write_text("changed since", "utf-8")

    sent = run("outbox", "run", "--once")
    assert (sent.code, sent.out) == (0, ""), sent
    assert f"1 sent {done.out.strip()} {ME}" in sent.err
    [mail] = box.messages
    message = message_from_bytes(mail.data, policy=modern)
    assert done.out == f"{message['Message-ID']}\n", "alone on standard output"
    [attached] = message.iter_attachments()
    assert attached.get_content() == "as it was"

    again = run("outbox", "run", "--once")
    assert again.code == 0, again
    assert len(box.messages) == 1


def test_json_is_the_object_of_send_with_the_number(box: Mailbox) -> None:
    told = run("send", "--queue", *HELLO, "--json").json
    assert list(told) == [*KEYS, "entry", "repeated"]
    assert (told["status"], told["entry"], told["attempts"], told["repeated"]) == ("queued", 1, [], False)
    assert told["account"] == ME


def test_the_same_key_and_content_is_one_message_however_often_it_is_asked_for(box: Mailbox) -> None:
    first = run("send", "--queue", *HELLO, "--key", "invoice-7", "--json").json
    again = run("send", "--queue", *HELLO, "--key", "invoice-7")
    assert again.code == 0, again
    assert again.out == f"{first['message_id']}\n"
    assert "It is in the outbox already, as number 1: queued." in again.err

    assert run("outbox", "run", "--once").code == 0
    later = run("send", "--queue", *HELLO, "--key", "invoice-7", "--at", "+1h", "--json")
    assert later.code == 0, "what was asked for is done"
    told = later.json
    assert (told["status"], told["entry"], told["repeated"]) == ("sent", 1, True)
    assert (told["account"], told["transport"]) == (ME, "smtp")
    assert told["message_id"] == first["message_id"]
    assert run("outbox", "run", "--once").code == 0
    assert len(box.messages) == 1


def test_the_same_key_with_other_content_is_a_conflict_and_changes_nothing(box: Mailbox) -> None:
    queue(*HELLO, "--key", "invoice-7")
    done = run("send", "--queue", *HELLO, "--cc", "bob@example.com", "--key", "invoice-7", "--json")
    assert done.code == 65, "to try it later would not help"
    assert (done.json["status"], done.json["error"]["code"]) == ("refused", "outbox-key-conflict")
    assert "oauth-mailer outbox show 1" in done.json["error"]["hint"]
    assert kept() == [State.QUEUED]


def test_what_is_scheduled_waits_until_then_or_until_a_person_says_now(box: Mailbox) -> None:
    done = run("send", "--queue", *HELLO, "--at", "+2h")
    assert done.code == 0, done
    assert "not before 20" in done.err
    assert run("outbox", "run", "--once").code == 0, "nothing was due"
    assert not box.messages
    with Outbox() as outbox:
        waits = outbox.get(1).due - datetime.now(UTC)
    assert timedelta(hours=1) < waits <= timedelta(hours=2)
    assert "oauth-mailer outbox retry 1" in run("outbox", "show", "1").err
    assert run("outbox", "retry", "1").code == 0
    assert run("outbox", "run", "--once").code == 0
    assert len(box.messages) == 1


@pytest.mark.parametrize(
    ("words", "due"),
    [
        ("2031-01-02T03:04+08:00", datetime(2031, 1, 1, 19, 4, tzinfo=UTC)),
        ("2031-01-02T03:04:05Z", datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2031-07-02 03:04", datetime(2031, 7, 2, 3, 4).astimezone()),
    ],
)
def test_a_time_may_be_that_of_a_wall_clock_or_of_a_zone(box: Mailbox, words: str, due: datetime) -> None:
    number = call("send", "--queue", *HELLO, "--at", words, "--expires", "+1d", "--json").json["entry"]
    assert entry(number).due == due
    assert entry(number).expires == due + timedelta(days=1)


@pytest.mark.skipif(os.name != "posix", reason="Windows takes the zone from the system only")
@pytest.mark.parametrize(
    ("words", "due"),
    [
        ("2031-03-30 01:59", datetime(2031, 3, 30, 0, 59, tzinfo=UTC)),
        ("2031-03-30 02:30", datetime(2031, 3, 30, 1, 30, tzinfo=UTC)),  # there is no such time: 3:30
        ("2031-10-26 02:30", datetime(2031, 10, 26, 0, 30, tzinfo=UTC)),  # there are two: the first
    ],
)
def test_a_time_of_a_wall_clock_that_is_put_on_or_back_is_not_before_it(
    box: Mailbox, words: str, due: datetime
) -> None:
    zone = {"TZ": "CET-1CEST,M3.5.0,M10.5.0/3"}
    done = run("send", "--queue", *HELLO, "--at", words, "--json", env=zone)
    assert entry(done.json["entry"]).due == due


def test_a_time_that_is_past_means_now_and_that_is_said(box: Mailbox) -> None:
    done = run("send", "--queue", *HELLO, "--at", "2020-01-01 10:00")
    assert done.code == 0, done
    assert "The time of --at is past" in done.err
    assert run("outbox", "run", "--once").code == 0
    assert len(box.messages) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("--key", "x"),
        ("--at", "+2h"),
        ("--expires", "+2h"),
        ("--queue", "--dry-run"),
        ("--queue", "--wait", "5"),
        ("--queue", "--timeout", "5"),
        ("--queue", "--key", ""),
        ("--queue", "--at", "tomorrow"),
        ("--queue", "--at", "2031-02-30 10:00"),
        ("--queue", "--at", "99999999999d"),
        ("--queue", "--at", "9999999d"),
        ("--queue", "--expires", "2020-01-01 10:00"),
        ("--queue", "--at", "+2h", "--expires", "2020-01-01"),
    ],
)
def test_64_for_options_that_do_not_go_together_and_times_that_are_none(
    box: Mailbox, words: tuple[str, ...]
) -> None:
    done = call("send", *HELLO, *words, "--json")
    assert done.code == 64, done
    assert (done.json["status"], done.json["error"]["type"]) == ("refused", "UsageError")
    assert done.json["error"]["hint"]
    assert (box.server.connections, kept()) == (0, [])


def test_what_send_would_refuse_is_refused_before_it_is_kept(
    box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTH_MAILER_SECRET_ME_GMAIL_COM", "x")
    many = ",".join(f"u{number}@example.com" for number in range(101))
    for code, words in (
        (64, ("--text", "x")),
        (65, (*HELLO, "--header", "X-A: 1\nX-B: 2")),
        (65, ("--from", "me@gmail.com", "--to", many, "--text", "more than Gmail takes")),
        (66, (*HELLO, "--attach", "no such file")),
        (78, (*HELLO, "--from", "nobody@corp.example")),
        (78, (*HELLO, "--fallback", "nobody@corp.example")),
    ):
        done = call("send", "--queue", *words, "--json")
        assert done.code == code, done
        assert done.json["status"] == "refused"
    assert kept() == []


def test_an_account_whose_secret_stands_in_the_environment_needs_no_login(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTH_MAILER_SECRET_ME_QQ_COM", CODE)
    assert entry(queue(*HELLO, "--from", "me@qq.com")).account == "me@qq.com"
    monkeypatch.delenv("OAUTH_MAILER_SECRET_ME_QQ_COM")
    assert run("send", "--queue", *HELLO, "--from", "me@qq.com").code == 78


def test_run_ends_with_69_where_a_message_was_rejected(box: Mailbox) -> None:
    queue()
    box.refuse_recipients(b"550 5.1.1 no such user")
    done = run("outbox", "run", "--once", "--json")
    assert done.code == 69, done
    event, last = lines(done.out)
    assert (event["event"], event["state"], event["entry"], event["due"]) == ("rejected", "rejected", 1, None)
    assert "no such user" in event["text"]
    assert last == {"summary": {"sent": 0, "later": 0, "rejected": 1, "unknown": 0}}
    assert "oauth-mailer outbox retry 1" in run("outbox", "show", "1").err


def test_run_ends_with_69_where_a_message_was_not_sent_in_time(box: Mailbox) -> None:
    with Outbox() as outbox:
        outbox.add(
            Message(to="ann@example.com", text="stale"), expires=datetime.now(UTC) - timedelta(hours=1)
        )
    done = run("outbox", "run", "--once", "--json")
    assert done.code == 69, done
    assert lines(done.out)[0]["code"] == "expired"
    assert not box.messages


def test_run_ends_with_75_where_a_message_waits_for_a_later_try(box: Mailbox) -> None:
    queue()
    box.stop()
    done = run("outbox", "run", "--once", "--json")
    assert done.code == 75, done
    event = lines(done.out)[0]
    assert (event["event"], event["state"]) == ("queued", "queued")
    assert datetime.fromisoformat(event["due"]).tzinfo is not None
    assert "Not before " in done.err
    assert "1 to be tried later" in done.err


def test_run_ends_with_76_where_nobody_knows_and_a_person_retries_or_cancels(box: Mailbox) -> None:
    first, second = queue(), queue()
    box.hang_up_after_the_message()
    done = run("outbox", "run", "--once")
    assert done.code == 76, done
    assert "0 sent, 0 to be tried later, 0 rejected, 2 unknown." in done.err
    assert "oauth-mailer outbox list --state unknown" in done.err
    shown = run("outbox", "show", str(first))
    assert "Look into the Sent folder of me@corp.example." in shown.err
    assert f"oauth-mailer outbox retry {first}" in shown.err
    assert f"oauth-mailer outbox cancel {first}" in shown.err

    box.answer_again("dot")
    assert run("outbox", "run", "--once").code == 0, "nothing is sent again by itself"
    assert not box.messages
    retried = run("outbox", "retry", str(first))
    assert retried.code == 0, retried
    assert f"Message {first} may have been sent: if it was, it arrives twice." in retried.err
    assert run("outbox", "cancel", str(second)).code == 0
    assert run("outbox", "run", "--once").code == 0
    assert (kept(), len(box.messages)) == ([State.SENT, State.CANCELLED], 1)


def test_what_may_have_been_sent_is_queued_again_where_the_user_says_so(box: Mailbox) -> None:
    number = queue()
    box.server.answer("dot", [close])
    done = run("outbox", "run", "--once", "--on-unknown", "resend")
    assert done.code in (0, 75), done  # its turn may come within this very run
    with Outbox() as outbox:
        assert "resend-policy" in [one.code for one in outbox.history(number)]
        assert outbox.get(number).state in (State.QUEUED, State.SENT)


def test_the_gravest_outcome_is_the_exit_code(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mailboxes(home, monkeypatch, ME, YOU) as (mine, yours):
        queue(*HELLO, "--from", ME)
        queue(*HELLO, "--from", YOU)
        mine.refuse_recipients(b"550 5.1.1 no such user")
        yours.hang_up_after_the_message()
        done = run("outbox", "run", "--once", "--workers", "2")
        assert done.code == 76, done
        assert "0 sent, 0 to be tried later, 1 rejected, 1 unknown." in done.err


def test_after_a_partial_refusal_a_retry_goes_to_those_who_were_refused(box: Mailbox) -> None:
    number = queue(*HELLO, "--cc", "eve@example.com")
    box.refuse_recipients(b"452 4.2.2 mailbox full", only="eve@example.com")
    done = run("outbox", "run", "--once")
    assert done.code == 0, done
    assert "Not sent to eve@example.com: " in done.err
    assert f"oauth-mailer outbox retry {number}" in run("outbox", "show", str(number)).err

    box.answer_again("rcpt")
    assert run("outbox", "retry", str(number)).code == 0
    assert run("outbox", "run", "--once").code == 0
    assert [mail.recipients for mail in box.messages][1:] == [["eve@example.com"]]
    done = run("outbox", "retry", str(number), "--json")
    assert (done.code, done.json["failed"][0]["code"]) == (64, "outbox-sent")


def test_a_refused_login_pauses_the_account_until_a_person_logs_in_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTH_MAILER_STORE", "encrypted_file")
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", "a passphrase of the test")
    with mailbox(ME) as box:
        at = ("--host", f"127.0.0.1:{box.port}", "--security", "tls", "--ca-file", box.ca_file)
        login = ("login", ME, *at, "--code-stdin")
        assert run(*login, stdin=CODE.encode()).code == 0
        queue()
        queue()
        box.server.answer("auth", [b"535 5.7.8 authentication failed\r\n"])
        done = run("outbox", "run", "--once")
        assert done.code == 77, done
        assert f"{ME} waits for you (" in done.err
        assert "Not before" not in done.err, "it waits for a person, not for a time"
        assert f"oauth-mailer login {ME}" in done.err
        logins = box.logins
        again = run("outbox", "run", "--once")
        assert again.code == 77, again
        assert "messages that wait for it: 2." in again.err, "told in each run"
        assert box.logins == logins, "a refused code is not shown again"
        stats = run("outbox", "stats", "--json").json
        assert [(one["account"], one["messages"]) for one in stats["need_you"]] == [(ME, 2)]
        assert f"oauth-mailer login {ME}" in stats["need_you"][0]["hint"]

        assert run(*login, stdin=CODE.encode()).code == 0
        drained = run("outbox", "run", "--once")
        assert drained.code == 0, drained
        assert "waits for you" not in drained.err, "the person acted, and has nothing to do"
        assert len(box.messages) == 2


def test_messages_of_an_account_that_is_not_here_are_told_of(box: Mailbox) -> None:
    with Outbox() as outbox:
        outbox.add(Message(to="ann@example.com", text="x"), account=YOU)
    queue()
    done = run("outbox", "run", "--once")
    assert done.code == 77, done
    assert f"{YOU} is not set up here; messages that wait for it: 1." in done.err
    assert f"oauth-mailer login {YOU}" in done.err
    assert kept() == [State.QUEUED, State.SENT], "and hold up nobody"


def test_an_account_that_is_set_up_wrongly_is_told_of_with_the_reason(box: Mailbox, home: Path) -> None:
    queue()
    config = home / "config.toml"
    config.write_text(config.read_text("utf-8").replace("\nhost", '\nper_minute = "many"\nhost'), "utf-8")
    done = run("outbox", "run", "--once")
    assert done.code == 77, done
    assert f"The configuration of {ME} has a wrong value for 'per_minute'." in done.err
    assert "not set up here" not in done.err
    assert kept() == [State.QUEUED]


def test_several_are_sent_at_a_time_each_once(box: Mailbox) -> None:
    with Outbox() as outbox:
        for number in range(12):
            outbox.add(Message(to=f"u{number}@example.com", text="x"))
    done = run("outbox", "run", "--once", "--workers", "4", "--json")
    assert done.code == 0, done
    assert lines(done.out)[-1] == {"summary": {"sent": 12, "later": 0, "rejected": 0, "unknown": 0}}
    assert sorted(mail.recipients[0] for mail in box.messages) == sorted(
        f"u{number}@example.com" for number in range(12)
    )


@pytest.mark.parametrize(
    "words",
    [
        ("--workers", "0"),
        ("--workers", "65"),
        ("--timeout", "0"),
        ("--lease", "1"),
        ("--on-unknown", "maybe"),
    ],
)
def test_a_worker_refuses_numbers_that_make_no_sense(box: Mailbox, words: tuple[str, str]) -> None:
    done = call("outbox", "run", "--once", *words, "--json")
    assert done.code == 64, done
    assert words[0] in done.json["error"]["message"]
