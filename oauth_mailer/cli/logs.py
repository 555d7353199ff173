"""Where the program logs: to standard error, to a file, as text or as JSON, one line a record."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ..errors import ConfigError, MailerError, StoreError
from ..i18n import _, system_text
from .exits import UsageError
from .output import Output, printable

__all__ = ["logging_as_asked", "on_standard_error"]


@contextmanager
def logging_as_asked(arguments: argparse.Namespace, output: Output) -> Iterator[Output]:
    """Log while the block runs; gives the output that goes with it. Raises ``MailerError``."""
    form, file = getattr(arguments, "log_format", None), getattr(arguments, "log_file", None)
    recipients = getattr(arguments, "log_recipients", None)
    if recipients is not None and not (file or form or arguments.verbose):
        raise UsageError(
            _("{option} goes with --log-file or --log-format only.").format(option="--log-recipients"),
            code="usage",
            hint=_("Add: {option}").format(option="--log-file FILE"),
        )
    level = logging.DEBUG if arguments.verbose else logging.INFO
    handlers: list[logging.Handler] = []
    if file is not None:
        handlers.append(_File(Path(file), output))
        handlers[0].setFormatter(_json() if form == "json" else _Text())
    if arguments.verbose or (form and file is None):
        to_terminal = logging.StreamHandler()
        as_json = form == "json" and file is None
        to_terminal.setFormatter(_json(sys.stderr) if as_json else _Brief())
        handlers.append(to_terminal)
        if as_json:
            output = _Logged(output)
    logger = logging.getLogger("oauth_mailer")
    before = logger.level
    logger.setLevel(level)
    for handler in handlers:
        logger.addHandler(handler)
    if recipients is not None:
        _show_recipients(recipients)
    try:
        yield output
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(before)
        if recipients is not None:
            _show_recipients("count")


def on_standard_error(logger: logging.Logger) -> bool:
    """Whether a person sees there what is logged."""
    return any(isinstance(handler, logging.StreamHandler) for handler in logger.handlers)


class _Brief(logging.Formatter):
    """For a person who looks on."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The line; of an exception, where it was raised and not what it says."""
        return printable(super().format(record))

    def formatException(self, ei: object) -> str:  # noqa: N802 - as logging calls it
        from ..integrations.json_lines import places

        error = ei[1] if isinstance(ei, tuple) else None
        if not isinstance(error, BaseException):
            return ""
        return " ".join([type(error).__qualname__, "at", "; ".join(places(error))])


class _Text(_Brief):
    """For a file: with the level, and a time that is the same wherever it is read."""

    def __init__(self) -> None:
        super().__init__()
        self._style._fmt = "%(asctime)s %(levelname)s %(name)s: %(message)s"

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")


def _json(stream: object = None) -> logging.Formatter:
    from ..integrations.json_lines import JSONLines

    # A stream that cannot carry every character would put escapes there that JSON does not know.
    encoding = str(getattr(stream, "encoding", "") or "utf-8")
    return JSONLines(plain=encoding.lower().replace("-", "") != "utf8")


class _File(logging.Handler):
    """Appends each line in one write, to the file that has the name then: it may be renamed at any time.

    That is what logrotate and the like do; they need no signal, also where an open file cannot be renamed.
    What cannot be written is told once, and holds up nothing.
    """

    def __init__(self, path: Path, output: Output) -> None:
        super().__init__()
        self._path = path.absolute()
        self._output = output
        self._lost = 0
        try:
            self._append(b"")
        except OSError as error:
            raise ConfigError(
                _("The log {path} cannot be written: {reason}.").format(path=path, reason=_reason(error)),
                code="log-file",
                hint=_("Name a file in a folder that this user may write: --log-file FILE"),
            ) from error

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line; never raises."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - as every handler of logging does
            self.handleError(record)
            return
        try:
            self._append(f"{line}\n".encode("utf-8", "backslashreplace"))
        except OSError as error:
            if not self._lost:
                self._output.warn(
                    _("The log {path} cannot be written: {reason}.").format(
                        path=self._path, reason=_reason(error)
                    )
                )
            self._lost += 1
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            self._output.warn(
                _("The log {path} is written again; {count} lines are missing.").format(
                    path=self._path, count=lost
                )
            )

    def _append(self, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)
        flags |= getattr(os, "O_NONBLOCK", 0)  # a pipe that nobody reads would hold up the mail
        handle = os.open(self._path, flags, 0o600)
        try:
            while data:
                data = data[os.write(handle, data) :]
        finally:
            os.close(handle)


def _reason(error: OSError) -> str:
    return system_text(error.strerror) or type(error).__name__


class _Logged(Output):
    """Where the log goes to standard error as JSON, so do the words for a person: each line is an object."""

    def __init__(self, output: Output) -> None:
        super().__init__(json=output.json, quiet=True)  # which shows no bar either
        self._says = not output.quiet
        self._log = logging.getLogger("oauth_mailer.cli")

    def say(self, text: str = "", *, style: str = "") -> None:
        """Words for a person."""
        if self._says and text.strip():
            self._log.info("%s", text.strip())

    def help(self, text: str) -> None:
        """A help that nobody asked for."""
        self._log.warning("%s", text)

    def warn(self, text: str) -> None:
        """Words for a person that are shown in any case."""
        self._log.warning("%s", text)

    def error(self, error: MailerError) -> None:
        """What happened and why, and the next thing to do."""
        self._log.error("%s", error, extra={"event": "failed", "code": error.code})


def _show_recipients(how: str) -> None:
    from ..events import show_recipients

    if how == "hash":
        show_recipients("hash", salt=_salt())
    else:
        show_recipients("clear" if how == "clear" else "count")


def _salt() -> bytes:
    """A secret of this user's, so that hashes of different days and programs can be compared."""
    from ..accounts import Accounts
    from ..private_file import locked, read, replace

    path = Accounts().home / "log-salt"
    try:
        if not path.exists():
            with locked(path):
                if not path.exists():
                    replace(path, os.urandom(32))
        salt = read(path)
    except OSError as error:
        raise StoreError(
            _("The salt of the log cannot be kept in {path}: {reason}.").format(
                path=path, reason=_reason(error)
            ),
            code="log-salt",
            hint=_("Mend that, or leave out --log-recipients hash."),
        ) from error
    if len(salt) < 16:
        raise StoreError(
            _("The salt of the log in {path} is too short to hide an address.").format(path=path),
            code="log-salt",
            hint=_("Delete that file; another one is made."),
        )
    return salt
