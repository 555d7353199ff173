"""The doctor asks the DNS what receivers ask of the sender's domain."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from oauth_mailer.accounts import Account
from oauth_mailer.doctor import Finding
from tests.support.dns_script import GOOD, DnsScript
from tests.support.patients import ADDRESS, examine, states
from tests.support.smtp_script import SmtpScript

Records = Mapping[tuple[str, str], Sequence[str]]


def ask(home: Path, records: Records, address: str = ADDRESS) -> dict[str, Finding]:
    with SmtpScript() as server, DnsScript(records) as dns:
        return examine(server.account(address), home, nameserver=dns.address)


def test_a_domain_that_says_nothing_of_itself(home: Path) -> None:
    found = ask(home, {("corp.example", "A"): ["192.0.2.1"]})
    assert states(found, "mx", "spf", "dmarc") == ["warning"] * 3
    assert "v=spf1" in found["spf"].hint
    assert "_dmarc.corp.example" in found["dmarc"].hint


@pytest.mark.parametrize(
    ("texts", "state", "words"),
    [
        (['"v=spf1 -all"'], "ok", "v=spf1 -all"),
        (['"V=SPF1 a mx ~all"'], "ok", "mx"),
        (['"v=spf1 a" " mx -all"'], "ok", "v=spf1 a mx -all"),
        (['"v=spf1 a -all"', '"v=spf1 mx -all"'], "warning", "more than once"),
        (['"v=spf1 +all"'], "warning", "everybody"),
        (['"v=spf1 all"'], "warning", "everybody"),
        (['"v=spf10 -all"'], "warning", "no SPF"),
        (['"\\027[31m\\226\\128\\174"', '"v=spf1 exists:\\027[31m -all"'], "ok", "\\x1b"),
    ],
)
def test_what_a_domain_says_of_who_may_send_for_it(
    texts: list[str], state: str, words: str, home: Path
) -> None:
    one = ask(home, {**GOOD, ("corp.example", "TXT"): texts})["spf"]
    assert one.state == state
    assert words in one.text
    assert "\x1b" not in one.text


def test_the_policy_of_the_domain_above_counts(home: Path) -> None:
    records = {
        ("a.corp.example", "MX"): ["20 second.example.", "10 first.example."],
        ("a.corp.example", "TXT"): ['"v=spf1 mx -all"'],
        ("_dmarc.corp.example", "TXT"): ['"v=DMARC1; p=none"'],
    }
    found = ask(home, records, "me@a.corp.example")
    assert states(found, "mx", "spf", "dmarc") == ["ok"] * 3
    assert found["mx"].text == "first.example, second.example"
    assert found["dmarc"].text == "_dmarc.corp.example: v=DMARC1; p=none"


def test_a_domain_that_is_not_there_is_told_once(home: Path) -> None:
    found = ask(home, {})
    assert states(found, "mx", "spf", "dmarc") == ["warning", "skipped", "skipped"]
    assert "does not exist" in found["mx"].text


def test_where_the_dns_cannot_be_asked_that_is_said_and_no_more(home: Path) -> None:
    with SmtpScript() as server, DnsScript({}, silent=True) as dns:
        found = examine(server.account(ADDRESS), home, nameserver=dns.address, timeout=0.5)
        assert states(found, "mx", "spf", "dmarc") == ["skipped"] * 3
        found = examine(server.account(ADDRESS), home, nameserver="a name")
    assert (found["mx"].state, found["mx"].code) == ("failed", "nameserver")


def test_a_domain_in_other_letters_is_asked_for_as_the_dns_has_it(home: Path) -> None:
    with SmtpScript() as server, DnsScript({("xn--fiq228c.example", "MX"): ["10 mx.example."]}) as dns:
        found = examine(server.account("me@中文.example"), home, nameserver=dns.address)
        assert found["mx"].state == "ok"
        assert ("xn--fiq228c.example", "TXT") in dns.asked


def test_without_the_package_for_it_the_command_to_install_it_is_told(home: Path) -> None:
    program = (
        "import sys; sys.modules['dns'] = None\n"
        "from oauth_mailer.accounts import Account, Accounts\n"
        "from oauth_mailer.doctor import check_account\n"
        f"Accounts().add(Account(address={ADDRESS!r}, host='127.0.0.1', port=9))\n"
        "print(*(one for one in check_account(timeout=1) if one.check in ('mx', 'spf')), sep='\\n')\n"
        "print(*(one.hint for one in check_account(timeout=1) if one.check == 'mx'))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"{ADDRESS} mx: skipped: Not asked for: it needs a package that is not installed.",
        f"{ADDRESS} spf: skipped: Not checked: it needs mx.",
        "Run: pip install 'oauth-mailer[doctor]'",
    ]


def test_a_gmail_or_qq_address_is_its_provider_s_affair(home: Path) -> None:
    with DnsScript({}) as dns:
        account = Account(address="me@qq.com", provider="qq", host="127.0.0.1", port=9)
        found = examine(account, home, nameserver=dns.address)
        assert not dns.asked
    assert states(found, "mx", "spf", "dmarc") == ["ok"] * 3
