"""Large mail: alone, behind its JSON, and in parts, by plain HTTP and by Google's own client."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from oauth_mailer.sandbox import Sandbox
from oauth_mailer.sandbox.uploads import MOST_OCTETS

from .application import SEND, Answer, Application, ask

PATH = "/upload/gmail/v1/users/me/messages/send"
HEAD = b"To: ann@example.com\r\nSubject: hi\r\n\r\n"
UNIT = 256 * 1024


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as started:
        yield started


@pytest.fixture
def token(sandbox: Sandbox) -> str:
    return str(Application(sandbox).tokens()["access_token"])


class Uploader:
    def __init__(self, sandbox: Sandbox, token: str) -> None:
        self.root = sandbox.gmail_endpoint
        self.token = token

    def post(self, query: str, body: bytes, kind: str, *, path: str = PATH, **headers: str) -> Answer:
        given = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(f"{self.root}{path}?uploadType={query}", body=body, headers=given)

    def begin(self, **headers: str) -> str:
        answer = self.post("resumable", b"", "application/json", **headers)
        assert answer.status == 200, answer.text
        assert answer.body == b""
        return answer.headers["Location"]

    def put(self, location: str, body: bytes, content_range: str = "") -> Answer:
        headers = {"Content-Range": content_range} if content_range else {}
        return ask(location, method="PUT", body=body, headers=headers)


@pytest.fixture
def uploader(sandbox: Sandbox, token: str) -> Uploader:
    return Uploader(sandbox, token)


def test_a_message_alone_is_kept_octet_by_octet(uploader: Uploader, sandbox: Sandbox) -> None:
    data = HEAD + bytes(range(256)) * 3000 + b"\r\n--x--\r\n"
    answer = uploader.post("media", data, "message/rfc822")
    assert answer.json["id"] == sandbox.messages[0].id
    assert sandbox.messages[0].data == data


def test_the_largest_message_is_taken_and_one_octet_more_is_not(uploader: Uploader, sandbox: Sandbox) -> None:
    data = HEAD + b"x" * (MOST_OCTETS - len(HEAD))
    assert uploader.post("media", data, "message/rfc822").status == 200
    assert sandbox.messages[0].data == data
    sandbox.clear()
    answer = uploader.post("media", data + b"x", "message/rfc822")
    assert (answer.status, answer.reason) == (413, "uploadTooLarge")
    assert not sandbox.messages


@pytest.mark.parametrize(
    ("query", "kind", "reason"),
    [
        ("media", "application/octet-stream", "badContent"),
        ("media", "application/json", "badContent"),
        ("multipart", "message/rfc822", "badContent"),
        ("multipart", "multipart/related", "badRequest"),
        ("multipart", "multipart/related; boundary=x", "badRequest"),
        ("", "message/rfc822", "badRequest"),
        ("pigeon", "message/rfc822", "badRequest"),
    ],
)
def test_an_upload_of_another_kind_is_refused(uploader: Uploader, query: str, kind: str, reason: str) -> None:
    answer = uploader.post(query, HEAD, kind)
    assert (answer.status, answer.reason) == (400, reason)


def related(metadata: bytes, data: bytes, *, end: bytes = b"\r\n", kind: bytes = b"message/rfc822") -> bytes:
    lines = [
        b"--b",
        b"Content-Type: application/json; charset=UTF-8",
        b"",
        metadata,
        b"--b",
        b"Content-Type: " + kind,
        b"",
        data,
        b"--b--",
        b"",
    ]
    return end.join(lines)


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("tail", [b"hi", b"hi\r\n", b"\r\n\r\n", b"a\r\n--bb\r\n--b-\r\n \n"])
def test_behind_its_json_a_message_loses_no_octet(
    uploader: Uploader, sandbox: Sandbox, end: bytes, tail: bytes
) -> None:
    body = related(b"{}", HEAD + tail, end=end)
    assert uploader.post("multipart", body, 'multipart/related; boundary="b"').status == 200
    assert sandbox.messages[0].data == HEAD + tail


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (related(b"[]", HEAD), "parseError"),
        (related(b"{}", HEAD, kind=b"text/plain"), "badContent"),
        (related(b"{}", HEAD).replace(b"application/json", b"text/json"), "badRequest"),
        (related(b"{}", HEAD).removesuffix(b"--b--\r\n"), "badRequest"),
        (related(b"{}", HEAD, kind=b"message/rfc822\r\nContent-Transfer-Encoding: base64"), "badRequest"),
        (b"--b\r\nContent-Type: application/json\r\n--b\r\n\r\n\r\n--b--", "badRequest"),
    ],
)
def test_a_multipart_upload_that_is_none_is_refused(uploader: Uploader, body: bytes, reason: str) -> None:
    answer = uploader.post("multipart", body, "multipart/related; boundary=b")
    assert (answer.status, answer.reason) == (400, reason)


@pytest.mark.parametrize("path", [PATH, "/resumable" + PATH])
def test_an_upload_in_parts_is_put_together(
    uploader: Uploader, sandbox: Sandbox, token: str, path: str
) -> None:
    data = HEAD + b"x" * UNIT
    answer = uploader.post(
        "resumable",
        b"{}",
        "application/json",
        path=path,
        X_Upload_Content_Type="message/rfc822",
        X_Upload_Content_Length=str(len(data)),
    )
    location = answer.headers["Location"]
    assert token not in location
    question = uploader.put(location, b"", f"bytes */{len(data)}")
    assert (question.status, question.headers.get("Range")) == (308, None)
    part = uploader.put(location, data[:UNIT], f"bytes 0-{UNIT - 1}/{len(data)}")
    assert (part.status, part.headers["Range"]) == (308, f"bytes=0-{UNIT - 1}")
    assert not sandbox.messages
    assert sandbox.counts["gmail.post"] == 0
    last = uploader.put(location, data[UNIT:], f"bytes {UNIT}-{len(data) - 1}/{len(data)}")
    assert last.json["id"] == sandbox.messages[0].id
    assert sandbox.messages[0].data == data
    assert sandbox.counts["gmail.post"] == 1
    assert uploader.put(location, b"", "bytes */*").status == 404


def test_an_upload_may_come_in_one_part(uploader: Uploader, sandbox: Sandbox) -> None:
    assert uploader.put(uploader.begin(), HEAD).status == 200
    assert sandbox.messages[0].data == HEAD


def test_the_end_may_be_told_late(uploader: Uploader, sandbox: Sandbox) -> None:
    location, data = uploader.begin(), HEAD + b"x" * (UNIT - len(HEAD))
    assert uploader.put(location, data, f"bytes 0-{UNIT - 1}/*").status == 308
    assert uploader.put(location, b"", f"bytes */{UNIT}").status == 200
    assert sandbox.messages[0].data == data


@pytest.mark.parametrize(
    ("body", "content_range"),
    [
        (b"1234", "bytes 0-3/8"),  # no whole unit
        (b"1234", "bytes 1-4/8"),
        (b"1234", "bytes 0-4/5"),
        (b"1234", "bytes 0-3/4"),  # announced as 8
        (b"1234", "bytes */8"),
        (b"1234", ""),
        (b"1234", "lines 1-2/3"),
    ],
)
def test_a_part_that_does_not_fit_is_refused(
    uploader: Uploader, sandbox: Sandbox, body: bytes, content_range: str
) -> None:
    answer = uploader.put(uploader.begin(X_Upload_Content_Length="8"), body, content_range)
    assert (answer.status, answer.reason) == (400, "badRequest")
    assert not sandbox.messages


def test_an_upload_is_judged_when_it_begins(uploader: Uploader) -> None:
    def begin(**headers: str) -> tuple[int, str]:
        answer = uploader.post("resumable", b"", "application/json", **headers)
        return answer.status, answer.reason

    assert begin(X_Upload_Content_Type="text/plain") == (400, "badContent")
    assert begin(X_Upload_Content_Length=str(MOST_OCTETS + 1)) == (413, "uploadTooLarge")
    assert begin(X_Upload_Content_Length="many") == (400, "badRequest")
    assert begin(Authorization="Bearer none") == (401, "authError")
    assert uploader.put(f"{uploader.root}{PATH}?upload_id=none", HEAD).status == 404


@pytest.fixture
def service(sandbox: Sandbox, token: str) -> Iterator[Any]:
    from google.auth.transport.requests import AuthorizedSession
    from google.oauth2.credentials import Credentials
    from googleapiclient.discovery import build
    from httplib2 import Response

    session = AuthorizedSession(Credentials(token=token))

    class Carrier:
        """Google's client sends uploads to https, whatever endpoint it was given: this leads them back."""

        def close(self) -> None:
            session.close()

        def request(
            self, uri: str, method: str = "GET", body: Any = None, headers: Any = None, **_more: Any
        ) -> Any:
            url = uri.replace("https://127.0.0.1", "http://127.0.0.1")
            answer = session.request(method, url, body, headers, allow_redirects=False)
            return Response({**answer.headers, "status": str(answer.status_code)}), answer.content

    options = {"api_endpoint": sandbox.gmail_endpoint}
    with build("gmail", "v1", http=Carrier(), client_options=options, static_discovery=True) as built:
        yield built.users().messages()


def media(data: bytes, **how: Any) -> Any:
    from googleapiclient.http import MediaInMemoryUpload

    return MediaInMemoryUpload(data, "message/rfc822", **how)


def test_googles_own_client_is_understood_by_every_way(service: Any, sandbox: Sandbox) -> None:
    data = HEAD + bytes(range(256)) * 3000 + b"\r\n"
    raw = base64.urlsafe_b64encode(data).decode()
    ways: list[dict[str, Any]] = [
        {"body": {"raw": raw}},
        {"media_body": media(data)},
        {"media_body": media(data, resumable=True)},
        {"media_body": media(data, resumable=True, chunksize=UNIT)},
    ]
    answers = [service.send(userId="me", **way).execute() for way in ways]
    assert [answer["id"] for answer in answers] == [message.id for message in sandbox.messages]
    assert {message.data for message in sandbox.messages} == {data}
    assert sandbox.counts["gmail.post"] == len(ways)

    sandbox.clear()
    data = HEAD + b"line\r\n" * 100  # by its multipart way that client sends ASCII only
    thread = answers[0]["threadId"]
    answer = service.send(userId="me", media_body=media(data), body={"threadId": thread}).execute()
    assert answer["threadId"] == thread
    assert sandbox.messages[0].data == data


def test_googles_own_client_reads_the_refusals(service: Any) -> None:
    from googleapiclient.errors import HttpError

    with pytest.raises(HttpError, match="Recipient address required") as caught:
        service.send(userId="me", media_body=media(b"Subject: x\r\n\r\n")).execute()
    assert caught.value.status_code == 400
    assert caught.value.error_details[0]["reason"] == "invalidArgument"


def test_googles_own_login_library_gets_its_tokens(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    from google.auth.transport.requests import Request
    from google_auth_oauthlib.flow import Flow

    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    application = Application(sandbox)
    flow = Flow.from_client_config(
        sandbox.client_secrets, [SEND], redirect_uri=application.redirect_uri, autogenerate_code_verifier=True
    )
    url, state = flow.authorization_url(access_type="offline", prompt="consent")
    answer = ask(url)
    from .application import Form

    found = application.redirected(application.submit(Form(answer.text)))
    assert found["state"] == state
    flow.fetch_token(code=found["code"])
    credentials = flow.credentials
    first = credentials.token
    credentials.refresh(Request())
    assert credentials.token != first
    assert credentials.granted_scopes == [SEND]
    flow.oauth2session.close()
