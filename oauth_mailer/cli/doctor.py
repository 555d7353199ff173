"""``oauth-mailer doctor [ACCOUNT]``."""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..i18n import _
from .arguments import Parser
from .columns import padded, width, wrapped
from .exits import OK, UsageError, exit_code
from .output import Output

if TYPE_CHECKING:
    from ..doctor import Finding, State

__all__ = ["parser", "run", "summary"]

_MARKS = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "·"}
_PLAIN_MARKS = {"ok": "ok", "warning": "!", "failed": "X", "skipped": "-"}
_STYLES = {"ok": "", "warning": "yellow", "failed": "red", "skipped": "dim"}
_WORDS = 16
_LINE = 100


def summary() -> str:
    """What the command does."""
    return _("check everything that a send depends on, and say what to do")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        "doctor",
        takes="[ACCOUNT]",
        summary=_(
            "Checks this computer and one account, or all of them: the clock, the configuration, the store "
            "and the secret, the consent and its token, the way to the server, its certificate, the login, "
            "the records of the sender's domain, the outbox. Each check says what was found, why, and what "
            "to do next. Sends nothing unless --send-test is given, and shows no code again that was refused."
        ),
        examples=(
            "oauth-mailer doctor",
            "oauth-mailer doctor me@qq.com --send-test",
            "oauth-mailer doctor --offline --json",
        ),
    )
    made.group(_("Arguments")).add_argument(
        "account", metavar="ACCOUNT", nargs="?", default="", help=_("an account that is set up (else all)")
    )
    options = made.group(_("Options"))
    options.add_argument(
        "--send-test",
        metavar="TO",
        nargs="?",
        const="",
        help=_("send one real message too, by default to the account itself"),
    )
    options.add_argument("--offline", action="store_true", help=_("leave out everything that connects"))
    options.add_argument(
        "--timeout", type=float, default=10.0, metavar="SECONDS", help=_("for one step on the network (10)")
    )
    options.add_argument(
        "--nameserver",
        metavar="IP[:PORT]",
        default="",
        help=_("the DNS server to ask for SPF, DMARC and MX (else the system's)"),
    )
    made.common()
    return made


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Examine; returns 0, or the exit code of the gravest failure. Raises ``MailerError``."""
    if not 0 < arguments.timeout <= 3600:
        raise UsageError(_("--timeout is out of range."), code="usage", hint=_("Give 1 to 3600 seconds."))
    if arguments.offline and arguments.send_test is not None:
        raise UsageError(
            _("--send-test does not go with --offline."), code="usage", hint=_("Leave out one of them.")
        )
    found = []
    report = _Report(output)
    for finding in _findings(arguments, output):
        found.append(finding)
        report.show(finding)
    states = Counter(finding.state for finding in found)
    if output.json:
        status = "failed" if states["failed"] else "warning" if states["warning"] else "ok"
        output.record({"status": status, "findings": [_fields(finding) for finding in found]})
    report.end(states)
    # The highest code is that of what only a person can mend: configuration, then login, then network.
    return max((exit_code(finding.error) for finding in found if finding.error), default=OK)


def _findings(arguments: argparse.Namespace, output: Output) -> Iterator[Finding]:
    from .. import doctor
    from .terminal import open_prompt

    prompt = open_prompt(output)
    ask = prompt.ask_secret if prompt.asks else None
    options: dict[str, Any] = {
        "timeout": arguments.timeout,
        "offline": arguments.offline,
        "nameserver": arguments.nameserver,
        "ask_passphrase": ask,
    }
    checks = (
        doctor.check_account(arguments.account, **options)
        if arguments.account
        else doctor.check_all(**options)
    )
    examined: dict[str, None] = {}
    for finding in checks:
        if finding.account:
            examined[finding.account] = None
        yield finding
    if arguments.send_test is not None:
        for address in examined:
            yield doctor.check_sending(
                address, to=arguments.send_test, timeout=arguments.timeout, ask_passphrase=ask
            )


def _fields(finding: Finding) -> dict[str, str]:
    return {
        "check": finding.check,
        "state": finding.state,
        "account": finding.account,
        "text": finding.text,
        "cause": finding.cause,
        "hint": finding.hint,
        "code": finding.code,
    }


class _Report:
    """The lines for a person, each as soon as it is known."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._marks = _MARKS if _can_show("".join(_MARKS.values())) else _PLAIN_MARKS
        self._margin = max(width(mark) for mark in self._marks.values()) + 1
        self._account: str | None = None

    def show(self, finding: Finding) -> None:
        """One finding: a line with its mark, and below it why and what to do."""
        if self._output.json or (self._output.quiet and finding.state != "failed"):
            return
        if finding.account != self._account:
            self._output.result(
                ("" if self._account is None else "\n") + (finding.account or _("This computer"))
            )
            self._account = finding.account
        head = padded(self._marks[finding.state], self._margin) + padded(finding.check, _WORDS)
        indent = " " * (self._margin + _WORDS)
        lines = wrapped(finding.text, _LINE - len(indent)) or [""]
        self._output.result(head + lines[0], style=_STYLES[finding.state])
        for line in (*lines[1:], *wrapped(finding.cause, _LINE - len(indent))):
            self._output.result(indent + line)
        arrow = "→ " if self._marks is _MARKS else "-> "
        for hint in finding.hint.splitlines():
            for number, line in enumerate(_with_command_whole(hint, _LINE - len(indent) - len(arrow))):
                self._output.result(indent + (" " * len(arrow) if number else arrow) + line, style="cyan")

    def end(self, states: Counter[State]) -> None:
        """The last line."""
        if self._output.json or (self._output.quiet and not states["failed"]):
            return
        if states["failed"]:
            text = _("Failed: {failed}. Begin with the first; the others may follow from it.")
        elif states["warning"]:
            text = _("It works. Worth a look: {warnings}.")
        else:
            text = _("All is well: {ok} checks.")
        self._output.result(
            "\n" + text.format(failed=states["failed"], warnings=states["warning"], ok=states["ok"])
        )


def _with_command_whole(hint: str, cells: int) -> list[str]:
    """The lines of a hint. A command at its end stays on one line, so that it can be copied."""
    found = re.fullmatch(r"(.*?[:：])\s*((?:oauth-mailer|pip|python|chmod) .*)", hint)
    if width(hint) <= cells or ("oauth-mailer " in hint and not found):
        return [hint]
    return [*wrapped(found[1], cells), found[2]] if found else wrapped(hint, cells)


def _can_show(text: str) -> bool:
    try:
        (text + "→").encode(getattr(sys.stdout, "encoding", "") or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True
