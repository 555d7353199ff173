"""Canaries: each secret there is, looked for in all that a person, a log or another program can see."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from oauth_mailer.sandbox import Sandbox
from tests.support import folder_contains
from tests.support.google_browser import decide

ROOT = Path(__file__).parent.parent.parent
ME, QQ = "me@gmail.com", "me@qq.com"
CODE = "canarycodecanary"
PASSPHRASE = "canary passphrase"

# Uses the library as badly as anybody: everything logged, every object shown, every error with its traceback.
PROGRAM = """
import gc, logging, pathlib, sys, threading, traceback
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
for name in ("google", "oauthlib", "requests_oauthlib", "urllib3", "keyring", "filelock", "asyncio"):
    logging.getLogger(name).setLevel(logging.DEBUG)
import oauth_mailer
from oauth_mailer import logins
from oauth_mailer.stores import Secret
from tests.support.google_browser import Person

client, host, port, ca, phase = sys.argv[1:]
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
    attempt(lambda: oauth_mailer.login("me@gmail.com", client_secrets=client, prompt=Person(), timeout=60))
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
        self.seen: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._over.wait(0.005):
            for line in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.append(line.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
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


@contextmanager
def stand_in(monkeypatch: pytest.MonkeyPatch, **plans: str) -> Iterator[Sandbox]:
    with Sandbox(code=CODE, **plans) as sandbox:  # type: ignore[arg-type]
        monkeypatch.setenv("OAUTH_MAILER_GMAIL_ENDPOINT", sandbox.gmail_endpoint)
        yield sandbox


def library(sandbox: Sandbox, tmp_path: Path, phase: str) -> str:
    smtp = sandbox.smtp
    client = sandbox.write_client_secrets(tmp_path)
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


def canaries(sandbox: Sandbox) -> dict[str, str]:
    """Every secret there was, by what it is."""
    grants = sandbox._grants
    client = sandbox.client_secrets["installed"]["client_secret"]
    found = {"the passphrase": PASSPHRASE, "the authorization code": CODE, "the client's secret": client}
    found |= {f"code {number}": text for number, text in enumerate(grants._codes)}
    found |= {f"access token {number}": text for number, text in enumerate(grants._access)}
    found |= {f"refresh token {number}": text for number, text in enumerate(grants._refresh)}
    return found


def forms(text: str) -> set[str]:
    """The text as it may be written: alone, in an address, in JSON, as AUTH PLAIN and LOGIN send it."""
    plain = b64encode(f"\0{QQ}\0{text}".encode()).decode()
    return {text, quote(text, safe=""), json.dumps(text)[1:-1], b64encode(text.encode()).decode(), plain}


def leaks(sandbox: Sandbox, shown: str, places: list[Path]) -> list[str]:
    found = []
    for what, text in canaries(sandbox).items():
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
    with stand_in(monkeypatch, **plans) as sandbox, Watch() as watch:
        shown = library(sandbox, tmp_path, "login")
        assert not leaks(sandbox, shown, places)
        assert {"access token 0", "refresh token 0", "code 0"} <= set(canaries(sandbox))
        shown = library(sandbox, tmp_path, "send")
        assert not leaks(sandbox, shown, places)
        sandbox.expire_access_tokens()
        shown += library(sandbox, tmp_path, "send")
        assert not leaks(sandbox, shown, places)
        shown = library(sandbox, tmp_path, "logout")
        assert not leaks(sandbox, shown, places)
    assert any("oauth_mailer" in line for line in watch.seen)
    assert not leaks(sandbox, "\n".join(watch.seen), [])


@pytest.mark.fault(33, program=True)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_the_program_shows_no_secret_but_the_consent_address_that_a_person_needs(
    tmp_path: Path, places: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = ""

    def run(*words: str, stdin: str = "") -> None:
        nonlocal shown
        done = subprocess.run(
            [sys.executable, "-m", "oauth_mailer", *words, "--verbose"],
            cwd=ROOT,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        shown += done.stdout + done.stderr

    with stand_in(monkeypatch, gmail="ok,500", smtp="ok") as sandbox, Watch() as watch:
        smtp, client = sandbox.smtp, sandbox.write_client_secrets(tmp_path)
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
                if line.strip().startswith(sandbox.gmail_endpoint):
                    decide(line.strip())
        assert login.returncode == 0
        at = ("--host", f"{smtp.host}:{smtp.port}", "--security", "tls", "--ca-file", str(smtp.ca_file))
        run("login", QQ, *at, "--code-stdin", stdin=f"{CODE}\n")
        run("login", QQ, *at, "--code-stdin", stdin=f"wrong{CODE}\n")
        for _time in range(2):
            for account in (ME, QQ):
                run("send", "--from", account, "--to", "ann@example.com", "--text", "Hi", "--json")
        run("accounts", "--json")
        run("login", QQ, "--code", CODE)  # a mistake that is not made worse
        assert len(sandbox.messages) >= 3
        # The last one typed the code into the arguments, where everybody could see it; the rest did not.
        processes = "\n".join(line for line in watch.seen if f"--code {CODE}" not in line)
        assert not leaks(sandbox, shown, places)
        assert not leaks(sandbox, processes, [])
        run("logout", ME)
        run("logout", QQ)
        assert not leaks(sandbox, shown, places)


@pytest.mark.fault(33)
@pytest.mark.skipif(os.name != "posix", reason="other systems have no such modes")
def test_what_is_written_is_for_its_owner_only(
    tmp_path: Path, places: list[Path], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stand_in(monkeypatch) as sandbox:
        library(sandbox, tmp_path, "login")
        library(sandbox, tmp_path, "send")
    written = [path for path in home.rglob("*") if path.is_file()]
    assert {path.name for path in written} >= {"config.toml", "secrets.sealed"}
    assert not [path for path in written if path.stat().st_mode & 0o077]
