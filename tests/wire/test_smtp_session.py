"""What a session holds to, whoever uses it."""

from __future__ import annotations

import pytest

from oauth_mailer.providers import Server
from oauth_mailer.stores import Secret
from oauth_mailer.wire.smtp_auth import Login
from oauth_mailer.wire.smtp_session import SmtpSession
from oauth_mailer.wire.tls import client_context
from tests.support.smtp_script import CODE, SmtpScript


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_a_secret_is_never_shown_outside_tls_even_if_the_caller_asks_for_it(mechanism: str) -> None:
    with SmtpScript(security="none", extensions=[f"AUTH {mechanism}"]) as server:
        session = SmtpSession(Server("127.0.0.1", server.port, "none"), timeout=5)
        session.connect(login=True, context=client_context)
        with pytest.raises(AssertionError, match="outside TLS"):
            session.login(Login("me@qq.com", Secret(CODE), "password"))
        assert not session.usable
        session.quit()
    assert not server.auths
    assert [command.split(" ")[0] for command in server.commands] == ["EHLO"]
