"""A real gnome-keyring under a D-Bus session of its own: as on a desktop, and where something is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from keyring.backends.SecretService import Keyring

from oauth_mailer.accounts import Accounts
from oauth_mailer.sandbox import Sandbox
from oauth_mailer.stores import StoreOptions, TokenStore, open_store
from tests.support import folder_contains, require_program
from tests.support.google_browser import decide
from tests.support.keyrings import using
from tests.support.token_store import TokenStoreContract

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="gnome-keyring is for Linux")

CANARY = "1//canary-refresh-token"
SLOT = "Slot('me@gmail.com', 'refresh client gmail.send')"


@dataclass(frozen=True)
class Desktop:
    """The environment of a session, and the folder that its keyring is kept in."""

    env: dict[str, str]
    folder: Path

    def run(self, *statements: str) -> dict[str, str]:
        """Run these in a fresh process of the session; what it says of ``result`` or of the error."""
        program = [
            "import json; from pathlib import Path; from oauth_mailer.errors import StoreError",
            "from oauth_mailer.stores import *; result = None",
            f"store = open_store('keyring', StoreOptions(Path({str(self.folder / 'home')!r})))",
            f"slot = {SLOT}",
            "try:",
            *(f"    {statement}" for statement in statements),
            "    print(json.dumps({'result': result}))",
            "except StoreError as error:",
            "    print(json.dumps({'code': error.code, 'message': error.message, 'hint': error.hint}))",
        ]
        done = subprocess.run(
            [sys.executable, "-c", "\n".join(program)],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert CANARY not in done.stderr
        answer: dict[str, str] = json.loads(done.stdout)
        return answer

    def program(self, *words: str, typed: str = "", acts: Callable[[str], object] | None = None) -> int:
        """Run ``oauth-mailer WORDS`` in the session; its exit code. ``acts`` gets the consent address."""
        with subprocess.Popen(
            [sys.executable, "-m", "oauth_mailer", *words],
            cwd=Path(__file__).parent.parent.parent,
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdin
            assert process.stderr
            process.stdin.write(f"{typed}\n")
            process.stdin.close()
            for line in process.stderr:
                if acts is not None and line.startswith("http"):
                    acts(line.strip())
            return process.wait(60)


@contextmanager
def bus(folder: Path) -> Iterator[Desktop]:
    """A session bus on which nothing is offered."""
    folder.joinpath("run").mkdir(mode=0o700)
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "DBUS_", "GNOME_"))
    }
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "PYTHON_KEYRING_BACKEND"):
        kept.pop(name, None)
    folders = {
        "HOME": folder,
        "XDG_DATA_HOME": folder / "data",
        "XDG_CONFIG_HOME": folder / "config",
        "XDG_CACHE_HOME": folder / "cache",
        "XDG_RUNTIME_DIR": folder / "run",
    }
    env = kept | {name: str(path) for name, path in folders.items()}
    configuration = folder / "bus.conf"
    # No service folders: nothing is started on demand, least of all a keyring of the host.
    configuration.write_text(
        f"""<busconfig><type>session</type><listen>unix:path={folder}/run/private-bus</listen>
        <policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
        <allow own="*"/></policy></busconfig>"""
    )
    daemon = subprocess.Popen(
        ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address=1"],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert daemon.stdout
        address = daemon.stdout.readline().strip()
        assert address, "dbus-daemon did not start"
        yield Desktop(env | {"DBUS_SESSION_BUS_ADDRESS": address}, folder)
    finally:
        daemon.terminate()
        daemon.communicate(timeout=30)


@contextmanager
def gnome_keyring(desktop: Desktop, password: str | None) -> Iterator[None]:
    """The daemon, its login keyring unlocked with this password (and made, the first time), or not at all."""
    command = ["gnome-keyring-daemon", "--foreground", "--components=secrets"]
    daemon = subprocess.Popen(
        [*command, *(["--unlock"] if password is not None else [])],
        env=desktop.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert daemon.stdin
        if password is not None:
            daemon.stdin.write(password.encode())
        daemon.stdin.close()
        wait_for_service(desktop)
        yield
    finally:
        daemon.terminate()
        daemon.wait(timeout=30)
        for stream in (daemon.stdout, daemon.stderr):
            if stream:
                stream.close()


def wait_for_service(desktop: Desktop) -> None:
    """Wait for the bus to say that the name has an owner: no polling, no guess of how long it takes."""
    program = """
from jeepney import DBusAddress, HeaderFields, MatchRule, message_bus, new_method_call
from jeepney.io.blocking import Proxy, open_dbus_connection
name = "org.freedesktop.secrets"
with open_dbus_connection("SESSION") as connection:
    bus = Proxy(message_bus, connection)
    rule = MatchRule(type="signal", sender="org.freedesktop.DBus", member="NameOwnerChanged")
    rule.add_arg_condition(0, name)
    bus.AddMatch(rule)
    with connection.filter(rule) as signals:
        if not bus.NameHasOwner(name)[0]:
            connection.recv_until_filtered(signals, timeout=30)
"""
    subprocess.run([sys.executable, "-c", program], env=desktop.env, check=True, timeout=60)


@pytest.fixture
def programs() -> None:
    require_program("dbus-daemon", "dbus")
    require_program("gnome-keyring-daemon", "gnome-keyring")


@pytest.fixture
def silent_bus(programs: None, tmp_path: Path) -> Iterator[Desktop]:
    with bus(tmp_path) as desktop:
        yield desktop


class TestContract(TokenStoreContract):
    """The suite of all token stores, on the real thing."""

    @pytest.fixture
    def store(self, silent_bus: Desktop, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenStore]:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", silent_bus.env["DBUS_SESSION_BUS_ADDRESS"])
        with gnome_keyring(silent_bus, "login password"), using(Keyring()):  # type: ignore[no-untyped-call]
            yield open_store("keyring", StoreOptions(home, {"timeout": 30}))


def test_a_token_rests_in_the_keyring_and_a_fresh_process_reads_it(silent_bus: Desktop) -> None:
    with gnome_keyring(silent_bus, "login password"):
        assert silent_bus.run("result = store.get(slot)") == {"result": None}
        silent_bus.run(f"store.set(slot, Secret({CANARY!r}))")
        assert silent_bus.run("result = store.get(slot).reveal()") == {"result": CANARY}
        assert silent_bus.run("result = store.get(Slot('me@gmail.com', 'code'))") == {"result": None}
    with gnome_keyring(silent_bus, "login password"):  # after the next sign-in
        assert silent_bus.run("result = store.get(slot).reveal()") == {"result": CANARY}
        silent_bus.run("store.delete(slot)")
        assert silent_bus.run("result = store.get(slot)") == {"result": None}


def test_the_token_is_in_no_file_in_plain_text(silent_bus: Desktop) -> None:
    with gnome_keyring(silent_bus, "login password"):
        silent_bus.run(f"store.set(slot, Secret({CANARY!r}))")
    kept = [path for path in silent_bus.folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".keyring" for path in kept)
    assert not [path for path in kept if CANARY.encode() in path.read_bytes()]


def test_the_whole_main_job_with_its_secrets_in_the_keyring(silent_bus: Desktop, home: Path) -> None:
    client = silent_bus.folder / "client_secret.json"
    with Sandbox(account="me@gmail.com") as sandbox, gnome_keyring(silent_bus, "login password"):
        client.write_text(json.dumps(sandbox.client_secrets), "utf-8")
        desktop = Desktop(
            silent_bus.env
            | {"OAUTH_MAILER_HOME": str(home), "OAUTH_MAILER_GMAIL_ENDPOINT": sandbox.gmail_endpoint},
            silent_bus.folder,
        )
        assert desktop.program("login", "me@gmail.com", "--client-secrets", str(client), acts=decide) == 0
        smtp = sandbox.smtp
        at = ("--host", smtp.host, "--smtp-port", str(smtp.port), "--ca-file", str(smtp.ca_file))
        assert desktop.program("login", "me@qq.com", *at, "--code-stdin", typed=sandbox.code) == 0
        assert {account.store for account in Accounts(home)} == {"keyring"}
        for account in ("me@gmail.com", "me@qq.com"):
            assert desktop.program("send", "--from", account, "--to", "ann@example.com", "--text", "Hi") == 0
        assert [one.account for one in sandbox.messages] == ["me@gmail.com", "me@qq.com"]
        secret = sandbox.client_secrets["installed"]["client_secret"].encode()
        client.unlink()
        assert not folder_contains(silent_bus.folder, secret) + folder_contains(home, secret)
        assert not folder_contains(home, sandbox.code.encode())
        assert desktop.program("logout", "me@gmail.com") == 0
        assert desktop.program("send", "--from", "me@gmail.com", "--to", "ann@example.com") == 78
        assert sandbox.counts["revoke"] == 1


def test_a_locked_keyring_with_nobody_to_ask_is_a_clean_error_in_time(silent_bus: Desktop) -> None:
    with gnome_keyring(silent_bus, "login password"):
        silent_bus.run(f"store.set(slot, Secret({CANARY!r}))")
    with gnome_keyring(silent_bus, None):
        for statement in ("result = store.get(slot)", "store.set(slot, Secret('new'))", "store.delete(slot)"):
            answer = silent_bus.run(statement)
            assert answer["code"] == "keyring-locked"
            assert "OAUTH_MAILER_STORE=encrypted_file" in answer["hint"]
    with gnome_keyring(silent_bus, "login password"):
        assert silent_bus.run("result = store.get(slot).reveal()") == {"result": CANARY}


SILENT_PROMPTER = """
import sys
from jeepney import message_bus
from jeepney.io.blocking import Proxy, open_dbus_connection
with open_dbus_connection("SESSION") as connection:
    Proxy(message_bus, connection).RequestName("org.gnome.keyring.SystemPrompter")
    print("there", flush=True)
    while connection.receive().header.fields.get(3) != "BeginPrompting":
        pass
    print("asked", flush=True)
    sys.stdin.read()
"""


def test_a_locked_keyring_that_asks_a_person_who_is_away_is_given_up_in_time(silent_bus: Desktop) -> None:
    with gnome_keyring(silent_bus, "login password"):
        silent_bus.run(f"store.set(slot, Secret({CANARY!r}))")
    prompter = subprocess.Popen(
        [sys.executable, "-c", SILENT_PROMPTER],
        env=silent_bus.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert prompter.stdout
        assert prompter.stdout.readline() == "there\n"
        with gnome_keyring(silent_bus, None):
            answer = silent_bus.run("store.set(slot, Secret('new'))")
            assert prompter.stdout.readline() == "asked\n"
        assert answer["code"] == "keyring-timeout"
        assert "timeout in [stores.keyring]" in answer["hint"]
    finally:
        prompter.terminate()
        prompter.communicate(timeout=30)
    with gnome_keyring(silent_bus, "login password"):
        assert silent_bus.run("result = store.get(slot).reveal()") == {"result": CANARY}


def test_a_keyring_that_nobody_ever_set_up_says_so(silent_bus: Desktop) -> None:
    with gnome_keyring(silent_bus, None):
        answer = silent_bus.run("result = store.get(slot)")
    assert answer["code"] == "keyring-not-set-up"
    assert "Sign in on the desktop" in answer["hint"]


def test_a_bus_without_a_keyring_service_says_what_to_install(silent_bus: Desktop) -> None:
    answer = silent_bus.run("result = store.get(slot)")
    assert answer["code"] == "keyring-no-service"
    assert "gnome-keyring" in answer["hint"]


def test_without_any_bus_the_error_says_so(tmp_path: Path, programs: None) -> None:
    with bus(tmp_path) as desktop:
        env = {key: value for key, value in desktop.env.items() if key != "DBUS_SESSION_BUS_ADDRESS"}
        answer = Desktop(env, tmp_path).run("store.set(slot, Secret('x'))")
    assert answer["code"] == "keyring-no-bus"
    assert "dbus-run-session" in answer["hint"]
    stale = Desktop(env | {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={tmp_path}/run/private-bus"}, tmp_path)
    assert stale.run("result = store.get(slot)")["code"] == "keyring-no-bus"


def test_a_job_of_cron_beside_a_session_is_told_the_address(tmp_path: Path, programs: None) -> None:
    with bus(tmp_path) as desktop:
        (tmp_path / "run" / "bus").symlink_to(tmp_path / "run" / "private-bus")
        env = {key: value for key, value in desktop.env.items() if key != "DBUS_SESSION_BUS_ADDRESS"}
        answer = Desktop(env, tmp_path).run("result = store.get(slot)")
        assert answer["code"] == "keyring-no-bus"
        address = f"unix:path={tmp_path}/run/bus"
        assert f"DBUS_SESSION_BUS_ADDRESS={address} " in answer["hint"]
        with gnome_keyring(desktop, "login password"):
            told = Desktop(env | {"DBUS_SESSION_BUS_ADDRESS": address}, tmp_path)
            assert told.run("result = store.get(slot)") == {"result": None}
