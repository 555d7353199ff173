"""What the package logs is ordinary logging, though it is imported only where somebody may read it."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest

from oauth_mailer import Address, Mailer, MemoryTransport, Message, Route
from oauth_mailer.logs import Log


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )


SAYS = "import sys; from oauth_mailer.logs import Log; log = Log('oauth_mailer.x')\n"


def test_a_program_that_never_asked_for_logging_is_spared_it() -> None:
    done = run(f"{SAYS}log.debug('one'); log.info('two'); print(log.hears_info, 'logging' in sys.modules)")
    assert (done.stdout.split(), done.stderr) == (["False", "False"], "")


def test_a_warning_is_seen_where_nothing_was_set_up() -> None:
    assert run(f"{SAYS}log.warning('look: %s', 'here')").stderr == "look: here\n"
    said = run(f"{SAYS}try: 1 / 0\nexcept ArithmeticError: log.exception('it failed')").stderr
    assert said.startswith("it failed\n")
    assert "ZeroDivisionError" in said


def test_who_sets_logging_up_later_hears_what_is_said_from_then_on() -> None:
    done = run(
        f"{SAYS}log.info('early')\nimport logging\n"
        "logging.basicConfig(level='INFO', format='%(levelname)s %(name)s %(message)s')\n"
        "log.debug('no'); log.info('late')"
    )
    assert done.stderr == "INFO oauth_mailer.x late\n"


def test_a_record_is_of_the_place_that_logged_it(caplog: pytest.LogCaptureFixture) -> None:
    log = Log("oauth_mailer.x")
    with caplog.at_level(logging.DEBUG, "oauth_mailer"):
        log.debug("one")
        log.info("two", extra={"event": "test"})
        log.warning("three")
    assert {(one.filename, one.funcName) for one in caplog.records} == {
        ("test_logging.py", "test_a_record_is_of_the_place_that_logged_it")
    }
    assert vars(caplog.records[1])["event"] == "test"
    assert log.hears_info is logging.getLogger("oauth_mailer.x").isEnabledFor(logging.INFO)


ME = Address("me@gmail.com")


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "oauth_mailer.attempts")
    return caplog


def message() -> Message:
    return Message(to="ann@example.com", subject="Done", text="All green.")


class Picky(logging.Filter):
    """Fails with every record, as a filter of the program's may."""

    def filter(self, record: logging.LogRecord) -> bool:
        raise RuntimeError("the filter failed")


def test_a_fault_of_the_programs_logging_changes_nothing_of_what_is_sent(
    heard: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    transport = MemoryTransport()
    picky = Picky()
    heard.handler.addFilter(picky)
    try:
        assert Mailer(Route(sender=ME, transport=transport)).send(message()).status == "sent"
    finally:
        heard.handler.removeFilter(picky)
    assert len(transport.sent) == 1
    assert "RuntimeError: the filter failed" in capsys.readouterr().err


def test_records_that_have_such_a_field_already_are_told_without_ours(
    heard: pytest.LogCaptureFixture,
) -> None:
    theirs = logging.getLogRecordFactory()

    def made(*given: Any, **named: Any) -> logging.LogRecord:
        record = theirs(*given, **named)
        vars(record)["account"] = "customer 7"
        return record

    logging.setLogRecordFactory(made)
    try:
        receipt = Mailer(Route(sender=ME, transport=MemoryTransport())).send(message())
    finally:
        logging.setLogRecordFactory(theirs)
    assert [vars(one)["account"] for one in heard.records] == ["customer 7"]
    assert receipt.message_id in heard.records[0].getMessage()
