"""What mail clients do on servers that fail: ``python -m benchmarks.compared``, for docs/comparison.md.

Each client that is installed (see README.md) sends one message to a server on loopback that behaves badly in
one way; shown is what the client said, and what the server then had. Needs ``trustme``.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

_SITUATIONS = {
    "lost": "the connection breaks after the message, before the answer",
    "untrusted": "a certificate that nobody trusts",
    "plain": "no STARTTLS is offered",
    "refused": "one of two recipients is refused",
    "file": "a text that names a file",
}
_SECRET = "abcdefghijklmnop"


@dataclass
class _Server:
    """An SMTP server with TLS from the start, but for ``plain``. ``situation``: one of those above."""

    situation: str
    folder: Path
    port: int = 0
    messages: list[bytes] = field(default_factory=list)
    told_in_the_open: bool = False

    @contextmanager
    def running(self) -> Iterator[_Server]:
        import trustme

        authority, stranger = trustme.CA(), trustme.CA()
        authority.cert_pem.write_to_path(str(self.folder / "ca.pem"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issuer = stranger if self.situation == "untrusted" else authority
        issuer.issue_cert("localhost", "127.0.0.1").configure_cert(context)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            threading.Thread(target=self._accept, args=(listener, context), daemon=True).start()
            yield self

    def _accept(self, listener: socket.socket, context: ssl.SSLContext) -> None:
        while True:
            try:
                connection, _address = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection, context), daemon=True).start()

    def _serve(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        try:
            connection.settimeout(30)
            secured = self.situation != "plain"
            with context.wrap_socket(connection, server_side=True) if secured else connection as session:
                self._talk(session, session.makefile("rb"))
        except OSError:
            return  # the client went away, which is what is looked at

    def _talk(self, session: socket.socket, lines: Iterator[bytes]) -> None:
        def say(text: str) -> None:
            session.sendall(text.encode() + b"\r\n")

        say("220 ready")
        for line in lines:
            word = line.strip().upper()
            if word.startswith(b"EHLO"):
                say("250-here\r\n250-AUTH PLAIN\r\n250 SIZE 10000000")
            elif word.startswith(b"AUTH"):
                self.told_in_the_open = self.situation == "plain"
                if len(word.split()) < 3:  # the secret comes on a line of its own
                    say("334 ")
                    next(lines)
                say("235 in")
            elif word == b"DATA":
                say("354 go on")
                self.messages.append(b"".join(iter(lambda: next(lines), b".\r\n")))
                if self.situation == "lost":
                    return
                say("250 taken")
            elif word == b"QUIT":
                say("221 bye")
                return
            elif self.situation == "refused" and b"NOBODY@" in word:
                say("550 5.1.1 no such user")
            else:
                say("250 ok")

    def seen(self) -> str:
        """What it has after the client ended."""
        words = [f"has it {len(self.messages)} times" if len(self.messages) != 1 else "has it once"]
        if self.situation == "file" and self.messages:
            words = [
                "attached" if b"base64" in self.messages[0] and b"secret.txt" in self.messages[0] else "text"
            ]
        if self.told_in_the_open:
            words.append("SECRET IN THE OPEN")
        return ", ".join(words)


_Command = Callable[[_Server, list[str], str], list[str]]


def _python(code: str) -> list[str]:
    tell = "import sys, warnings; warnings.simplefilter('ignore')\n"
    return [sys.executable, "-c", tell + code]


def _yagmail(server: _Server, to: list[str], text: str) -> list[str]:
    secured = server.situation != "plain"
    return _python(
        f"import yagmail\nprint(yagmail.SMTP('me@example.com', {_SECRET!r}, host='localhost', "
        f"port={server.port}, smtp_ssl={secured}).send({to!r}, 'Hi', {text!r}))"
    )


def _redmail(server: _Server, to: list[str], text: str) -> list[str]:
    kind = "" if server.situation == "plain" else ", use_starttls=False, cls_smtp=smtplib.SMTP_SSL"
    return _python(
        f"import smtplib, redmail\nredmail.EmailSender('localhost', {server.port}, "
        f"username='me@example.com', password={_SECRET!r}{kind})"
        f".send(subject='Hi', receivers={to!r}, text={text!r})"
    )


def _nodemailer(server: _Server, to: list[str], text: str) -> list[str]:
    options = {"host": "localhost", "port": server.port, "secure": server.situation != "plain"}
    options |= {"auth": {"user": "me@example.com", "pass": _SECRET}}
    message = {"from": "me@example.com", "to": to, "subject": "Hi", "text": text}
    trusted = f"tls: {{ca: require('fs').readFileSync({json.dumps(str(server.folder / 'ca.pem'))})}}"
    code = (
        f"require('nodemailer').createTransport({{...{json.dumps(options)}, {trusted}}})"
        f".sendMail({json.dumps(message)})"
        ".then(i => console.log('accepted', i.accepted, 'rejected', i.rejected),"
        " e => { console.error(e.message); process.exit(1) })"
    )
    return ["node", "-e", code]


def _msmtp(server: _Server, to: list[str], text: str) -> list[str]:
    file = server.folder / "msmtprc"
    start = "on" if server.situation == "plain" else "off"
    file.write_text(
        f"account default\nhost localhost\nport {server.port}\nfrom me@example.com\nauth plain\nuser me\n"
        f"password {_SECRET}\ntls on\ntls_starttls {start}\ntls_trust_file {server.folder / 'ca.pem'}\n",
        "utf-8",
    )
    file.chmod(0o600)
    return ["msmtp", "-C", str(file), *to]


def _oauth_mailer(server: _Server, to: list[str], text: str) -> list[str]:
    security = "starttls" if server.situation == "plain" else "tls"
    (server.folder / "config.toml").write_text(
        f'[accounts."me@example.com"]\nhost = "127.0.0.1"\nport = {server.port}\nsecurity = "{security}"\n'
        f'ca_file = "{(server.folder / "ca.pem").as_posix()}"\nstore = "environment"\n',
        "utf-8",
    )
    words = [word for one in to for word in ("--to", one)]
    send = [sys.executable, "-m", "oauth_mailer", "send", "--quiet", "--from", "me@example.com", *words]
    return [*send, "--subject", "Hi", "--text", text]


_CLIENTS: dict[str, tuple[Callable[[], object], _Command]] = {
    "oauth_mailer": (lambda: True, _oauth_mailer),
    "yagmail": (lambda: find_spec("yagmail"), _yagmail),
    "red-mail": (lambda: find_spec("redmail"), _redmail),
    "nodemailer": (
        lambda: (
            shutil.which("node")
            and not subprocess.run(
                ["node", "-e", "require('nodemailer')"], capture_output=True, check=False
            ).returncode
        ),
        _nodemailer,
    ),
    "msmtp": (lambda: shutil.which("msmtp"), _msmtp),
}


def _tried(command: _Command, situation: str) -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "secret.txt").write_text("what nobody should get", "utf-8")
        to = ["ann@example.com", *(["nobody@example.com"] if situation == "refused" else [])]
        text = "secret.txt" if situation == "file" else "Hello"
        with _Server(situation, folder).running() as server:
            words = command(server, to, text)
            root = str(Path(__file__).parent.parent)
            own = {
                "OAUTH_MAILER_HOME": name,
                "OAUTH_MAILER_SECRET_ME_EXAMPLE_COM": _SECRET,
                "PYTHONPATH": root,
            }
            done = subprocess.run(
                words,
                cwd=folder,
                env={**os.environ, **own},
                input=f"Subject: Hi\n\n{text}\n",
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            last = said[0 if command in (_oauth_mailer, _msmtp) else -1] if said else ""
            return f"exit {done.returncode}; the server {server.seen()}" + (
                f"; it said: {last[:110]}" if last else ""
            )


def main() -> None:
    """Print what each did."""
    for situation, words in _SITUATIONS.items():
        print(f"\n{words}")
        for name, (there, command) in _CLIENTS.items():
            print(f"  {name:13} {_tried(command, situation) if there() else 'is not installed'}", flush=True)


if __name__ == "__main__":
    main()
