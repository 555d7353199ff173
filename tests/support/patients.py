"""Accounts that are examined, and what is found of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oauth_mailer.accounts import Account, Accounts
from oauth_mailer.doctor import Finding, check_account
from oauth_mailer.stores import Secret, Slot
from oauth_mailer.stores.memory import MemoryStore

from .dns_script import GOOD, DnsScript
from .smtp_script import CODE

ADDRESS = "me@corp.example"


def findings(address: str = "", *, home: Path, **options: Any) -> dict[str, Finding]:
    """What is found, by the words of the checks, each of which is there once."""
    found = list(check_account(address, home=home, **options))
    by_word = {one.check: one for one in found}
    assert len(by_word) == len(found)
    for one in found:
        assert one.text
        assert (one.error is not None) == (one.state == "failed")
        if one.state in ("failed", "warning"):
            assert one.hint, one
    return by_word


def examine(account: Account, home: Path, *, secret: str = CODE, **options: Any) -> dict[str, Finding]:
    """Set up an account that logs in by a code, and examine it; its domain is well looked after."""
    Accounts(home).add(account)
    store = MemoryStore()
    store.set(Slot(account.address, "code"), Secret(secret))
    with DnsScript(GOOD) as dns:
        options = {"timeout": 5.0, "store": store, "nameserver": dns.address, **options}
        return findings(account.address, home=home, **options)


def states(found: dict[str, Finding], *words: str) -> list[str]:
    return [found[word].state for word in words]
