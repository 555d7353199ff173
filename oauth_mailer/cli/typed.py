"""A line from standard input that can be given up.

Nothing goes on reading afterwards: what is typed next is the answer to another question.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

__all__ = ["typed_line"]

_LONGEST = 16_384  # octets or characters
_LOOK = 0.1  # seconds between two looks whether the line is still wanted


def typed_line(done: threading.Event) -> str | None:
    """The line without its end; None at the end of the input, or as soon as ``done`` is set."""
    if sys.stdin is None:
        return None
    try:
        line = _line(sys.stdin.fileno(), done)
    except (OSError, ValueError):  # closed, or put in place by a caller and no file at all
        return None
    return None if done.is_set() else line or None


if sys.platform == "win32":
    import msvcrt
    import queue

    def _line(descriptor: int, done: threading.Event) -> str:
        return _from_console(done) if os.isatty(descriptor) else _from_pipe(descriptor, done)

    def _from_console(done: threading.Event) -> str:
        # Key by key: a read of a whole line could not be given up, and would swallow the next answer.
        text = ""
        while not done.is_set() and len(text) < _LONGEST:
            if not msvcrt.kbhit():
                done.wait(_LOOK)
                continue
            key = msvcrt.getwch()
            if key in "\r\n":
                break
            if key == "\x03":
                raise KeyboardInterrupt
            if key in "\x00\xe0":  # the first half of an arrow or a function key
                msvcrt.getwch()
            elif key != "\b":
                msvcrt.putwch(key)
                text += key
            elif text:
                for one in "\b \b":
                    msvcrt.putwch(one)
                text = text[:-1]
        for one in "\r\n":
            msvcrt.putwch(one)
        return text or " "  # an empty line, and not the end of the input

    def _from_pipe(descriptor: int, done: threading.Event) -> str:
        # A pipe cannot be waited for; but nobody else reads it, so a thread may be left behind in it.
        lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

        def read() -> None:
            data = b""
            with suppress(OSError):
                while not data.endswith(b"\n") and len(data) < _LONGEST:
                    if not (more := os.read(descriptor, 1)):
                        break
                    data += more
            lines.put(data)

        threading.Thread(target=read, name="oauth-mailer-line", daemon=True).start()
        while not done.is_set():
            with suppress(queue.Empty):
                return lines.get(timeout=_LOOK).decode("utf-8", "replace")
        return ""

else:
    import select

    def _line(descriptor: int, done: threading.Event) -> str:
        data = b""
        while not done.is_set() and not data.endswith(b"\n") and len(data) < _LONGEST:
            if select.select([descriptor], [], [], _LOOK)[0]:
                # Past Python's own buffer, so that the rest stays where others find it.
                if not (more := os.read(descriptor, 1)):
                    break
                data += more
        return data.decode("utf-8", "replace")
