"""A token shown to a server by OAUTHBEARER (RFC 7628) and XOAUTH2: what is said, and what a refusal tells."""

from __future__ import annotations

import json
import logging
from base64 import b64decode, b64encode
from typing import Any

import pytest

from oauth_mailer.errors import LoginRequired, RouteError, SendError, TransientError
from oauth_mailer.wire.smtp_auth import choose
from tests.support.smtp_script import SmtpScript, Talk
from tests.support.smtp_sending import Code, send

TOKEN = "ya29.canary-token"
INVALID = {
    "status": "invalid_token",
    "scope": "https://mail.example/send",
    "openid-configuration": "https://idp.example/.well-known/openid-configuration",
}


class Judge(SmtpScript):
    """Refuses every token with this challenge; then it wants this answer, and says this last word."""

    def __init__(
        self,
        mechanism: str,
        challenge: bytes | dict[str, Any],
        last: bytes = b"535 5.7.8 no\r\n",
        **more: Any,
    ) -> None:
        super().__init__(extensions=[f"AUTH PLAIN {mechanism}"], **more)
        self.last = last
        self.answers: list[bytes | None] = []
        self.challenge = challenge if isinstance(challenge, bytes) else json.dumps(challenge).encode()

    def _auth(self, talk: Talk, text: str) -> bool:
        self.auths.append(text)
        talk.say(b"334 " + b64encode(self.challenge) + b"\r\n")
        self.answers.append(talk.line())
        return talk.say(self.last)


def refused(server: Judge, kind: type[SendError] = LoginRequired, **fields: Any) -> SendError:
    with server, pytest.raises(kind) as caught:
        send(server, credential=Code(TOKEN, TOKEN, form="bearer"), **fields)  # there is no better one
    assert type(caught.value) is kind
    assert not server.received
    return caught.value


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH", "OAUTHBEARER"),  # Gmail's
        ("LOGIN XOAUTH2", "XOAUTH2"),  # Microsoft's
        ("PLAIN OAUTHBEARER", "OAUTHBEARER"),
        ("PLAIN LOGIN CRAM-MD5", None),
    ],
)
def test_a_token_goes_by_the_standard_where_it_is_offered_and_never_as_a_password(
    offered: str, chosen: str | None
) -> None:
    assert choose("bearer", offered.split()) == chosen
    with SmtpScript(extensions=[f"AUTH {offered}"], secrets=[TOKEN]) as server:
        if chosen is None:
            with pytest.raises(RouteError) as caught:
                send(server, credential=Code(TOKEN, form="bearer"))
            assert caught.value.code == "auth-not-offered"
        else:
            send(server, credential=Code(TOKEN, form="bearer"))
    assert [auth.split(" ")[1] for auth in server.auths] == ([chosen] if chosen else [])
    assert len(server.accepted) == (1 if chosen else 0)


@pytest.mark.parametrize(
    ("name", "written"), [("me@qq.com", "me@qq.com"), ("me,=you@qq.com", "me=2C=3Dyou@qq.com")]
)
def test_oauthbearer_names_the_user_and_the_server_that_it_speaks_to(name: str, written: str) -> None:
    with SmtpScript(extensions=["AUTH OAUTHBEARER"], secrets=[TOKEN]) as server:
        send(server, credential=Code(TOKEN, form="bearer"), username=name)
    (auth,) = server.auths
    said = b64decode(auth.split(" ")[2]).decode()
    assert said == f"n,a={written},\1host=localhost\1port={server.port}\1auth=Bearer {TOKEN}\1\1"


def test_a_token_too_long_for_one_command_waits_until_it_is_asked_for() -> None:
    token = "t" * 2000
    with SmtpScript(extensions=["AUTH OAUTHBEARER"], secrets=[token]) as server:
        send(server, credential=Code(token, form="bearer"))
    assert server.auths == ["AUTH OAUTHBEARER"]
    assert len(server.accepted) == 1


@pytest.mark.parametrize(("mechanism", "answer"), [("OAUTHBEARER", b"AQ=="), ("XOAUTH2", b"")])
def test_the_reason_of_a_refusal_is_asked_for_as_each_mechanism_wants_it_and_shown(
    mechanism: str, answer: bytes
) -> None:
    server = Judge(mechanism, INVALID)
    error = refused(server)
    assert server.answers == [answer]
    assert len(server.auths) == 1
    assert error.code == "login-refused"
    told = f"({', '.join(f'{name}: {value}' for name, value in INVALID.items())})"
    assert told in error.message
    assert error.text == "535 5.7.8 no " + json.dumps(INVALID, separators=(",", ":"))
    assert "oauth-mailer login me@qq.com" in error.hint


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
def test_an_expired_token_is_renewed_once_and_the_new_one_is_accepted(mechanism: str) -> None:
    credential = Code("old", "new", form="bearer")
    judge = Judge(mechanism, INVALID)

    def judged(talk: Talk, text: str) -> bool:
        if b"Bearer new\1" in b64decode(text.split(" ")[2]):
            judge.auths.append(text)
            return talk.say(b"235 2.7.0 ok\r\n")
        return Judge._auth(judge, talk, text)

    judge._auth = judged  # type: ignore[method-assign]
    with judge as server:
        send(server, credential=credential)
    assert (server.connections, len(server.auths), credential.refused) == (2, 2, ["old"])
    assert len(server.accepted) == 1


def test_a_scope_that_does_not_suffice_is_told_by_its_name_and_no_other_token_is_asked_for() -> None:
    credential, server = (
        Code(TOKEN, "new", form="bearer"),
        Judge("OAUTHBEARER", INVALID | {"status": "insufficient_scope"}),
    )
    with server, pytest.raises(LoginRequired) as caught:
        send(server, credential=credential)
    assert (len(server.auths), credential.refused) == (1, [])
    error = caught.value
    assert error.code == "scope-missing"
    assert "scope: https://mail.example/send" in error.message


def test_gmail_says_which_scope_smtp_wants() -> None:
    challenge = {"status": "400", "schemes": "Bearer", "scope": "https://mail.google.com/"}
    last = b"535-5.7.8 Username and Password not accepted. For more information, go to\r\n535 5.7.8  https://x\r\n"
    error = refused(Judge("XOAUTH2", challenge, last), provider="gmail-xoauth2")
    assert error.code == "login-refused"
    assert "(status: 400, scope: https://mail.google.com/)" in error.message
    assert "app password" not in error.message + error.hint


@pytest.mark.parametrize(
    ("last", "kind", "code"),
    [
        (b"454 4.7.0 Temporary authentication failure\r\n", TransientError, "login-later"),
        (b"504 5.5.4 Unrecognized authentication type\r\n", RouteError, "auth-mechanism"),
        (b"421 4.7.0 Too many errors\r\n", TransientError, "login-later"),
    ],
)
def test_what_is_no_word_on_the_token_does_not_ask_for_a_login(
    last: bytes, kind: type[SendError], code: str
) -> None:
    server = Judge("OAUTHBEARER", INVALID, last)
    assert refused(server, kind).code == code
    assert len(server.auths) == 1


CHALLENGES: dict[str, tuple[bytes, str]] = {
    "the token in plain sight": (json.dumps({"status": f"no: {TOKEN}"}).encode(), "***"),
    "the token behind escapes": (
        b'{"status":"' + "".join(f"\\u{ord(one):04x}" for one in TOKEN).encode() + b'"}',
        "***",
    ),
    "in a field that nobody knows": (json.dumps({"status": "no", "seen": [{"x": TOKEN}]}).encode(), "***"),
    "what steers a terminal": (json.dumps({"status": "\x1b[31mred\u202e"}).encode(), r"\x1b[31mred\u202e"),
    "half a character": (b'{"status":"\\ud83d"}', r"\ud83d"),
    "a status that is a number": (b'{"status":401}', "(status: 401)"),
    "fields of other kinds": (b'{"status":true,"scope":["a"],"openid-configuration":null}', "true"),
    "a list": (b'["status"]', '["status"]'),
    "no JSON": (b"expired " + TOKEN.encode(), "expired ***"),
    "nested without end": (b"[" * 3000, "[[["),
    "in another encoding": ("原因".encode("gb18030"), "原因"),
    "nothing": (b"", "535 5.7.8 no"),
}


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
@pytest.mark.parametrize(("challenge", "shown"), CHALLENGES.values(), ids=CHALLENGES.keys())
def test_whatever_a_server_gives_as_its_reason_is_safe_to_print_and_holds_no_secret(
    mechanism: str, challenge: bytes, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    error = refused(Judge(mechanism, challenge))
    assert shown in error.message + error.text
    assert error.message.isprintable()
    assert error.text.isprintable()
    for secret in (TOKEN, b64encode(TOKEN.encode()).decode()):
        assert secret not in str(error) + error.text + repr(error.__dict__) + caplog.text


def test_a_second_challenge_ends_the_conversation() -> None:
    error = refused(Judge("OAUTHBEARER", INVALID, b"334 again\r\n"), TransientError)
    assert error.code == "reply-garbled"
