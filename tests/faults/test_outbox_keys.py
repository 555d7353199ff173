"""Idempotency keys as a job of cron meets them; the library's are in ``test_outbox``."""

from __future__ import annotations

import pytest

from tests.cli.program import Ended, run
from tests.support.outbox_place import Place, subjects
from tests.support.smtp_script import SmtpScript

pytestmark = pytest.mark.fault(38, program=True)


def bill(subject: str) -> Ended:
    words = ("--to", "ann@example.com", "--subject", subject, "--text", "Hi", "--key", "bill-7", "--json")
    return run("send", "--queue", *words)


def test_a_job_that_is_run_twice_sends_once(sqlite_place: Place) -> None:
    with SmtpScript() as server:
        sqlite_place.account(server)
        first = bill("Bill")
        run("outbox", "run", "--once")
        again = bill("Bill")
        run("outbox", "run", "--once")
        assert (first.code, again.code) == (0, 0)
        assert first.json["entry"] == again.json["entry"]
        assert subjects(server) == ["Bill"]


def test_another_content_under_the_same_key_is_refused(sqlite_place: Place) -> None:
    with SmtpScript() as server:
        sqlite_place.account(server)
        first = bill("Bill")
        other = bill("Bill, corrected")
        assert (other.code, other.json["error"]["code"]) == (65, "outbox-key-conflict")
        assert f"outbox show {first.json['entry']}" in other.json["error"]["hint"]
        run("outbox", "run", "--once")
        assert subjects(server) == ["Bill"]
