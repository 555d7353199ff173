from __future__ import annotations

import gzip
import os
import socket
import ssl
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import suppress

import pytest
import trustme

from oauth_mailer.errors import OutcomeUnknown, RouteError, TransientError
from oauth_mailer.wire.one_post import Answer, PostClient
from tests.support import http_script
from tests.support.http_script import HttpScript, answer


class Octets:
    """A body of several blocks."""

    def __init__(self, *blocks: bytes) -> None:
        self.blocks = blocks

    def __len__(self) -> int:
        return sum(map(len, self.blocks))

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.blocks)


@pytest.fixture
def client() -> Iterator[PostClient]:
    client = PostClient(timeout=5)
    yield client
    client.close()


def post(client: PostClient, url: str, *blocks: bytes) -> Answer:
    return client.post(f"{url}/x?y=1", {"X-Test": "1"}, Octets(*(blocks or (b"hello ", b"world"))))


def test_a_request_arrives_as_it_was_given_and_its_answer_comes_back(client: PostClient) -> None:
    with HttpScript(answer("201 Created", b"done", X_Kind="a")) as server:
        got = post(client, server.url)
    assert (got.status, got.reason, got.body, got.headers["x-kind"]) == (201, "Created", b"done", "a")
    assert got.whole
    request = server.requests[0]
    assert (request.method, request.path, request.body) == ("POST", "/x?y=1", b"hello world")
    assert request.headers["x-test"] == "1"


def test_the_connection_is_kept_for_the_next_request(client: PostClient) -> None:
    with HttpScript(answer()) as server:
        post(client, server.url)
        post(client, server.url)
    assert (len(server.requests), server.connections) == (2, 1)


def test_a_client_that_nobody_holds_any_more_closes_its_connections() -> None:
    parted = threading.Event()

    def last(exchange: http_script.Exchange) -> bool:
        answer()(exchange)
        assert exchange.sock.recv(1) == b""
        parted.set()
        return False

    with HttpScript(last) as server:
        post(PostClient(timeout=5), server.url)
        assert parted.wait(10)


def test_a_kept_connection_that_the_server_closed_is_noticed_before_anything_is_risked(
    client: PostClient,
) -> None:
    with HttpScript(http_script.close_when_idle, answer()) as server:
        post(client, server.url)
        (kept,) = next(iter(client._idle.values()))
        kept.sock.settimeout(5)
        assert kept.sock.recv(1, socket.MSG_PEEK) == b""  # waits for the server's end to arrive
        assert post(client, server.url).status == 200
    assert (len(server.requests), server.connections) == (2, 2)


@pytest.mark.parametrize(
    "step",
    [
        http_script.close,
        http_script.raw(b"HTTP/1.1 2"),
        http_script.raw(b"\0\0"),
        http_script.raw(b"\x1b[2JHTTP/1.1 200 OK\r\n\r\n"),
        http_script.raw(b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    ],
)
def test_a_server_that_takes_the_request_and_gives_no_answer_sees_it_once_and_the_outcome_is_unknown(
    client: PostClient, step: http_script.Step
) -> None:
    with HttpScript(step) as server, pytest.raises(OutcomeUnknown) as caught:
        post(client, server.url)
    assert len(server.requests) == 1
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("interim", ["100 Continue", "102 Processing", "103 Early Hints"])
def test_what_comes_before_the_answer_is_not_taken_for_it(client: PostClient, interim: str) -> None:
    first = f"HTTP/1.1 {interim}\r\nLink: </x>\r\n\r\n".encode()
    with HttpScript(http_script.raw(first * 3 + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as server:
        got = post(client, server.url)
    assert (got.status, got.body) == (200, b"ok")


UNASKED = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"


def test_an_answer_that_comes_unasked_is_not_taken_for_that_to_the_next_request(client: PostClient) -> None:
    idle = threading.Event()

    def unasked(exchange: http_script.Exchange) -> bool:
        answer(body=b"first")(exchange)
        idle.wait(10)
        exchange.sock.sendall(UNASKED)
        return True

    with HttpScript(unasked, answer(body=b"second")) as server:
        assert post(client, server.url).body == b"first"
        idle.set()
        (kept,) = next(iter(client._idle.values()))
        kept.sock.settimeout(5)
        assert kept.sock.recv(1, socket.MSG_PEEK)  # waits for it to arrive
        assert post(client, server.url).body == b"second"


def test_what_comes_after_an_answer_ends_the_connection(client: PostClient) -> None:
    first = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst"

    def glued(exchange: http_script.Exchange) -> bool:
        exchange.read_all()
        exchange.sock.sendall(first + UNASKED[:-9])
        return True

    with HttpScript(glued, answer(body=b"second")) as server:
        assert post(client, server.url).body == b"first"
        assert post(client, server.url).body == b"second"
    assert server.connections == 2


FORKS = """
import os, sys
from oauth_mailer.wire.one_post import PostClient

class Body(list):
    def __len__(self):
        return sum(map(len, self))

client = PostClient(timeout=30)
client.post(sys.argv[1], {}, Body([b"parent"]))
if (child := os.fork()) == 0:
    os._exit(client.post(sys.argv[1], {}, Body([b"child"])).status != 200)
assert os.waitpid(child, 0)[1] == 0
client.post(sys.argv[1], {}, Body([b"parent"]))
client.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_child_has_a_connection_of_its_own() -> None:
    with HttpScript(answer()) as server:
        subprocess.run([sys.executable, "-c", FORKS, server.url], check=True, timeout=60)
    assert [request.body for request in server.requests] == [b"parent", b"child", b"parent"]
    assert server.connections == 2


def test_a_server_that_hangs_is_left_after_the_time_out_and_the_outcome_is_unknown() -> None:
    client = PostClient(timeout=0.3)
    with HttpScript(http_script.hang) as server, pytest.raises(OutcomeUnknown, match="time-out"):
        post(client, server.url)
    assert len(server.requests) == 1


def test_an_answer_that_drips_for_ever_ends_with_the_time_out() -> None:
    def drip(exchange: http_script.Exchange) -> bool:
        exchange.read_all()
        exchange.sock.sendall(b"HTTP/1.1 200 OK\r\n")
        while not exchange.server.stopping.wait(0.02):
            exchange.sock.sendall(b"X-A: b\r\n"[:1])
        return False

    client = PostClient(timeout=0.5)
    with HttpScript(drip) as server, pytest.raises(OutcomeUnknown):
        post(client, server.url)
    assert len(server.requests) == 1


def test_a_connection_that_breaks_before_the_body_was_complete_proves_that_nothing_was_sent(
    client: PostClient,
) -> None:
    block = b"x" * (1 << 20)
    with HttpScript(http_script.reset_midway) as server, pytest.raises(TransientError) as caught:
        post(client, server.url, *[block] * 64)
    assert caught.value.code == "connection-lost"
    assert server.requests == []


def test_an_answer_before_the_whole_request_had_left_is_read_and_marked(client: PostClient) -> None:
    block = b"x" * (1 << 20)
    gate = threading.Event()

    def early(exchange: http_script.Exchange) -> bool:
        exchange.sock.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        exchange.sock.shutdown(socket.SHUT_RD)
        gate.wait(10)
        return False

    class Blocked(Octets):
        def __iter__(self) -> Iterator[bytes]:
            yield block
            gate.set()
            yield from [block] * 63

    with HttpScript(early) as server:
        got = client.post(f"{server.url}/x", {}, Blocked(*[block] * 64))
    assert (got.status, got.taken) == (503, False)
    assert server.requests == []


def test_what_a_body_raises_breaks_the_request_off(client: PostClient) -> None:
    class Breaks(Octets):
        def __iter__(self) -> Iterator[bytes]:
            yield b"hello "
            raise LookupError("changed")

    with HttpScript(answer()) as server, pytest.raises(LookupError):
        client.post(f"{server.url}/x", {}, Breaks(b"hello ", b"world"))
    assert server.requests == []


def test_nobody_there_is_proven_not_sent(client: PostClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(TransientError) as caught:
        post(client, f"http://127.0.0.1:{port}")
    assert caught.value.code == "connect"


def test_an_unknown_name_is_proven_not_sent(client: PostClient) -> None:
    with pytest.raises(TransientError) as caught:
        post(client, "https://no-such-host.invalid")
    assert caught.value.code == "dns"


def test_a_redirect_is_returned_and_not_followed(client: PostClient) -> None:
    with HttpScript(answer()) as other, HttpScript(answer("307 Moved", Location=other.url)) as server:
        assert post(client, server.url).status == 307
    assert other.requests == []


def test_a_truncated_answer_is_marked(client: PostClient) -> None:
    with HttpScript(http_script.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{")) as server:
        got = post(client, server.url)
    assert (got.status, got.body, got.whole) == (200, b"{", False)


@pytest.mark.parametrize("size", [b"-5", b"-1", b"zz", b"f" * 40])
def test_a_chunk_of_an_impossible_size_is_a_broken_answer(client: PostClient, size: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with HttpScript(http_script.raw(head + size + b"\r\n{}\r\n0\r\n\r\n")) as server:
        got = post(client, server.url)
    assert (got.status, got.whole) == (200, False)


@pytest.mark.parametrize("coding", ["Identity", "br", "utf-8"])
def test_an_answer_that_is_not_packed_as_it_says_is_read_as_it_is(client: PostClient, coding: str) -> None:
    with HttpScript(answer(body=b'{"id": "1"}', Content_Encoding=coding)) as server:
        assert post(client, server.url).body == b'{"id": "1"}'


def test_an_address_without_a_path_is_that_of_the_root(client: PostClient) -> None:
    with HttpScript(answer()) as server:
        client.post(server.url, {}, Octets(b"x"))
    assert server.requests[0].path == "/"


def test_the_repr_of_an_answer_shows_nothing_that_may_be_secret(client: PostClient) -> None:
    with HttpScript(answer(body={"access_token": "ya29.canary"}, Set_Cookie="canary")) as server:
        assert "canary" not in repr(post(client, server.url))


def test_an_endless_answer_is_cut(client: PostClient) -> None:
    with HttpScript(answer(body=b"x" * (3 << 20))) as server:
        got = post(client, server.url)
    assert (len(got.body), got.whole) == (1 << 20, False)


def test_a_packed_answer_is_unpacked_and_a_bomb_is_not(client: PostClient) -> None:
    small, bomb = gzip.compress(b'{"id": "1"}'), gzip.compress(bytes(50 << 20))
    steps = [answer(body=data, Content_Encoding="gzip") for data in (small, bomb)]
    with HttpScript(*steps) as server:
        assert post(client, server.url).body == b'{"id": "1"}'
        got = post(client, server.url)
    assert (len(got.body), got.whole) == (1 << 20, False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def _tls_server(authority: trustme.CA, name: str, received: list[bytes], *replies: bytes) -> socket.socket:
    """Answers each request with the next of the replies, the last of a connection being the empty one."""
    left = list(replies or (OK,))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    listener = socket.create_server(("127.0.0.1", 0))

    def talk(secure: ssl.SSLSocket) -> None:
        while left and left[0]:
            request = b""
            while not request.endswith(b"world"):
                if not (data := secure.recv(65536)):
                    return
                received.append(data)
                request += data
            secure.sendall(left.pop(0))
        del left[:1]
        while secure.recv(65536):  # it is the client that closes
            continue

    def serve() -> None:
        while left:
            sock, _ = listener.accept()
            try:
                with context.wrap_socket(sock, server_side=True) as secure:
                    talk(secure)
            except OSError:
                sock.close()
                return

    threading.Thread(target=serve, daemon=True).start()
    return listener


def test_a_trusted_certificate_is_accepted_by_ssl_cert_file(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    received: list[bytes] = []
    with authority.cert_pem.tempfile() as ca_file, _tls_server(authority, "localhost", received) as listener:
        monkeypatch.setenv("SSL_CERT_FILE", ca_file)
        client = PostClient(timeout=5)
        got = post(client, f"https://localhost:{listener.getsockname()[1]}")
        client.close()
    assert (got.status, got.body) == (200, b"ok")


@pytest.mark.parametrize(("name", "trusted"), [("localhost", False), ("other.example", True)])
def test_a_certificate_that_is_not_trusted_or_for_another_name_gets_no_octet(
    authority: trustme.CA, name: str, trusted: bool
) -> None:
    received: list[bytes] = []
    with authority.cert_pem.tempfile() as ca_file, _tls_server(authority, name, received) as listener:
        client = PostClient(timeout=5, ca_file=ca_file if trusted else "")
        with pytest.raises(RouteError) as caught:
            post(client, f"https://localhost:{listener.getsockname()[1]}")
    assert caught.value.code == "tls-certificate"
    assert received == []


@pytest.mark.parametrize("size", [100, 8192])
def test_what_comes_after_an_answer_is_noticed_inside_of_tls_too(authority: trustme.CA, size: int) -> None:
    # The first answer ends where a buffer ends, and the rest of the TLS record is invisible on the socket.
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %4d\r\n\r\n"
    body = b"x" * (size - len(head % 0))
    received: list[bytes] = []
    replies = (head % len(body) + body + OK.replace(b"ok", b"no"), b"", OK)
    with (
        authority.cert_pem.tempfile() as ca_file,
        _tls_server(authority, "localhost", received, *replies) as listener,
    ):
        client = PostClient(timeout=5, ca_file=ca_file)
        url = f"https://localhost:{listener.getsockname()[1]}"
        assert post(client, url).body == body
        assert post(client, url).body == b"ok"
        client.close()


def test_a_proxy_is_asked_for_a_tunnel_and_its_refusal_is_proven_not_sent(
    monkeypatch: pytest.MonkeyPatch, client: PostClient
) -> None:
    with HttpScript(http_script.raw(b"HTTP/1.1 407 Who are you\r\n\r\n")) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//ann:pa%24s@"))
        with pytest.raises(TransientError) as caught:
            post(client, "https://gmail.example")
    assert caught.value.code == "connect"
    assert (proxy.requests[0].method, proxy.requests[0].path) == ("CONNECT", "gmail.example:443")
    assert proxy.requests[0].headers["proxy-authorization"] == "Basic YW5uOnBhJHM="
    assert "pa$s" not in str(caught.value)
    assert "gmail.example (HTTPS_PROXY 127.0.0.1:" in str(caught.value)


def _tunnel_to(port: int) -> http_script.Step:
    """A proxy that connects to this port, whatever host it is asked for."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def step(exchange: http_script.Exchange) -> bool:
        exchange.read_all()
        with socket.create_connection(("127.0.0.1", port)) as host:
            exchange.sock.sendall(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n")
            back = threading.Thread(target=pump, args=(host, exchange.sock), daemon=True)
            back.start()
            pump(exchange.sock, host)
            back.join(10)
        return False

    return step


def test_a_request_goes_through_the_proxy_and_is_for_the_host_alone(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[bytes] = []
    with (
        authority.cert_pem.tempfile() as ca_file,
        _tls_server(authority, "gmail.example", received) as listener,
        HttpScript(_tunnel_to(listener.getsockname()[1])) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        client = PostClient(timeout=5, ca_file=ca_file)
        assert post(client, "https://gmail.example").body == b"ok"
        client.close()
    (asked,) = proxy.requests
    assert (asked.method, asked.path, asked.headers["host"]) == ("CONNECT", *["gmail.example:443"] * 2)
    assert b"".join(received).startswith(b"POST /x?y=1 HTTP/1.1\r\nHost: gmail.example\r\n")


def test_a_proxy_that_drips_for_ever_ends_with_the_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def drip(exchange: http_script.Exchange) -> bool:
        exchange.read_all()
        exchange.sock.sendall(b"HTTP/1.1 200 OK\r\n")
        while not exchange.server.stopping.wait(0.02):
            exchange.sock.sendall(b"X")
        return False

    with HttpScript(drip) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(TransientError, match="time-out"):
            post(PostClient(timeout=0.3), "https://gmail.example")


def test_a_proxy_that_speaks_for_the_host_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, client: PostClient
) -> None:
    with HttpScript(http_script.raw(b"HTTP/1.1 200 OK\r\n\r\n" + OK)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(TransientError) as caught:
            post(client, "https://gmail.example")
    assert caught.value.code == "connect"


@pytest.mark.parametrize(
    "proxy",
    [
        "http://ann:can/ary@127.0.0.1:9",
        "http://ann:can#ary@127.0.0.1:9",
        "http://ann:canary@127.0.0.1:port",
        "http://ann:canary@[::1",
        "http://ann:canary@",
        "https://ann:canary@127.0.0.1:9",
        "socks5://ann:canary@127.0.0.1:9",
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, client: PostClient, proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(RouteError) as caught:
        post(client, "https://gmail.example")
    assert caught.value.code == "proxy-unfit"
    assert "HTTPS_PROXY" in str(caught.value)
    shown = "".join(traceback.format_exception(caught.value))
    assert not any(part in shown for part in ("canary", "'can'", "ary@"))


def test_a_proxy_whose_name_is_unknown_is_named(monkeypatch: pytest.MonkeyPatch, client: PostClient) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://no-such-proxy.invalid:9")
    with pytest.raises(TransientError, match=r"no-such-proxy\.invalid"):
        post(client, "https://gmail.example")


@pytest.mark.parametrize("without", ["no-such-host.invalid", "no-such-host.invalid:443", ".invalid", "*"])
def test_a_host_that_needs_no_proxy_is_asked_itself(
    monkeypatch: pytest.MonkeyPatch, client: PostClient, without: str
) -> None:
    with HttpScript(answer("407 Who")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", without)
        with pytest.raises(TransientError, match=r"The name no-such-host\.invalid cannot be resolved"):
            post(client, "https://no-such-host.invalid")
    assert proxy.connections == 0


def test_connections_that_the_server_closed_are_not_piled_up(client: PostClient) -> None:
    crowd = threading.Barrier(8)

    def crowded(exchange: http_script.Exchange) -> bool:
        crowd.wait(10)
        return http_script.close_when_idle(exchange)

    with HttpScript(*[crowded] * 8, answer()) as server:
        threads = [threading.Thread(target=post, args=(client, server.url)) for _number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (kept,) = client._idle.values()
        for connection in kept:
            connection.sock.settimeout(5)
            assert connection.sock.recv(1, socket.MSG_PEEK) == b""  # waits for the server's end to arrive
        assert len(kept) == 8
        post(client, server.url)
        assert len(kept) == 1


def test_many_threads_share_a_client_and_no_connection(client: PostClient) -> None:
    with HttpScript(answer()) as server:
        got: list[int] = []
        threads = [
            threading.Thread(target=lambda: got.append(post(client, server.url).status)) for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert got == [200] * 16
    assert [request.body for request in server.requests] == [b"hello world"] * 16
