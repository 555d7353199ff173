"""The program ``oauth-mailer``: the only place that prints, prompts, opens a browser and sets up logging.

One file here is one command, with ``summary() -> str``, ``parser() -> Parser`` and
``run(arguments, output) -> int``. Only the chosen one is imported.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from types import ModuleType
from typing import Any, NoReturn

from .. import __version__
from ..errors import MailerError
from ..i18n import _
from .exits import OK, USAGE, Fault, Interrupted, Terminated, UsageError, exit_code, failure
from .output import Output, make_lenient

__all__ = ["main", "sendmail"]

COMMANDS = {
    "login": "login",
    "send": "send",
    "accounts": "accounts",
    "default": "default",
    "logout": "logout",
    "token": "token",
    "outbox": "outbox",
    "merge": "merge",
    "sendmail": "sendmail",
    "doctor": "doctor",
    "try": "try_",
    "sandbox": "sandbox",
    "completion": "completion",
}

LEADING = ("-h", "--help", "-q", "--quiet", "-v", "--verbose", "--json", "-V", "--version")
"""The options that may stand before the command."""

_LOGS = ("log_file", "log_format", "log_recipients")

_HIDDEN = {"__complete": "completing"}
"""For the scripts that complete what is typed in a shell."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code.

    ``argv``: the arguments after the program's name, by default those of this process. Raises nothing.
    """
    if argv is None:
        return _process(sys.argv[1:])
    with _termination_heard(), ExitStack() as ends:
        return _main(list(argv), ends)


def sendmail() -> int:
    """Run as the program sendmail does; returns its exit code. Raises nothing."""
    return _process(["sendmail", *sys.argv[1:]])


def _process(words: list[str]) -> int:
    """As ``main``, where the process is the program's own: most often it sends one mail and ends.

    So what is imported is not searched for garbage again and again, nor at the end; what runs on is, as ever.
    """
    gc.set_threshold(50_000, *gc.get_threshold()[1:])
    try:
        return main(words)
    finally:
        gc.freeze()


def _main(words: list[str], ends: ExitStack) -> int:
    output = Output(json="--json" in words)
    make_lenient()
    describe: Any = failure
    try:
        name, rest = _split(words)
        if name in ("", "help"):
            return _help(name, rest)
        module = _command(name)
        describe = getattr(module, "failure", failure)
        arguments = module.parser().parse_args(rest)
        output = Output(json=getattr(arguments, "json", False), quiet=arguments.quiet)
        if arguments.verbose or any(getattr(arguments, name, None) for name in _LOGS):
            from .logs import logging_as_asked

            output = ends.enter_context(logging_as_asked(arguments, output))
        code: int = module.run(arguments, output)
        return code
    except SystemExit as done:  # argparse, after --help
        return int(done.code or OK)
    except MailerError as error:
        return _fail(error, output, describe)
    except _Termination:
        return _fail(Terminated(_("Stopped by the system."), code="terminated"), output, describe)
    except KeyboardInterrupt:
        return _fail(Interrupted(_("Stopped by Ctrl-C."), code="interrupted"), output, describe)
    except Exception as error:  # noqa: BLE001 - the last border: no traceback reaches a user
        return _fail(_fault(error), output, describe)


class _Termination(KeyboardInterrupt):
    """SIGTERM, which ends what runs in the same orderly way as Ctrl-C does."""


@contextmanager
def _termination_heard() -> Iterator[None]:
    """Let SIGTERM, and a terminal that goes away, raise: what was begun is cleaned up, the verdict told."""

    def end(_number: int, _frame: object) -> NoReturn:
        raise _Termination

    before: dict[int, Any] = {}
    try:
        with suppress(ValueError):  # in another thread than the main one, signals are not ours
            for number in {signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}:
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup wants it ignored
                    before[number] = signal.signal(number, end)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _split(words: list[str]) -> tuple[str, list[str]]:
    """The command and its arguments; options of the program itself may stand before the command."""
    leading: list[str] = []
    for number, word in enumerate(words):
        if not word.startswith("-"):
            return word, [*leading, *words[number + 1 :]]
        if word in ("-V", "--version"):
            return "help", ["--version"]
        if word not in LEADING:
            raise UsageError(
                _("There is no option {option} before the command.").format(option=word.partition("=")[0]),
                code="usage",
                hint=_("Run: oauth-mailer --help"),
            )
        leading.append(word)
    return "", leading


def _command(name: str) -> ModuleType:
    if name in _HIDDEN:
        return import_module(f".{_HIDDEN[name]}", __name__)
    if name not in COMMANDS:
        from .arguments import nearest

        near = nearest(name, COMMANDS)
        message = (
            _("There is no command {name!r}. Did you mean {near}?")
            if near
            else _("There is no command {name!r}.")
        )
        raise UsageError(
            message.format(name=name, near=near),
            code="usage",
            hint=_("Run: oauth-mailer --help"),
        )
    return import_module(f".{COMMANDS[name]}", __name__)


def _help(name: str, rest: list[str]) -> int:
    if "--version" in rest:
        sys.stdout.write(f"oauth-mailer {__version__}\n")
        return OK
    topic, *words = [word for word in rest if not word.startswith("-")] or [""]
    if topic and topic != "help":
        _command(topic).parser().parse_args([*words[:1], "--help"])
    from .overview import overview

    asked = name == "help" or "-h" in rest or "--help" in rest
    (sys.stdout if asked else sys.stderr).write(overview())
    return OK if asked else USAGE


def _fail(error: MailerError, output: Output, describe: Any) -> int:
    if output.json:
        output.record(describe(error))
    output.error(error)
    return exit_code(error)


def _fault(error: Exception) -> Fault:
    """A bug, told without its text and without lines of code: those could hold anything, a secret too."""
    if os.environ.get("OAUTH_MAILER_DEBUG"):
        import traceback

        link: BaseException | None = error
        while link is not None:
            for frame in traceback.extract_tb(link.__traceback__):
                sys.stderr.write(f"  {frame.filename}:{frame.lineno} in {frame.name}\n")
            sys.stderr.write(f"{type(link).__name__}\n")
            link = link.__cause__ or link.__context__
    return Fault(
        _("A fault in oauth-mailer itself ended the command ({error}).").format(error=type(error).__name__),
        code="internal",
        hint=_("To see where, set OAUTH_MAILER_DEBUG=1 and run it again; please report what it shows."),
    )
