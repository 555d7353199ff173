"""The SMTP provider as Gmail's: it takes the tokens of the consent page, and says why it takes one not."""

from __future__ import annotations

import json
import smtplib
from base64 import b64decode, b64encode
from collections.abc import Iterator

import pytest

from oauth_mailer.sandbox import Sandbox

from .application import Application
from .test_smtp import over_tls

ME = "me@gmail.com"
ALL = "https://mail.google.com/"
MAIL = b"From: me@gmail.com\r\nTo: ann@example.com\r\nSubject: hi\r\n\r\nHello\r\n"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as started:
        yield started


@pytest.fixture
def token(sandbox: Sandbox) -> str:
    """Of a consent to the whole mailbox."""
    found: str = Application(sandbox).tokens(ME, scope=ALL)["access_token"]
    return found


def xoauth2(token: str, user: str = ME) -> bytes:
    return f"user={user}\1auth=Bearer {token}\1\1".encode()


def oauthbearer(token: str, user: str = ME) -> bytes:
    return f"n,a={user},\1host=localhost\1port=465\1auth=Bearer {token}\1\1".encode()


WAYS = {"XOAUTH2": (xoauth2, b""), "OAUTHBEARER": (oauthbearer, b"\1")}


def auth(client: smtplib.SMTP, mechanism: str, said: bytes) -> tuple[int, bytes]:
    client.ehlo()
    return client.docmd("AUTH", f"{mechanism} {b64encode(said).decode()}")


def test_tokens_are_offered_once_somebody_has_consented_to_what_smtp_needs(sandbox: Sandbox) -> None:
    def offered() -> list[str]:
        with over_tls(sandbox) as client:
            client.ehlo()
            return sorted(client.esmtp_features["auth"].split())

    assert offered() == ["LOGIN", "PLAIN"]
    Application(sandbox).tokens(ME)
    assert offered() == ["LOGIN", "PLAIN"]
    Application(sandbox).tokens(ME, scope=ALL)
    assert offered() == ["LOGIN", "OAUTHBEARER", "PLAIN", "XOAUTH2"]


@pytest.mark.parametrize("mechanism", WAYS)
@pytest.mark.parametrize("asked", [False, True])
def test_a_token_sends_as_whose_it_is(sandbox: Sandbox, token: str, mechanism: str, asked: bool) -> None:
    say, _end = WAYS[mechanism]
    with over_tls(sandbox) as client:
        if asked:
            client.ehlo()
            assert client.docmd("AUTH", mechanism)[0] == 334
            assert client.docmd(b64encode(say(token)).decode())[0] == 235
        else:
            assert auth(client, mechanism, say(token))[0] == 235
        assert client.mail("you@gmail.com")[0] == 553
        client.sendmail(ME, ["ann@example.com"], MAIL)
    assert [one.account for one in sandbox.messages] == [ME]


@pytest.mark.parametrize("mechanism", WAYS)
@pytest.mark.parametrize("wrong", ["unknown", "ended", "another's", "for less"])
def test_a_refusal_is_told_as_json_and_ends_as_the_mechanism_has_it(
    sandbox: Sandbox, token: str, mechanism: str, wrong: str
) -> None:
    (say, end), user = WAYS[mechanism], ME
    if wrong == "unknown":
        token = "ya29.nobody-gave-it"
    elif wrong == "ended":
        sandbox.expire_access_tokens()
    elif wrong == "another's":
        user = "you@gmail.com"
    else:
        token = Application(sandbox).tokens(ME)["access_token"]
    for answer, code in ((end, 535), (b"more", 501)):
        with over_tls(sandbox) as client:
            status, challenge = auth(client, mechanism, say(token, user))
            assert status == 334
            told = json.loads(b64decode(challenge))
            assert told["status"] == ("insufficient_scope" if wrong == "for less" else "invalid_token")
            assert told["scope"] == ALL
            assert client.docmd(b64encode(answer).decode())[0] == code
            assert client.mail(ME)[0] == 530
    assert (sandbox.counts["smtp.auth"], sandbox.counts["smtp.auth.refused"]) == (2, 2)


@pytest.mark.parametrize("mechanism", WAYS)
@pytest.mark.parametrize("said", [b"\1", b"user=me", b"n,,\1auth=Bearer x\1\1", b"auth=Bearer \1\1"])
def test_what_is_no_login_is_not_looked_at(sandbox: Sandbox, token: str, mechanism: str, said: bytes) -> None:
    with over_tls(sandbox) as client:
        assert auth(client, mechanism, said)[0] == 501
    assert sandbox.counts["smtp.auth"] == 0


@pytest.mark.parametrize("mechanism", WAYS)
def test_who_breaks_off_is_let_go(sandbox: Sandbox, token: str, mechanism: str) -> None:
    with over_tls(sandbox) as client:
        client.ehlo()
        assert client.docmd("AUTH", mechanism)[0] == 334
        assert client.docmd("*")[0] == 501
        assert client.noop()[0] == 250
