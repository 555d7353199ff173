from __future__ import annotations

import base64
import json
import re
import threading
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest

from oauth_mailer import (
    Address,
    Attachment,
    ConfigError,
    LoginRequired,
    MailerError,
    Message,
    MessageError,
    OutcomeUnknown,
    RejectedError,
    RouteError,
    TransientError,
)
from oauth_mailer.message import Envelope
from oauth_mailer.mime import Content, render
from oauth_mailer.stores import Secret
from oauth_mailer.transports import Acceptance
from oauth_mailer.transports.gmail import UPLOAD_FROM, GmailTransport
from tests.support import http_script
from tests.support.http_script import HttpScript, answer

ME = Address("me@gmail.com", "Me")
SENT = answer(body={"id": "18c0ffee", "threadId": "t", "labelIds": ["SENT"]})


class Tokens:
    """A credential that hands out numbered tokens."""

    form: Literal["bearer"] = "bearer"

    def __init__(self) -> None:
        self.renewed: list[str] = []

    def get(self) -> Secret:
        return Secret(f"token-{len(self.renewed)}")

    def renew(self, refused: Secret) -> Secret:
        self.renewed.append(refused.reveal())
        return self.get()


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


def send(
    monkeypatch: pytest.MonkeyPatch, server: HttpScript, tokens: Tokens, message: Message | None = None
) -> Acceptance:
    monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", server.url)
    transport = GmailTransport(ME.email, lambda: tokens, timeout=5)
    try:
        return transport.send(*render(message or Message(to="ann@example.com", text="Hello"), ME))
    finally:
        transport.close()


def google_error(status: str, reason: str, message: str = "No.", **headers: str) -> http_script.Step:
    error = {"code": int(status[:3]), "message": message, "errors": [{"reason": reason, "message": message}]}
    return answer(status, {"error": error}, **headers)


def test_a_message_goes_out_as_base64url_raw_with_blind_recipients_in_front(
    monkeypatch: pytest.MonkeyPatch, tokens: Tokens
) -> None:
    message = Message(
        to="ann@example.com", cc="cid@example.com", bcc=["bob@example.com"], text="Grüße ~~~???"
    )
    _envelope, content = render(message, ME)
    with HttpScript(SENT) as server:
        acceptance = send(monkeypatch, server, tokens, message)
    assert acceptance.remote_id == "18c0ffee"
    (request,) = server.requests
    assert (request.method, request.path.partition("?")[0]) == ("POST", "/gmail/v1/users/me/messages/send")
    assert request.headers["authorization"] == "Bearer token-0"
    raw = json.loads(request.body)["raw"]
    assert not set(raw) & set("+/")
    assert base64.urlsafe_b64decode(raw) == b"Bcc: bob@example.com\r\n" + b"".join(content.blocks())


def test_a_large_message_is_streamed_to_the_upload_address_in_one_post(
    monkeypatch: pytest.MonkeyPatch, tokens: Tokens, tmp_path: Path
) -> None:
    file = tmp_path / "big.bin"
    file.write_bytes(bytes(range(256)) * 40 * 256)
    message = Message(to="ann@example.com", bcc="bob@example.com", text="Hi", attachments=[file])
    _envelope, content = render(message, ME)
    assert content.size > UPLOAD_FROM
    with HttpScript(SENT) as server:
        send(monkeypatch, server, tokens, message)
    (request,) = server.requests
    assert request.method == "POST"
    assert request.path.startswith("/upload/gmail/v1/users/me/messages/send?")
    assert "uploadType=media" in request.path
    assert request.headers["content-type"] == "message/rfc822"
    # Each rendering has a boundary of its own.
    sent, expected = (re.sub(rb"=_\w+", b"", data) for data in (request.body, b"".join(content.blocks())))
    assert sent == b"Bcc: bob@example.com\r\n" + expected


def test_a_refused_token_is_renewed_once_and_the_message_sent_once_more(
    monkeypatch: pytest.MonkeyPatch, tokens: Tokens
) -> None:
    with HttpScript(google_error("401 Unauthorized", "authError"), SENT) as server:
        send(monkeypatch, server, tokens)
    assert [request.headers["authorization"] for request in server.requests] == [
        "Bearer token-0",
        "Bearer token-1",
    ]
    assert tokens.renewed == ["token-0"]


def test_a_token_refused_twice_needs_a_login(monkeypatch: pytest.MonkeyPatch, tokens: Tokens) -> None:
    with (
        HttpScript(google_error("401 Unauthorized", "authError")) as server,
        pytest.raises(LoginRequired) as caught,
    ):
        send(monkeypatch, server, tokens)
    assert len(server.requests) == 2
    assert "oauth-mailer login me@gmail.com" in caught.value.hint


UNKNOWN = {
    "closes without an answer": http_script.close,
    "answers half a line": http_script.raw(b"HTTP/1.1 20"),
    "500": answer("500 Internal Server Error"),
    "502 with a page": answer("502 Bad Gateway", b"<html>"),
    "503": google_error("503 Service Unavailable", "backendError"),
    "200 that is no JSON": answer(body=b"<html>welcome</html>"),
    "200 that is cut": http_script.raw(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"id": "18'),
    "200 without an id": answer(body={"threadId": "t"}),
    "200 with an odd id": answer(body={"id": ["x"]}),
    "200 with an empty id": answer(body={"id": ""}),
    "303, to a page after the deed": answer("303 See Other", Location="/done"),
    "101": answer("101 Switching Protocols"),
    "200 that nests without end": answer(body=b'{"id":' + b"[" * 200_000),
}


@pytest.mark.parametrize("step", UNKNOWN.values(), ids=UNKNOWN.keys())
@pytest.mark.parametrize("large", [False, True], ids=["raw", "upload"])
def test_what_may_have_been_accepted_is_unknown_and_posted_exactly_once(
    monkeypatch: pytest.MonkeyPatch, tokens: Tokens, step: http_script.Step, large: bool
) -> None:
    attachments = [Attachment(bytes(2 << 20), filename="big.bin")] if large else []
    message = Message(to="ann@example.com", text="Hi", attachments=attachments)
    with HttpScript(step) as server, pytest.raises(OutcomeUnknown) as caught:
        send(monkeypatch, server, tokens, message)
    assert len(server.requests) == 1
    assert caught.value.verdict == "unknown"
    assert caught.value.hint


REFUSED: dict[str, tuple[http_script.Step, type[MailerError], float | None]] = {
    "rate": (google_error("403 Forbidden", "rateLimitExceeded"), TransientError, 60),
    "user rate with Retry-After": (
        google_error("403 Forbidden", "userRateLimitExceeded", Retry_After="17"),
        TransientError,
        17,
    ),
    "429": (answer("429 Too Many Requests"), TransientError, 60),
    "429 with Retry-After": (answer("429 Too Many Requests", Retry_After="7"), TransientError, 7),
    "day": (google_error("403 Forbidden", "dailyLimitExceeded"), TransientError, 86400),
    "policy": (google_error("403 Forbidden", "domainPolicy"), RouteError, None),
    "scope": (google_error("403 Forbidden", "insufficientPermissions"), LoginRequired, None),
    "mail off": (google_error("400 Bad Request", "failedPrecondition"), RouteError, None),
    "recipient": (
        google_error("400 Bad Request", "invalidArgument", "Invalid To header"),
        RejectedError,
        None,
    ),
    "too large": (answer("413 Too Large"), RejectedError, None),
    "redirect": (answer("302 Found", Location="http://127.0.0.1:1/"), TransientError, None),
    "not found": (answer("404 Not Found", b"<html>"), RouteError, None),
    "something that is no Gmail": (answer("407 Who Are You", b"<html>"), RouteError, None),
    "odd Retry-After": (answer("429 Too Many Requests", Retry_After="\u00b2"), TransientError, 60),
    "Retry-After beyond time": (
        answer("429 Too Many Requests", Retry_After="Fri, 31 Dec 9999 23:59:59 -2359"),
        TransientError,
        60,
    ),
    "rate in the details": (
        answer("403 Forbidden", {"error": {"details": [{"reason": "RATE_LIMIT_EXCEEDED"}]}}),
        TransientError,
        60,
    ),
    "rate in the status": (
        answer("403 Forbidden", {"error": {"message": "No.", "status": "RESOURCE_EXHAUSTED"}}),
        TransientError,
        60,
    ),
    "rate in a list": (
        answer("403 Forbidden", [{"error": {"errors": [{"reason": "rateLimitExceeded"}]}}]),
        TransientError,
        60,
    ),
    "mail off in the status": (
        answer("400 Bad Request", {"error": {"status": "FAILED_PRECONDITION"}}),
        RouteError,
        None,
    ),
    "an error that is a word": (answer("400 Bad Request", {"error": "invalid_request"}), RejectedError, None),
    "an empty list": (answer("403 Forbidden", []), RouteError, None),
    "errors of the wrong kinds": (
        answer("403 Forbidden", {"error": {"message": 7, "errors": [7, {"reason": []}], "details": "x"}}),
        RouteError,
        None,
    ),
}


@pytest.mark.parametrize(("step", "kind", "wait"), REFUSED.values(), ids=REFUSED.keys())
def test_a_refusal_is_not_sent_and_says_what_comes_next(
    monkeypatch: pytest.MonkeyPatch, tokens: Tokens, step: Any, kind: type[MailerError], wait: float | None
) -> None:
    with HttpScript(step) as server, pytest.raises(kind) as caught:
        send(monkeypatch, server, tokens)
    assert len(server.requests) == 1
    assert type(caught.value) is kind
    assert caught.value.verdict == "not_sent"
    assert caught.value.retry_after == wait
    assert caught.value.hint
    assert caught.value.code.startswith("gmail-")


def test_the_time_in_googles_text_is_waited_for(monkeypatch: pytest.MonkeyPatch, tokens: Tokens) -> None:
    text = "User-rate limit exceeded.  Retry after 2999-01-01T00:00:00.000Z"
    with (
        HttpScript(google_error("429 Too Many", "rateLimitExceeded", text)) as server,
        pytest.raises(TransientError) as caught,
    ):
        send(monkeypatch, server, tokens)
    assert caught.value.retry_after == 7 * 86400


ENABLE = "https://console.developers.google.com/apis/api/gmail.googleapis.com/overview?project=42"


@pytest.mark.parametrize(
    "error",
    [
        {
            "message": f"Gmail API has not been used before. Enable it by visiting {ENABLE} then retry.",
            "errors": [{"reason": "accessNotConfigured"}],
        },
        {
            "message": "Off.",
            "details": [{"reason": "SERVICE_DISABLED", "metadata": {"activationUrl": ENABLE}}],
        },
        {"message": "Off.", "details": [{"links": [{"url": ENABLE}]}, {"reason": "SERVICE_DISABLED"}]},
    ],
)
def test_the_address_where_the_api_is_enabled_is_shown(
    monkeypatch: pytest.MonkeyPatch, tokens: Tokens, error: dict[str, Any]
) -> None:
    with (
        HttpScript(answer("403 Forbidden", {"error": error})) as server,
        pytest.raises(RouteError) as caught,
    ):
        send(monkeypatch, server, tokens)
    assert ENABLE in caught.value.hint
    assert caught.value.text.startswith(error["message"])


def test_control_characters_in_googles_text_are_escaped(
    monkeypatch: pytest.MonkeyPatch, tokens: Tokens
) -> None:
    with (
        HttpScript(google_error("400 Bad Request", "invalid", "no \x1b[31m\x07 way")) as server,
        pytest.raises(RejectedError) as caught,
    ):
        send(monkeypatch, server, tokens)
    assert str(caught.value).isprintable()


def test_a_token_that_is_sent_back_is_not_shown(monkeypatch: pytest.MonkeyPatch, tokens: Tokens) -> None:
    with (
        HttpScript(google_error("403 Forbidden", "forbidden", "Bearer token-0 may not send.")) as server,
        pytest.raises(RouteError) as caught,
    ):
        send(monkeypatch, server, tokens)
    assert caught.value.text == "Bearer *** may not send."
    assert "token-0" not in str(caught.value)


@pytest.mark.parametrize("path", ["/", "/prefix", "/prefix/"])
@pytest.mark.parametrize("large", [False, True], ids=["raw", "upload"])
def test_the_endpoint_may_lie_below_a_path(
    monkeypatch: pytest.MonkeyPatch, tokens: Tokens, path: str, large: bool
) -> None:
    attachments = [Attachment(bytes(2 << 20), filename="big.bin")] if large else []
    envelope, content = render(Message(to="ann@example.com", text="Hi", attachments=attachments), ME)
    with HttpScript(SENT) as server:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", server.url + path)
        with closing(GmailTransport(ME.email, lambda: tokens, timeout=5)) as transport:
            transport.send(envelope, content)
    below = "/upload/gmail/v1/users/me/messages/send" if large else "/gmail/v1/users/me/messages/send"
    assert server.requests[0].path.partition("?")[0] == path.rstrip("/") + below


def test_a_file_that_shrinks_while_it_is_sent_ends_the_send_before_anything_is_accepted(
    monkeypatch: pytest.MonkeyPatch, tokens: Tokens, tmp_path: Path
) -> None:
    file = tmp_path / "log.bin"
    file.write_bytes(bytes(3 << 20))
    message = Message(to="ann@example.com", text="Hi", attachments=[file])
    monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", "http://127.0.0.1:1")
    with HttpScript(SENT) as server:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", server.url)
        envelope, content = render(message, ME)
        file.write_bytes(bytes(1 << 20))
        transport = GmailTransport(ME.email, lambda: tokens, timeout=5)
        with closing(transport), pytest.raises(MessageError):
            transport.send(envelope, content)
    assert server.requests == []


def test_a_recipient_in_the_headers_who_shall_not_get_it_stops_the_send(
    monkeypatch: pytest.MonkeyPatch, tokens: Tokens
) -> None:
    envelope, content = render(Message(to=["ann@example.com", "bob@example.com"], text="Hi"), ME)
    only_ann = Envelope(envelope.sender, envelope.recipients[:1], envelope.named)
    with HttpScript(SENT) as server:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", server.url)
        with pytest.raises(RouteError) as caught:
            GmailTransport(ME.email, lambda: tokens, timeout=5).send(only_ann, content)
    assert caught.value.code == "gmail-partial-recipients"
    assert server.requests == []


def test_a_plain_http_endpoint_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch, tokens: Tokens) -> None:
    monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", "http://gmail.example")
    with pytest.raises(ConfigError) as caught:
        GmailTransport(ME.email, lambda: tokens, timeout=5)
    assert caught.value.code == "endpoint-plain-http"


def test_the_bearer_token_does_not_follow_a_redirect(monkeypatch: pytest.MonkeyPatch, tokens: Tokens) -> None:
    with HttpScript(SENT) as other, HttpScript(answer("307 Moved", Location=other.url)) as server:
        with pytest.raises(TransientError):
            send(monkeypatch, server, tokens)
        assert other.requests == []


def test_threads_share_a_transport(monkeypatch: pytest.MonkeyPatch, tokens: Tokens) -> None:
    with HttpScript(SENT) as server:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", server.url)
        transport = GmailTransport(ME.email, lambda: tokens, timeout=5)
        ids: list[str] = []

        def one(number: int) -> None:
            message = Message(to="ann@example.com", subject=f"n{number}", text="Hi")
            ids.append(transport.send(*render(message, ME)).remote_id)

        threads = [threading.Thread(target=one, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        transport.close()
    assert len(ids) == len(server.requests) == 12
    bodies = {base64.urlsafe_b64decode(json.loads(request.body)["raw"]) for request in server.requests}
    assert len(bodies) == 12


def test_progress_reaches_the_whole_size(monkeypatch: pytest.MonkeyPatch, tokens: Tokens) -> None:
    seen: list[tuple[int, int]] = []
    message = Message(to="ann@example.com", text="Hi", attachments=[Attachment(bytes(2 << 20), filename="b")])
    envelope, content = render(message, ME)
    watched: Content = content.watched(lambda done, total: seen.append((done, total)))
    with HttpScript(SENT) as server:
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", server.url)
        with closing(GmailTransport(ME.email, lambda: tokens, timeout=5)) as transport:
            transport.send(envelope, watched)
    assert len(seen) > 2
    assert seen[-1] == (content.size, content.size)
