"""The web inbox against pages of other sites, and against messages that mean it ill."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest

from oauth_mailer.sandbox import Sandbox

from .application import ask
from .mails import ME, by_smtp, get, mail, opened

HEAD = f"From: {ME}\r\nTo: ann@example.com\r\n".encode()
PATHS = (
    "/",
    "/inbox/page.js",
    "/api/messages",
    "/api/messages/0",
    "/api/messages/0/raw",
    "/api/log",
    "/api/plan",
    "/api/events",
)


@pytest.fixture(scope="module")
def started() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


@pytest.fixture
def sandbox(started: Sandbox) -> Sandbox:
    started.clear()
    return started


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:80",
        "127.0.0.1@evil.example",
        "a@127.0.0.1",
        "[::2]",
        "",
        "localhost:x",
        "localhost/x",
    ],
)
def test_a_name_that_is_not_this_machines_is_told_nothing(sandbox: Sandbox, host: str) -> None:
    for path in PATHS:
        refused = get(sandbox, path, Host=host)
        assert (refused.status, refused.json["error"]["code"]) == (403, "foreign-host"), path
    assert ask(f"{sandbox.inbox_url}api/messages", method="DELETE", headers={"Host": host}).status == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:4000", "[::1]:4000", "LOCALHOST"])
def test_this_machines_names_are_answered_through_whatever_port(sandbox: Sandbox, host: str) -> None:
    assert get(sandbox, "/api/messages", Host=host).status == 200


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},  # another port of this machine
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_page_of_another_site_reads_nothing_and_changes_nothing(
    sandbox: Sandbox, headers: dict[str, str]
) -> None:
    by_smtp(sandbox, mail())
    url = sandbox.inbox_url
    body = json.dumps({"smtp": "451"}).encode()
    tries = [
        ask(f"{url}api/messages", method="DELETE", headers=headers),
        ask(f"{url}api/plan", body=body, headers={"Content-Type": "application/json", **headers}),
        *(ask(url.rstrip("/") + path, headers=headers) for path in PATHS if path != "/"),
    ]
    for answer in tries:
        assert (answer.status, answer.json["error"]["code"]) == (403, "foreign-site")
    assert len(sandbox.messages) == 1
    assert get(sandbox, "/api/plan").json["plans"]["smtp"] == "ok"


def test_what_a_form_of_another_site_can_send_is_no_plan(sandbox: Sandbox) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        refused = ask(f"{sandbox.inbox_url}api/plan", body=b'{"smtp": "451"}', headers={"Content-Type": kind})
        assert (refused.status, refused.json["error"]["code"]) == (415, "not-json")
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "DELETE"}
    preflight = ask(f"{sandbox.inbox_url}api/messages", method="OPTIONS", headers=asked)
    assert preflight.status == 405
    assert not [name for name in preflight.headers if name.startswith("Access-Control")]
    assert get(sandbox, "/api/plan").json["plans"]["smtp"] == "ok"


class Loads(HTMLParser):
    """All that a page runs or fetches."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts: list[dict[str, str | None]] = []
        self.urls: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        assert tag != "style"
        assert not [name for name in values if name == "style" or name.startswith("on")]
        self.urls += [value for name, value in attrs if name in ("src", "href") and value]
        if tag == "script":
            self.scripts.append(values)


def test_the_page_runs_its_own_files_only(sandbox: Sandbox) -> None:
    page = get(sandbox, "/")
    found = Loads(page.text)
    assert found.scripts == [
        {"type": "application/json", "id": "data"},
        {"type": "module", "src": "/inbox/page.js"},
    ]
    assert {url.partition("/inbox/")[0] for url in found.urls} == {""}
    policy = page.headers["Content-Security-Policy"].split("; ")
    for rule in (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "trusted-types 'none'",
    ):
        assert rule in policy
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    for path in ("/", "/api/messages", "/api/nothing", "/inbox/page.js"):
        headers = get(sandbox, path).headers
        if path != "/api/nothing":
            assert (headers["X-Frame-Options"], headers["X-Content-Type-Options"]) == ("DENY", "nosniff")
            assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in headers


def test_html_that_means_ill_is_shown_where_it_can_do_nothing(sandbox: Sandbox) -> None:
    html = (
        '<!doctype html><html><head><base href="https://evil.example/">'
        '<link rel="preconnect" href="https://evil.example">'
        '<meta http-equiv="refresh" content="0;url=https://evil.example">'
        "<li<link>nk rel=preconnect href=//evil.example></head>"
        '<body onload="alert(1)"><script>alert(1)</script><img src="http://evil.example/x.png" alt="">'
        '<form action="/api/plan"></form><iframe title=">" src="https://evil.example"></iframe></body></html>'
    )
    found = opened(sandbox, mail(None, html))
    assert found["html"]["remote"] == ["http://evil.example/x.png"]
    frame = get(sandbox, found["html"]["url"])
    rules = dict(rule.partition(" ")[::2] for rule in frame.headers["Content-Security-Policy"].split("; "))
    assert rules["default-src"] == "'none'"
    assert "script-src" not in rules
    assert "connect-src" not in rules
    assert set(rules["sandbox"].split()) == {"allow-popups", "allow-popups-to-escape-sandbox"}
    assert (rules["frame-ancestors"], rules["form-action"]) == ("'self'", "'none'")
    sources = rules["img-src"].split()
    assert sources == ["data:", f"{sandbox.inbox_url}api/messages/{found['id']}/pictures/"]
    # What a policy does not reach.
    assert not re.search(r"<\s*(link|meta|iframe)", frame.text, re.IGNORECASE)
    assert re.findall(r"<base[^>]*>", frame.text) == ['<base target="_blank">']
    assert frame.text.startswith("<!doctype html>")
    wider = get(sandbox, f"{found['html']['url']}?remote=1").headers["Content-Security-Policy"]
    assert f"img-src {' '.join(sources)} https: http:; " in wider


def test_what_looks_like_markup_stays_text(sandbox: Sandbox) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    found = opened(sandbox, mail(evil, Subject=evil, From=f'"{evil}" <{ME}>'))
    assert (found["subject"], found["text"]) == (evil, evil + "\n")
    listed = get(sandbox, "/api/messages")
    assert listed.headers["Content-Type"] == "application/json; charset=utf-8"
    assert evil not in get(sandbox, "/").text


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("../../x", "x"),
        (r"..\..\x.txt", "x.txt"),
        ("/etc/passwd", "passwd"),
        ("con.txt", "_con.txt"),
        ("a\u202etxt.exe", "a_txt.exe"),
        ('a"; filename="b', "a_; filename=_b"),
        ("..", "attachment"),
        (".bashrc", "bashrc"),
        ("报" * 300 + ".pdf", "报" * 48 + ".pdf"),
        ("100%.txt", "100_.txt"),
    ],
)
def test_an_attachment_is_saved_as_a_file_and_never_shown(sandbox: Sandbox, name: str, saved: str) -> None:
    message = mail()
    message.add_attachment(b"<script>alert(1)</script>", "text", "html", filename=name)
    [attachment] = opened(sandbox, message)["attachments"]
    assert (attachment["name"], attachment["saved_as"]) == (name[:300], saved)
    answer = get(sandbox, attachment["url"])
    assert answer.body == b"<script>alert(1)</script>"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    kind, plain, encoded = re.fullmatch(
        r'(\w+); filename="([^"\\]*)"; filename\*=UTF-8\'\'(\S*)', answer.headers["Content-Disposition"]
    ).groups()  # type: ignore[union-attr]
    assert (kind, unquote(encoded)) == ("attachment", saved)
    assert plain.isascii()


def test_a_picture_with_a_script_in_it_is_no_page_of_ours(sandbox: Sandbox) -> None:
    message = mail(None, '<img src="cid:x" alt=""><img src="cid:y" alt="">')
    message.add_related(
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "image",
        "svg+xml",
        cid="<x>",
    )
    message.add_related(b"<script>alert(1)</script>", "text", "html", cid="<y>")
    found = opened(sandbox, message)
    assert "cid:y" in get(sandbox, found["html"]["url"]).text
    path = f"/api/messages/{found['id']}/pictures"
    assert get(sandbox, f"{path}/0").headers["Content-Security-Policy"].endswith("; sandbox")
    for number in ("1", "2", "-1", "x", "99999", "1e9"):
        assert get(sandbox, f"{path}/{number}").status == 404


def deep(levels: int) -> bytes:
    opening = b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(levels)
    )
    return opening + b"\r\nHello\r\n"


BROKEN = {
    "nothing": b"",
    "no body": b"Subject: x\r\n",
    "garbage": b"Subject: x\r\n\r\n" + bytes(range(1, 10)) + b"\xff\xfe\x80 \xc3\x28" * 50 + b"\r\n",
    "a multipart without its boundary": b"Content-Type: multipart/mixed; boundary=x\r\n\r\nHello\r\n",
    "a multipart that names none": b"Content-Type: multipart/mixed\r\n\r\n--x\r\n\r\nHello\r\n--x--\r\n",
    "a multipart that does not end": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nHello\r\n",
    "nested deeply": deep(60),
    "nested much too deeply": deep(2000),
    "very many parts": b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n'
    + b"--x\r\n\r\na\r\n" * 3000
    + b"--x--\r\n",
    "base64 that is none": b"Content-Transfer-Encoding: base64\r\n\r\n!!!=\xff=A\r\n",
    "an unknown transfer encoding": b"Content-Transfer-Encoding: x-none\r\n\r\nHello\r\n",
    "an unknown charset": b"Content-Type: text/plain; charset=x-none\r\n\r\nH\xe9llo\r\n",
    "a charset that is none": b'Content-Type: text/html; charset="rot13"\r\n\r\nHello\r\n',
    "a charset that is slow": b"Content-Type: text/plain; charset=punycode\r\n\r\n" + b"a" * 900 + b"\r\n",
    "encoded words that are none": b"Subject: =?utf-8?b?!!!?= =?x?q?a?= =?utf-8?q?=ff?=\r\n\r\nHello\r\n",
    "a name in odd parts": b"Content-Type: application/x; name*0*=utf-8''%FF; name*x=1; name*9=z\r\n"
    b"Content-Disposition: attachment; filename*=x''%\r\n\r\nx\r\n",
    "markup that does not end": b"Content-Type: text/html\r\n\r\n<![x<!--<a href='" + b"<" * 300 + b"\r\n",
    "a declaration that nobody knows": b"Content-Type: text/html\r\n\r\n<a href=x>y</a><![unknown[<!x\r\n",
    "a message in a message in a message": (b"Content-Type: message/rfc822\r\n\r\n" * 200)
    + b"Subject: x\r\n\r\nHello\r\n",
}


@pytest.mark.parametrize("rest", BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_shown_all_the_same(sandbox: Sandbox, rest: bytes) -> None:
    data = HEAD + rest
    found = opened(sandbox, data)
    assert get(sandbox, found["raw"]).body == data
    assert {"name": "To", "value": "ann@example.com"} in found["headers"]
    urls = [one["url"] for one in found["attachments"][:3]] + (
        [found["html"]["url"]] if found["html"] else []
    )
    assert all(get(sandbox, url).status == 200 for url in urls)
    if b"Hello" in rest and "nested too deeply" not in str(found["warnings"]):
        seen = json.dumps(
            [
                found["text"],
                found["attachments"],
                get(sandbox, found["html"]["url"]).text if found["html"] else "",
            ]
        )
        assert "Hello" in seen or found["attachments"]
    assert get(sandbox, "/api/messages").json["messages"][0]["id"] == found["id"]


def test_whatever_is_changed_in_a_message_it_can_be_opened(sandbox: Sandbox) -> None:
    message = mail("Hello\n", '<p>Hi <a href="https://x.cn">there</a> <img src="cid:a"></p>')
    message.add_attachment(b"\x00\x01" * 40, "image", "png", cid="<a>", filename="a.png")
    whole = message.as_bytes(policy=message.policy.clone(linesep="\r\n"))
    body = whole[whole.index(b"MIME-Version") :]
    chance = random.Random(20240229)
    damaged = []
    for _ in range(150):
        data = bytearray(body)
        for _ in range(chance.randrange(1, 12)):
            at = chance.randrange(len(data))
            match chance.randrange(4):
                case 0:
                    data[at] = chance.choice(b'\xff\x80<>"=;:/-?a')
                case 1:
                    del data[at : at + chance.randrange(1, 30)]
                case 2:
                    data[at:at] = data[: chance.randrange(1, 60)]
                case _:
                    data[at:at] = chance.choice(
                        [b"--", b"\r\n\r\n", b"=?", b"charset=", b"*0*=", b"<!--", b"&#x", b"%"]
                    )
        # Inside a part, where no server looks.
        lines = bytes(data).replace(b"\r", b"").replace(b"\n", b"\r\n")
        damaged.append(
            HEAD
            + b"Content-Type: multipart/mixed; boundary=out\r\n\r\n--out\r\n"
            + lines
            + b"\r\n--out--\r\n"
        )
    by_smtp(sandbox, *damaged)
    for one in get(sandbox, "/api/messages").json["messages"]:
        assert get(sandbox, f"/api/messages/{one['id']}").status == 200


def test_a_header_of_enormous_size_is_shown_in_part(sandbox: Sandbox) -> None:
    folded = b"\r\n ".join([b"x" * 900] * 300)
    found = opened(sandbox, HEAD + b"Subject: " + folded + b"\r\nX-Last: yes\r\n\r\nHello\r\n")
    assert len(found["subject"]) == 300
    [subject] = [one["value"] for one in found["headers"] if one["name"] == "Subject"]
    assert len(subject) == 20_000
    assert found["headers"][-1] == {"name": "X-Last", "value": "yes"}
    assert len(get(sandbox, "/api/messages").body) < 2000


def test_a_text_of_enormous_size_is_shown_in_part(sandbox: Sandbox) -> None:
    found = opened(sandbox, HEAD + b"\r\n" + (b"x" * 98 + b"\r\n") * 10_000)
    assert (found["text_cut"], len(found["text"])) == (True, 500_000)
    assert found["sizes"]["text"] == 1_000_000
    assert urlsplit(found["raw"]).path == found["raw"]
