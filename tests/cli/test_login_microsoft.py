"""``oauth-mailer login`` for Outlook.com and Microsoft 365, and all that the account can do then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from oauth_mailer.accounts import Accounts
from tests.support import folder_contains
from tests.support.microsoft import (
    CLIENT_ID,
    ME,
    PENDING,
    SCOPES,
    SEND,
    Microsoft,
    allow,
    granted,
    mail_server,
    place,
    refused,
)
from tests.support.smtp_script import SmtpScript

from .google_login import Login
from .program import Ended, run

PASSPHRASE = "a passphrase of the test"


class MicrosoftLogin(Login):
    """The same, with Microsoft's page."""

    @property
    def url(self) -> str:
        return self._err.wait_for(r"^http\S+/oauth2/v2\.0/authorize\?\S+$")


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secrets rest in an encrypted file; no browser of the host's is opened."""
    monkeypatch.setenv("OAUTH_MAILER_STORE", "encrypted_file")
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("BROWSER", "/no/such/browser")


@pytest.fixture
def server() -> Iterator[SmtpScript]:
    with mail_server("canary-access-1") as made:
        yield made


def words(server: SmtpScript, *more: str, address: str = ME, provider: str = "outlook") -> list[str]:
    """The words of a login at the server of the test in place of Microsoft's."""
    where = place(server)
    at = ["--host", where["host"], "--security", where["security"], "--ca-file", where["ca_file"]]
    return [address, "--provider", provider, "--client-id", CLIENT_ID, *at, *more]


def log_in(
    monkeypatch: pytest.MonkeyPatch, microsoft: Microsoft, server: SmtpScript, *more: str, **which: str
) -> Ended:
    monkeypatch.setenv("OAUTH_MAILER_MICROSOFT_ENDPOINT", microsoft.url)
    return run("login", *words(server, *more, **which))


def test_the_page_is_opened_elsewhere_and_the_account_can_send(
    server: SmtpScript, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Microsoft(granted()) as microsoft:
        monkeypatch.setenv("OAUTH_MAILER_MICROSOFT_ENDPOINT", microsoft.url)
        with MicrosoftLogin(*words(server, "--no-browser")) as login:
            [redirect] = parse_qs(urlsplit(login.url).query)["redirect_uri"]
            page = allow(login.url)[2]
            done = login.end()
    assert done.code == 0, done.err
    assert redirect.startswith("http://localhost:")
    assert "It may send mail, and nothing else" in page
    account = Accounts(home).get()
    assert (account.provider, account.transport, account.auth) == ("outlook", "smtp", "microsoft")
    sent = run("send", "--to", "ann@example.com", "--text", "Hi", "--json")
    assert sent.code == 0, sent.err
    assert sent.json["transport"] == "smtp"
    assert len(server.accepted) == 1
    assert not folder_contains(home, b"canary")


@pytest.mark.parametrize("asked", [["--device"], []], ids=["by name", "where no browser can be opened"])
def test_a_code_is_typed_on_another_device(
    server: SmtpScript, home: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    with Microsoft(PENDING, granted()) as microsoft:
        done = log_in(monkeypatch, microsoft, server, *asked)
        paths = [path.rpartition("/")[2] for path, _form in microsoft.forms]
    assert done.code == 0, done.err
    assert paths == ["devicecode", "token", "token"]
    assert "https://microsoft.com/devicelogin" in done.err
    assert "ABCD-EFGH" in done.err
    assert "canary" not in done.err + done.out
    assert Accounts(home).get(ME).auth == "microsoft"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"error": "authorization_declined"}, "consent-denied"),
        ({"error": "expired_token"}, "consent-timeout"),
        (refused("invalid_grant", 53003), "conditional-access"),
    ],
)
def test_a_device_that_does_not_consent_changes_nothing(
    server: SmtpScript,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: dict[str, str],
    code: str,
) -> None:
    with Microsoft(PENDING, answer) as microsoft:
        done = log_in(monkeypatch, microsoft, server, "--device", "--json")
    assert (done.code, done.json["error"]["code"]) == (77, code)
    assert not list(Accounts(home))
    assert server.connections == 0


def test_an_organisation_is_asked_in_its_own_tenant_or_in_the_one_named(
    server: SmtpScript, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    which = {"address": "me@corp.example", "provider": "microsoft365"}
    with Microsoft(granted()) as microsoft:
        assert log_in(monkeypatch, microsoft, server, "--device", **which).code == 0
        # Another time, the client is known, and only the tenant is another.
        again = ("login", "me@corp.example", "--device", "--tenant", "organizations")
        assert run(*again).code == 0
        tenants = [path.split("/")[1] for path, _form in microsoft.forms]
    assert tenants == ["corp.example", "corp.example", "organizations", "organizations"]
    client = Accounts(home).get("me@corp.example").client
    assert client["client_id"] == CLIENT_ID
    assert "/organizations/" in client["token_uri"]


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        ([ME], 78, "client-missing"),
        ([ME, "--client-id", "me"], 78, "client-id"),
        ([ME, "--client-id", CLIENT_ID, "--tenant", "no tenant"], 78, "tenant-wrong"),
        (["me@gmail.com", "--client-id", CLIENT_ID], 64, "usage"),
        (["me@gmail.com", "--tenant", "common"], 64, "usage"),
        (["me@qq.com", "--device"], 64, "usage"),
        ([ME, "--client-secrets", __file__], 64, "usage"),
        (["me@corp.example", "--device"], 78, "provider-unknown"),
    ],
)
def test_what_does_not_go_together_is_told(home: Path, arguments: list[str], code: int, word: str) -> None:
    done = run("login", *arguments, "--json")
    assert (done.code, done.json["error"]["code"]) == (code, word)
    assert not list(Accounts(home))


def test_the_client_id_alone_tells_the_provider_of_an_own_domain(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Microsoft({"error": "authorization_declined"}) as microsoft:
        monkeypatch.setenv("OAUTH_MAILER_MICROSOFT_ENDPOINT", microsoft.url)
        done = run("login", "me@corp.example", "--client-id", CLIENT_ID, "--device", "--json")
        (path, _form), *_rest = microsoft.forms
    assert done.json["error"]["code"] == "consent-denied"
    assert path == "/corp.example/oauth2/v2.0/devicecode"


def test_what_every_account_can_do_it_can_too(
    server: SmtpScript, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Microsoft(granted()) as microsoft:
        assert log_in(monkeypatch, microsoft, server, "--device").code == 0

        token = run("token", ME, "--json")
        assert (token.code, token.json["access_token"]) == (0, "canary-access-1"), token.err
        assert token.json["scope"] == SEND
        none = run("token", ME, "--for", "api", "--json")
        assert (none.code, none.json["error"]["code"]) == (78, "token-none")

        assert run("accounts", "--json").json["accounts"][0]["address"] == ME

        doctor = run("doctor", ME, "--json")
        found = {one["check"]: one for one in doctor.json["findings"]}
        states = {name: found[name]["state"] for name in ("client", "consent", "scopes", "token", "auth")}
        assert set(states.values()) <= {"ok", "warning"}, doctor.json
        assert found["scopes"]["text"] == ", ".join(sorted(SCOPES.split()))
        assert "--device" in found["way"]["text"]

        moved, line = tmp_path / "moved.sealed", tmp_path / "secret"
        assert run("accounts", "export", str(moved), ME).code == 0
        assert run("accounts", "export", str(line), ME, "--unsealed").code == 0
        gone = run("logout", ME)
        assert gone.code == 0
        assert "https://account.live.com/consent/Manage" in gone.err
        assert not list(Accounts(home))

        # What was exported holds all that the account needs.
        fields = json.loads(line.read_text("utf-8"))
        assert fields["refresh_token"] == "canary-refresh-1"
        assert "/consumers/" in fields["token_uri"]
        assert run("accounts", "import", str(moved)).code == 0
        sent = run("send", "--from", ME, "--to", "ann@example.com", "--text", "Hi", "--json")
        assert sent.code == 0, sent.err


def test_a_consent_that_ended_is_told_by_every_command(
    server: SmtpScript, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Microsoft(granted(), refused("invalid_grant", 700082)) as microsoft:
        assert log_in(monkeypatch, microsoft, server, "--device").code == 0
        server.secrets = ()
        sent = run("send", "--to", "ann@example.com", "--text", "Hi", "--json")
    assert (sent.code, sent.json["error"]["code"]) == (77, "consent-ended")
    assert "90 days" in sent.err
    assert Accounts(home).get(ME).login_required
    assert not server.accepted
