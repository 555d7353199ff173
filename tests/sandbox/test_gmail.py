"""The Gmail API: what it accepts and keeps, what it refuses and in which words, and how it can fail."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException

import pytest

from oauth_mailer.sandbox import Sandbox

from .application import SEND, SEND_PATH, Answer, Application, ask

MAIL = b"From: me@gmail.com\r\nTo: ann@example.com\r\nSubject: =?utf-8?b?5L2g5aW9?=\r\n\r\nHello\r\n"


class Client:
    """Sends by plain HTTP."""

    def __init__(self, sandbox: Sandbox, *, scope: str = SEND) -> None:
        self.sandbox = sandbox
        self.token = Application(sandbox).tokens(scope=scope)["access_token"]

    def post(
        self, body: bytes, kind: str = "application/json", *, path: str = SEND_PATH, **headers: str
    ) -> Answer:
        given = {"Authorization": f"Bearer {self.token}", "Content-Type": kind} | headers
        return ask(self.sandbox.gmail_endpoint + path, body=body, headers=given)

    def send(self, data: bytes) -> Answer:
        return self.post(json.dumps({"raw": urlsafe_b64encode(data).decode()}).encode())


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as started:
        yield started


@pytest.fixture
def client(sandbox: Sandbox) -> Client:
    return Client(sandbox)


def test_a_message_is_accepted_and_kept_octet_by_octet(client: Client, sandbox: Sandbox) -> None:
    data = MAIL + bytes(range(256)) + b"\n.\r\n..\r"
    answer = client.send(data)
    assert answer.status == 200
    [received] = sandbox.wait_for(1)
    assert answer.json == {"id": received.id, "threadId": received.id, "labelIds": ["SENT"]}
    assert received.data == data
    assert received.route == "gmail"
    assert received.account == received.sender == "me@gmail.com"
    assert received.recipients == ("ann@example.com",)
    assert sandbox.counts["gmail.post"] == sandbox.counts["gmail.accepted"] == 1


@pytest.mark.parametrize("data", [MAIL, MAIL + b">>>???", MAIL + b"\xff\xfe\xfd"])
def test_either_alphabet_is_understood_with_and_without_padding(
    client: Client, sandbox: Sandbox, data: bytes
) -> None:
    for encode in (b64encode, urlsafe_b64encode):
        for padding in ("", "="):
            raw = encode(data).decode()
            answer = client.post(json.dumps({"raw": raw if padding else raw.rstrip("=")}).encode())
            assert answer.status == 200
    assert [message.data for message in sandbox.messages] == [data] * 4


def test_everybody_named_gets_it_once_and_nobody_sees_the_blind_ones(
    client: Client, sandbox: Sandbox
) -> None:
    head = (
        b"Bcc: boss@example.com,\r\n second@example.com\r\n"
        b'To: "Ann, the first" <ann@example.com>, ANN@example.com, Team: bob@example.com, c@example.com;\r\n'
        b"Cc: =?utf-8?b?5p2O6Zu3?= <lilei@qq.com>\r\nSubject: hi\r\n"
    )
    assert client.send(head + b"\r\nBcc: not a header\r\n").status == 200
    [received] = sandbox.messages
    assert set(received.recipients) == {
        "boss@example.com",
        "second@example.com",
        "ANN@example.com",
        "bob@example.com",
        "c@example.com",
        "lilei@qq.com",
    }
    assert b"boss" not in received.delivered
    assert b"second" not in received.delivered
    assert received.delivered.startswith(b"To: ")
    assert received.delivered.endswith(b"\r\nSubject: hi\r\n\r\nBcc: not a header\r\n")


def test_an_address_in_utf8_is_a_recipient(client: Client, sandbox: Sandbox) -> None:
    assert client.send("To: 李雷 <李雷@例子.测试>\r\n\r\nhi".encode()).status == 200
    assert sandbox.messages[0].recipients == ("李雷@例子.测试",)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"From: me@gmail.com\r\nSubject: nobody\r\n\r\nhi", "Recipient address required"),
        (b"To: undisclosed-recipients:;\r\n\r\nhi", "Recipient address required"),
        (b"\r\nTo: ann@example.com\r\n\r\n", "Recipient address required"),
        (b"To: ann\r\n\r\nhi", "Invalid To header"),
        (b"To: <>\r\n\r\nhi", "Invalid To header"),
        (b"To: ann@example.com <x@example.com>\r\n\r\nhi", "Invalid To header"),
        (b"To: ann@example.com bob@example.com\r\n\r\nhi", "Invalid To header"),
        (b"To: a@example.com\r\nCc: alice@a)bob@b\r\n\r\nhi", "Invalid Cc header"),
        (b"To: a@example.com\r\nBcc: @\r\n\r\nhi", "Invalid Bcc header"),
        (b"From: me\r\nTo: a@example.com\r\n\r\nhi", "Invalid From header"),
        (b"To: a@example.com\r\nTo: b@example.com\r\n\r\nhi", "Multiple To headers."),
        (b"Subject: a\r\nTo: a@example.com\r\nSubject: b\r\n\r\nhi", "Multiple Subject headers."),
        (b"To: a@example.com\r\nno header\r\n\r\nhi", "Invalid header."),
        (b" folded\r\nTo: a@example.com\r\n\r\nhi", "Invalid header."),
        (b"To: \xff@example.com\r\n\r\nhi", "The header is neither ASCII nor UTF-8."),
        (
            b"To: " + b", ".join(b"%d@example.com" % n for n in range(101)) + b"\r\n\r\n",
            "Too many recipients",
        ),
    ],
)
def test_a_message_that_cannot_be_delivered_is_refused(
    client: Client, sandbox: Sandbox, data: bytes, message: str
) -> None:
    answer = client.send(data)
    assert (answer.status, answer.reason) == (400, "invalidArgument")
    assert answer.json["error"]["status"] == "INVALID_ARGUMENT"
    assert answer.json["error"]["message"] == message
    assert not sandbox.messages
    assert sandbox.counts["gmail.refused"] == 1


def test_a_hundred_recipients_are_not_too_many(client: Client, sandbox: Sandbox) -> None:
    everybody = b", ".join(b"%d@example.com" % number for number in range(100))
    assert client.send(b"To: " + everybody + b"\r\n\r\n").status == 200
    assert len(sandbox.messages[0].recipients) == 100


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "invalidArgument"),
        (b"{}", "invalidArgument"),
        (b'{"raw": ""}', "invalidArgument"),
        (b'{"raw": 1}', "badRequest"),
        (b'{"raw": "a"}', "badRequest"),
        (b'{"raw": "a b c d"}', "badRequest"),
        (b'{"raw": "=a=="}', "badRequest"),
        ('{"raw": "你好"}'.encode(), "badRequest"),
        (b'{"raw": "YQ", "threadId": 5}', "badRequest"),
        (b"[]", "parseError"),
        (b"{", "parseError"),
        (b"\xff", "parseError"),
        (b"[" * 100_000, "parseError"),
    ],
)
def test_json_that_is_no_message_is_refused(client: Client, body: bytes, reason: str) -> None:
    answer = client.post(body)
    assert (answer.status, answer.reason) == (400, reason)


def test_a_body_of_another_type_is_refused(client: Client) -> None:
    assert client.post(MAIL, "message/rfc822").reason == "badContent"


def test_a_thread_must_be_one_of_this_account(client: Client) -> None:
    raw = urlsafe_b64encode(MAIL).decode()
    thread = client.send(MAIL).json["threadId"]
    answer = client.post(json.dumps({"raw": raw, "threadId": thread}).encode())
    assert answer.json["threadId"] == thread != answer.json["id"]
    assert client.post(json.dumps({"raw": raw, "threadId": "0" * 16}).encode()).status == 404


@pytest.mark.parametrize("value", ["", "Bearer ", "Basic YTpi", "Bearer ya29.unknown"])
def test_who_shows_no_good_token_is_refused(client: Client, sandbox: Sandbox, value: str) -> None:
    body = json.dumps({"raw": urlsafe_b64encode(MAIL).decode()}).encode()
    answer = client.post(body, Authorization=value)
    assert answer.status == 401
    assert answer.json["error"]["status"] == "UNAUTHENTICATED"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert not sandbox.messages


def test_a_token_in_the_address_is_none(client: Client, sandbox: Sandbox) -> None:
    body = json.dumps({"raw": urlsafe_b64encode(MAIL).decode()}).encode()
    path = f"{SEND_PATH}?access_token={client.token}"
    assert client.post(body, path=path, Authorization="").status == 401


def test_an_expired_and_a_revoked_token_are_refused(client: Client, sandbox: Sandbox) -> None:
    other = Client(sandbox)
    sandbox.expire_access_tokens()
    assert (client.send(MAIL).status, client.send(MAIL).reason) == (401, "authError")
    assert other.send(MAIL).status == 401
    fresh = Client(sandbox)
    assert fresh.send(MAIL).status == 200
    sandbox.revoke_tokens()
    assert fresh.send(MAIL).status == 401


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ("openid email", 403),
        ("https://www.googleapis.com/auth/gmail.readonly", 403),
        (SEND, 200),
        ("https://mail.google.com/", 200),
        ("https://www.googleapis.com/auth/gmail.compose", 200),
        ("https://www.googleapis.com/auth/gmail.modify openid", 200),
    ],
)
def test_the_scope_must_allow_sending(sandbox: Sandbox, scope: str, status: int) -> None:
    answer = Client(sandbox, scope=scope).send(MAIL)
    assert answer.status == status
    if status == 403:
        assert answer.reason == "insufficientPermissions"


@pytest.mark.parametrize(
    ("user", "status"), [("me", 200), ("me@gmail.com", 200), ("ME%40gmail.com", 200), ("ann@gmail.com", 403)]
)
def test_only_the_accounts_own_mailbox_sends(client: Client, user: str, status: int) -> None:
    body = json.dumps({"raw": urlsafe_b64encode(MAIL).decode()}).encode()
    answer = client.post(body, path=SEND_PATH.replace("me", user, 1))
    assert answer.status == status
    if status == 403:
        assert answer.reason == "delegationDenied"


@pytest.mark.parametrize(
    ("step", "status", "reason"),
    [
        ("401", 401, "authError"),
        ("403-rateLimitExceeded", 403, "rateLimitExceeded"),
        ("403-userRateLimitExceeded", 403, "userRateLimitExceeded"),
        ("403-dailyLimitExceeded", 403, "dailyLimitExceeded"),
        ("403-domainPolicy", 403, "domainPolicy"),
        ("403-accessNotConfigured", 403, "accessNotConfigured"),
        ("400-failedPrecondition", 400, "failedPrecondition"),
        ("429", 429, "rateLimitExceeded"),
        ("429-retry-after", 429, "rateLimitExceeded"),
        ("500", 500, "backendError"),
        ("503", 503, "backendError"),
    ],
)
def test_a_planned_refusal_comes_once_in_googles_form_and_keeps_nothing(
    step: str, status: int, reason: str
) -> None:
    with Sandbox(gmail=f"{step},ok") as sandbox:
        client = Client(sandbox)
        answer = client.send(MAIL)
        assert (answer.status, answer.reason) == (status, reason)
        assert answer.headers.get("Retry-After") == ("30" if step == "429-retry-after" else None)
        assert ("https://console.developers.google.com/" in answer.text) == (reason == "accessNotConfigured")
        assert not sandbox.messages
        assert client.send(MAIL).status == 200
        assert len(sandbox.messages) == 1


@pytest.mark.parametrize(
    ("step", "status", "body", "kept"),
    [
        ("502", 502, b"<!doctype html>", 0),
        ("accept-html", 200, b"<!doctype html>", 1),
        ("accept-truncated", 200, b'{"id": "', 1),
        ("accept-503", 503, b"{", 1),
    ],
)
def test_an_answer_can_hide_whether_the_message_was_accepted(
    step: str, status: int, body: bytes, kept: int
) -> None:
    with Sandbox(gmail=step) as sandbox:
        answer = Client(sandbox).send(MAIL)
        assert answer.status == status
        assert answer.body.startswith(body)
        assert len(sandbox.messages) == kept


@pytest.mark.parametrize(("step", "kept"), [("close", 0), ("accept-close", 1)])
def test_the_connection_can_close_without_an_answer(step: str, kept: int) -> None:
    with Sandbox(gmail=step) as sandbox:
        client = Client(sandbox)
        with pytest.raises((HTTPException, ConnectionError)):
            client.send(MAIL)
        assert sandbox.counts["gmail.post"] == 1
        assert len(sandbox.messages) == kept


@contextmanager
def stopping_after(sandbox: Sandbox, event: str) -> Iterator[None]:
    """Stop the sandbox as soon as this happened, from beside whoever waits for its answer."""
    from threading import Thread

    def run() -> None:
        sandbox.wait_for_event(event, 1)
        sandbox.stop()

    thread = Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.mark.parametrize(
    ("step", "event", "kept"), [("hang", "gmail.fault", 0), ("accept-hang", "gmail.accepted", 1)]
)
def test_an_answer_can_stay_out_until_the_sandbox_stops(step: str, event: str, kept: int) -> None:
    with Sandbox(gmail=step) as sandbox:
        client = Client(sandbox)
        with stopping_after(sandbox, event), pytest.raises((HTTPException, ConnectionError)):
            client.send(MAIL)
        assert len(sandbox.messages) == kept


def test_what_is_refused_for_itself_uses_up_no_step(client: Client) -> None:
    with Sandbox(gmail="503,ok") as sandbox:
        client = Client(sandbox)
        assert client.send(b"Subject: nobody\r\n\r\n").status == 400
        assert client.post(b"{}", Authorization="Bearer old").status == 401
        assert client.send(MAIL).status == 503
        assert client.send(MAIL).status == 200
