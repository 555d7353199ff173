"""``oauth-mailer sandbox``: the stand-in for Google and for an SMTP provider, failing as it is told to."""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..i18n import _, system_text
from .arguments import Parser
from .exits import OK, UsageError
from .output import Output, printable
from .terminal import open_prompt

if TYPE_CHECKING:
    from ..sandbox import Event, Sandbox

__all__ = ["parser", "run", "summary"]

_CODE = "abcdefghijklmnop"
_TURN = 0.5
"""Seconds after which is looked for Ctrl-C, which does not wake a waiting program on every system."""


def summary() -> str:
    """What the command does."""
    return _("a local stand-in for Google and an SMTP provider, which fails as you tell it to")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        "sandbox",
        summary=_(
            "Runs a local stand-in for Google (consent, token, Gmail API) and for a QQ-like SMTP server on "
            "127.0.0.1, prints how to use it, and shows each thing that it accepts or refuses, until Ctrl-C; "
            "a page in the browser shows the messages. "
            "A plan says what becomes of one attempt after another, as in 503,503,ok; its last step goes on "
            "for ever. Nothing leaves this machine."
        ),
        examples=(
            "oauth-mailer sandbox --open",
            "oauth-mailer sandbox --port 8025 --smtp-port 1465 --starttls-port 1025 --ca-file ca.pem",
            "oauth-mailer sandbox --smtp drop-after-dot,ok --gmail accept-close,ok --token 503,ok",
            "oauth-mailer sandbox --list-faults",
            "oauth-mailer sandbox --smtp no-starttls --json --seconds 60",
        ),
        takes_openly=("--token", "--code"),
    )
    plans = made.group(_("Plans (by default ok; the steps: oauth-mailer sandbox --list-faults)"))
    plans.add_argument("--smtp", metavar="PLAN", default="ok", help=_("of the SMTP server"))
    plans.add_argument("--gmail", metavar="PLAN", default="ok", help=_("of the Gmail API"))
    plans.add_argument("--token", metavar="PLAN", default="ok", help=_("of the token endpoint"))
    options = made.group(_("Options"))
    options.add_argument(
        "--open", action="store_true", help=_("open the inbox, the page of what arrived, in the browser")
    )
    for name, text in (
        ("--port", _("the port of the web side (by default any free one)")),
        ("--smtp-port", _("the port of SMTP with TLS (likewise)")),
        ("--starttls-port", _("the port of SMTP with STARTTLS (likewise)")),
    ):
        options.add_argument(name, type=int, default=0, metavar="N", help=text)
    options.add_argument(
        "--ca-file",
        metavar="FILE",
        help=_("write the certificate to trust there too; it is a new one at each start"),
    )
    options.add_argument(
        "--code",
        default=_CODE,
        help=_("the authorization code of every address (by default {code})").format(code=_CODE),
    )
    options.add_argument(
        "--rotate",
        action="store_true",
        help=_("a new refresh token with each refresh; an old one revokes all"),
    )
    options.add_argument(
        "--lifetime",
        type=float,
        default=3600.0,
        metavar="SECONDS",
        help=_("how long access tokens live (by default 3600)"),
    )
    options.add_argument(
        "--seconds", type=float, default=None, metavar="SECONDS", help=_("stop by itself after this time")
    )
    options.add_argument(
        "--list-faults", action="store_true", help=_("list the steps that plans are made of, and stop")
    )
    made.common()
    return made


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Run until Ctrl-C, SIGTERM or the end of the time; returns the exit code. Raises ``MailerError``."""
    from ..sandbox import Sandbox  # says by itself which extra is missing

    if arguments.list_faults:
        return _list_faults(output)
    _check(arguments)
    events: SimpleQueue[Event] = SimpleQueue()
    with suppress(KeyboardInterrupt), ExitStack() as stack:  # both signals are the way to end it
        sandbox = stack.enter_context(
            Sandbox(
                smtp=arguments.smtp,
                gmail=arguments.gmail,
                token=arguments.token,
                port=arguments.port,
                smtp_port=arguments.smtp_port,
                starttls_port=arguments.starttls_port,
                code=arguments.code,
                rotate=arguments.rotate,
                lifetime=arguments.lifetime,
                watch=events.put,
            )
        )
        folder = sandbox.folder
        client = sandbox.write_client_secrets(folder)
        _tell(sandbox, client, _certificate(sandbox, arguments.ca_file), output)
        if arguments.open and not open_prompt(output).open_browser(sandbox.inbox_url):
            output.warn(
                _("No browser could be opened here. The inbox is at {url}").format(url=sandbox.inbox_url)
            )
        ends = None if arguments.seconds is None else time.monotonic() + arguments.seconds
        while ends is None or time.monotonic() < ends:
            with suppress(Empty):
                _show(
                    events.get(
                        timeout=_TURN if ends is None else min(_TURN, max(0.0, ends - time.monotonic()))
                    ),
                    folder,
                    output,
                )
        while not events.empty():
            _show(events.get(), folder, output)
    output.say(_("The stand-in has stopped."))
    return OK


def _check(arguments: argparse.Namespace) -> None:
    if (
        not all(0 <= port <= 65535 for port in (arguments.port, arguments.smtp_port, arguments.starttls_port))
        or not 0 <= arguments.lifetime <= 86_400
        or not 0 <= (arguments.seconds or 0) <= 10**9
        or not arguments.code
    ):
        raise UsageError(
            _("A port, --lifetime, --seconds or --code is out of range."),
            code="usage",
            hint=_("Run: oauth-mailer sandbox --help"),
        )


def _certificate(sandbox: Sandbox, wanted: str | None) -> Path:
    """The file of the certificate to trust, also in the place that is wanted."""
    made = sandbox.smtp.ca_file
    if not wanted:
        return made
    path = Path(wanted).expanduser().absolute()
    try:
        path.write_bytes(made.read_bytes())
    except OSError as error:
        said = _("The file {path} cannot be written: {reason}.")
        said = said.format(path=path, reason=system_text(error.strerror))
        raise ConfigError(said, code="ca-file-unwritable", hint=_("Name another one.")) from error
    return path


def _list_faults(output: Output) -> int:
    from ..sandbox import known_steps

    for server, steps in known_steps().items():
        if output.json:
            for step, text in steps.items():
                output.record({"server": server, "step": step, "text": text}, line=True)
            continue
        output.result(f"--{server}")
        for step, text in steps.items():
            output.result(f"  {step:<38} {text}")
    return OK


def _tell(sandbox: Sandbox, client: Path, ca_file: Path, output: Output) -> None:
    """What to type, or what a script needs to know."""
    server = sandbox.smtp
    if output.json:
        output.record(
            {
                "event": "ready",
                "inbox": sandbox.inbox_url,
                "client_secrets": str(client),
                "gmail_endpoint": sandbox.gmail_endpoint,
                "smtp": {
                    "host": server.host,
                    "port": server.port,
                    "starttls_port": server.starttls_port,
                    "ca_file": str(ca_file),
                },
                "code": sandbox.code,
            },
            line=True,
        )
    # Of QQ it is known which form a code has; another one is for a server that nobody knows.
    address = "you@qq.com" if re.fullmatch("[A-Za-z]{16}", sandbox.code) else "you@example.com"
    smtp = f"oauth-mailer login {address} --host {server.host} --ca-file {_quoted(str(ca_file))}"
    lines = (
        _("A stand-in for Google and for an SMTP server runs on 127.0.0.1, until Ctrl-C."),
        _("What arrives is shown at {url}").format(url=sandbox.inbox_url),
        "",
        _("In another terminal (with a configuration of its own):"),
        _export("OAUTH_MAILER_HOME", str(client.parent / "home")),
        _export("OAUTH_MAILER_GMAIL_ENDPOINT", sandbox.gmail_endpoint),
        f"  oauth-mailer login you@gmail.com --client-secrets {_quoted(str(client))}",
        f"  {smtp} --smtp-port {server.port}",
        "  # " + _("or with STARTTLS:"),
        f"  {smtp} --smtp-port {server.starttls_port} --security starttls",
        f'  oauth-mailer send --from {address} --to ann@example.com --subject Hello --text "It works."',
        "",
        _("The authorization code of every address: {code}").format(code=sandbox.code),
        "",
    )
    for line in lines:
        output.say(line)


def _export(name: str, value: str) -> str:
    return (
        f"  $env:{name} = {_quoted(value)}"
        if sys.platform == "win32"
        else f"  export {name}={_quoted(value)}"
    )


def _quoted(text: str) -> str:
    if re.fullmatch(r"[\w./:@-]+", text):
        return text
    return "'" + text.replace("'", "''" if sys.platform == "win32" else "'\\''") + "'"


def _show(event: Event, folder: Path, output: Output) -> None:
    """One line of what was accepted or refused."""
    fields: dict[str, Any] = {
        "event": "accepted" if event.accepted else "refused",
        "server": event.server,
        "what": event.what,
        "at": event.at.isoformat(timespec="milliseconds"),
        "account": event.account,
        "answer": event.text,
        "step": event.step,
    }
    if message := event.message:
        path = folder / f"{message.id}.eml"
        path.write_bytes(message.data)
        fields |= {
            "id": message.id,
            "sender": message.sender,
            "recipients": list(message.recipients),
            "size": len(message.data),
            "sha256": hashlib.sha256(message.data).hexdigest(),
            "file": str(path),
        }
    if output.json:
        output.record(fields, line=True)
        return
    output.result(" ".join(printable(part) for part in _parts(event, fields) if part))


def _parts(event: Event, fields: dict[str, Any]) -> list[str]:
    said = event.text.replace("\r\n", " / ")
    parts = [
        event.at.astimezone().strftime("%H:%M:%S"),
        event.server,
        _("accepted") if event.accepted else _("refused"),
        event.what,
    ]
    if event.message:
        parts += [
            _("from {sender} to {recipients}, {size} octets, {file}").format(
                **{**fields, "recipients": ", ".join(event.message.recipients)}
            )
        ]
    elif event.account:
        parts.append(event.account)
    if said:
        parts.append(_("(answer: {answer})").format(answer=said))
    elif event.server in ("smtp", "gmail"):
        parts.append(_("(no answer, or none that is usual)"))
    if event.step:
        parts.append(_("(step {step})").format(step=event.step))
    return parts
