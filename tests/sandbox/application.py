"""An application that knows only the standards, and the person in front of it."""

from __future__ import annotations

import hashlib
import http.client
import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from oauth_mailer.sandbox import Sandbox

SEND = "https://www.googleapis.com/auth/gmail.send"
BACK = "http://127.0.0.1:1/"


SEND_PATH = "/gmail/v1/users/me/messages/send"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> dict[str, Any]:
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value

    @property
    def reason(self) -> str:
        """The reason in an error of Google's APIs."""
        error = self.json["error"]
        assert error["code"] == self.status
        assert error["message"] == error["errors"][0]["message"]
        return str(error["errors"][0]["reason"])


def ask(
    url: str,
    *,
    method: str = "",
    body: bytes | None = None,
    form: Mapping[str, str | Sequence[str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request, over a connection of its own; redirects are not followed."""
    parts = urlsplit(url)
    sent = dict(headers or {})
    if form is not None:
        body = urlencode(form, doseq=True).encode()
        sent = {"Content-Type": "application/x-www-form-urlencoded"} | sent
    assert parts.hostname
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        path = parts._replace(scheme="", netloc="").geturl()
        connection.request(method or ("GET" if body is None else "POST"), path, body, sent)
        response = connection.getresponse()
        return Answer(response.status, dict(response.headers), response.read())
    finally:
        connection.close()


class Form(HTMLParser):
    """What a person sees of the consent page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.ticked: dict[str, bool] = {}
        self.buttons: dict[str, tuple[str, str]] = {}
        self.text = ""
        self.language = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "html":
            self.language = found["lang"]
        elif tag == "form":
            assert found["method"] == "post"
            self.action = found["action"]
        elif tag == "button":
            self.buttons[found["id"]] = found["name"], found["value"]
        elif tag == "input" and found["type"] == "checkbox":
            assert found["name"] == "scope"
            self.ticked[found["value"]] = "checked" in found
        elif tag == "input":
            self.fields[found["name"]] = found["value"]

    def handle_data(self, data: str) -> None:
        self.text += data

    def press(self, button: str) -> dict[str, str | list[str]]:
        """What a browser would send."""
        name, value = self.buttons[button]
        return {
            **self.fields,
            "scope": [scope for scope, ticked in self.ticked.items() if ticked],
            name: value,
        }


@dataclass
class Application:
    """A desktop application, registered with this sandbox."""

    sandbox: Sandbox
    redirect_uri: str = BACK
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(8))

    @property
    def client(self) -> dict[str, str]:
        return dict(self.sandbox.client_secrets["installed"])

    def asks(self, **changed: str | None) -> str:
        """The address of the consent page; None leaves a parameter out."""
        challenge = urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "client_id": self.client["client_id"],
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "scope": SEND,
            "state": self.state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "access_type": "offline",
            "prompt": "consent",
        } | changed
        given = {name: value for name, value in query.items() if value is not None}
        return f"{self.client['auth_uri']}?{urlencode(given)}"

    def page(self, **changed: str | None) -> Form:
        answer = ask(self.asks(**changed))
        assert answer.status == 200, answer.text
        return Form(answer.text)

    def submit(self, form: Form, button: str = "allow", **headers: str) -> Answer:
        return ask(self.sandbox.gmail_endpoint + form.action, form=form.press(button), headers=headers)

    def redirected(self, answer: Answer) -> dict[str, str]:
        """What the application's own page is asked for."""
        assert answer.status == 303, answer.text
        location = answer.headers["Location"]
        assert location.startswith(self.redirect_uri)
        found = parse_qs(urlsplit(location).query, strict_parsing=True)
        assert all(len(values) == 1 for values in found.values())
        return {name: values[0] for name, values in found.items()}

    def code(self, account: str = "me@gmail.com", **changed: str | None) -> str:
        """The code after a person allowed all."""
        return self.redirected(self.submit(self.page(login_hint=account, **changed)))["code"]

    def exchange(self, code: str, /, **changed: str) -> Answer:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
            "client_id": self.client["client_id"],
            "client_secret": self.client["client_secret"],
        } | changed
        return ask(self.client["token_uri"], form=form)

    def tokens(self, account: str = "me@gmail.com", **changed: str | None) -> dict[str, Any]:
        """The tokens after a person allowed all."""
        answer = self.exchange(self.code(account, **changed))
        assert answer.status == 200, answer.text
        return answer.json

    def refresh(self, token: str, **changed: str) -> Answer:
        form = {
            "grant_type": "refresh_token",
            "refresh_token": token,
            "client_id": self.client["client_id"],
            "client_secret": self.client["client_secret"],
        } | changed
        return ask(self.client["token_uri"], form=form)

    def revoke(self, token: str) -> Answer:
        return ask(self.client["revocation_uri"], form={"token": token})
