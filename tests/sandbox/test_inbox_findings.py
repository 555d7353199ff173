"""What the web inbox finds worth a look in a message, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from oauth_mailer.sandbox import Sandbox

from .mails import ME, PIXEL, by_gmail, get, mail, opened

HTML = '<p>Hello <a href="https://example.com/">Look</a></p>'
MANY = tuple(f"p{n}@example.com" for n in range(5))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


def codes(sandbox: Sandbox, message: EmailMessage | bytes, *to: str) -> list[str]:
    warnings = opened(sandbox, message, *to)["warnings"]
    assert all(one["text"] and one["hint"] for one in warnings)
    return [one["code"] for one in warnings]


def with_picture() -> EmailMessage:
    made = mail(None, '<img src="cid:here" alt="Us"><img src="cid:gone" alt="">')
    made.add_related(PIXEL, "image", "png", cid="<here>")
    return made


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (mail("Hello\n", HTML), []),
        (mail("Hello\n"), []),
        (mail("李雷，你好\n", Subject="你好"), []),
        (mail(None, HTML), ["no-text"]),
        (mail(" \n", HTML), ["no-text"]),
        (mail(Subject=""), ["no-subject"]),
        (mail(Subject=" "), ["no-subject"]),
        (mail("Hello\n", "<img src='cid:a'><img alt='' src='data:x'>"), ["no-alt", "cid-missing"]),
        (with_picture(), ["no-text", "cid-missing"]),
        (mail("x", "<script>1</script><iframe></iframe>"), ["active"]),
        (mail("Hello {{ name }}\n"), ["placeholder"]),
        (mail(Subject="{% if x %}"), ["placeholder"]),
        (mail("x", f"<p>{{{{name}}}}</p>{HTML}"), ["placeholder"]),
        (mail("x", HTML + "<!--" + "x" * 103 * 1024 + "-->"), ["html-clipped"]),
        (mail("x", HTML + "<!--" + "x" * 101 * 1024 + "-->"), []),
        (mail(List_Id="<news.example.com>"), ["no-unsubscribe"]),
        (mail(Precedence="Bulk"), ["no-unsubscribe"]),
        (mail(Precedence="Bulk", List_Unsubscribe="<https://example.com/out>"), []),
        (f"From: {ME}\r\nSubject: x\r\n\r\nH\xe9llo\r\n".encode("latin-1"), ["charset"]),
        (
            f"From: {ME}\r\nSubject: x\r\nContent-Type: text/plain; charset=gb2312\r\n\r\n".encode()
            + "你好\r\n".encode("gbk"),
            [],
        ),
        (
            f"From: {ME}\r\nSubject: x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\nx\r\n".encode(),
            ["mime-broken"],
        ),
    ],
)
def test_a_message_is_looked_at(sandbox: Sandbox, message: EmailMessage | bytes, found: list[str]) -> None:
    assert codes(sandbox, message) == found


def test_one_to_many_needs_a_way_out(sandbox: Sandbox) -> None:
    assert codes(sandbox, mail(), *MANY) == ["no-unsubscribe"]
    assert codes(sandbox, mail(List_Unsubscribe="<mailto:out@example.com>"), *MANY) == []
    assert codes(sandbox, mail(), *MANY[:4]) == []


def codes_by_gmail(sandbox: Sandbox, message: EmailMessage | bytes) -> list[str]:
    received = by_gmail(sandbox, message)
    return [one["code"] for one in get(sandbox, f"/api/messages/{received.id}").json["warnings"]]


def test_a_from_that_is_not_the_account_is_said(sandbox: Sandbox) -> None:
    assert codes_by_gmail(sandbox, mail(From="Me@gmail.com")) == []
    assert codes_by_gmail(sandbox, mail(From="other@example.com")) == ["from-not-account"]


def test_more_than_many_servers_take_is_said(sandbox: Sandbox) -> None:
    head = b"From: me@gmail.com\r\nTo: ann@example.com\r\nSubject: x\r\nContent-Type: application/zip\r\n\r\n"
    assert codes_by_gmail(sandbox, head + b"x" * (25 << 20)) == ["large"]
    assert codes_by_gmail(sandbox, head + b"x" * ((25 << 20) - len(head))) == []


def test_links_are_listed_with_what_is_wrong_with_them(sandbox: Sandbox) -> None:
    links = {
        "https://example.com/?a=1&amp;b=2": "",
        "mailto:ann@example.com": "",
        "tel:+861012345678": "",
        "#below": "",
        "": "empty",
        "#": "empty",
        "javascript:alert(1)": "script",
        " JavaScript:alert(1)": "script",
        "/unsubscribe": "relative",
        "example.com": "relative",
        "https://": "malformed",
        "https://[x/": "malformed",
        "https://example.com/{{ id }}": "unfilled",
    }
    html = "".join(
        f'<a href="{href}">Link <b>{n}</b><img src="data:," alt="!"></a>' for n, href in enumerate(links)
    )
    found = opened(sandbox, mail("x", html + "<a name='top'>no link</a><a>nor this one, which is worse</a>"))
    expected = [
        (href.replace("&amp;", "&").strip(), f"Link {n}!", problem)
        for n, (href, problem) in enumerate(links.items())
    ]
    assert [(one["href"], one["text"].replace(" !", "!"), one["problem"]) for one in found["links"]] == [
        *expected,
        ("", "nor this one, which is worse", "empty"),
    ]
    assert [one["code"] for one in found["warnings"]] == ["links"]


def test_what_is_fetched_from_elsewhere_is_told(sandbox: Sandbox) -> None:
    html = (
        "<style>.a{background:url('https://a.cn/1')}</style><body background='http://a.cn/2'>"
        "<img alt='' src='//a.cn/3' srcset='https://a.cn/4 1x, https://a.cn/5 2x'><p style='background:url(http://a.cn/6)'>"
        "<img alt='' src='data:,'><img alt='' src='cid:x'><a href='https://a.cn/no'>x</a>"
    )
    assert opened(sandbox, mail("x", html))["html"]["remote"] == [
        "//a.cn/3",
        "http://a.cn/2",
        "http://a.cn/6",
        "https://a.cn/1",
        "https://a.cn/4",
        "https://a.cn/5",
    ]


def test_a_preview_is_what_a_phone_shows_of_the_text(sandbox: Sandbox) -> None:
    html = (
        "<html><head><title>No</title><style>p{}</style></head><body>"
        "<div style='display:none'>Soon&zwnj;&nbsp;&shy;</div><p>Hello<br>Ann</p></body></html>"
    )
    assert opened(sandbox, mail("Other", html))["preview"] == "Soon Hello Ann"
    assert opened(sandbox, mail("Hello\n\nAnn"))["preview"] == "Hello Ann"
    assert opened(sandbox, mail("word " * 50))["preview"] == "word " * 17 + "word…"
