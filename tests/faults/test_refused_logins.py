"""A code that was refused costs one failed login, however many programs go on trying to send."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oauth_mailer.accounts import Accounts, secret_variable
from oauth_mailer.errors import LoginRequired, SendError, TransientError
from oauth_mailer.refusals import Refusals
from tests.cli.mailbox import CODE, Mailbox, mailboxes
from tests.cli.program import run
from tests.support.smtp_script import SmtpScript, Talk

HELLO = ("send", "--to", "ann@example.com", "--text", "Hi", "--json")
WRONG = "wrongcodewrongco"
QQ_SAYS = b"535 Login fail. Account is abnormal, service is not open, password is incorrect."
BLOCKED = b"554 IP is rejected, smtp auth error limit exceed 163 smtp8"


@pytest.fixture
def box(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """me@qq.com, whose code in the environment is wrong."""
    with mailboxes(home, monkeypatch, "me@qq.com") as [made]:
        as_preset(home, "me@qq.com", "qq")
        monkeypatch.setenv(made.variable, WRONG)
        yield made


def as_preset(home: Path, address: str, provider: str) -> None:
    """Let the test's own server pass for this provider's."""
    Accounts(home).add(replace(Accounts(home).get(address), provider=provider))


def remembered(home: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((home / "refused.json").read_text("utf-8"))
    return found


@pytest.mark.fault(18, program=True)
def test_other_processes_do_not_show_a_refused_code_again(box: Mailbox, home: Path) -> None:
    first = run(*HELLO)
    assert (first.code, box.logins) == (77, 1)
    for _number in range(3):
        again = run(*HELLO)
        assert again.code == 77
        assert again.json["error"]["code"] == first.json["error"]["code"] == "login-refused"
        assert "oauth-mailer login me@qq.com" in again.json["error"]["hint"]
        assert "not asked again" in again.err
    assert box.logins == 1
    assert run("accounts", "--json").json["accounts"][0]["login"] == "required"
    content = (home / "refused.json").read_bytes()
    assert WRONG.encode() not in content
    if os.name == "posix":
        assert not stat.S_IMODE((home / "refused.json").stat().st_mode) & 0o077


@pytest.mark.fault(18, program=True)
def test_programs_that_start_at_the_same_moment_show_a_wrong_code_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 6
    all_there = threading.Barrier(count, timeout=60)

    def greet(talk: Talk) -> bool:
        all_there.wait()
        return talk.say(b"220 mx.example ESMTP\r\n")

    with SmtpScript(greeting=greet) as server:
        Accounts(home).add(server.account("me@qq.com", host="127.0.0.1", store="environment"))
        monkeypatch.setenv(secret_variable("me@qq.com"), WRONG)
        with ThreadPoolExecutor(count) as pool:
            ended = list(pool.map(lambda _number: run(*HELLO), range(count)))
        assert [one.code for one in ended] == [77] * count
        assert len(server.auths) == 1


@pytest.mark.fault(18, program=True)
def test_another_secret_is_asked_at_once(box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    run(*HELLO)
    monkeypatch.setenv(box.variable, CODE)
    assert run(*HELLO).code == 0
    assert box.logins == 2


@pytest.mark.fault(18, program=True)
def test_a_login_is_a_person_who_acts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTH_MAILER_STORE", "encrypted_file")
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", "a passphrase")
    with mailboxes(home, monkeypatch, "me@qq.com") as [box]:
        monkeypatch.delenv(box.variable)
        assert run("login", "me@qq.com", "--code-stdin", stdin=CODE.encode()).code == 0
        box.server.secrets = ["changed"]
        assert run(*HELLO).code == run(*HELLO).code == 77
        assert box.logins == 2
        # A wrong try at logging in says nothing of the code that is kept.
        box.server.secrets = [CODE]
        assert run("login", "me@qq.com", "--code-stdin", stdin=WRONG.encode()).code == 77
        assert run("accounts", "--json").json["accounts"][0]["login"] == "set_up"
        assert run(*HELLO).code == 0
        assert run("login", "me@qq.com", "--code-stdin", stdin=CODE.encode()).code == 0
        assert run(*HELLO).code == 0
        assert run("logout", "me@qq.com").code == 0
        assert remembered(home) == {}


@pytest.mark.fault(18, program=True)
def test_a_refusal_with_a_time_is_over_when_the_time_is(box: Mailbox, home: Path) -> None:
    box.answer_logins(QQ_SAYS)
    done = run(*HELLO)
    assert done.json["error"]["retry_after"] == 900
    assert "15 minutes" in done.err
    waiting = run(*HELLO)
    assert 0 < waiting.json["error"]["retry_after"] <= 900
    assert box.logins == 1
    kept = remembered(home)
    kept["me@qq.com"]["until"] = time.time() - 1
    (home / "refused.json").write_text(json.dumps(kept), "utf-8")
    assert run("accounts", "--json").json["accounts"][0]["login"] == "set_up"
    assert run(*HELLO).code == 77
    assert box.logins == 2


def test_a_clock_that_was_set_back_lets_nobody_in_sooner_nor_wait_longer(box: Mailbox, home: Path) -> None:
    box.answer_logins(QQ_SAYS)
    run(*HELLO)
    kept = remembered(home)
    kept["me@qq.com"] |= {"since": time.time() + 86_400, "until": time.time() + 86_400 + 900}
    (home / "refused.json").write_text(json.dumps(kept), "utf-8")
    assert 899 < run(*HELLO).json["error"]["retry_after"] < 901
    assert box.logins == 1


@pytest.mark.fault(19, program=True)
def test_a_blocked_address_is_left_alone_by_all_processes_and_the_mail_may_be_sent_later(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mailboxes(home, monkeypatch, "me@163.com") as [box]:
        as_preset(home, "me@163.com", "163")
        box.answer_logins(BLOCKED)
        for number in range(3):
            done = run(*HELLO)
            assert done.code == 75
            assert done.json["error"]["code"] == "ip-blocked"
            assert 3000 < done.json["error"]["retry_after"] <= 3600
            assert box.logins == 1, number


def test_a_folder_that_cannot_be_written_keeps_no_mail_back(
    box: Mailbox, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "refused.json").mkdir()
    assert run(*HELLO).code == 77
    monkeypatch.setenv(box.variable, CODE)
    assert run(*HELLO).code == 0


@pytest.mark.parametrize(
    "content", ["", "x", "[]", "{}", '{"me@qq.com": 7}', '{"me@qq.com": {}}', '{"me@qq.com": {"salt": 1}}']
)
def test_a_file_that_is_damaged_remembers_nothing_and_harms_nothing(
    content: str, box: Mailbox, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "refused.json").write_text(content, "utf-8")
    monkeypatch.setenv(box.variable, CODE)
    assert run(*HELLO).code == 0


def error(kind: type[SendError] = LoginRequired, code: str = "login-refused") -> SendError:
    return kind("No.", code=code, hint="Do.", text="535 no")


def test_only_what_says_that_logging_in_is_too_much_is_remembered(tmp_path: Path) -> None:
    refusals = Refusals(tmp_path)
    refusals.note("me@qq.com", WRONG, error(TransientError, "connection-lost"))
    refusals.note("me@qq.com", WRONG, error(TransientError, "login-later"))
    refusals.check("me@qq.com", WRONG)
    assert not list(tmp_path.iterdir())
    refusals.note("Me@qq.com", WRONG, error())
    with pytest.raises(LoginRequired, match="No"):
        Refusals(tmp_path).check("me@QQ.com", WRONG)
    refusals.check("me@qq.com", CODE)
    refusals.check("you@qq.com", WRONG)


def test_many_accounts_are_remembered_at_once(tmp_path: Path) -> None:
    addresses = [f"me{number}@qq.com" for number in range(20)]
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda one: Refusals(tmp_path).note(one, WRONG, error()), addresses))
    assert all(Refusals(tmp_path).stands(address) for address in addresses)
    Refusals(tmp_path).forget(addresses[0])
    assert not Refusals(tmp_path).stands(addresses[0])
    assert Refusals(tmp_path).stands(addresses[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_that_was_forked_off_during_a_login_keeps_nobody_waiting(home: Path) -> None:
    import fcntl

    home.mkdir(exist_ok=True)
    ending, end = os.pipe()
    with Refusals(home).turn("me@qq.com", CODE):
        if (child := os.fork()) == 0:
            os.close(end)
            os.read(ending, 1)
            os._exit(0)
    try:
        [lock] = home.glob(".login-*.lock")
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where it is held
    finally:
        os.close(ending)
        os.close(end)
        assert os.waitpid(child, 0)[1] == 0
