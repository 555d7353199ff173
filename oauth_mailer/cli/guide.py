"""Leads a person at a terminal to an OAuth client of their own, and recognises its file when it lands.

Nothing is written: given up at any step, it leaves nothing behind.
"""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ..errors import ConfigError, LoginRequired
from ..i18n import _, system_text
from ..logins.downloads import Arrival, Downloads, arrival
from ..logins.ssh import ssh_host
from .columns import wrapped
from .guide_steps import STEPS, Step, api_page
from .terminal import Refusing

__all__ = ["Guide", "typed_path"]

_LOOK = 0.5
"""Seconds between two looks into the downloads folder."""

_WIDTH = 90


class Guide:
    """``prompt``: the person; ``address``: of the account that the client is for."""

    def __init__(self, prompt: Refusing, address: str) -> None:
        self._prompt = prompt
        self._address = address
        self._file: Path | None = None

    def __call__(self) -> Path:
        """The file of a client. Raises ``LoginRequired`` where nobody answers any more."""
        downloads = Downloads()
        self._introduce()
        found = self._ready(downloads) or self._walk(downloads)
        self._tell(found)
        self._file = found.path
        return found.path

    def offer_to_delete(self) -> None:
        """Ask whether the file should go, once its secret rests in the store. Raises nothing."""
        if self._file is None:
            return
        self._say(_("The client's secret rests in the store now, and serves your other Google accounts too."))
        with suppress(KeyboardInterrupt):  # the login is done: this is a no
            if self._agrees(_("Delete the file {path}? [y/N]").format(path=self._file), default=False):
                self._delete(self._file)

    def _delete(self, path: Path) -> None:
        try:
            path.unlink()
        except OSError as error:
            reason = system_text(error.strerror) or type(error).__name__
            self._say(_("It cannot be deleted: {reason}.").format(reason=reason))
        else:
            self._say(_("It is deleted."))

    def _introduce(self) -> None:
        self._say(
            _(
                "Google lets a program send mail for you only through an OAuth client of your own. You make "
                "it once, in about five minutes, for all your Google accounts."
            )
        )
        self._say(_("Ctrl-C ends it at any step, and leaves nothing behind."))

    def _ready(self, downloads: Downloads) -> Arrival | None:
        found = downloads.ready()
        if found is None:
            return None
        question = _("There is a client already: {path}. Use it? [Y/n]").format(path=found.path)
        return found if self._agrees(question, default=True) else None

    def _walk(self, downloads: Downloads) -> Arrival:
        self._say(
            _(
                "{count} steps follow. Enter goes on to the next one. If you have the client's JSON file "
                "already, type its path, or drag it here, at any step."
            ).format(count=len(STEPS))
        )
        if found := self._answer(downloads, _("Enter begins:")):
            return found
        for number, step in enumerate(STEPS, 1):
            self._show(number, step)
            last = number == len(STEPS)
            if last:
                self._tell_where(downloads)
            question = _("The file, or Enter to look for it:") if last else _("Enter when it is done:")
            while True:
                if found := self._answer(downloads, question):
                    return found
                if not last:
                    break
                self._say(_("It is not there yet."))
        raise AssertionError("the last step ends with a file")

    def _show(self, number: int, step: Step) -> None:
        self._prompt.say("")
        self._prompt.show(f"{number}/{len(STEPS)}  {_(step.title)}", style="bold")
        self._say(_(step.text), indent="     ")
        self._prompt.show(f"     {step.url}", style="cyan")
        self._prompt.open_browser(step.url)

    def _tell_where(self, downloads: Downloads) -> None:
        folders = [folder for folder in downloads.folders if folder.is_dir()] or [downloads.folders[0]]
        self._say(_("The file is recognised as soon as it lands in:"), indent="     ")
        for folder in folders:
            self._prompt.say(f"     {folder}")
        if (host := ssh_host()) is not None:
            self._say(
                _("Your browser is on another computer: type there, in the folder that the file is in:"),
                indent="     ",
            )
            self._prompt.show("     " + host.copy("client_secret*.json"), style="cyan")

    def _answer(self, downloads: Downloads, question: str) -> Arrival | None:
        """A file that is of use, or None for Enter alone. What is of no use is told, and asked again."""
        while True:
            with _watching(downloads) as news:
                line = self._prompt.ask(question, news.done)
            if news.arrival is None:
                if line is None:
                    raise _given_up(self._address)
                if not line.strip():
                    return None
                news.arrival = arrival(typed_path(line))
            if news.arrival.error is None:
                return news.arrival
            self._tell_why(news.arrival.error)

    def _tell_why(self, error: ConfigError) -> None:
        self._prompt.show(error.message, style="yellow")
        self._say(_("What is wanted is the JSON of a client of the type Desktop app."))

    def _tell(self, found: Arrival) -> None:
        self._prompt.show(
            _("Found {path}: a whole client of the type Desktop app.").format(path=found.path), style="green"
        )
        if found.project:
            self._say(
                _("Its project is {project}. That is where the Gmail API has to be enabled:").format(
                    project=found.project
                )
            )
            self._prompt.show(api_page(found.project), style="cyan")
        self._say(
            _(
                "Now Google asks for your consent. It may warn first that the app is not verified: it is "
                "your own, so press Advanced, then Go to it."
            )
        )
        self._prompt.say("")

    def _agrees(self, question: str, *, default: bool) -> bool:
        line = self._prompt.ask(question, threading.Event())
        if line is None:
            if default:
                raise _given_up(self._address)
            return False
        word = line.strip().lower()
        return default if not word else word in ("y", "yes", "是")

    def _say(self, text: str, indent: str = "") -> None:
        for line in wrapped(text, _WIDTH - len(indent)):
            self._prompt.say(indent + line)


def typed_path(line: str) -> Path:
    r"""The path that a person typed, pasted or dragged into a terminal.

    Terminals hand over a dragged file in quotes, with ``\`` before blanks, or as a ``file:`` address.
    """
    text = line.strip()
    if text.startswith("file:"):
        return Path(url2pathname(urlsplit(text).path))
    if os.name == "nt":
        text = text.removeprefix("& ").strip("\"'")  # PowerShell puts its call operator in front
    elif not Path(text).expanduser().exists():
        try:
            words = shlex.split(text)
        except ValueError:  # a quotation mark that stands alone
            words = []
        text = words[0] if len(words) == 1 else text
    return Path(text).expanduser()


class _News:
    """``arrival``: the first file that came; ``done``: set as soon as one did, or it is no longer wanted."""

    def __init__(self) -> None:
        self.arrival: Arrival | None = None
        self.done = threading.Event()


@contextmanager
def _watching(downloads: Downloads) -> Iterator[_News]:
    """Look into the folders while a person is asked."""
    news = _News()

    def watch() -> None:
        while not news.done.wait(_LOOK):
            if (found := next(downloads.look(), None)) is not None:
                news.arrival = found
                news.done.set()

    thread = threading.Thread(target=watch, name="oauth-mailer-downloads", daemon=True)
    thread.start()
    try:
        yield news
    finally:
        news.done.set()
        thread.join()


def _given_up(address: str) -> LoginRequired:
    return LoginRequired(
        _("There was no answer."),
        code="no-answer",
        hint=_("Start it again: oauth-mailer login {address}").format(address=address),
    )
