"""Keyrings that are not there, locked, hanging, unsafe or too small: a refusal, and no file in silence."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import oauth_mailer
from oauth_mailer import logins
from oauth_mailer.accounts import Accounts
from oauth_mailer.errors import StoreError
from tests.cli.google_login import ADDRESS, PASSPHRASE, send
from tests.cli.mailbox import CODE, Mailbox, mailbox
from tests.cli.program import Ended, run
from tests.support import folder_contains, google_login
from tests.support.google_account import client_file
from tests.support.google_browser import Person, fetch
from tests.support.host_keyring import GOOD, PLAIN
from tests.support.http_script import HttpScript, answer
from tests.support.keyrings import using

NEW = "newcodenewcodene"
ME = "me@corp.example"  # whose server may give out codes of any length
NO_BUS = {"PYTHON_KEYRING_BACKEND": None, "DBUS_SESSION_BUS_ADDRESS": None}


@dataclass(frozen=True)
class Fault:
    """What is wrong with the keyring: by these variables (None: unset), or with so long a code.

    ``error``: the code of the error that tells it.
    """

    error: str
    env: Mapping[str, str | None] = field(default_factory=dict)
    code: str = NEW

    @contextmanager
    def here(self) -> Iterator[None]:
        """The fault is there while the block runs, for this process and for those that it starts."""
        with pytest.MonkeyPatch.context() as environment, using(None):
            for name, value in self.env.items():
                if value is None:
                    environment.delenv(name, raising=False)
                else:
                    environment.setenv(name, value)
            yield


FAULTS = [
    pytest.param(
        Fault("keyring-no-bus", NO_BUS),
        id="absent",
        marks=pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the host's own would be found"),
    ),
    pytest.param(
        Fault("keyring-off", {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}), id="switched off"
    ),
    pytest.param(Fault("keyring-locked", {"HOST_KEYRING_FAULT": "locked"}), id="locked"),
    pytest.param(Fault("keyring-timeout", {"HOST_KEYRING_FAULT": "hanging"}), id="hanging"),
    pytest.param(Fault("keyring-unsafe", {"PYTHON_KEYRING_BACKEND": PLAIN}), id="plain text"),
    pytest.param(Fault("keyring-too-long", code="c" * 1281), id="too long"),
]


class Host:
    """A host with a keyring, and a folder of a person's own."""

    def __init__(self, folder: Path, home: Path, box: Mailbox) -> None:
        self.box = box
        self.keyring = folder / "keyring"
        self.user = folder / "user"
        self.home = home
        self._at = ("--host", f"127.0.0.1:{box.port}", "--security", "tls", "--ca-file", box.ca_file)

    def login(self, code: str, env: dict[str, str] | None = None) -> Ended:
        return run("login", ME, *self._at, "--code-stdin", "--json", stdin=code.encode(), env=env)

    def files_with(self, *secrets: str) -> list[Path]:
        """Files outside of the keyring in which one of these stands."""
        return [
            path
            for secret in secrets
            for folder in (self.home, self.user)
            for path in folder_contains(folder, secret.encode())
        ]

    def entries(self) -> list[str]:
        """What the keyring holds."""
        return sorted(path.read_text("utf-8") for path in self.keyring.iterdir())


@pytest.fixture
def host(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    (home / "config.toml").write_text("[stores.keyring]\ntimeout = 0.5\n", "utf-8")
    with mailbox(ME) as box:
        made = Host(tmp_path, home, box)
        for folder in (made.keyring, made.user):
            folder.mkdir()
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", GOOD)
        monkeypatch.setenv("HOST_KEYRING", str(made.keyring))
        for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "APPDATA"):
            monkeypatch.setenv(name, str(made.user))
        yield made


@pytest.mark.fault(31, program=True)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_program_refuses_keeps_the_old_secret_and_writes_no_file(fault: Fault, host: Host) -> None:
    host.box.server.secrets = [CODE, fault.code]
    assert host.login(CODE).code == 0
    before, config = host.entries(), (host.home / "config.toml").read_bytes()
    assert before == [CODE]
    shown = host.box.logins

    with fault.here():
        done, sent = host.login(fault.code), send()
    assert done.code == 78, done
    error = done.json["error"]
    assert (error["type"], error["code"]) == ("StoreError", fault.error)
    assert "OAUTH_MAILER_STORE=encrypted_file" in error["hint"]
    assert fault.code not in done.out + done.err
    # A keyring that does not work is found out before the code is shown to anybody.
    assert host.box.logins == (shown if fault.env else shown + 2)
    if fault.env:
        assert (sent.code, sent.json["error"]["code"]) == (78, fault.error)
        assert sent.json["attempts"][0]["verdict"] == "not_sent"
        assert send().code == 0
    assert len(host.box.messages) == 1
    assert host.entries() == before
    assert (host.home / "config.toml").read_bytes() == config
    assert not host.files_with(CODE, fault.code)


@pytest.mark.fault(31, program=True)
@pytest.mark.parametrize("fault", [FAULTS[0], FAULTS[-1]])
def test_a_file_is_a_persons_own_choice_by_name(fault: Fault, host: Host) -> None:
    host.box.server.secrets = [fault.code]
    chosen = {"OAUTH_MAILER_STORE": "encrypted_file", "OAUTH_MAILER_PASSPHRASE": PASSPHRASE}
    with fault.here():
        done = host.login(fault.code, chosen)
        assert (done.code, done.json["store"]) == (0, "encrypted_file"), done
        # The account remembers the choice: only its passphrase is needed from now on.
        assert send(env={"OAUTH_MAILER_PASSPHRASE": PASSPHRASE}).code == 0
    assert len(host.box.messages) == 1
    assert host.entries() == []
    assert not host.files_with(fault.code)


@pytest.mark.fault(31)
@pytest.mark.parametrize("fault", FAULTS[1:])  # in this process the tests' own backends would be found
def test_the_library_refuses_and_keeps_the_old_secret(fault: Fault, host: Host) -> None:
    host.box.server.secrets = [CODE, fault.code]
    account = logins.account_for(
        ME, host="127.0.0.1", port=host.box.port, security="tls", ca_file=host.box.ca_file
    )
    with using(None):
        oauth_mailer.login(account, code=CODE)
    with fault.here():
        with pytest.raises(StoreError) as caught:
            oauth_mailer.login(account, code=fault.code)
        assert caught.value.code == fault.error
        if fault.env:
            with pytest.raises(StoreError) as caught:
                oauth_mailer.send(to="ann@example.com", subject="Hi", text="Hi")
            assert (caught.value.code, caught.value.verdict) == (fault.error, "not_sent")
    assert host.entries() == [CODE]
    assert not host.files_with(CODE, fault.code)
    with using(None):
        oauth_mailer.send(to="ann@example.com", subject="Hi", text="Hi")
    assert len(host.box.messages) == 1


@pytest.mark.fault(31, program=True)
def test_a_locked_keyring_is_told_before_googles_page_is_shown(host: Host, tmp_path: Path) -> None:
    with HttpScript(answer()) as google:
        file = client_file(tmp_path, google.url)
        env = {"HOST_KEYRING_FAULT": "locked"}
        done = run("login", ADDRESS, "--client-secrets", str(file), "--json", env=env)
        assert (done.code, done.json["error"]["code"]) == (78, "keyring-locked")
        assert google.url not in done.err
        assert not google.requests
    assert len(Accounts(host.home)) == 0


@pytest.mark.fault(31)
def test_a_refresh_token_that_the_keyring_has_no_room_for_is_not_half_kept(
    host: Host, tmp_path: Path
) -> None:
    long = "1//" + "x" * 1300
    token = {"access_token": "ya29.canary", "refresh_token": long, "expires_in": 3599}

    def allow(url: str) -> tuple[int, str, str]:
        query = dict(part.split("=") for part in url.partition("?")[2].split("&"))
        back = f"http://127.0.0.1:{query['redirect_uri'].rpartition('%3A')[2].replace('%2F', '')}/"
        return fetch(f"{back}?state={query['state']}&code=4/0canary")

    person = Person(allow)
    with HttpScript(answer(body=token)) as google, using(None), pytest.raises(StoreError) as caught:
        oauth_mailer.login(
            google_login.ME, prompt=person, client_secrets=client_file(tmp_path, google.url), timeout=60
        )
    assert caught.value.code == "keyring-too-long"
    status, _address, page = person.wait()
    assert (status, "too long" in page) == (400, True)
    assert host.entries() == []
    assert not host.files_with(long)
    assert len(Accounts(host.home)) == 0
