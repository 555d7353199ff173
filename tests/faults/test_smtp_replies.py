"""What providers are known to answer: the verdict, the earliest retry, and the way on, each over a socket."""

from __future__ import annotations

import pytest

from oauth_mailer.errors import LoginRequired, MailerError, RejectedError, RouteError, TransientError
from tests.support.smtp_script import SmtpScript, then_close
from tests.support.smtp_sending import send

KINDS: dict[str, type[MailerError]] = {
    "later": TransientError,
    "route": RouteError,
    "login": LoginRequired,
    "never": RejectedError,
}

# provider, what is answered, the kind of error, its code, seconds until the next try, the reply
TABLE = r"""
# NetEase's own table (help_spam_16), and its logins
163        greeting later ip-throttled          900  421 HL:REP 163 smtp9,abc
163        greeting later ip-throttled          900  421 HL:ICC 163 smtp9,abc
163        mail     later ip-throttled          900  421 HL:IFC 163 smtp9,abc
163        rcpt     later ip-throttled          900  421 HL:MEP 163 smtp9,abc
163        mail     later rate-limit            300  450 MI:CEL 163 smtp9,abc
163        mail     later rate-limit            300  450 MI:CCL 163 smtp9,abc
163        mail     later connection-quota       60  450 MI:DMC 163 smtp9,abc
163        rcpt     later connection-quota       60  450 RP:DRC 163 smtp9,abc
163        mail     later rate-limit            900  451 MI:SFQ 163 smtp9,abc
163        rcpt     later rate-limit            900  451 RP:QRC 163 smtp9,abc
163        dot      later spam-later            120  451 DT:SPM 163 smtp9,abc
163        mail     later daily-limit         86400  550 MI:STC 163 smtp9,abc
163        rcpt     later daily-limit         86400  550 RP:TRC 163 smtp9,abc
163        rcpt     never too-many-recipients     -  550 RP:RCL 163 smtp9,abc
163        dot      never message-too-large       -  552 Illegal Attachment
163        mail     never message-too-large       -  552 exceeded mailsize limit
163        mail     never message-too-large       -  552 MI:SIZ 163 smtp9,abc
163        dot      never spam                    -  554 DT:SPM 163 smtp9,abc
163        dot      route sender-mismatch         -  554 DT:SUM 163 smtp9,abc
163        greeting later ip-blocked           3600  554 HL:IHU 163 smtp9,abc
163        mail     later ip-blocked           3600  554 HL:IPB 163 smtp9,abc
163        greeting later ip-blocked           3600  554 IP is rejected, smtp auth error limit exceed
163        auth     later ip-blocked           3600  554 IP is rejected, smtp auth error limit exceed
163        auth     login login-refused           -  535 Error: authentication failed
126        auth     login login-refused           -  550 User has no permission
yeah       mail     route sender-mismatch         -  553 Mail from must equal authorized user
# QQ
qq         mail     route sender-mismatch         -  501 mail from address must be same as authorization user
qq         dot      route sender-mismatch         -  502 mail from address must be same as authorization user
qq         dot      never from-header             -  550 The "From" header is missing or invalid.
qq         mail     later rate-limit            900  550 Connection frequency limited
exmail     auth     login login-refused         900  535 Error: authentication failed, system busy
# Gmail (Workspace help 3726730)
gmail-smtp auth     login login-refused           -  534-5.7.9 App password required.\r\n534 5.7.9 see
gmail-smtp auth     login login-refused           -  535-5.7.8 Password not accepted.\r\n535 5.7.8 see
gmail-smtp auth     later login-limit          3600  454 4.7.0 Too many login attempts
gmail-smtp mail     later daily-limit         86400  550 5.4.5 Daily user sending limit exceeded.
gmail-smtp rcpt     later rate-limit            600  421 4.7.28 Unusual rate of unsolicited mail.
gmail-smtp dot      never attachment-refused      -  552-5.7.0 Blocked for its\r\n552 5.7.0 content
# Any other server
custom     greeting route server-refuses          -  554 5.7.1 listed
custom     ehlo     route ehlo-refused            -  550 5.7.1 give your name
custom     auth     route auth-mechanism          -  504 5.5.4 unknown mechanism
custom     auth     login login-refused           -  535 5.7.8 no
custom     auth     login login-refused           -  535 5.7.139 basic authentication is disabled
custom     auth     later login-later           300  454 4.7.0 Temporary authentication failure
custom     mail     route auth-required           -  530 5.7.0 Authentication required
custom     rcpt     route sender-mismatch         -  550 5.7.60 SMTP; no permission to send as this sender
custom     rcpt     route sender-mismatch         -  553 5.7.1 <me@x>: rejected: not owned by user you@x
custom     dot      route sender-mismatch         -  554 5.2.0 Submission.Exception:SendAsDeniedException
custom     mail     never message-too-large       -  552 5.3.4 Message size exceeds fixed limit
custom     mail     route sender-refused          -  550 5.1.8 sender domain does not exist
custom     rcpt     route relay-denied            -  554 5.7.1 <ann@example.com>: Relay access denied
custom     rcpt     route relay-denied            -  550 5.7.1 Relaying denied.
custom     rcpt     route relay-denied            -  550 5.7.54 SMTP; Unable to relay recipient
custom     rcpt     never recipient-refused       -  550 5.1.1 <relay@relay.example>: no such user
custom     rcpt     never recipient-refused       -  550 5.1.1 <ann-relay@example.com> unknown
custom     rcpt     later recipient-later           300  450 4.2.0 greylisted, see https://postgrey.example/
custom     rcpt     later recipient-later           300  452 4.2.2 over quota
custom     dot      never message-refused         -  554 5.7.1 looks like spam
custom     dot      never message-too-large       -  554 5.3.4 too big
custom     dot      later daily-limit         86400  550 5.7.1 your daily sending quota is used up
custom     mail     later reply-unexpected        -  354 go on
"""
ROWS = [line.split(maxsplit=5) for line in TABLE.splitlines() if line and line[0] != "#"]


@pytest.mark.fault(19)
@pytest.mark.parametrize("row", ROWS, ids=[" ".join((*row[:2], row[5][:30])) for row in ROWS])
@pytest.mark.parametrize(
    "extensions", [("AUTH PLAIN", "PIPELINING"), ("AUTH PLAIN",)], ids=["pipelined", "plain"]
)
def test_a_known_reply_has_its_verdict(row: list[str], extensions: tuple[str, ...]) -> None:
    provider, step, kind, code, wait, text = row
    reply = text.replace("\\r\\n", "\r\n").encode() + b"\r\n"
    script = {step: then_close(reply) if reply.startswith(b"421") else reply}
    with (
        SmtpScript(extensions=extensions, **script) as server,  # type: ignore[arg-type]
        pytest.raises(MailerError) as caught,
    ):
        send(server, provider=provider)
    error = caught.value
    assert (type(error), error.code) == (KINDS[kind], code)
    assert error.retry_after == (None if wait == "-" else float(wait))
    assert error.verdict == "not_sent"
    assert error.text.startswith(text[:3])
    assert error.hint
    assert not server.accepted
    assert (server.connections, len(server.auths)) == (1, 0 if step in ("greeting", "ehlo") else 1)
