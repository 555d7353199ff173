"""The lines to type on one's own computer, where this one is used over SSH."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass

__all__ = ["Host", "ssh_host"]


@dataclass(frozen=True, slots=True)
class Host:
    """This computer, as its SSH server was reached. ``address``: IPv4 or IPv6."""

    user: str
    address: str
    port: int

    def forward(self, port: int) -> str:
        """The command that leads this port of one's own computer to the same one here."""
        other = "" if self.port == 22 else f"-p {self.port} "
        return f"ssh {other}-L {port}:127.0.0.1:{port} {self._user}{self.address}"

    def copy(self, name: str) -> str:
        """The command that brings a file of this name into the home folder here."""
        other = "" if self.port == 22 else f"-P {self.port} "
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"scp {other}{name} {self._user}{address}:"

    @property
    def _user(self) -> str:
        return f"{self.user}@" if self.user else ""


def ssh_host() -> Host | None:
    """This computer, if the process runs in a session of SSH: its server says so in ``SSH_CONNECTION``."""
    words = os.environ.get("SSH_CONNECTION", "").split()
    if len(words) != 4 or not words[3].isdecimal():
        return None
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user without a name
        user = ""
    return Host(user, words[2].partition("%")[0], int(words[3]))
