"""Canaries: each secret there is, looked for in all that a person, a log or another program can see."""

from __future__ import annotations

import json
import os
import random
import string
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, quote

import pytest

from oauth_mailer import Message
from oauth_mailer.outbox import Outbox
from oauth_mailer.sandbox import Sandbox
from tests.cli.google_login import Login
from tests.cli.program import ROOT, run
from tests.support import folder_contains
from tests.support.browser_program import browser_program
from tests.support.google_account import client_file
from tests.support.google_browser import decide, fetch
from tests.support.http_script import Exchange, HttpScript

ME, QQ = "me@gmail.com", "me@qq.com"
# Of this run alone: all processes of the machine are looked at, and another run may be under way there.
CODE = "canary" + "".join(random.choices(string.ascii_lowercase, k=10))
PASSPHRASE = "canary passphrase"

# Uses the library as badly as anybody: everything logged, every object shown, every error with its traceback.
PROGRAM = """
import gc, logging, pathlib, sys, threading, traceback
logging.basicConfig(level=1, stream=sys.stderr)
for name in ("google", "oauthlib", "requests_oauthlib", "urllib3", "keyring", "filelock", "asyncio"):
    logging.getLogger(name).setLevel(1)
import oauth_mailer
from oauth_mailer import logins
from oauth_mailer.stores import Secret
from tests.support.google_browser import Person

client, host, port, ca, phase = sys.argv[1:]
if phase != "login":  # where the person's browser says all that it asks
    import http.client
    http.client.HTTPConnection.debuglevel = 1
code = sys.stdin.readline().strip()

def look():
    for thing in gc.get_objects():
        if str(type(thing).__module__).startswith("oauth_mailer") and not isinstance(thing, type):
            try:
                print(repr(thing), str(thing))
            except AttributeError:
                continue  # half made

def attempt(work):
    try:
        print(work())
    except oauth_mailer.MailerError as error:
        traceback.print_exc()
        print(repr(error), error, vars(error), error.__cause__, error.__context__)
    look()

message = oauth_mailer.Message(to="ann@example.com", subject="Hi", text="Hello")
def send(account):
    with oauth_mailer.open_mailer(account) as mailer:
        try:
            return mailer.send(message)
        finally:
            look()

if phase == "login":
    attempt(lambda: oauth_mailer.login("me@gmail.com", client_secrets=client, prompt=Person(), timeout=60,
                                       check_identity=True))
    account = logins.account_for("me@qq.com", host=host, port=int(port), security="tls", ca_file=ca)
    attempt(lambda: oauth_mailer.login(account, code=code))
elif phase == "send":
    attempt(lambda: send("me@gmail.com"))
    attempt(lambda: send("me@qq.com"))
else:
    attempt(lambda: oauth_mailer.logout("me@gmail.com"))
    attempt(lambda: oauth_mailer.logout("me@qq.com"))
"""


class Watch:
    """What the processes of this machine show of themselves while the block runs, and what was said."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._over.wait(0.005):
            for line in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(line.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
                except OSError:
                    continue  # it has ended

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join(10)


@pytest.fixture
def places(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every folder that the program has reason to write to."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("OAUTH_MAILER_STORE", "encrypted_file")
    file = tmp_path / "passphrase"
    file.write_text(PASSPHRASE + "\n", "utf-8")
    file.chmod(0o600)
    monkeypatch.setenv("OAUTH_MAILER_PASSPHRASE_FILE", str(file))
    monkeypatch.setenv("OAUTH_MAILER_DEBUG", "1")
    return [home, temporary, tmp_path / "user"]


class Witness:
    """The stand-in, and somebody before its token endpoint who notes the secrets that pass there."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.endpoint = HttpScript(self.pass_on)
        self.passed: dict[str, str] = {}

    def client(self, folder: Path) -> Path:
        """The client's file, as downloaded."""
        fields = self.sandbox.client_secrets["installed"] | {"token_uri": f"{self.endpoint.url}/token"}
        return client_file(folder, self.endpoint.url, **fields)

    def pass_on(self, exchange: Exchange) -> bool:
        """One request to the token endpoint, and its answer."""
        request = exchange.read_all()
        assert request
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        self._note({name: form[name] for name in ("code_verifier", "code") if name in form})
        status, _url, text = fetch(self.sandbox.client_secrets["installed"]["token_uri"], request.body)
        with suppress(ValueError):
            self._note({name: value for name, value in json.loads(text).items() if name == "id_token"})
        exchange.say(f"{status} As the stand-in says", text.encode(), Content_Type="application/json")
        return True

    def _note(self, secrets: dict[str, str]) -> None:
        self.passed |= {f"{name} {len(self.passed)}": value for name, value in secrets.items()}


@contextmanager
def stand_in(monkeypatch: pytest.MonkeyPatch, **plans: str) -> Iterator[Witness]:
    with Sandbox(code=CODE, **plans) as sandbox:  # type: ignore[arg-type]
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", sandbox.gmail_endpoint)
        witness = Witness(sandbox)
        with witness.endpoint:
            yield witness


def library(witness: Witness, tmp_path: Path, phase: str) -> str:
    smtp, client = witness.sandbox.smtp, witness.client(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(client), smtp.host, str(smtp.port), str(smtp.ca_file), phase],
        cwd=ROOT,
        input=f"{CODE}\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def canaries(witness: Witness) -> dict[str, str]:
    """Every secret there was, by what it is."""
    grants = witness.sandbox._grants
    client = witness.sandbox.client_secrets["installed"]["client_secret"]
    found = {"the passphrase": PASSPHRASE, "the authorization code": CODE, "the client's secret": client}
    found |= witness.passed
    found |= {f"code {number}": text for number, text in enumerate(grants._codes)}
    found |= {f"access token {number}": text for number, text in enumerate(grants._access)}
    found |= {f"refresh token {number}": text for number, text in enumerate(grants._refresh)}
    return found


def forms(text: str) -> set[str]:
    """The text as it may be written: alone, in an address, in JSON, as AUTH PLAIN and LOGIN send it."""
    plain = b64encode(f"\0{QQ}\0{text}".encode()).decode()
    return {text, quote(text, safe=""), json.dumps(text)[1:-1], b64encode(text.encode()).decode(), plain}


def leaks(witness: Witness, shown: str, places: list[Path]) -> list[str]:
    found = []
    for what, text in canaries(witness).items():
        for form in forms(text):
            if form in shown:
                found.append(f"{what} was shown: …{shown.partition(form)[0][-300:]}")
            found += [
                f"{what} in {path}" for folder in places for path in folder_contains(folder, form.encode())
            ]
    return found


@pytest.mark.fault(33)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize(
    "plans",
    [
        {},
        {"gmail": "401,403-accessNotConfigured", "smtp": "ok,535"},
        {"gmail": "accept-close", "token": "ok,invalid_grant"},
    ],
)
def test_the_library_at_its_most_talkative_shows_no_secret(
    plans: dict[str, str], tmp_path: Path, places: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with stand_in(monkeypatch, **plans) as witness, Watch() as watch:
        shown = library(witness, tmp_path, "login")
        assert not leaks(witness, shown, places)
        kinds = {name.rstrip(" 0123456789") for name in canaries(witness)}
        assert kinds >= {"access token", "refresh token", "code", "code_verifier", "id_token"}
        shown = library(witness, tmp_path, "send")
        assert not leaks(witness, shown, places)
        witness.sandbox.expire_access_tokens()
        shown += library(witness, tmp_path, "send")
        assert not leaks(witness, shown, places)
        shown = library(witness, tmp_path, "logout")
        assert not leaks(witness, shown, places)
    assert any("oauth_mailer" in line for line in watch.seen)
    assert not leaks(witness, "\n".join(watch.seen), [])


@pytest.mark.fault(33, program=True)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_the_program_shows_no_secret_but_the_consent_address_that_a_person_needs(
    tmp_path: Path, places: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = ""

    def hear(*words: str, stdin: str = "") -> None:
        nonlocal shown
        done = run(*words, "--verbose", stdin=stdin.encode())
        shown += done.out + done.err

    with stand_in(monkeypatch, gmail="ok,500", smtp="ok") as witness, Watch() as watch:
        sandbox, client = witness.sandbox, witness.client(tmp_path)
        smtp = sandbox.smtp
        login = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "oauth_mailer",
                "login",
                ME,
                "--client-secrets",
                client,
                "-v",
                "--no-browser",
                "--check-identity",
            ],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        with login:
            assert login.stderr
            for line in login.stderr:
                shown += line
                if line.startswith("http"):
                    decide(line.strip())
        assert login.returncode == 0
        at = ("--host", f"{smtp.host}:{smtp.port}", "--security", "tls", "--ca-file", str(smtp.ca_file))
        hear("login", QQ, *at, "--code-stdin", stdin=f"{CODE}\n")
        hear("login", QQ, *at, "--code-stdin", stdin=f"wrong{CODE}\n")
        for _time in range(2):
            for account in (ME, QQ):
                hear("send", "--from", account, "--to", "ann@example.com", "--text", "Hi", "--json")
        hear("accounts", "--json")
        hear("login", QQ, "--code", CODE)  # a mistake that is not made worse
        assert len(sandbox.messages) >= 3
        # The last one typed the code into the arguments, where everybody could see it; the rest did not.
        processes = "\n".join(line for line in watch.seen if f"--code {CODE}" not in line)
        assert not leaks(witness, shown, places)
        assert not leaks(witness, processes, [])
        hear("logout", ME)
        hear("logout", QQ)
        assert not leaks(witness, shown, places)


@pytest.mark.fault(33)
@pytest.mark.skipif(os.name != "posix", reason="other systems have no such modes")
def test_what_is_written_is_for_its_owner_only(
    tmp_path: Path, places: list[Path], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(0)  # whatever the host lets others do by default
    try:
        with stand_in(monkeypatch) as witness:
            library(witness, tmp_path, "login")
            witness.sandbox.plan(smtp="535")
            library(witness, tmp_path, "send")
        with Outbox() as outbox:
            outbox.add(Message(to="ann@example.com", text="Hi"))
            written = {path: path.stat().st_mode for folder in places for path in folder.rglob("*")}
    finally:
        os.umask(before)
    assert {path.name for path in written} >= {"config.toml", "secrets.sealed", "refused.json", "outbox.db"}
    assert not [path for path, mode in written.items() if mode & 0o077]


# A program that keeps secrets, and one that opens pages, in a folder each of its own; both note what others
# can see of them.
NOTES = """#!{python}
import json, os, subprocess, sys
with open({notes!r}, "a") as notes:
    notes.write(json.dumps([sys.argv, dict(os.environ)]) + "\\n")
sys.exit(subprocess.run([{python!r}, {program!r}, *sys.argv[1:]]).returncode)
"""


def noted(folder: Path, program: Path) -> tuple[Path, Path]:
    """This program behind one that notes its arguments and its environment, and the file of the notes."""
    folder.mkdir()
    notes, made = folder / "notes", folder / "program"
    made.write_text(NOTES.format(python=sys.executable, notes=str(notes), program=str(program)), "utf-8")
    made.chmod(0o755)
    return made, notes


@pytest.mark.fault(33, program=True)
@pytest.mark.skipif(os.name != "posix", reason="needs programs that are scripts")
def test_the_programs_that_are_started_are_told_no_secret_where_others_see_it(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper, kept = noted(tmp_path / "keeper", ROOT / "tests" / "support" / "secret_program.py")
    (tmp_path / "folder").mkdir()
    clicker, _last_page = browser_program(tmp_path)
    browser, opened = noted(tmp_path / "browser-notes", Path(clicker))
    word = [str(keeper), str(tmp_path / "folder")]
    lines = [f"{act} = {json.dumps([*word, act, '{account}/{purpose}'])}" for act in ("get", "set", "delete")]
    (home / "config.toml").write_text(
        "\n".join(["[stores.command]", "missing_exit = [4]", *lines, ""]), "utf-8"
    )
    monkeypatch.setenv("OAUTH_MAILER_STORE", "command")
    with stand_in(monkeypatch) as witness:
        smtp, client = witness.sandbox.smtp, witness.client(tmp_path)
        at = ("--host", f"{smtp.host}:{smtp.port}", "--security", "tls", "--ca-file", str(smtp.ca_file))
        done = run("login", ME, "--client-secrets", str(client), env={"BROWSER": str(browser)})
        assert done.code == 0, done.err
        assert run("login", QQ, *at, "--code-stdin", stdin=CODE.encode()).code == 0
        for account in (ME, QQ):
            assert run("send", "--from", account, "--to", "ann@example.com", "--text", "Hi").code == 0
        assert len(witness.sandbox.messages) == 2
        seen = kept.read_text("utf-8") + opened.read_text("utf-8")
        assert seen.count("\n") > 6
        assert not leaks(witness, seen, [])


# Each thing that is handed to the network with a secret in it breaks the program, and says with what.
CRASH = """
import socket, ssl

class Crash(Exception):
    pass

def breaking(plain, says):
    def send(self, data, *rest):
        if any(word in bytes(data) for word in (b"AUTH PLAIN ", b"Bearer ", b"client_secret=")):
            raise Crash(bytes(data) if says else "")
        return plain(self, data, *rest)
    return send

for kind in (socket.socket, ssl.SSLSocket):
    for name in ("send", "sendall"):
        setattr(kind, name, breaking(getattr(kind, name), {says}))
"""


@pytest.mark.fault(33)
@pytest.mark.fault(33, program=True)
@pytest.mark.usefixtures("places")
def test_a_crash_in_the_middle_of_a_secret_shows_none_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site := tmp_path / "site").mkdir()
    with stand_in(monkeypatch) as witness:
        library(witness, tmp_path, "login")
        monkeypatch.setenv("PYTHONPATH", str(site))
        (site / "sitecustomize.py").write_text(CRASH.format(says=True), "utf-8")
        for account, *log in ((ME,), (QQ,), (ME, "--log-format", "json"), (QQ, "--log-format", "json")):
            words = ("--from", account, "--to", "ann@example.com", "--text", "Hi", "--verbose")
            done = run("send", *words, *log)
            assert done.code == 76, done  # nobody knows what a fault of ours has sent
            assert "Crash" in done.err
            assert not leaks(witness, done.out + done.err, [])
        with Login(ME, "--verbose") as login:
            decide(login.url)
            done = login.end()
        assert done.code == 70, done
        assert "Crash" in done.err
        assert not leaks(witness, done.out + done.err, [])
        # Nobody catches it, in a program of somebody's own: Python itself shows where it was.
        (site / "sitecustomize.py").write_text(CRASH.format(says=False), "utf-8")
        for account in (ME, QQ):
            program = (
                f"import oauth_mailer; oauth_mailer.send(account={account!r}, to='a@example.com', text='Hi')"
            )
            ended = subprocess.run(
                [sys.executable, "-X", "dev", "-c", program],
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert ended.returncode == 1
            assert "OutcomeUnknown" in ended.stderr
            assert "Crash" in ended.stderr
            assert not leaks(witness, ended.stdout + ended.stderr, [])
    assert not witness.sandbox.messages
