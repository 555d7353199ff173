"""What the package logs is ordinary logging, though it is imported only where somebody may read it."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

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
