"""Real shells at a terminal, in which somebody completes what they type."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from . import require_program

_PATIENCE = 60.0  # seconds; a shell that says nothing for so long has failed

# One key puts all candidates in place of the word, one shows the line as it is then.
_BASH = r"""
PS1='ready> '
source {script}
bind '"\C-x\C-a": insert-completions'
bind -x '"\C-x\C-p": printf "LINE[%s]END\n" "$READLINE_LINE"'
"""
_ZSH = r"""
PROMPT='ready> '
fpath=({functions} $fpath)
autoload -Uz compinit && compinit -u -d {folder}/zcompdump
source {script}
zle -C all-matches complete-word _generic
zstyle ':completion:all-matches::::' completer _all_matches _complete
zstyle ':completion:all-matches:*' insert yes
bindkey '^X^A' all-matches
show-line() {{ print -r -- "LINE[$BUFFER]END" }}
zle -N show-line
bindkey '^X^P' show-line
"""


class Shell:
    """A bash or zsh without anybody's settings, into which the completion ``script`` is read.

    Zsh finds one that is named ``_oauth-mailer`` by itself, when it is needed. ``folder``: for its own files;
    ``at``: the folder it stands in.
    """

    def __init__(self, name: str, script: Path, folder: Path, at: Path) -> None:
        import fcntl
        import pty
        import termios

        program = require_program(name, name)
        rc = folder / ".zshrc" if name == "zsh" else folder / "bashrc"
        functions, read = ("", script) if script.name[0] != "_" else (script.parent, os.devnull)
        text = (_ZSH if name == "zsh" else _BASH).format(script=read, folder=folder, functions=functions)
        rc.write_text(text, "utf-8")
        words = ["-d", "-i"] if name == "zsh" else ["--noprofile", "--rcfile", str(rc), "-i"]
        self._screen = ""
        self._seen = 0
        self._master, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, b"\x28\x00\xe8\x03\x00\x00\x00\x00")  # 1000 columns
        self._process = subprocess.Popen(
            [program, *words],
            cwd=at,
            env={**os.environ, "TERM": "dumb", "ZDOTDIR": str(folder), "HISTFILE": "", "LC_ALL": "C.UTF-8"},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        self._wait_for(r"ready> ")

    def complete(self, line: str) -> str:
        """The line, after all candidates were put in place of its last word."""
        os.write(self._master, b"\x15" + line.encode() + b"\x18\x01" + b"\x18\x10")
        return self._wait_for(r"LINE\[(.*?)\]END")[1].rstrip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_PATIENCE)
        os.close(self._master)

    def _wait_for(self, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + _PATIENCE
        while (found := re.compile(pattern, re.DOTALL).search(self._screen, self._seen)) is None:
            ready, _writable, _broken = select.select([self._master], [], [], deadline - time.monotonic())
            data = os.read(self._master, 65536) if ready else b""
            if not data:
                raise AssertionError(f"{pattern!r} never came:\n{self._screen}")
            self._screen += data.decode("utf-8", "replace")
        self._seen = found.end()
        return found


def fish_completes(script: Path, line: str, at: Path, folder: Path) -> list[str]:
    """The candidates of fish for this line, without what is said of them."""
    program = f"source '{script}'; complete -C $argv[1]"
    done = subprocess.run(
        [require_program("fish", "fish"), "--no-config", "-c", program, line],
        cwd=at,
        env={**os.environ, "HOME": str(folder), "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_PATIENCE,
        check=True,
    )
    assert done.stderr == b""
    return [one.partition("\t")[0] for one in done.stdout.decode().splitlines()]
