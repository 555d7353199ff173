"""How a login speaks to a person at a terminal, and where there is none."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import LoginRequired
from ..i18n import _
from ..stores import Secret
from .output import Output, is_terminal
from .typed import typed_line

__all__ = ["Refusing", "Terminal", "has_browser", "open_prompt"]

_BROWSER_STARTS = 5.0
"""Seconds after which a browser program that has not ended is taken to be open."""


class Refusing:
    """The prompt where standard input is no terminal: it shows, and can open a browser, but never asks."""

    asks = False

    def __init__(self, output: Output, *, browser: bool = True) -> None:
        # What is said here is needed to answer at all: --quiet does not take it away.
        self._output = Output(json=output.json)
        self._browser = browser

    def say(self, text: str) -> None:
        """As in ``Prompt``."""
        self.show(text)

    def show(self, text: str, *, style: str = "") -> None:
        """As ``say``. ``style``: how it is shown, where there are colours."""
        for line in text.splitlines() or [""]:
            self._output.say(line, style=style)

    def ask(self, question: str, done: threading.Event) -> str | None:
        """As in ``Prompt``: asks nothing, but a line that another program hands in is taken."""
        return typed_line(done)

    def ask_secret(self, question: str) -> Secret:
        """Refused."""
        raise LoginRequired(
            _("A secret is needed, and nobody can be asked: standard input is no terminal."),
            code="no-terminal",
            hint=_(
                "Run it in a terminal, or hand it in: an authorization code with --code-stdin, a passphrase "
                "with OAUTH_MAILER_PASSPHRASE_FILE."
            ),
        )

    def open_browser(self, url: str) -> bool:
        """As in ``Prompt``."""
        return self._browser and has_browser() and _open_browser(url)


class Terminal(Refusing):
    """The prompt at a terminal."""

    asks = True

    def ask(self, question: str, done: threading.Event) -> str | None:
        """As in ``Prompt``."""
        print(question.rstrip(), end=" ", file=sys.stderr, flush=True)
        with _own_line():
            line = typed_line(done)
        if line is None:
            print(file=sys.stderr)
        return line

    def ask_secret(self, question: str) -> Secret:
        """As in ``Prompt``; what is typed is not shown."""
        import getpass

        try:
            with _own_line():
                return Secret(getpass.getpass(question.rstrip() + " ", stream=sys.stderr))
        except (EOFError, UnicodeDecodeError):
            raise _no_answer() from None


@contextmanager
def _own_line() -> Iterator[None]:
    """What is said after Ctrl-C begins on a line of its own."""
    try:
        yield
    except KeyboardInterrupt:
        print(file=sys.stderr)
        raise


def open_prompt(output: Output, *, browser: bool = True) -> Refusing:
    """The prompt for this process. ``browser``: whether one may be opened."""
    return (Terminal if is_terminal(sys.stdin) else Refusing)(output, browser=browser)


def _no_answer() -> LoginRequired:
    return LoginRequired(_("There was no answer."), code="no-answer", hint=_("Start the login again."))


def has_browser() -> bool:
    """Whether a browser opened here is seen by a person: not on a server, and not in the terminal itself."""
    if os.environ.get("BROWSER"):
        return True
    if sys.platform == "win32":
        return True
    if sys.platform == "darwin":
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _open_browser(url: str) -> bool:
    import subprocess

    # In a process of its own: what a browser prints is no result of ours, Ctrl-C here is not for it, and
    # some stay in the foreground until they are closed.
    program = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.argv[1]))"
    try:
        opener = subprocess.Popen(
            [sys.executable, "-c", program, url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return opener.wait(timeout=_BROWSER_STARTS) == 0
    except subprocess.TimeoutExpired:
        return True
    except OSError:
        return False
