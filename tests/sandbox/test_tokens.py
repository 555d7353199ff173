"""The token endpoint: codes, refresh tokens, what kills them, and the answers that no client expects."""

from __future__ import annotations

import json
import socket
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Iterator
from http.client import RemoteDisconnected
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from oauth_mailer.sandbox import Sandbox

from .application import SEND, SEND_PATH, Application, ask


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as started:
        yield started


@pytest.fixture
def application(sandbox: Sandbox) -> Application:
    return Application(sandbox)


def received(client: socket.socket) -> bytes:
    try:
        return client.recv(1000)
    except ConnectionResetError:
        return b""


def works(sandbox: Sandbox, token: str) -> bool:
    """Whether Gmail would take this access token."""
    url = sandbox.gmail_endpoint + SEND_PATH
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    answer = ask(url, body=b"{}", headers=headers)
    assert answer.status in (400, 401)
    return answer.status == 400


def test_a_code_gives_tokens_that_work(application: Application, sandbox: Sandbox) -> None:
    answer = application.exchange(application.code())
    assert answer.headers["Cache-Control"] == "no-store"
    tokens = answer.json
    assert set(tokens) == {"access_token", "expires_in", "refresh_token", "scope", "token_type"}
    assert tokens["token_type"] == "Bearer"
    assert tokens["scope"] == SEND
    assert works(sandbox, tokens["access_token"])
    assert sandbox.counts["token.exchange"] == 1


@pytest.mark.parametrize(
    ("changed", "status", "error"),
    [
        ({"code_verifier": "x" * 43}, 400, "invalid_grant"),
        ({"code_verifier": "short"}, 400, "invalid_grant"),
        ({"code_verifier": ""}, 400, "invalid_grant"),
        ({"redirect_uri": "http://127.0.0.1:2/"}, 400, "invalid_grant"),
        ({"code": "4/0another"}, 400, "invalid_grant"),
        ({"client_id": "another"}, 401, "invalid_client"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_secret": "错"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, 400, "unsupported_grant_type"),
    ],
)
def test_an_exchange_that_is_not_right_is_refused_and_the_code_stays_good(
    application: Application, changed: dict[str, str], status: int, error: str
) -> None:
    code = application.code()
    answer = application.exchange(code, **changed)
    assert (answer.status, answer.json["error"]) == (status, error)
    assert application.exchange(code).status == 200


def test_a_code_used_twice_kills_what_it_gave(application: Application, sandbox: Sandbox) -> None:
    code = application.code()
    tokens = application.exchange(code).json
    again = application.exchange(code)
    assert (again.status, again.json["error"]) == (400, "invalid_grant")
    assert not works(sandbox, tokens["access_token"])
    assert application.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"


def test_the_client_may_say_who_it_is_by_http_basic(application: Application) -> None:
    client = application.client
    word = b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()
    form = {"grant_type": "refresh_token", "refresh_token": application.tokens()["refresh_token"]}
    url = client["token_uri"]
    assert ask(url, form=form, headers={"Authorization": f"Basic {word}"}).status == 200
    assert ask(url, form=form, headers={"Authorization": "Basic ?"}).status == 401
    assert ask(url, form=form).status == 401


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{}", "application/json"),
        (b"grant_type=refresh_token&refresh_token=a&refresh_token=b", "application/x-www-form-urlencoded"),
        (b"grant_type=\xff", "application/x-www-form-urlencoded; charset=utf-8"),
        (b"grant_type=x", "application/x-www-form-urlencoded; charset=nonsense"),
    ],
)
def test_a_body_that_is_no_clean_form_is_refused(application: Application, body: bytes, kind: str) -> None:
    answer = ask(application.client["token_uri"], body=body, headers={"Content-Type": kind})
    assert (answer.status, answer.json["error"]) == (400, "invalid_request")


def test_a_refresh_token_comes_with_the_first_consent_and_when_consent_is_asked_for_again(
    application: Application,
) -> None:
    assert "refresh_token" in application.tokens(prompt=None)
    assert "refresh_token" not in application.tokens(prompt=None)
    assert "refresh_token" in application.tokens("other@gmail.com", prompt=None)
    assert "refresh_token" in application.tokens(prompt="select_account consent")
    assert "refresh_token" not in application.tokens("third@gmail.com", access_type=None)


def test_a_refresh_gives_a_new_access_token_and_the_refresh_token_stays(
    application: Application, sandbox: Sandbox
) -> None:
    tokens = application.tokens(scope=f"openid {SEND}")
    for _again in range(2):
        answer = application.refresh(tokens["refresh_token"]).json
        assert "refresh_token" not in answer
        assert answer["access_token"] != tokens["access_token"]
        assert works(sandbox, answer["access_token"])
    assert application.refresh(tokens["refresh_token"], scope=SEND).json["scope"] == SEND
    more = application.refresh(tokens["refresh_token"], scope="https://mail.google.com/")
    assert (more.status, more.json["error"]) == (400, "invalid_scope")
    assert sandbox.counts["token.refresh"] == 4


def test_with_rotation_the_old_refresh_token_kills_its_family() -> None:
    with Sandbox(rotate=True) as sandbox:
        application = Application(sandbox)
        first = application.tokens()
        second = application.refresh(first["refresh_token"]).json
        assert second["refresh_token"] != first["refresh_token"]
        third = application.refresh(second["refresh_token"]).json
        assert application.refresh(first["refresh_token"]).json["error"] == "invalid_grant"
        assert application.refresh(third["refresh_token"]).json["error"] == "invalid_grant"
        assert not works(sandbox, third["access_token"])


def test_access_tokens_end_and_refresh_tokens_go_on(application: Application, sandbox: Sandbox) -> None:
    tokens = application.tokens()
    sandbox.expire_access_tokens()
    assert not works(sandbox, tokens["access_token"])
    assert works(sandbox, application.refresh(tokens["refresh_token"]).json["access_token"])


def test_the_lifetime_is_told_and_kept() -> None:
    with Sandbox(lifetime=0.0) as sandbox:
        tokens = Application(sandbox).tokens()
        assert tokens["expires_in"] == 0
        assert not works(sandbox, tokens["access_token"])


def test_a_changed_password_ends_every_token(application: Application, sandbox: Sandbox) -> None:
    tokens = application.tokens()
    sandbox.revoke_tokens()
    assert not works(sandbox, tokens["access_token"])
    assert application.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"
    assert works(sandbox, application.tokens()["access_token"])


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_to_revoke_any_token_takes_back_all_that_the_account_granted(
    application: Application, sandbox: Sandbox, kind: str
) -> None:
    old, new, other = application.tokens(), application.tokens(), application.tokens("other@gmail.com")
    assert application.revoke(old[kind]).status == 200
    for tokens in (old, new):
        assert not works(sandbox, tokens["access_token"])
        assert application.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"
    assert works(sandbox, other["access_token"])
    again = application.revoke(old[kind])
    assert (again.status, again.json["error"]) == (400, "invalid_token")
    assert sandbox.counts["revoke"] == 2


def test_a_token_may_be_revoked_by_the_address_alone_as_google_allows(application: Application) -> None:
    token = application.tokens()["access_token"]
    url = application.client["revocation_uri"]
    assert ask(f"{url}?token={token}", method="POST").status == 200
    assert ask(url, method="POST").json["error"] == "invalid_request"


def test_an_id_token_says_who_logged_in_and_its_signature_is_right(application: Application) -> None:
    tokens = application.tokens("Ann@gmail.com", scope=f"openid email {SEND}", nonce="n-1")
    signed, _dot, signature = tokens["id_token"].rpartition(".")

    def decoded(part: str) -> bytes:
        return urlsafe_b64decode(part + "=" * (-len(part) % 4))

    header, claims = (json.loads(decoded(part)) for part in signed.split("."))
    [key] = ask(application.client["auth_provider_x509_cert_url"]).json["keys"]
    numbers = rsa.RSAPublicNumbers(*(int.from_bytes(decoded(key[name])) for name in "en"))
    numbers.public_key().verify(decoded(signature), signed.encode(), padding.PKCS1v15(), SHA256())
    assert header["kid"] == key["kid"]
    assert claims["email"] == "Ann@gmail.com"
    assert claims["aud"] == application.client["client_id"]
    assert claims["nonce"] == "n-1"
    assert "id_token" not in application.tokens()


@pytest.mark.parametrize(
    ("step", "status", "content"),
    [
        ("html", 200, "<!doctype html>"),
        ("missing-token", 200, '{"expires_in"'),
        ("invalid_grant", 400, '{"error": "invalid_grant"'),
        ("429", 429, '{"error": "rate_limit_exceeded"'),
        ("429-retry-after", 429, '{"error": "rate_limit_exceeded"'),
        ("500", 500, '{"error": "internal_failure"'),
        ("503", 503, "<!doctype html>"),
    ],
)
def test_the_plan_answers_one_request_after_another(step: str, status: int, content: str) -> None:
    with Sandbox(token=f"ok, {step}, ok") as sandbox:
        application = Application(sandbox)
        token = application.tokens()["refresh_token"]
        answer = application.refresh(token)
        assert answer.status == status
        assert answer.text.startswith(content)
        assert answer.headers.get("Retry-After") == ("30" if step.endswith("retry-after") else None)
        assert application.refresh(token).status == 200


def test_the_endpoint_can_hang_up_and_the_last_step_goes_on() -> None:
    with Sandbox(token="close") as sandbox:
        for _again in range(2):
            with pytest.raises((RemoteDisconnected, ConnectionResetError)):
                Application(sandbox).refresh("1//0x")
        assert sandbox.counts["token.post"] == 2


def test_the_endpoint_can_leave_a_client_waiting() -> None:
    with Sandbox(token="hang") as hanging:
        parts = urlsplit(hanging.gmail_endpoint)
        with socket.create_connection((parts.hostname, parts.port), timeout=30) as client:
            body = b"grant_type=refresh_token"
            client.sendall(
                b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            )
            hanging.wait_for_event("token.refresh", 1)
            hanging.stop()
            assert received(client) == b""
