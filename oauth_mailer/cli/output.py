"""What a command prints: results to standard output, words for a person to standard error."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TextIO

from ..errors import MailerError
from ..i18n import _, system_text

__all__ = ["Output", "printable"]

# Controls move the cursor and set colours; bidirectional marks make a text read as another one; lone
# surrogates cannot be encoded.
_UNFIT = "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"

_STYLES = {"bold": "1", "red": "31;1", "green": "32", "yellow": "33", "cyan": "36", "dim": "2"}


def printable(text: str) -> str:
    r"""The text on one line, with everything that steers a terminal escaped (``\x1b``)."""
    if text.isprintable():  # none of them is, though more is not
        return text
    return re.sub(_UNFIT, lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


class Output:
    """The two streams of the program. No method raises: what was done does not depend on who reads of it.

    ``json``: results are JSON; ``quiet``: of the words for a person, only errors are shown.
    """

    def __init__(self, *, json: bool = False, quiet: bool = False) -> None:
        self.json = json
        self.quiet = quiet

    def result(self, text: str, *, style: str = "") -> None:
        """One result, for whoever reads standard output; ``style``: where that is a terminal with colours."""
        shown = "\n".join(printable(line) for line in text.split("\n"))
        _write(sys.stdout, _styled(shown, style, sys.stdout))

    def record(self, value: object, *, line: bool = False) -> None:
        """One result as JSON; ``line``: on one line in any case, where more will follow."""
        _write(sys.stdout, self._json(value, indent=2 if is_terminal(sys.stdout) and not line else None))

    def records(self, name: str, values: Iterable[object]) -> MailerError | None:
        """One object as JSON whose only field is this list: an item a line, each as soon as it is there.

        What ends a list that has begun is told in a field ``error`` beside it, and given back. Raises what
        ends one that has not.
        """
        items = iter(values)
        found = next(items, None)
        line = f'{{"{name}": ['
        try:
            while found is not None:
                _write(sys.stdout, line)
                line = self._json(found)
                if (found := next(items, None)) is not None:
                    line += ","
        except MailerError as error:
            told = {"code": error.code, "message": error.message, "hint": error.hint}
            _write(sys.stdout, f'{line}], "error": {self._json(told)}}}')
            return error
        _write(sys.stdout, f"{line}]}}")
        return None

    def octets(self, blocks: Iterable[bytes]) -> None:
        """One result as it is; on a terminal, what would steer that is escaped."""
        if is_terminal(sys.stdout):
            text = b"".join(blocks).decode("utf-8", "replace").replace("\r\n", "\n")
            self.result(text.removesuffix("\n").replace("\t", "    "))
            return
        _write_octets(sys.stdout, blocks)

    def say(self, text: str = "", *, style: str = "") -> None:
        """Words for a person."""
        if not self.quiet:
            _write(sys.stderr, self.styled(printable(text), style))

    def help(self, text: str) -> None:
        """A help that nobody asked for, because something is missing."""
        _write(sys.stderr, text.removesuffix("\n"))

    def warn(self, text: str) -> None:
        """Words for a person that are shown in any case."""
        _write(sys.stderr, self.styled("oauth-mailer: ", "yellow") + printable(text))

    def error(self, error: MailerError) -> None:
        """What happened and why, what the provider said, and the next thing to do."""
        lines = [self.styled("oauth-mailer: ", "red") + printable(error.message)]
        if error.text and error.text not in error.message:
            lines.append("  " + _("The server said: {text}").format(text=printable(error.text)))
        if len(error.attempts) > 1:
            lines.extend(
                "  "
                + _("{account} by {transport}: {code}: {text}").format(
                    account=printable(attempt.account),
                    transport=attempt.transport,
                    code=attempt.code,
                    text=printable(attempt.text),
                )
                for attempt in error.attempts
            )
        if error.retry_after is not None:
            lines.append("  " + _("Not before {wait} from now.").format(wait=_duration(error.retry_after)))
        lines.extend("  " + self.styled(printable(line), "cyan") for line in error.hint.splitlines())
        _write(sys.stderr, "\n".join(lines))

    @staticmethod
    def _json(value: object, *, indent: int | None = None) -> str:
        import json

        # Where the stream cannot carry every character, JSON's own escapes can.
        plain = (getattr(sys.stdout, "encoding", "") or "").lower().replace("-", "") != "utf8"
        text = json.dumps(value, ensure_ascii=plain, indent=indent)
        return re.sub(_UNFIT, _json_escape, text) if not plain else text

    def styled(self, text: str, style: str) -> str:
        """The text in this style, where standard error is a terminal that shows one."""
        return _styled(text, style, sys.stderr)


def _styled(text: str, style: str, stream: Any) -> str:
    if not (style and text and shows_colours(stream)):
        return text
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


def _duration(seconds: float) -> str:
    """A time to wait, in the largest unit that leaves it at two or more."""
    for size, text in ((86_400, _("{n} days")), (3_600, _("{n} hours")), (60, _("{n} minutes"))):
        if seconds >= 2 * size:
            return text.format(n=-int(-seconds // size))
    return _("{n} seconds").format(n=max(1, -int(-seconds // 1)))


def is_terminal(stream: Any) -> bool:
    """Whether a person reads, or types, this stream."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # there is no such stream, or it is closed
        return False


def shows_colours(stream: Any) -> bool:
    """Whether colours belong on this stream: see no-color.org."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not is_terminal(stream):
        return False
    return sys.platform != "win32" or "WT_SESSION" in os.environ or "TERM" in os.environ


def make_lenient() -> None:
    """Characters that a stream cannot carry are escaped, not the end of the program."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError, OSError):  # a stream put in its place by a caller
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _json_escape(found: re.Match[str]) -> str:
    return found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}"


def _write(stream: TextIO | None, text: str) -> None:
    _guarded(stream, lambda open_stream: open_stream.write(text + "\n"))


def _write_octets(stream: TextIO | None, blocks: Iterable[bytes]) -> None:
    def write(open_stream: TextIO) -> None:
        for block in blocks:
            open_stream.buffer.write(block)

    _guarded(stream, write)


def _guarded(stream: TextIO | None, write: Callable[[TextIO], object]) -> None:
    if stream is None:  # a Windows program without a console
        return
    try:
        write(stream)
        stream.flush()
    except BrokenPipeError:
        _abandon(stream)  # whoever read it has read enough
    except (OSError, ValueError) as error:
        _abandon(stream)
        if stream is not sys.stderr:
            reason = system_text(getattr(error, "strerror", None)) or type(error).__name__
            _write(
                sys.stderr,
                "oauth-mailer: " + _("Standard output cannot be written: {reason}.").format(reason=reason),
            )


def _abandon(stream: TextIO) -> None:
    # What is left in the buffer would fail once more when the interpreter ends.
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
