"""``oauth-mailer login`` for Gmail, running while a person has the consent page in front of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import urljoin

from oauth_mailer.sandbox import Sandbox
from tests.sandbox.application import Form, ask
from tests.support.google_browser import decide

from .program import ROOT, Ended, run
from .typist import Typist

ADDRESS = "you@gmail.com"
PASSPHRASE = "a passphrase of the test"
_PATIENCE = 60.0  # seconds; a program that says nothing for so long has failed


class Login:
    """The program, without a terminal; killed if it still runs at the end of ``with``.

    ``open_input``: standard input is a pipe on which nothing comes until ``type``; else it is empty.
    """

    def __init__(self, *words: str, open_input: bool = False, env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "oauth_mailer", "login", *words],
            cwd=ROOT,
            env={**os.environ, "PYTHONUTF8": "1", **(env or {})},
            stdin=subprocess.PIPE if open_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdout
        assert self.process.stderr
        self._out = _Heard(self.process.stdout)
        self._err = _Heard(self.process.stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.end()

    @property
    def url(self) -> str:
        """The address of the consent page, as soon as the program prints it."""
        return self._err.wait_for(r"^http\S+/o/oauth2/auth\?\S+$")

    def wait_for(self, text: str) -> None:
        """Until the program has said this to a person."""
        self._err.wait_for(re.escape(text))

    def type(self, line: str) -> None:
        """Hand in a line on standard input."""
        assert self.process.stdin
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def end(self) -> Ended:
        """How the program ended."""
        try:
            code = self.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            if self.process.stdin:
                self.process.stdin.close()
        return Ended(code, self._out.all(), self._err.all())


class _Heard:
    """What came out of a stream so far."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.text = ""
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._listen, args=(stream,), daemon=True)
        self._thread.start()

    def wait_for(self, pattern: str) -> str:
        with self._more:
            found = self._more.wait_for(
                lambda: re.search(pattern, self.text, re.M) or not self._thread.is_alive(), _PATIENCE
            )
            if not isinstance(found, re.Match):
                raise AssertionError(f"{pattern!r} never came:\n{self.text}")
            return found[0]

    def all(self) -> str:
        self._thread.join(_PATIENCE)
        return self.text

    def _listen(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                with self._more:
                    self.text += line.decode()
                    self._more.notify_all()
        with self._more:
            self._more.notify_all()


def log_in(sandbox: Sandbox, folder: Path, *words: str, address: str = ADDRESS) -> Ended:
    """A login that a person allows; how it ended.

    ``folder``: where the client's file is put.
    """
    client = sandbox.write_client_secrets(folder)
    with Login(address, "--client-secrets", str(client), "--no-browser", *words) as login:
        status, _address, page = decide(login.url)
        assert status == 200, page
        return login.end()


def redirected(url: str) -> str:
    """Allow on the consent page at this address; where the browser is sent, and from here never comes."""
    form = Form(ask(url).text)
    answer = ask(urljoin(url, form.action), form=form.press("allow"))
    assert answer.status == 303, answer.text
    return answer.headers["Location"]


def send(*words: str, env: dict[str, str] | None = None) -> Ended:
    """One mail by the program."""
    return run("send", "--to", "ann@example.com", "--text", "Hi", "--json", *words, env=env)


def everything(home: Path) -> dict[str, bytes]:
    """What is written down, locks aside."""
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in home.rglob("*")
        if path.is_file() and path.name in ("config.toml", "secrets.sealed")
    }


def url_on(typist: Typist) -> str:
    """The address of the consent page, once a terminal shows it whole."""
    typist.wait_for("login_hint=you%40gmail.com\r\n")
    return next(line.strip() for line in typist.screen.splitlines() if "/o/oauth2/auth?" in line)
