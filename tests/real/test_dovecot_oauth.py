"""Dovecot's own submission service, which takes tokens by OAUTHBEARER and XOAUTH2, and what it handed on."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oauth_mailer import Message, open_mailer
from oauth_mailer.accounts import Account
from oauth_mailer.errors import LoginRequired
from oauth_mailer.logins import account_for
from oauth_mailer.sandbox import Sandbox
from oauth_mailer.stores import StoreOptions, TokenStore, open_store
from tests.cli.google_login import PASSPHRASE
from tests.cli.program import run
from tests.support import certificates, require_program, unavailable
from tests.support.dovecot import OPENID, Dovecot, dovecot
from tests.support.google_login import ME, log_in

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Dovecot as Debian packages it")

MECHANISMS = ("oauthbearer", "xoauth2")
TOKEN = f"{shlex.quote(sys.executable)} -m oauth_mailer token"


class Judge:
    """Google's part beside Dovecot: it says what a token is worth. ``nobody``: it knows none any more."""

    def __init__(self) -> None:
        self.google: Sandbox | None = None
        self.nobody = False

    def __call__(self, token: str) -> tuple[str, str] | None:
        access = self.google.access(token) if self.google and not self.nobody else None
        return (access.account, " ".join(access.scopes)) if access else None


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge()


@pytest.fixture(scope="module", params=MECHANISMS)
def one_way(request: pytest.FixtureRequest, judge: Judge) -> Iterator[tuple[str, Dovecot]]:
    """A server that offers, for tokens, this mechanism alone."""
    with dovecot(judge, f"plain {request.param}") as running:
        yield request.param.upper(), running


@pytest.fixture(scope="module")
def server(judge: Judge) -> Iterator[Dovecot]:
    """One that offers both."""
    with dovecot(judge) as running:
        yield running


@pytest.fixture
def google(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    monkeypatch.setenv("OAUTH_MAILER_STORE", "encrypted_file")
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE", PASSPHRASE)
    with Sandbox() as made:
        judge.google, judge.nobody = made, False
        yield made


@pytest.fixture
def store(home: Path, google: Sandbox) -> TokenStore:
    return open_store("encrypted_file", StoreOptions(home))


def consented(
    google: Sandbox, server: Dovecot, folder: Path, store: TokenStore, security: str = "tls"
) -> Account:
    wanted = account_for(
        ME,
        provider="gmail-xoauth2",
        host=f"localhost:{server.ports[security]}",
        security=security,
        ca_file=certificates.ca_file(),
    )
    return log_in(google, folder, store, address=wanted)


@pytest.fixture
def account(google: Sandbox, server: Dovecot, tmp_path: Path, store: TokenStore) -> Account:
    """It has consented, and sends by the server that offers both."""
    return consented(google, server, tmp_path, store)


def letter() -> Message:
    return Message(to="ann@example.com", subject="季度报告", text=".\nHello\n.\n")


class Since:
    """What the server has done since now."""

    def __init__(self, server: Dovecot) -> None:
        self._server = server
        self._accepted, self._asked = len(server.accepted), len(server.asked)

    @property
    def counts(self) -> tuple[int, int]:
        """Messages that were accepted, and tokens that were shown."""
        return len(self._server.accepted) - self._accepted, len(self._server.asked) - self._asked


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_good_token_is_accepted_by_each_mechanism_and_messages_go_over_one_login(
    one_way: tuple[str, Dovecot], google: Sandbox, tmp_path: Path, store: TokenStore, security: str
) -> None:
    mechanism, server = one_way
    consented(google, server, tmp_path, store, security)
    since, before = Since(server), server.logins(mechanism)
    with open_mailer(store=store) as mailer:
        receipts = [mailer.send(letter()) for _ in range(3)]
    assert since.counts == (3, 1)
    server.log.wait(lambda _lines: server.logins(mechanism) == before + 1)
    assert [receipt.transport for receipt in receipts] == ["smtp"] * 3
    for receipt, mail in zip(receipts, server.accepted[-3:], strict=True):
        assert receipt.message_id.encode() in mail.data
        assert mail.sender.startswith(f"MAIL FROM:<{ME}>")


def test_a_token_that_ended_is_refreshed_once_and_then_the_message_is_sent_once(
    one_way: tuple[str, Dovecot], google: Sandbox, tmp_path: Path, store: TokenStore
) -> None:
    _mechanism, server = one_way
    consented(google, server, tmp_path, store)
    google.expire_access_tokens()
    since = Since(server)
    with open_mailer(store=store) as mailer:
        mailer.send(letter())
    assert since.counts == (1, 2)
    assert google.counts["token.refresh"] == 1
    old, new = server.asked[-2:]
    assert old != new
    with open_mailer(store=store) as mailer:  # another process finds the new one
        mailer.send(letter())
    assert since.counts == (2, 3)
    assert google.counts["token.refresh"] == 1


def test_a_token_that_is_refused_ends_in_a_login_and_the_servers_reason(
    one_way: tuple[str, Dovecot], google: Sandbox, judge: Judge, tmp_path: Path, store: TokenStore
) -> None:
    mechanism, server = one_way
    consented(google, server, tmp_path, store)
    judge.nobody = True
    status = "invalid_token" if mechanism == "OAUTHBEARER" else "401, scope: mail"
    since = Since(server)
    with open_mailer(store=store) as mailer:
        for _ in range(3):  # the server is asked by the first of them only
            with pytest.raises(LoginRequired) as caught:
                mailer.send(letter())
            error = caught.value
            assert error.code == "login-refused"
            assert f"(status: {status}, openid-configuration: {OPENID})" in error.message
            assert error.text.startswith('535 5.7.8 Authentication failed. {"status":"')
            assert f"oauth-mailer login {ME}" in error.hint
    assert since.counts == (0, 2)
    assert google.counts["token.refresh"] == 1
    for token in server.asked[-2:]:
        assert token not in str(error) + error.text


def test_a_token_for_less_is_refused_too(
    server: Dovecot, google: Sandbox, account: Account, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "google", _Narrow(google))
    since = Since(server)
    with open_mailer() as mailer, pytest.raises(LoginRequired) as caught:
        mailer.send(letter())
    assert caught.value.code == "login-refused"
    assert since.counts == (0, 2)


class _Narrow(Sandbox):
    """Google, had the person left a box unticked."""

    def __init__(self, google: Sandbox) -> None:
        self._google = google

    def access(self, token: str) -> object:  # type: ignore[override]
        access = self._google.access(token)
        return access and type(access)(access.account, frozenset({"openid"}))


def test_where_both_are_offered_the_standard_is_taken(server: Dovecot, account: Account) -> None:
    before = server.logins("OAUTHBEARER")
    with open_mailer() as mailer:
        mailer.send(letter())
    server.log.wait(lambda _lines: server.logins("OAUTHBEARER") == before + 1)
    assert server.logins("XOAUTH2") == 0


def test_by_the_command_line_the_reason_is_shown_and_no_token(
    server: Dovecot, google: Sandbox, account: Account, judge: Judge
) -> None:
    words = ("send", "--to", "ann@example.com", "--text", "Hi", "--json", "--verbose")
    since = Since(server)
    done = run(*words)
    assert done.code == 0, done
    judge.nobody = True
    refused = run(*words)
    assert (refused.code, refused.json["error"]["code"]) == (77, "login-refused")
    assert f"openid-configuration: {OPENID}" in refused.err
    assert since.counts[0] == 1
    for token in server.asked:
        assert token not in done.err + done.out + refused.err + refused.out


# ---- other programs, with a token of ours


def handed(program: str, *words: str, text: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *words],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | env,
    )


LETTER = f"From: {ME}\nTo: ann@example.com\nSubject: Hi\n\nHello from another program\n"


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_msmtp_sends_with_a_token_of_ours(
    server: Dovecot, google: Sandbox, account: Account, tmp_path: Path, mechanism: str
) -> None:
    msmtp = require_program("msmtp", "msmtp")
    config = tmp_path / "msmtprc"
    config.write_text(
        f"account default\nhost localhost\nport {server.ports['tls']}\ntls on\ntls_starttls off\n"
        f"tls_trust_file {certificates.ca_file()}\nauth {mechanism}\nuser {ME}\nfrom {ME}\n"
        f'passwordeval "{TOKEN} -q {ME}"\n'
    )
    config.chmod(0o600)
    google.expire_access_tokens()
    since = Since(server)
    refused = handed(msmtp, "-C", str(config), "ann@example.com", text=LETTER)
    assert refused.returncode != 0  # it cannot know that Google ended the token early
    assert since.counts == (0, 1)
    with open_mailer() as mailer:
        mailer.send(letter())
    done = handed(msmtp, "-C", str(config), "ann@example.com", text=LETTER)
    assert (done.returncode, done.stderr) == (0, "")
    assert b"Hello from another program" in server.accepted[-1].data
    assert server.asked[-1] not in done.stdout + done.stderr


def test_mutt_sends_with_a_token_of_ours(server: Dovecot, account: Account, tmp_path: Path) -> None:
    mutt = require_program("mutt", "mutt")
    config = tmp_path / "muttrc"
    config.write_text(
        f'set from="{ME}"\nset smtp_url="smtps://{ME}@localhost:{server.ports["tls"]}/"\n'
        f'set smtp_authenticators="oauthbearer"\nset smtp_oauth_refresh_command="{TOKEN} -q {ME}"\n'
        f'set ssl_ca_certificates_file="{certificates.ca_file()}"\nset ssl_verify_host=yes\nset copy=no\n'
    )
    since = Since(server)
    words = ("-n", "-F", str(config), "-s", "Hi", "--", "ann@example.com")
    done = handed(mutt, *words, text="Hello from mutt\n", HOME=str(tmp_path), TERM="dumb")
    assert done.returncode == 0, done
    assert since.counts == (1, 1)
    assert b"Hello from mutt" in server.accepted[-1].data


def test_git_send_email_asks_for_a_token_by_its_credential_protocol(
    server: Dovecot, account: Account, tmp_path: Path
) -> None:
    git = require_program("git", "git-email")
    require_program("git-send-email", "git-email", "/usr/lib/git-core")
    perl = require_program("perl", "perl")
    if handed(perl, "-MAuthen::SASL", "-MIO::Socket::SSL", "-e", "1").returncode:
        unavailable("needs Debian's packages libauthen-sasl-perl and libio-socket-ssl-perl")
    port = server.ports["tls"]
    config = tmp_path / "gitconfig"
    config.write_text(
        f'[user]\n name = Me\n email = {ME}\n[credential]\n helper = "!{TOKEN} {ME} --git-credential"\n'
        f"[sendemail]\n smtpServer = localhost\n smtpServerPort = {port}\n smtpEncryption = ssl\n"
        f" smtpUser = {ME}\n smtpSSLCertPath = {certificates.ca_file()}\n confirm = never\n from = {ME}\n"
    )
    env = {"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_TERMINAL_PROMPT": "0"}
    asked = f"protocol=smtp\nhost=localhost:{port}\nusername={ME}\n\n"
    filled = handed(git, "credential", "fill", text=asked, **env)
    assert filled.returncode == 0, filled
    assert f"username={ME}\npassword=ya29." in filled.stdout
    other = handed(git, "credential", "fill", text=asked.replace("localhost", "evil.example"), **env)
    assert other.returncode != 0
    assert "ya29." not in other.stdout + other.stderr

    patch = tmp_path / "0001-a.patch"
    patch.write_text(f"From: Me <{ME}>\nSubject: [PATCH] A change by git\n\nHello from git\n")
    since = Since(server)
    done = handed(git, "send-email", "--to=ann@example.com", str(patch), **env)
    assert done.returncode == 0, done
    assert since.counts == (1, 1)
    assert b"Hello from git" in server.accepted[-1].data
    assert server.asked[-1] not in done.stdout + done.stderr
