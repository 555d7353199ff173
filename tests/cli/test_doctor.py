"""``oauth-mailer doctor``, as a person and as a script see it."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oauth_mailer.accounts import Accounts
from oauth_mailer.sandbox import Sandbox
from tests.support.dns_script import GOOD, DnsScript

from .google_login import ADDRESS as GMAIL
from .google_login import PASSPHRASE, log_in
from .mailbox import CODE, Mailbox, mailboxes
from .program import Ended, run

ADDRESS = "me@corp.example"
KEYS = ["check", "state", "account", "text", "cause", "hint", "code"]


@pytest.fixture
def dns() -> Iterator[DnsScript]:
    with DnsScript(GOOD) as made:
        yield made


@pytest.fixture
def box(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with mailboxes(home, monkeypatch, ADDRESS) as (made,):
        yield made


def doctor(dns: DnsScript, *words: str, env: dict[str, str] | None = None) -> Ended:
    done = run("doctor", "--nameserver", dns.address, *words, env=env)
    assert "Traceback" not in done.err
    for canary in (CODE, PASSPHRASE):
        assert canary not in done.out + done.err
    return done


def failed(done: Ended, code: int, check: str, word: str) -> dict[str, Any]:
    """Check that this is the first check of ``--json`` that failed; the finding."""
    assert done.code == code, done
    told = done.json
    assert told["status"] == "failed"
    first = next(one for one in told["findings"] if one["state"] == "failed")
    assert (first["check"], first["code"]) == (check, word), first
    assert first["hint"]
    result: dict[str, Any] = first
    return result


def test_a_healthy_account_ends_with_0_and_one_line_a_check(box: Mailbox, dns: DnsScript) -> None:
    done = doctor(dns)
    assert (done.code, done.err) == (0, ""), done
    lines = done.out.splitlines()
    assert lines[0] == "This computer"
    assert lines[lines.index("") + 1] == ADDRESS
    checks = {line.split()[1] for line in lines if line.startswith("✓ ")}
    assert {"versions", "configuration", "store", "tls", "auth", "spf", "fallback"} <= checks
    assert not [line for line in lines if line[:1] in ("!", "✗", "·")]
    assert lines[-1] == f"All is well: {len(checks)} checks."
    assert box.logins == 1
    assert box.messages == []


def test_json_is_one_object_of_the_agreed_keys(box: Mailbox, dns: DnsScript) -> None:
    done = doctor(dns, ADDRESS.upper(), "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["status"] == "ok"
    for finding in done.json["findings"]:
        assert list(finding) == KEYS
        assert finding["state"] == "ok"
    assert {finding["account"] for finding in done.json["findings"]} == {"", ADDRESS}


def test_77_for_a_login_that_is_refused_with_the_cause_and_the_next_command_below_it(
    box: Mailbox, dns: DnsScript
) -> None:
    box.answer_logins(b"535 5.7.8 wrong code")
    done = doctor(dns)
    assert done.code == 77
    lines = done.out.splitlines()
    (at,) = (number for number, line in enumerate(lines) if line.startswith("✗"))
    assert lines[at].split()[1] == "auth"
    assert "535 5.7.8 wrong code" in lines[at]
    assert lines[at + 1].strip() == f"→ Run: oauth-mailer login {ADDRESS}"
    assert lines[-1].startswith("Failed: 1.")
    failed(doctor(dns, "--json"), 77, "auth", "login-refused")
    assert box.logins == 1


def test_75_for_a_server_that_cannot_be_reached(box: Mailbox, dns: DnsScript) -> None:
    box.stop()
    failed(doctor(dns, "--json"), 75, "tcp", "connect")


def test_78_for_a_store_or_a_configuration_that_is_wrong(box: Mailbox, dns: DnsScript, home: Path) -> None:
    failed(doctor(dns, "--json", env={"OAUTH_MAILER_STORE": "keyring"}), 78, "store", "keyring-off")
    failed(doctor(dns, "nobody@corp.example", "--json"), 78, "configuration", "no-account")
    (home / "config.toml").write_text("[")
    failed(doctor(dns, "--json"), 78, "configuration", "config-unreadable")


def test_of_several_failures_the_code_is_that_of_what_only_a_person_can_mend(
    home: Path, monkeypatch: pytest.MonkeyPatch, dns: DnsScript
) -> None:
    with mailboxes(home, monkeypatch, ADDRESS, "you@corp.example") as (one, other):
        one.stop()
        other.answer_logins(b"535 5.7.8 wrong code")
        done = doctor(dns, "--json")
        assert failed(done, 77, "tcp", "connect")["account"] == ADDRESS
        assert doctor(dns, ADDRESS).code == 75


def test_a_warning_is_no_failure(box: Mailbox) -> None:
    with DnsScript({("corp.example", "MX"): ["10 mx.corp.example."]}) as dns:
        done = doctor(dns)
        assert done.code == 0
        assert "\n! spf " in done.out
        assert done.out.endswith("It works. Worth a look: 2.\n")
        assert doctor(dns, "--json").json["status"] == "warning"


def test_a_stream_without_such_characters_gets_plain_ones(box: Mailbox, dns: DnsScript) -> None:
    done = doctor(dns, env={"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"})
    assert done.code == 0
    assert "\nok store " in done.out
    assert done.out.isascii()
    box.stop()
    done = doctor(dns, env={"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"})
    assert "\nX  tcp " in done.out
    assert "-> Check" in done.out
    assert "\\u" not in done.out


def test_quiet_shows_only_what_failed(box: Mailbox, dns: DnsScript) -> None:
    assert doctor(dns, "--quiet").out == ""
    box.stop()
    lines = doctor(dns, "--quiet").out.splitlines()
    assert [line.split()[1] for line in lines if line[:1] in ("✓", "!", "✗", "·")] == ["tcp"]


def test_verbose_shows_what_happens_without_the_code_in_any_form(box: Mailbox, dns: DnsScript) -> None:
    done = doctor(dns, "--verbose", "--send-test")
    assert "logged in by PLAIN" in done.err
    shown = box.server.auths[0].split()[-1]
    assert b64decode(shown).endswith(CODE.encode())
    assert shown not in done.out + done.err


def test_offline_connects_to_nothing(box: Mailbox, dns: DnsScript) -> None:
    done = doctor(dns, "--offline", "--json")
    assert done.code == 0, done
    assert box.server.connections == 0
    assert not dns.asked


def test_a_test_message_is_sent_where_that_is_asked_for(box: Mailbox, dns: DnsScript) -> None:
    done = doctor(dns, "--send-test")
    assert done.code == 0, done
    (message,) = box.messages
    assert message.recipients == [ADDRESS]
    (line,) = (line for line in done.out.splitlines() if line.startswith("✓ send-test"))
    assert "Sent <" in line
    assert doctor(dns, ADDRESS, "--send-test", "ann@example.com", "--json").json["status"] == "ok"
    assert box.messages[1].recipients == ["ann@example.com"]
    box.hang_up_after_the_message()
    failed(doctor(dns, "--send-test", "--json"), 76, "send-test", "outcome-unknown")


@pytest.mark.parametrize(
    "words",
    [
        ("--timeout", "0"),
        ("--timeout", "soon"),
        ("--timeout", "9999"),
        ("--offline", "--send-test"),
        ("--fix",),
    ],
)
def test_64_for_words_that_make_no_sense(words: tuple[str, ...], dns: DnsScript) -> None:
    assert doctor(dns, *words, "--json").code == 64


def test_a_gmail_account_from_its_login_to_the_end_of_its_consent(
    google: Sandbox, tmp_path: Path, home: Path, dns: DnsScript
) -> None:
    assert log_in(google, tmp_path).code == 0
    told = doctor(dns, "--json")
    assert (told.code, told.json["status"]) == (0, "warning"), told
    by_word = {one["check"]: one for one in told.json["findings"]}
    assert [word for word, one in by_word.items() if one["state"] != "ok"] == ["consent"]
    ends = datetime.fromisoformat(Accounts(home).get().logged_in) + timedelta(days=7)
    assert f"{ends:%Y-%m-%d}" in by_word["consent"]["cause"]
    assert google.messages == []
    assert google.counts["token.refresh"] == 1
    secret = str(google.client_secrets["installed"]["client_secret"])
    assert secret not in told.out
    google.revoke_tokens()
    failed(doctor(dns, "--json"), 77, "token", "consent-ended")
    failed(doctor(dns, "--offline", "--json"), 77, "consent", "login-required")


def test_accounts_tells_when_a_person_logged_in_and_until_when_that_may_be_good(
    google: Sandbox, tmp_path: Path, home: Path
) -> None:
    assert log_in(google, tmp_path).code == 0
    (listed,) = run("accounts", "--json").json["accounts"]
    given = datetime.fromisoformat(listed["logged_in"])
    assert datetime.now(UTC) - given < timedelta(hours=1)
    assert datetime.fromisoformat(listed["ends_if_testing"]) == given + timedelta(days=7)
    shown = run("accounts").out
    assert f"{given:%Y-%m-%d}" in shown
    assert f"ends on {given + timedelta(days=7):%Y-%m-%d} if its app is in testing" in shown
    # Once it has lived longer than that, its app is not in testing.
    path = home / "config.toml"
    path.write_text(path.read_text().replace(listed["logged_in"], "2025-01-01T00:00:00+00:00"))
    shown = run("accounts").out
    assert "2025-01-01" in shown
    assert "testing" not in shown
    assert GMAIL in shown


def test_a_long_hint_is_broken_between_words_and_its_command_never(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "config.toml").write_text('[accounts."me@qq.com"]\nprovider = "qq"\nstore = "keyring"\n')
    monkeypatch.delenv("OAUTH_MAILER_STORE", raising=False)
    done = run(
        "doctor", "--offline", env={"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring", "TERM": "dumb"}
    )
    assert done.code == 78
    hint = done.out.partition("→ Unset PYTHON_KEYRING_BACKEND")[2].partition("\n·")[0]
    assert "set OAUTH_MAILER_STORE=encrypted_file." in " ".join(hint.split())
    assert max(map(len, done.out.splitlines())) <= 100
    with mailboxes(home, monkeypatch, "me@qq.com") as (box,):
        box.answer_logins(b"535 Login fail. Account is abnormal, service is not open")
        refused = run("doctor", "me@qq.com")
    lines = [line.strip() for line in refused.out.splitlines()]
    assert "oauth-mailer login me@qq.com" in lines or "→ Run: oauth-mailer login me@qq.com" in lines


def test_it_speaks_chinese(box: Mailbox, dns: DnsScript) -> None:
    box.answer_logins(b"535 5.7.8 wrong code")
    done = doctor(dns, env={"OAUTH_MAILER_LANG": "zh_CN"})
    assert done.code == 77
    assert f"→ 运行：oauth-mailer login {ADDRESS}" in done.out
    assert "✗ auth " in done.out
