"""What goes wrong is mailed, gathered, and never about itself."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from oauth_mailer import testing
from oauth_mailer.accounts import Account, Accounts
from oauth_mailer.errors import MessageError
from oauth_mailer.integrations.logging import MailHandler
from oauth_mailer.outbox import Outbox


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    made = logging.getLogger("shop")
    made.propagate = False
    yield made
    for handler in list(made.handlers):
        made.removeHandler(handler)
        handler.close()


def test_records_are_gathered_into_one_mail(logger: logging.Logger) -> None:
    with testing.mailbox() as mailbox:
        handler = MailHandler("ops@example.com", gather=3600)
        logger.addHandler(handler)
        logger.info("not worth a mail")
        logger.error("disk\nfull on %s", "磁盘")
        try:
            raise ValueError("what happened")
        except ValueError:
            logger.exception("it broke")
        mailbox.assert_nothing_sent()
        handler.flush()
        sent = mailbox.assert_sent(count=1, to="ops@example.com")
        assert sent.subject == "ERROR shop: disk full on 磁盘 (+1)"
        assert "ValueError: what happened" in sent.text
        assert "not worth" not in sent.text


def test_the_first_mail_comes_by_itself_and_the_next_not_before_its_time(logger: logging.Logger) -> None:
    with testing.mailbox() as mailbox:
        logger.addHandler(handler := MailHandler("ops@example.com", gather=0.0, every=3600))
        logger.error("first")
        while not mailbox:  # the thread of the handler sends it
            threading.Event().wait(0.01)
        logger.error("second")
        logger.error("third")
        assert len(mailbox) == 1
        handler.close()
        assert [one.subject for one in mailbox] == ["ERROR shop: first", "ERROR shop: second (+1)"]


def test_a_flood_is_counted_and_not_kept(logger: logging.Logger) -> None:
    with testing.mailbox() as mailbox:
        logger.addHandler(handler := MailHandler("ops@example.com", gather=3600, capacity=10))
        for number in range(1000):
            logger.error("n%s", number)
        handler.flush()
        sent = mailbox.assert_sent(count=1)
        assert sent.subject.endswith("(+999)")
        assert "990" in sent.text
        assert sent.text.count("ERROR shop") == 10


def test_a_mail_that_fails_makes_no_other(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Accounts(home).add(
        Account(address="me@corp.example", host="127.0.0.1", port=9, auth="none", security="none")
    )
    root = logging.getLogger()
    handler = MailHandler("ops@example.com", gather=0.0, every=0.0, level=logging.DEBUG)
    told: list[logging.LogRecord] = []
    monkeypatch.setattr(handler, "handleError", told.append)
    root.addHandler(handler)
    monkeypatch.setattr(root, "level", logging.DEBUG)
    try:
        logging.getLogger("store.deep").error("x")
        handler.flush()
        assert {record.name for record in told} == {"store.deep"}
    finally:
        root.removeHandler(handler)
        handler.close()


def test_the_outbox_may_send_it_later(logger: logging.Logger, home: Path) -> None:
    sent = {"folder": str(home / "sent")}
    Accounts(home).add(
        Account(address="me@corp.example", transport="file", auth="none", host="localhost", options=sent)
    )
    logger.addHandler(handler := MailHandler("ops@example.com", gather=3600, queue=True))
    logger.error("x")
    handler.flush()
    with Outbox(home=home) as outbox:
        assert [entry.subject for entry in outbox.find()] == ["ERROR shop: x"]


def test_a_wrong_address_is_told_when_the_handler_is_made() -> None:
    with pytest.raises(MessageError):
        MailHandler("nobody")


@pytest.fixture
def sent(home: Path) -> Path:
    """The folder that programs send into."""
    folder = home / "sent"
    options = {"folder": str(folder)}
    Accounts(home).add(
        Account(address="me@corp.example", transport="file", auth="none", host="localhost", options=options)
    )
    return folder


PROGRAM = (
    "import logging, os, sys\nfrom oauth_mailer.integrations.logging import MailHandler\n"
    "logging.getLogger().addHandler(MailHandler('ops@example.com'))\n"
)


def test_what_is_there_is_sent_when_the_program_ends(sent: Path) -> None:
    subprocess.run([sys.executable, "-c", PROGRAM + "logging.error('the end')\n"], check=True, timeout=60)
    [mail] = sent.glob("*.eml")
    assert b"the end" in mail.read_bytes()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_leaves_its_parents_records_to_the_parent(sent: Path) -> None:
    program = PROGRAM + (
        "logging.error('from above')\nif (child := os.fork()) == 0:\n    logging.error('from below')\n"
        "else:\n    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program], check=True, timeout=60
    )
    texts = b"".join(mail.read_bytes() for mail in sent.glob("*.eml"))
    assert len(list(sent.glob("*.eml"))) == 2
    assert texts.count(b"ERROR root: from above") == 2, "the subject and the text of one mail"
    assert texts.count(b"ERROR root: from below") == 2
