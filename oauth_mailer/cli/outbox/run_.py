"""``oauth-mailer outbox run``: the worker."""

from __future__ import annotations

import argparse
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ...i18n import N_, _
from ..arguments import Parser
from ..exits import OK, UsageError
from ..output import Output
from .report import Report

if TYPE_CHECKING:
    from ...outbox import Outbox, Stats
    from ...stores import Secret

__all__ = ["parser", "run", "summary"]

_LOGGED = (
    N_("nothing can be sent now: %s"),
    N_("entry %s (%s): %s, but that could not be written down: %s"),
    N_("entry %s (%s): its worker %s is no more"),
    N_("no sign of life could be given: %s"),
    N_("the clock jumped by %+.0f s; believed if it stays so for %.0f s"),
    N_("the clock was set back: what was to wait until then waits no longer"),
)
"""What the library logs and a person should read."""


def summary() -> str:
    """What the command does."""
    return _("send what is due: once, or for as long as it runs")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        "outbox run",
        summary=_(
            "Sends what is due and goes on until it is stopped; with --once, until nothing is due any more. "
            "Several may run at once, on several machines too. Ctrl-C and SIGTERM let what is being sent "
            "end; a second one does not wait, and leaves it unknown. With --json each result is one line."
        ),
        examples=(
            "oauth-mailer outbox run",
            "oauth-mailer outbox run --workers 4 --on-unknown resend",
            "*/5 * * * * oauth-mailer outbox run --once --quiet      # in crontab",
        ),
    )
    options = made.group(_("Options"))
    options.add_argument("--once", action="store_true", help=_("end when nothing is due any more"))
    options.add_argument(
        "--workers", type=int, default=1, metavar="N", help=_("messages that are sent at a time (1)")
    )
    options.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help=_("for one step on the network (60)")
    )
    options.add_argument(
        "--lease",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help=_("without a sign of life for so long, a worker is given up by the others (60)"),
    )
    options.add_argument(
        "--on-unknown",
        choices=("hold", "resend"),
        help=_("what may have been sent: keep it for you, or send it again (as configured, else hold)"),
    )
    metrics = made.group(_("Metrics for Prometheus"))
    metrics.add_argument(
        "--metrics-port", type=int, metavar="PORT", help=_("serve them at http://ADDRESS:PORT/metrics")
    )
    metrics.add_argument(
        "--metrics-address",
        default="127.0.0.1",
        metavar="ADDRESS",
        help=_("of this machine, from where they are served; by default for this machine only (127.0.0.1)"),
    )
    made.log_options()
    made.common()
    return made


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Send; returns the exit code. Raises ``MailerError``."""
    for option, value, least, most in (
        ("--workers", arguments.workers, 1, 64),
        ("--timeout", arguments.timeout, 1, 3600),
        ("--lease", arguments.lease, 5, 3600),
    ):
        if not least <= value <= most:
            raise UsageError(
                _("{option} is out of range.").format(option=option),
                code="usage",
                hint=_("Give {least} to {most}.").format(least=least, most=most),
            )
    if arguments.metrics_port is not None and not 0 <= arguments.metrics_port <= 65535:
        raise UsageError(
            _("{option} is out of range.").format(option="--metrics-port"),
            code="usage",
            hint=_("Give {least} to {most}.").format(least=0, most=65535),
        )
    from ...outbox import Outbox

    stop = threading.Event()
    abandoned = False
    with (
        _warnings_shown(output),
        Outbox(
            on_unknown=arguments.on_unknown,
            timeout=arguments.timeout,
            lease=arguments.lease,
            ask_passphrase=_asker(output),
        ) as outbox,
    ):
        report = Report(outbox, output, once=arguments.once)
        try:
            with _metrics_served(outbox, arguments, output), report.watching(stop):
                _send(outbox, report, arguments, stop)
        except KeyboardInterrupt as error:
            abandoned = isinstance(error.__context__, KeyboardInterrupt)
        report.sum_up()
        if not arguments.once:
            return 76 if abandoned and report.left["unknown"] else OK
        stats = outbox.stats()
        report.tell_who_waits(stats)
        return _exit_code(report, stats)


@contextmanager
def _metrics_served(outbox: Outbox, arguments: argparse.Namespace, output: Output) -> Iterator[None]:
    if arguments.metrics_port is None:
        yield
        return
    from ...integrations.metrics_server import served

    with served(outbox, arguments.metrics_port, arguments.metrics_address) as url:
        output.say(_("Metrics: {url}").format(url=url))
        yield


def _send(outbox: Outbox, report: Report, arguments: argparse.Namespace, stop: threading.Event) -> None:
    while True:
        tried = report.tried
        outbox.run(once=arguments.once, workers=arguments.workers, on_event=report, stop=stop)
        if not arguments.once or report.tried == tried or not outbox.stats().due:
            return
        # Something was added after the last look; or it cannot be sent now, which one more look will show.


def _exit_code(report: Report, stats: Stats) -> int:
    """The gravest of what is not sent; 0 where all that was due is."""
    left = report.left
    if left["unknown"]:
        return 76
    if left["rejected"]:
        return 69
    if report.somebody_waits:
        return 77
    return 75 if left["queued"] or stats.due else OK


def _asker(output: Output) -> Callable[[str], Secret] | None:
    """Asks for a passphrase, whichever worker needs it; one at a time."""
    from ..terminal import open_prompt

    prompt = open_prompt(output)
    if not prompt.asks:
        return None
    turn = threading.Lock()

    def ask(question: str) -> Secret:
        with turn:
            return prompt.ask_secret(question)

    return ask


class _Teller(logging.Handler):
    """Shows the library's warnings to a person, in their language."""

    def __init__(self, output: Output) -> None:
        super().__init__(logging.WARNING)
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        text = _(record.msg)
        self._output.warn(text % record.args if record.args else text)


@contextmanager
def _warnings_shown(output: Output) -> Iterator[None]:
    from ..logs import on_standard_error

    logger = logging.getLogger("oauth_mailer")
    if on_standard_error(logger):  # --verbose shows them already
        yield
        return
    teller = _Teller(output)
    logger.addHandler(teller)
    try:
        yield
    finally:
        logger.removeHandler(teller)
