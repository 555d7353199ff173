from __future__ import annotations

import pytest

from oauth_mailer.errors import ConfigError
from oauth_mailer.wire.endpoint import check_endpoint


@pytest.mark.parametrize(
    "url",
    [
        "https://gmail.googleapis.com",
        "https://login.example/o/token/?tenant=a%20b",
        "HTTPS://gmail.googleapis.com:8443/",
        "https://[2001:db8::1]:8443/token",
        "http://localhost:8080/token/",
        "http://127.0.0.1",
        "http://127.8.9.1:1",
        "http://[::1]:65535/x",
    ],
)
def test_an_address_for_secrets_is_taken_as_it_is_given(url: str) -> None:
    assert check_endpoint(url, "token_uri") == url


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://gmail.googleapis.com", "endpoint-plain-http"),
        ("http://127.0.0.1.evil.example/", "endpoint-plain-http"),
        ("http://localhost.evil.example/", "endpoint-plain-http"),
        ("http://0.0.0.0/", "endpoint-plain-http"),
        ("http://10.0.0.1/", "endpoint-plain-http"),
        ("https://", "endpoint-malformed"),
        ("gmail.googleapis.com", "endpoint-malformed"),
        ("//gmail.googleapis.com", "endpoint-malformed"),
        ("file:///etc/passwd", "endpoint-malformed"),
        ("https://gmail.googleapis.com@evil.example/", "endpoint-malformed"),
        ("http://me:secret@127.0.0.1/", "endpoint-malformed"),
        ("https://谷歌.example/", "endpoint-malformed"),
        ("https://gmail.googleapis.com/ x", "endpoint-malformed"),
        ("https://gmail.googleapis.com/\r\nHost: evil.example", "endpoint-malformed"),
        ("https://gmail.googleapis.com/\x7f", "endpoint-malformed"),
        ("https://gmail.googleapis.com:0/", "endpoint-malformed"),
        ("https://gmail.googleapis.com:65536/", "endpoint-malformed"),
        ("https://gmail.googleapis.com:port/", "endpoint-malformed"),
        ("https://[::1/", "endpoint-malformed"),
    ],
)
def test_an_address_that_secrets_may_not_be_sent_to_is_refused_by_its_name(url: str, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_endpoint(url, "token_uri")
    assert caught.value.code == code
    assert "token_uri" in caught.value.message
    assert "secret" not in str(caught.value)
    assert caught.value.hint
