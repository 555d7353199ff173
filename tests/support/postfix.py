"""A private Postfix, with Dovecot behind its logins, on loopback: real servers that judge what we send.

It lives in one temporary folder, knows nothing of the host's own mail system, and ends by itself.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from oauth_mailer.account import Account

from . import certificates, require_program, unavailable
from .postfix_files import CODE, SIZE_LIMIT, STRANGER, USER, WAYS, write, write_services
from .server_log import PATIENCE, SYSTEM_PATH, ServerLog

__all__ = ["CODE", "SIZE_LIMIT", "STRANGER", "USER", "Postfix", "postfix"]

LIFE = 600  # seconds after which the servers end, should nobody stop them


@dataclass
class Postfix:
    """The running servers. ``ports``: one for each of ``WAYS``."""

    folder: Path
    ports: Mapping[str, int]
    log: ServerLog
    dovecot: ServerLog
    _seen: int = 0
    _marks: int = 0

    def account(self, way: str = "tls", address: str = USER, **fields: Any) -> Account:
        """An account at one of the ports, its code in the environment."""
        security: Literal["tls", "starttls"] = "starttls" if way.startswith("starttls") else "tls"
        values: dict[str, Any] = {"host": "localhost", "security": security, "store": "environment"}
        values |= {"ca_file": certificates.ca_file(), "port": self.ports[way]}
        return Account(address=address, **values | fields)

    def sessions(self) -> list[str]:
        """What was done on each connection since the last call, once all are over, as Postfix counts it.

        Such as ``ehlo=1 auth=0/1 quit=1 commands=2/3``: two commands of three were granted.
        """
        # All programs log in one order, and a connection is logged before it is greeted: so when the mark
        # is there, so is the beginning of every connection that a client has seen.
        self._marks += 1
        mark = f"mark {self._marks} of the test"
        postlog = [require_program("postlog", "postfix"), "-c", str(self.folder / "etc"), mark]
        subprocess.run(postlog, check=True, timeout=PATIENCE, env=SYSTEM_PATH)
        self.log.wait_for(f"{mark}$")
        begun = sum(": connect from " in line for line in self.log.lines)
        ended: list[str] = []

        def over(lines: list[str]) -> bool:
            ended[:] = [line for line in lines if ": disconnect from " in line]
            return len(ended) >= begun

        self.log.wait(over)
        new, self._seen = ended[self._seen :], len(ended)
        return [line.partition("] ")[2] for line in new]

    def delivered(self, remote_id: str, recipient: str) -> bytes:
        """The octets that lie in a mailbox, with CRLF line ends, once this queued message is done with."""
        found = re.search(r"queued as (\w+)", remote_id)
        assert found, remote_id
        self.log.wait_for(rf"\b{found[1]}: removed")
        octets = [path.read_bytes() for path in (self.folder / "mail" / recipient / "new").iterdir()]
        (mail,) = [one for one in octets if re.search(rb"^\tby .* id %s\b" % found[1].encode(), one, re.M)]
        return mail.replace(b"\n", b"\r\n")


@contextmanager
def postfix(*recipients: str) -> Iterator[Postfix]:
    """Run it, with a mailbox for each of these local parts at example.com."""
    require_program("postfix", "postfix")
    dovecot = require_program("dovecot", "dovecot-core")
    version = subprocess.run([dovecot, "--version"], capture_output=True, text=True, check=True).stdout
    if not version.startswith("2.3."):  # others are configured in another language
        unavailable(f"needs Dovecot 2.3, and this is {version.strip()}")
    if os.geteuid() != 0:
        unavailable("needs root: Postfix and Dovecot change to users of their own")
    with ExitStack() as stack:
        folder = _folder()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        write(folder, recipients)
        logins = ServerLog(["timeout", str(LIFE), dovecot, "-F", "-c", str(folder / "dovecot.conf")])
        stack.callback(logins.stop)
        logins.wait_for("starting up")
        log, ports = _started(folder)
        stack.callback(log.stop)
        yield Postfix(folder, ports, log, logins)


def _started(folder: Path) -> tuple[ServerLog, Mapping[str, int]]:
    master = require_program("master", "postfix")
    for last in (False, False, True):  # a port that was free may be taken by another program meanwhile
        ports = dict(zip(WAYS, _free_ports(len(WAYS)), strict=True))
        write_services(folder, ports)
        log = ServerLog([master, "-s", "-e", str(LIFE), "-c", str(folder / "etc")])
        try:
            log.wait_for("daemon started")
        except BaseException as error:
            log.stop()
            if last or not isinstance(error, AssertionError):
                raise
        else:
            return log, ports
    raise AssertionError("the last try raises or returns")


def _folder() -> Path:
    """A short one, since the path of a socket has at most 107 octets, that users of servers may enter."""
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        path = Path(parent).resolve()
        if len(os.fsencode(path)) <= 60 and all(one.stat().st_mode & 0o001 for one in (path, *path.parents)):
            folder = Path(tempfile.mkdtemp(prefix="om-", dir=path))
            folder.chmod(0o711)
            return folder
    raise AssertionError("no folder for temporary files has a short name and is open to all")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        socks = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [sock.getsockname()[1] for sock in socks]
