"""The tests of applications that send mail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import oauth_mailer
from oauth_mailer import Message, Outbox, testing
from oauth_mailer.sandbox import Sandbox
from oauth_mailer.testing import Mailbox
from tests.cli.program import run

pytest_plugins = ["pytester"]


def sell(mailbox: Mailbox) -> None:
    oauth_mailer.send(
        to="Ann <ann@example.com>",
        cc="bob@example.com",
        bcc="boss@example.com",
        subject="账单 7",
        text="Dear Ann,\nthe bill.",
        html="<p>Dear Ann</p>",
        attachments=[oauth_mailer.Attachment(b"%PDF", filename="账单.pdf")],
        headers={"X-Shop": "one"},
    )


def test_what_was_sent_is_found_by_what_it_says(mailbox: Mailbox) -> None:
    mailbox.assert_nothing_sent()
    sell(mailbox)
    sent = mailbox.assert_sent(
        count=1,
        to=["ann@example.com", "boss@example.com"],
        cc="Bob@example.com",
        bcc=["boss@example.com"],
        subject="账单 7",
        text="the bill",
        html=re.compile("Dear (Ann|Bob)"),
        attachment="账单.pdf",
        headers={"X-Shop": "one"},
    )
    assert sent.to == ("ann@example.com",)
    assert sent.cc == ("bob@example.com",)
    assert sent.bcc == ("boss@example.com",)
    assert sent.text == "Dear Ann,\nthe bill.\n"
    assert sent.attachments[0].content == b"%PDF"
    assert sent.attachments[0].media_type == "application/pdf"
    assert mailbox.last is mailbox[0]
    assert mailbox[-1:] == [sent]
    mailbox.assert_not_sent(subject="账单 8")


def test_what_was_not_sent_fails_and_shows_what_was(mailbox: Mailbox) -> None:
    with pytest.raises(AssertionError, match="nothing was sent"):
        mailbox.assert_sent()
    with pytest.raises(AssertionError, match="nothing was sent"):
        mailbox.last  # noqa: B018
    sell(mailbox)
    for wanted in (
        {"to": "eve@example.com"},
        {"cc": "ann@example.com"},
        {"bcc": "bob@example.com"},
        {"subject": "账单"},
        {"text": "no such"},
        {"html": "no such"},
        {"attachment": "x.pdf"},
        {"sender": "eve@example.com"},
        {"headers": {"X-Shop": "two"}},
        {"count": 2},
    ):
        with pytest.raises(AssertionError, match=re.escape("<Sent '账单 7' to ann@example.com")):
            mailbox.assert_sent(**wanted)
    with pytest.raises(AssertionError, match="should not be"):
        mailbox.assert_nothing_sent()


def test_what_was_sent_is_forgotten_before_the_next_step(mailbox: Mailbox) -> None:
    sell(mailbox)
    assert mailbox.last.subject == "账单 7"
    mailbox.clear()
    mailbox.assert_nothing_sent()
    oauth_mailer.send(to="ann@example.com", subject="Paid", text="Thank you.")
    assert mailbox.assert_sent(count=1) is mailbox.last
    assert mailbox.last.subject == "Paid"


def test_what_a_test_adds_to_the_outbox_is_captured_too_and_never_sent_for_real() -> None:
    with testing.mailbox() as mailbox, Outbox() as outbox:
        outbox.add(Message(to="ann@example.com", subject="Bill 7", text="Dear Ann"))
        mailbox.assert_nothing_sent()
        outbox.run(once=True)
        mailbox.assert_sent(count=1, subject="Bill 7")
    with Outbox() as outbox:
        assert not list(outbox.find())


def test_an_outbox_that_is_named_is_the_tests_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTH_MAILER_OUTBOX_URL", f"sqlite:///{tmp_path / 'outbox.db'}")
    with testing.mailbox(), Outbox() as outbox:
        outbox.add(Message(to="ann@example.com", subject="Bill 7", text="Dear Ann"))
    with Outbox() as outbox:
        assert [entry.subject for entry in outbox.find()] == ["Bill 7"]


def test_a_program_of_its_own_sends_to_the_servers_of_the_test(mail_sandbox: Sandbox) -> None:
    done = run("send", "--to", "ann@example.com", "--subject", "Hi", "--text", "It works.")
    assert done.code == 0, done
    [received] = mail_sandbox.wait_for(1)
    assert received.recipients == ("ann@example.com",)


def test_the_fixtures_are_there_without_asking(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import oauth_mailer

        def test_it(mailbox):
            oauth_mailer.send(to="ann@example.com", subject="Hi", text="x")
            assert mailbox.assert_sent(subject="Hi").recipients == ("ann@example.com",)
        """
    )
    result = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)


def test_loading_the_plugin_costs_next_to_nothing() -> None:
    import subprocess
    import sys

    program = (
        "import sys, pytest; before = set(sys.modules); import oauth_mailer.integrations.pytest_plugin;"
        "print(*(name for name in sys.modules if name not in before and name.count('.') < 3))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    ours = {name for name in done.stdout.split() if name.startswith("oauth_mailer")}
    assert ours == {"oauth_mailer", "oauth_mailer.integrations", "oauth_mailer.integrations.pytest_plugin"}
    assert Path(oauth_mailer.__file__).exists()
