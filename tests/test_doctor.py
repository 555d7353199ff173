"""The doctor at accounts that send by SMTP: healthy ones, and each thing that can be wrong with one."""

from __future__ import annotations

import re
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from oauth_mailer import doctor
from oauth_mailer.accounts import Account, Accounts
from oauth_mailer.doctor import Finding, check_sending
from oauth_mailer.stores import Secret, Slot
from oauth_mailer.stores.memory import MemoryStore
from tests.support import certificates
from tests.support.patients import ADDRESS, examine, states
from tests.support.smtp_script import CODE, SmtpScript, close, hang, then_close

LITERAL = re.compile("`([^`]+)`")
MACHINE = ["versions", "proxy", "certificates", "configuration"]
ACCOUNT = [
    "store",
    "secret",
    "login",
    "dns",
    "tcp",
    "tls",
    "ehlo",
    "clock",
    "auth",
    "from",
    "mx",
    "spf",
    "dmarc",
]


@pytest.fixture
def smtp() -> Iterator[SmtpScript]:
    with SmtpScript() as made:
        yield made


def account(server: SmtpScript, **fields: Any) -> Account:
    return server.account(ADDRESS, **fields)


def test_of_a_healthy_account_everything_is_well_and_it_logged_in_once_and_sent_nothing(
    smtp: SmtpScript, home: Path
) -> None:
    found = examine(account(smtp, logged_in="2025-11-18T08:00:00+00:00"), home)
    assert [word for word in found if word != "permissions"] == [*MACHINE, *ACCOUNT, "fallback"]
    assert {one.state for one in found.values()} == {"ok"}
    assert found["login"].text == "Logged in on 2025-11-18."
    assert str(smtp.port) in found["tcp"].text
    assert "TLSv1.3" in found["tls"].text
    assert "localhost" in found["tls"].text
    assert "trustme" in found["tls"].text
    assert found["ehlo"].text == "It offers: SIZE 1000000, PIPELINING, 8BITMIME, SMTPUTF8, AUTH LOGIN PLAIN."
    assert found["auth"].text == f"localhost took the login of {ADDRESS}, by PLAIN."
    assert found["mx"].text == "mx.corp.example"
    assert found["spf"].text == "v=spf1 include:mail.example ~all"
    assert found["dmarc"].text == "_dmarc.corp.example: v=DMARC1; p=reject"
    assert all(one.account == ADDRESS for word, one in found.items() if word in ACCOUNT)
    assert all(one.account == "" for word, one in found.items() if word in MACHINE)
    assert len(smtp.auths) == 1
    assert not smtp.received
    assert not any(CODE in repr(one) for one in found.values())


def test_starttls_is_as_good(home: Path) -> None:
    with SmtpScript(security="starttls") as server:
        found = examine(account(server), home)
    assert states(found, "tls", "ehlo", "auth") == ["ok"] * 3
    assert "AUTH LOGIN PLAIN" in found["ehlo"].text  # what it says once it is encrypted


def test_without_a_network_nothing_is_connected_to(smtp: SmtpScript, home: Path) -> None:
    found = examine(account(smtp), home, offline=True)
    assert smtp.connections == 0
    assert {"dns", "tcp", "tls", "ehlo", "auth", "mx", "spf", "dmarc"} & set(found) == set()
    assert states(found, "store", "secret", "clock", "from", "fallback") == ["ok"] * 5


def follows(found: dict[str, Finding], word: str, code: str, *skipped: str) -> Finding:
    """Check that this one failed in this way, and these were not tried; the finding."""
    one = found[word]
    assert (one.state, one.code) == ("failed", code), one
    for name in skipped:
        assert found[name].state == "skipped", found[name]
    others = {name for name, other in found.items() if other.state == "failed"}
    assert others == {word}
    return one


def test_a_server_whose_name_is_nowhere(smtp: SmtpScript, home: Path) -> None:
    found = examine(account(smtp, host="smtp.no-such-host.invalid"), home)
    one = follows(found, "dns", "dns", "tcp", "tls", "ehlo", "auth", "clock")
    assert "smtp.no-such-host.invalid" in one.text
    assert found["auth"].text == "Not checked: it needs ehlo."


def test_a_port_that_nobody_listens_on(home: Path) -> None:
    with SmtpScript() as server:
        gone = account(server, host="127.0.0.1")
    one = follows(examine(gone, home), "tcp", "connect", "tls", "ehlo", "auth", "clock")
    assert "127.0.0.1: " in one.text  # why, in the system's words
    assert "465" in one.hint


@pytest.mark.skipif(sys.platform != "linux", reason="only there a full queue swallows connections in silence")
def test_a_host_that_swallows_everything_ends_in_time_and_a_firewall_is_named(home: Path) -> None:
    with ExitStack() as stack:
        hole = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0), backlog=0)))
        for _number in range(4):  # until nobody gets in any more
            filler = stack.enter_context(closing(socket.socket()))
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
        lost = Account(address=ADDRESS, host="127.0.0.1", port=hole.getsockname()[1], security="tls")
        found = examine(lost, home, timeout=0.3)
    one = follows(found, "tcp", "timeout", "tls", "ehlo", "auth")
    assert "firewall" in one.hint


@pytest.mark.parametrize("step", ["tls", "greeting", "ehlo", "auth"])
def test_a_server_that_falls_silent_ends_in_time(step: str, home: Path) -> None:
    with SmtpScript(**{step: hang}) as server:  # type: ignore[arg-type]
        found = examine(account(server), home, timeout=0.5)
    word = {"greeting": "ehlo"}.get(step, step)
    assert (found[word].state, found[word].code) == ("failed", "timeout"), found[word]


def test_when_the_time_is_over_what_would_connect_is_left_out(home: Path) -> None:
    with SmtpScript(quit=hang) as server:  # which the session that is no longer needed waits for
        found = examine(account(server), home, timeout=0.3)
    assert found["auth"].state == "ok"
    assert states(found, "mx", "spf", "dmarc") == ["warning"] * 3
    assert "--timeout" in found["mx"].hint


@pytest.mark.parametrize(
    "context",
    [
        certificates.server_context(trusted=False),
        certificates.server_context(not_after=datetime(2020, 1, 1, tzinfo=UTC)),
        certificates.server_context("mail.other.example"),
    ],
    ids=["untrusted", "expired", "of another host"],
)
@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_certificate_that_proves_nothing_gets_no_secret(
    context: ssl.SSLContext, security: str, home: Path
) -> None:
    with SmtpScript(security=security, context=context) as server:
        found = examine(account(server), home)
    one = follows(found, "tls", "tls-certificate", "ehlo", "auth")
    assert "localhost" in one.text
    assert not server.auths


def test_a_certificate_that_ends_soon_is_worth_a_word(home: Path) -> None:
    soon = datetime.now(UTC) + timedelta(days=5, hours=1)
    with SmtpScript(context=certificates.server_context(not_after=soon)) as server:
        found = examine(account(server), home)
    assert found["tls"].state == "warning"
    assert "5 days" in found["tls"].cause
    assert found["auth"].state == "ok"


def test_a_server_without_encryption_where_there_should_be_some(home: Path) -> None:
    with SmtpScript(security="starttls", ehlo=b"250-mx.example\r\n250 AUTH PLAIN\r\n") as server:
        found = examine(account(server), home)
    follows(found, "tls", "starttls-missing", "ehlo", "auth")
    assert not server.auths


def test_the_wrong_kind_of_encryption_is_told_by_its_name(home: Path) -> None:
    with SmtpScript(security="starttls") as server:
        found = examine(account(server, security="tls"), home)
        follows(found, "tls", "tls-not-spoken", "ehlo", "auth")
    with SmtpScript(security="tls") as server:
        found = examine(account(server, security="starttls"), home)
        follows(found, "tls", "server-speaks-tls", "ehlo", "auth")


def test_a_connection_without_encryption_is_a_warning_and_no_login(home: Path) -> None:
    with SmtpScript(security="none") as server:
        found = examine(account(server, ca_file=""), home)
    assert found["tls"].state == "warning"
    assert "--security starttls" in found["tls"].hint
    assert states(found, "store", "secret", "ehlo", "auth") == ["ok"] * 4
    assert found["auth"].text == "No login is made."
    assert not server.auths


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_server_that_takes_no_mail_from_here(security: str, home: Path) -> None:
    with SmtpScript(security=security, greeting=then_close(b"554 5.7.1 go away\r\n")) as server:
        found = examine(account(server), home)
    one = follows(found, "ehlo", "server-refuses", "auth")
    assert "554 5.7.1 go away" in one.text
    assert found["tls"].state == ("ok" if security == "tls" else "skipped")


def test_a_refused_code_is_shown_once_however_often_the_doctor_comes(home: Path) -> None:
    with SmtpScript(secrets=("another",)) as server:
        one = follows(examine(account(server), home), "auth", "login-refused")
        assert "535 5.7.8 no" in one.text
        assert one.hint == f"Run: oauth-mailer login {ADDRESS}"
        again = examine(account(server), home)
        assert "it was not asked again" in again["auth"].text
        assert again["login"].state == "warning"
        offline = examine(account(server), home, offline=True)
        follows(offline, "login", "login-required")
        assert len(server.auths) == 1


def test_a_server_that_offers_no_login_that_fits(home: Path) -> None:
    with SmtpScript(extensions=("AUTH GSSAPI",)) as server:
        found = examine(account(server), home)
    one = follows(found, "auth", "auth-not-offered")
    assert "GSSAPI" in one.text
    assert "plain letters" in found["ehlo"].text
    assert "7-bit" in found["ehlo"].text


def test_a_code_that_cannot_be_right_is_not_shown_to_the_server(smtp: SmtpScript, home: Path) -> None:
    found = examine(smtp.account("me@qq.com", provider="qq"), home, secret="my mailbox password 1")
    follows(found, "secret", "code-form", "auth")
    assert "mailbox password" not in repr(found)
    assert not smtp.auths


def test_an_account_without_a_secret(smtp: SmtpScript, home: Path) -> None:
    found = examine(account(smtp), home, store=MemoryStore())
    one = follows(found, "secret", "secret-missing", "auth")
    assert one.hint == f"Run: oauth-mailer login {ADDRESS}"
    assert states(found, "tls", "ehlo") == ["ok"] * 2


@pytest.mark.parametrize(
    "form", ["{date}", "mx.example ESMTP Sendmail 8.17; {date}", "ESMTP Exim 4.96 {date}"]
)
def test_a_clock_that_is_wrong_is_seen_by_the_date_in_the_greeting(form: str, home: Path) -> None:
    def greeting(moment: datetime) -> bytes:
        return f"220 {form.format(date=format_datetime(moment))}\r\n".encode()

    now = datetime.now(UTC)
    with SmtpScript(greeting=greeting(now + timedelta(minutes=20))) as server:
        one = follows(examine(account(server), home), "clock", "clock")
        assert "behind" in one.text
        server.answer("greeting", greeting(now - timedelta(minutes=20)))
        assert "ahead" in examine(account(server), home)["clock"].text
        server.answer("greeting", greeting(now))
        found = examine(account(server), home)["clock"]
        assert (found.state, "agrees" in found.text) == ("ok", True)
        for nonsense in (
            "99 Xyz 2025 99:99:99 +0000",
            "1 Jan 0000 00:00:00 +9999",
            "1 Jan 9999 23:59:59 -2359",
        ):
            server.answer("greeting", f"220 mx {nonsense}\r\n".encode())
            examine(account(server), home)


def test_a_login_in_the_future_shows_that_the_clock_was_set_back(smtp: SmtpScript, home: Path) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    found = examine(account(smtp, logged_in=tomorrow), home, offline=True)
    follows(found, "clock", "clock")


def test_a_login_that_is_not_the_address(smtp: SmtpScript, home: Path) -> None:
    found = examine(account(smtp, username="boss@corp.example"), home)
    assert found["from"].state == "warning"
    assert "boss@corp.example" in found["from"].text
    assert found["auth"].state == "ok"
    other = smtp.account("me@qq.com", provider="qq", username="you@qq.com")
    follows(examine(other, home), "from", "sender-mismatch")
    assert examine(account(smtp, username="me"), home)["from"].state == "ok"


def test_mail_of_a_provider_that_does_not_come_from_its_servers(smtp: SmtpScript, home: Path) -> None:
    found = examine(smtp.account("me@gmail.com", provider="custom"), home)
    assert found["from"].state == "warning"
    assert "Gmail" in found["from"].cause
    assert found["spf"].text == "gmail.com is looked after by Gmail."


def test_a_fallback_that_is_not_set_up_or_needs_a_login(smtp: SmtpScript, home: Path) -> None:
    found = examine(account(smtp, fallback=("you@corp.example",)), home)
    one = follows(found, "fallback", "no-account")
    assert one.hint == "Run: oauth-mailer login you@corp.example"
    other = Account(address="you@corp.example", host="localhost", login_required=True)
    Accounts(home).add(other)
    assert examine(account(smtp, fallback=("you@corp.example",)), home)["fallback"].state == "warning"
    Accounts(home).add(replace(other, login_required=False))
    found = examine(account(smtp, fallback=("you@corp.example",)), home)
    assert (found["fallback"].state, found["fallback"].text) == ("ok", "you@corp.example")


def test_a_test_message_is_sent_by_this_account_alone_and_what_became_of_it_is_told(
    smtp: SmtpScript, home: Path
) -> None:
    Accounts(home).add(account(smtp, fallback=("nobody@corp.example",)))
    store = MemoryStore()
    store.set(Slot(ADDRESS, "code"), Secret(CODE))
    sent = check_sending(home=home, store=store)
    assert (sent.check, sent.state, sent.account) == ("send-test", "ok", ADDRESS)
    (mail,) = smtp.accepted
    assert mail.recipients == (f"RCPT TO:<{ADDRESS}>",)
    assert check_sending(ADDRESS, to="ann@example.com", home=home, store=store).state == "ok"
    assert smtp.accepted[1].recipients == ("RCPT TO:<ann@example.com>",)
    smtp.answer("dot", close)
    lost = check_sending(home=home, store=store)
    assert (lost.state, lost.code) == ("failed", "outcome-unknown")
    assert check_sending("nobody@corp.example", home=home, store=store).code == "no-account"


def test_the_page_names_every_check_and_its_code_runs(home: Path) -> None:
    page = (Path(__file__).parent.parent / "docs" / "doctor.md").read_text("utf-8")
    named = {word for line in page.splitlines() if line.startswith("| `") for word in LITERAL.findall(line)}
    checks = {check.word for row in vars(doctor).values() if isinstance(row, tuple) for check in row}
    assert {*MACHINE, *ACCOUNT, "token", "api"} <= checks
    assert checks - named == set()
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    exec(compile(code, "docs/doctor.md", "exec"), {})
