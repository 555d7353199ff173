"""Fixtures for pytest, there as soon as oauth_mailer is installed.

def test_a_bill_is_sent(mailbox):
    shop.sell("7")
    mailbox.assert_sent(to="ann@example.com", subject="Bill 7")

def test_with_real_servers(mail_sandbox):
    run_the_program()                            # its own process, by SMTP over TLS, with a login
    [received] = mail_sandbox.wait_for(1)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ..sandbox import Sandbox
    from ..testing import Mailbox

__all__ = ["mail_sandbox", "mailbox"]


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """What this process would have sent: see ``oauth_mailer.testing.Mailbox``."""
    from .. import testing

    with testing.mailbox() as found:
        yield found


@pytest.fixture
def mail_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Servers of the test's own, and ``me@example.com`` set up there as the default account.

    For this process and those it starts: the environment says where the configuration is and what the code
    is.
    """
    from ..account import Account, secret_variable
    from ..accounts import Accounts
    from ..sandbox import Sandbox

    address = "me@example.com"
    with Sandbox() as sandbox:
        home = tmp_path / "oauth-mailer"
        monkeypatch.setenv("OAUTH_MAILER_HOME", str(home))
        monkeypatch.setenv("OAUTH_MAILER_STORE", "environment")
        monkeypatch.setenv(secret_variable(address), sandbox.code)
        Accounts(home).add(
            Account(
                address=address,
                host="localhost",
                port=sandbox.smtp.port,
                security="tls",
                ca_file=str(sandbox.smtp.ca_file),
                store="environment",
            )
        )
        yield sandbox
