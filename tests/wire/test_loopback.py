"""The redirect listener, spoken to as browsers, port scanners and worse do."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from urllib.parse import urlencode, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oauth_mailer.errors import ConfigError
from oauth_mailer.stores import Secret
from oauth_mailer.wire.loopback import Answer, Listener, read_answer

STATE = Secret("state-5tat3")
CODE = "4/0canary-code"
GOOD = "/?" + urlencode({"state": STATE.reveal(), "code": CODE, "scope": "a b"})


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener(STATE, port=0, timeout=60) as made:
        yield made


def port_of(listener: Listener) -> int:
    return urlsplit(listener.redirect_uri).port or 0


def ask(
    listener: Listener, target: str, *, method: str = "GET", host: str = ""
) -> tuple[int, str, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(listener), timeout=30)
    try:
        connection.request(method, target, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers
    finally:
        connection.close()


def test_the_answer_is_taken_and_the_page_waits_for_what_became_of_it(listener: Listener) -> None:
    assert listener.redirect_uri == f"http://127.0.0.1:{port_of(listener)}/"
    with ThreadPoolExecutor(1) as pool:
        browser = pool.submit(ask, listener, GOOD)
        assert listener.wait() == Answer(Secret(CODE))
        assert not browser.done()
        listener.show("All <good>", "First\n$ a --command <x>", good=True)
        status, text, headers = browser.result(30)
    assert status == 200
    assert "All &lt;good&gt;" in text
    assert "<code>a --command &lt;x&gt;</code>" in text
    assert CODE not in text
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_what_is_to_be_typed_or_opened_is_set_off_in_the_page(listener: Listener) -> None:
    with ThreadPoolExecutor(1) as pool:
        browser = pool.submit(ask, listener, GOOD)
        listener.wait()
        lines = (
            "Run: oauth-mailer login <me>",
            "请运行：oauth-mailer login me",
            'See https://a.example/x?y=1&z="<2>. Then javascript:alert(1).',
            "Run: oauth-mailer login me, and allow it.",
        )
        listener.show("Not yet", "\n".join(lines), good=False)
        _status, text, _headers = browser.result(30)
    assert "<p>Run:</p>\n<code>oauth-mailer login &lt;me&gt;</code>" in text
    assert "<p>请运行：</p>\n<code>oauth-mailer login me</code>" in text
    link = "https://a.example/x?y=1&amp;z=&quot;"
    assert f'<a href="{link}" rel="noreferrer">{link}</a>&lt;2&gt;. Then javascript:alert(1).' in text
    assert "<p>Run: oauth-mailer login me, and allow it.</p>" in text


def test_a_failure_after_the_answer_is_what_the_page_shows(listener: Listener) -> None:
    with ThreadPoolExecutor(1) as pool:
        browser = pool.submit(ask, listener, GOOD)
        listener.wait()
        listener.show("Not this time", "The reason.", good=False)
        listener.show("All good", "A later word does not count.", good=True)
        status, text, _headers = browser.result(30)
    assert status == 400
    assert "Not this time" in text
    assert "All good" not in text


@pytest.mark.parametrize(
    ("target", "method", "host", "status"),
    [
        ("/favicon.ico", "GET", "", 404),
        ("/robots.txt", "GET", "", 404),
        ("/", "GET", "", 400),
        (GOOD, "POST", "", 405),
        (GOOD, "HEAD", "", 405),
        (GOOD, "GET", "evil.example", 421),
        (GOOD, "GET", "127.0.0.1", 421),
        ("//evil.example/" + GOOD, "GET", "", 404),
        ("/?" + urlencode({"state": "another", "code": CODE}), "GET", "", 400),
        ("/?" + urlencode({"code": CODE}), "GET", "", 400),
        ("/?" + urlencode({"state": STATE.reveal()}), "GET", "", 400),
        ("/?" + urlencode({"state": STATE.reveal(), "code": ""}), "GET", "", 400),
        ("/?" + urlencode({"error": "access_denied"}), "GET", "", 400),
        (GOOD + "&code=second", "GET", "", 400),
        (GOOD + "&state=second", "GET", "", 400),
        (GOOD + "&error=access_denied", "GET", "", 400),
        (GOOD + "&x=1" * 100, "GET", "", 400),
    ],
)
def test_what_is_no_answer_to_this_login_changes_nothing(
    listener: Listener, target: str, method: str, host: str, status: int
) -> None:
    assert ask(listener, target, method=method, host=host)[0] == status
    assert not listener.done.is_set()
    with ThreadPoolExecutor(1) as pool:
        browser = pool.submit(ask, listener, GOOD)
        assert listener.wait() == Answer(Secret(CODE))
        listener.show("Good", "", good=True)
        assert browser.result(30)[0] == 200


@pytest.mark.parametrize("shape", ["absolute", "followed", "with many cookies", "octet by octet"])
def test_the_answer_is_taken_in_whatever_shape_it_comes(listener: Listener, shape: str) -> None:
    host = f"127.0.0.1:{port_of(listener)}"
    target = f"http://{host}{GOOD}" if shape == "absolute" else GOOD
    more = "Cookie: " + "a" * 100_000 + "\r\n" if shape == "with many cookies" else ""
    request = f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode()
    if shape == "followed":
        request += f"GET /favicon.ico HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port_of(listener)), 30) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in (bytes([octet]) for octet in request) if shape == "octet by octet" else (request,):
            sock.sendall(part)
        assert listener.wait() == Answer(Secret(CODE))
        listener.show("Good", "", good=True)
        assert sock.recv(12) == b"HTTP/1.1 200"


def test_connections_that_say_nothing_or_nonsense_keep_nobody_from_answering(listener: Listener) -> None:
    with ExitStack() as stack:
        for first in (b"", b"\r", b"GET /", b"\x16\x03\x01\x02\x00" * 40, b"A" * 70_000, b"\x00\r\n\r\n"):
            for _number in range(25):
                sock = stack.enter_context(socket.create_connection(("127.0.0.1", port_of(listener)), 30))
                try:
                    sock.sendall(first)
                except OSError:
                    continue  # it was shown the door already
        with ThreadPoolExecutor(1) as pool:
            browser = pool.submit(ask, listener, GOOD)
            assert listener.wait() == Answer(Secret(CODE))
            listener.show("Good", "", good=True)
            assert browser.result(30)[0] == 200


def test_a_replay_is_shown_the_outcome_of_the_first_and_changes_nothing(listener: Listener) -> None:
    second = "/?" + urlencode({"state": STATE.reveal(), "code": "another-code"})
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, listener, GOOD)
        listener.wait()
        again = pool.submit(ask, listener, second)
        listener.show("Good", "", good=True)
        assert first.result(30)[0] == again.result(30)[0] == 200
    assert listener.answer == Answer(Secret(CODE))


def test_a_denial_is_an_answer_too(listener: Listener) -> None:
    with ThreadPoolExecutor(1) as pool:
        browser = pool.submit(
            ask, listener, "/?" + urlencode({"state": STATE.reveal(), "error": "access_denied"})
        )
        assert listener.wait() == Answer(Secret(""), "access_denied")
        listener.show("Denied", "", good=False)
        assert browser.result(30)[0] == 400


def test_the_end_of_the_time_is_the_end_of_waiting() -> None:
    with Listener(STATE, port=0, timeout=0.01) as listener:
        assert listener.wait() is None
        assert listener.done.is_set()


def test_who_still_waits_when_the_login_ends_is_told_so() -> None:
    with ThreadPoolExecutor(1) as pool:
        with Listener(STATE, port=0, timeout=60) as listener:
            browser = pool.submit(ask, listener, GOOD)
            listener.wait()
        status, text, _headers = browser.result(30)
    assert status == 400
    assert "The login has ended" in text
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port_of(listener)), 5)


def test_it_listens_on_this_machine_only(listener: Listener) -> None:
    assert listener._socket.getsockname()[0] == "127.0.0.1"


def test_a_port_that_somebody_has_is_an_error_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=str(port)) as caught, Listener(STATE, port=port, timeout=1):
            raise AssertionError
    assert caught.value.code == "port-taken"
    assert "--port" in caught.value.hint


def test_a_port_may_be_named_and_had_again_at_once() -> None:
    with Listener(STATE, port=0, timeout=60) as listener:
        port = port_of(listener)
        ask(listener, "/")
    for _number in range(3):
        with Listener(STATE, port=port, timeout=60) as listener:
            ask(listener, "/")
            assert listener.redirect_uri == f"http://127.0.0.1:{port}/"


@pytest.mark.parametrize("wrap", ["{}", " {} \n", "<{}>", '"{}"'])
def test_the_pasted_address_is_taken_as_people_paste_it(listener: Listener, wrap: str) -> None:
    assert not listener.take("")
    assert not listener.take("https://example.com/")
    assert not listener.take(wrap.format(listener.redirect_uri + "?state=other&code=x"))
    assert not listener.done.is_set()
    assert listener.take(wrap.format(listener.redirect_uri + GOOD[1:]))
    assert listener.wait() == Answer(Secret(CODE))


@pytest.mark.parametrize("part", [GOOD[2:], GOOD[1:], GOOD, "localhost:1" + GOOD])
def test_the_end_of_the_address_is_enough(listener: Listener, part: str) -> None:
    assert listener.take(part)
    assert listener.answer == Answer(Secret(CODE))


@pytest.mark.parametrize(
    "text", ["http://[", "http://[::1/?code=a", "http://\u2100/?code=a&state=b", "", "\0"]
)
def test_what_is_pasted_and_is_no_address_is_no_answer(listener: Listener, text: str) -> None:
    assert not listener.take(text)
    assert listener.take(listener.redirect_uri + GOOD[1:])


def test_the_first_of_browser_and_paste_counts(listener: Listener) -> None:
    listener.take(GOOD)
    listener.take(GOOD.replace("canary", "other"))
    assert listener.answer == Answer(Secret(CODE))


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
@settings(deadline=None)
def test_no_query_crashes_the_reader_and_none_without_the_state_is_believed(query: str) -> None:
    assert read_answer(query, STATE) is None


def test_twenty_browsers_at_once_are_all_answered(listener: Listener) -> None:
    with ThreadPoolExecutor(20) as pool:
        browsers = [pool.submit(ask, listener, GOOD) for _number in range(20)]
        listener.wait()
        listener.show("Good", "", good=True)
        assert [one.result(30)[0] for one in browsers] == [200] * 20


def test_leaving_without_an_answer_leaves_no_thread_behind() -> None:
    with Listener(STATE, port=0, timeout=60) as listener:
        idle = socket.create_connection(("127.0.0.1", port_of(listener)), 5)
    idle.close()
    assert "oauth-mailer-consent" not in [thread.name for thread in threading.enumerate()]
