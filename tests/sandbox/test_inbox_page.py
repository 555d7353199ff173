"""The web inbox as programs see it: what it tells, and whom it tells nothing."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from oauth_mailer.sandbox import Event, Sandbox, known_steps
from oauth_mailer.sandbox.inbox import Inbox
from oauth_mailer.sandbox.inbox_page import InboxPage
from oauth_mailer.sandbox.inbox_page.stream import Stream
from oauth_mailer.sandbox.plan import Plan

from .application import Answer, ask
from .mails import ME, PIXEL, by_gmail, by_smtp, get, mail, opened

JSON = {"Content-Type": "application/json"}
FILES = ("page.css", "page.js", "parts.js", "list.js", "message.js", "check.js", "faults.js", "icon.svg")


@pytest.fixture(scope="module")
def started() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


@pytest.fixture
def sandbox(started: Sandbox) -> Sandbox:
    """One with nothing in it, in which all is well."""
    started.clear()
    started.plan(smtp="ok", gmail="ok", token="ok")
    return started


def post(sandbox: Sandbox, path: str, value: object, headers: dict[str, str] = JSON) -> Answer:
    return ask(sandbox.inbox_url.rstrip("/") + path, body=json.dumps(value).encode(), headers=headers)


class Events:
    """Server-sent events, as they come."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        self._connection.request("GET", "/api/events")
        self._answer = self._connection.getresponse()
        assert self._answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"

    def next(self, wanted: str = "") -> Any:
        """The next event, or the next of this name: its name if any was wanted, and what it tells."""
        name = ""
        while line := self._answer.readline().decode():
            if line.startswith("event: "):
                name = line.removeprefix("event: ").rstrip("\n")
            if line.startswith("data: ") and wanted in ("", name):
                value = json.loads(line.removeprefix("data: "))
                return value if wanted else (name, value)
        raise EOFError

    def close(self) -> None:
        self._answer.close()
        self._connection.close()


@contextmanager
def events(sandbox: Sandbox) -> Iterator[Events]:
    stream = Events(sandbox.inbox_url)
    try:
        yield stream
    finally:
        stream.close()


def test_what_arrived_is_listed_newest_first_and_says_who_is_hidden_from_the_others(sandbox: Sandbox) -> None:
    by_smtp(
        sandbox,
        mail(Subject="季度报告", Cc="Bob@example.com"),
        to=("ann@example.com", "bob@example.com", "boss@x.cn"),
    )
    api = by_gmail(sandbox, mail(From="me@gmail.com", Bcc="boss@x.cn", Subject="Second"))
    listed = get(sandbox, "/api/messages").json
    assert listed["total"] == 2
    second, first = listed["messages"]
    assert (first["subject"], first["route"], first["sender"], first["from"]) == (
        "季度报告",
        "smtp",
        ME,
        f"Me <{ME}>",
    )
    assert [(one["address"], one["bcc"]) for one in first["recipients"]] == [
        ("ann@example.com", False),
        ("bob@example.com", False),
        ("boss@x.cn", True),
    ]
    assert (second["id"], second["route"], second["account"]) == (api.id, "gmail", "me@gmail.com")
    assert (second["size"], second["at"][:19]) == (len(api.data), api.at.isoformat()[:19])
    assert [(one["address"], one["bcc"]) for one in second["recipients"]] == [
        ("ann@example.com", False),
        ("boss@x.cn", True),
    ]
    assert get(sandbox, "/api/messages?limit=1").json == {"messages": [second], "total": 2}
    assert get(sandbox, "/api/messages?limit=-1").status == 400


def test_a_message_is_taken_apart(sandbox: Sandbox) -> None:
    message = mail(
        "Hello Ann\n",
        '<p style="display:none">Big news</p><a href="https://x.cn/a">Look</a><img src="cid:logo" alt="Us">',
    )
    message.get_payload()[1].add_related(PIXEL, "image", "png", cid="<logo>", filename="logo.png")  # type: ignore[index, union-attr]
    message.add_attachment("a,b\n", subtype="csv", filename="报告.csv")
    message.add_attachment(mail(Subject="Inner"))
    found = opened(sandbox, message)
    [received] = sandbox.messages
    assert (found["text"], found["text_cut"]) == ("Hello Ann\n", False)
    assert found["preview"] == "Big news Look Us"
    assert {"name": "Subject", "value": "Hi"} in found["headers"]
    assert found["links"] == [{"href": "https://x.cn/a", "text": "Look", "problem": ""}]
    assert found["warnings"] == []
    logo, table, inner = found["attachments"]
    assert (logo["name"], logo["media_type"], logo["inline"], logo["size"]) == (
        "logo.png",
        "image/png",
        True,
        len(PIXEL),
    )
    assert (table["name"], table["inline"]) == ("报告.csv", False)
    assert inner["media_type"] == "message/rfc822"
    saved = get(sandbox, table["url"])
    assert saved.body == b"a,b\r\n"
    assert saved.headers["Content-Type"] == "application/octet-stream"
    assert (
        saved.headers["Content-Disposition"]
        == "attachment; filename=\"__.csv\"; filename*=UTF-8''%E6%8A%A5%E5%91%8A.csv"
    )
    assert b"Subject: Inner\r\n" in get(sandbox, inner["url"]).body
    assert get(sandbox, found["raw"]).body == received.data
    assert found["sizes"]["total"] == len(received.data)
    html = get(sandbox, found["html"]["url"]).text
    [picture] = re.findall(r'src="([^"]*)"', html)
    shown = get(sandbox, picture, Sec_Fetch_Site="cross-site")  # the frame is of no origin
    assert (shown.body, shown.headers["Content-Type"]) == (PIXEL, "image/png")
    # Of other attachments none is shown, whatever the address.
    assert get(sandbox, f"/api/messages/{found['id']}/pictures/1").status == 404


def test_all_is_forgotten_when_asked_to(sandbox: Sandbox) -> None:
    found = opened(sandbox, mail())
    with events(sandbox) as stream:
        assert ask(f"{sandbox.inbox_url}api/messages", method="DELETE").status == 204
        assert stream.next("cleared") == {}
    assert (sandbox.messages, sandbox.events, sandbox.counts["smtp.auth"]) == ([], [], 0)
    assert get(sandbox, "/api/messages").json == {"messages": [], "total": 0}
    assert get(sandbox, "/api/log").json == {"events": []}
    for path in (f"/api/messages/{found['id']}", found["raw"], f"/api/messages/{found['id']}/html"):
        gone = get(sandbox, path)
        assert (gone.status, gone.json["error"]["code"]) == (404, "not-found")


def test_what_happens_is_told_as_it_happens(sandbox: Sandbox) -> None:
    with events(sandbox) as stream, events(sandbox) as another:
        assert stream.next() == ("plans", {"smtp": "ok", "gmail": "ok", "token": "ok"})
        sandbox.plan(smtp="451,ok")
        assert stream.next("plans")["smtp"] == "451,ok"
        with pytest.raises(smtplib.SMTPDataError):
            by_smtp(sandbox, mail())
        assert stream.next()[1]["what"] == "login"
        name, refused = stream.next()
        assert (name, refused["what"], refused["accepted"], refused["step"]) == (
            "happened",
            "message",
            False,
            "451",
        )
        assert refused["text"].startswith("451 ")
        assert stream.next("plans")["smtp"] == "ok"
        by_smtp(sandbox, mail(Subject="Live"))
        arrived = stream.next("arrived")
        assert arrived == get(sandbox, "/api/messages").json["messages"][0]
        assert another.next("arrived") == arrived
    logged = get(sandbox, "/api/log").json["events"]
    assert [(one["what"], one["accepted"]) for one in logged[:3]] == [
        ("message", True),
        ("login", True),
        ("message", False),
    ]


def test_who_listens_is_let_go_when_the_sandbox_stops() -> None:
    with Sandbox() as sandbox, events(sandbox) as stream:
        assert stream.next("plans")
        sandbox.stop()
        with pytest.raises(EOFError):
            stream.next("arrived")


def test_a_reader_that_is_too_slow_is_told_to_ask_anew() -> None:
    """More happens than is kept for it, before it has its turn."""

    async def main() -> list[tuple[str, str]]:
        inbox = Inbox()
        ok = Plan("x", "ok", {}, end="end")
        stream = Stream(inbox, {"smtp": ok, "gmail": ok, "token": ok}, lambda _message: {})
        application = web.Application()
        application.add_routes([web.get("/", stream.serve)])
        runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            reader, writer = await asyncio.open_connection(*runner.addresses[0], limit=1 << 20)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"event: plans")
            for number in range(1500):
                inbox.note(Event(server="smtp", what=f"command {number}", accepted=True))
            told = await reader.readuntil(b"command 1499")
            writer.close()
            await writer.wait_closed()
            return re.findall(r"event: (\w+)|command (\d+)", told.decode())
        finally:
            await runner.cleanup()

    found = asyncio.run(asyncio.wait_for(main(), 60))
    assert found[0] == ("reset", "")
    assert [number for _name, number in found if number] == [str(number) for number in range(1000, 1500)]


def test_plans_are_read_and_changed(sandbox: Sandbox) -> None:
    found = get(sandbox, "/api/plan").json
    assert found == {"plans": {"smtp": "ok", "gmail": "ok", "token": "ok"}, "steps": known_steps()}
    with events(sandbox) as stream:
        stream.next("plans")
        answer = post(sandbox, "/api/plan", {"smtp": "451, ok", "token": "503"})
        assert answer.json == {"plans": {"smtp": "451,ok", "gmail": "ok", "token": "503"}}
        assert stream.next("plans") == answer.json["plans"]
    with pytest.raises(smtplib.SMTPDataError, match="451"):
        by_smtp(sandbox, mail())
    by_smtp(sandbox, mail())
    assert get(sandbox, "/api/plan").json["plans"] == {"smtp": "ok", "gmail": "ok", "token": "503"}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"smtp": "451", "gmail": "nonsense"}, "sandbox-step-unknown"),
        ({"smtp": "451", "imap": "ok"}, "plan"),
        ({"smtp": ["451"]}, "plan"),
        (["451"], "plan"),
        ("451", "plan"),
    ],
)
def test_a_plan_that_is_not_right_changes_nothing(sandbox: Sandbox, value: object, code: str) -> None:
    refused = post(sandbox, "/api/plan", value)
    assert (refused.status, refused.json["error"]["code"]) == (400, code)
    assert get(sandbox, "/api/plan").json["plans"] == {"smtp": "ok", "gmail": "ok", "token": "ok"}
    if code == "sandbox-step-unknown":
        assert "It knows: ok, " in refused.json["error"]["hint"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_no_plan(sandbox: Sandbox, body: bytes) -> None:
    refused = ask(f"{sandbox.inbox_url}api/plan", body=body, headers=JSON)
    assert (refused.status, refused.json["error"]["code"]) == (400, "plan")


def test_it_speaks_the_language_of_who_asks(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OAUTH_MAILER_LANG")
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    well = known_steps()["smtp"]["ok"]
    for asked, language in [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("de-DE,zh;q=0.9", "zh-CN"),
        ("de-DE, en-GB;q=0.9", "en"),
        ("", "en"),
    ]:
        page = get(sandbox, "/", Accept_Language=asked).text
        assert f'<html lang="{language}">' in page
        told = get(sandbox, "/api/plan", Accept_Language=asked).json["steps"]["smtp"]["ok"]
        assert (told == well) == (language == "en")
    # The variable was set by a person, the browser's language perhaps not.
    monkeypatch.setenv("OAUTH_MAILER_LANG", "en")
    assert '<html lang="en">' in get(sandbox, "/", Accept_Language="zh-CN").text


def test_the_page_says_where_to_send_to(sandbox: Sandbox) -> None:
    [data] = re.findall(r'<script type="application/json" id="data">(.*)</script>', get(sandbox, "/").text)
    told = json.loads(data)
    server = sandbox.smtp
    assert told["settings"] == {
        "gmail_endpoint": sandbox.gmail_endpoint,
        "smtp": {
            "host": server.host,
            "port": server.port,
            "starttls_port": server.starttls_port,
            "ca_file": str(server.ca_file),
        },
        "code": sandbox.code,
    }
    assert told["steps"] == known_steps()


def test_every_text_that_the_page_asks_for_is_there(sandbox: Sandbox) -> None:
    page = get(sandbox, "/").text
    assert "{{" not in page
    texts = json.loads(re.findall(r'id="data">(.*)</script>', page)[0])["texts"]
    wanted = set()
    for name in FILES:
        script = get(sandbox, f"/inbox/{name}")
        assert script.status == 200
        wanted |= set(re.findall(r'\b(?:t|line|row)\("(\w+)"', script.text))
    assert wanted
    assert wanted - texts.keys() == set()
    assert get(sandbox, "/inbox/page.html").status == 404
    assert get(sandbox, "/inbox/..%2f__init__.py").status == 404


def test_the_page_of_the_manual_names_every_request(sandbox: Sandbox) -> None:
    text = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text("utf-8")
    named = set(re.findall(r"^\| `(GET|POST|DELETE) (/api/[^`?]*)", text, re.MULTILINE))
    page = InboxPage(Inbox(), {}, dict)
    served = {
        (route.method, route.path.replace("{id}", "ID").replace("{number}", "N"))
        for route in page.routes()
        if route.path.startswith("/api/") and not route.path.endswith("/pictures/{number}")
    }
    assert named == served
    example = re.findall(r'`(\{"smtp": [^`]*)`', text)
    assert [post(sandbox, "/api/plan", json.loads(one)).status for one in example] == [200]
