"""``oauth-mailer try``: the whole main job on this machine, with no account anywhere.

The local stand-in takes the place of Google and of QQ; consent, token keeping, composing and both transports
are those of real sending.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..i18n import _
from .arguments import Parser
from .exits import OK
from .output import Output

__all__ = ["parser", "run", "summary"]


def summary() -> str:
    """What the command does."""
    return _("the whole job on this machine, on a local stand-in; needs no account")


def parser() -> Parser:
    """The options of the command."""
    from ..stores import kinds

    made = Parser(
        "try",
        summary=_(
            "Starts a local stand-in for Google and for a QQ-like server, logs in to both with the real "
            "login (your browser opens; without one the program follows the consent page itself), sends one "
            "message by the Gmail API and one by SMTP, shows both as received, logs out and stops. Nothing "
            "leaves this machine, and your accounts are not touched."
        ),
        examples=("oauth-mailer try", "oauth-mailer try --no-browser --keep"),
    )
    options = made.group(_("Options"))
    options.add_argument(
        "--no-browser", action="store_true", help=_("open no browser: the program follows the page itself")
    )
    options.add_argument(
        "--store",
        metavar="KIND",
        default="memory",
        choices=kinds(),
        help=_("where the secrets rest meanwhile, for example keyring (by default memory)"),
    )
    options.add_argument(
        "--keep", action="store_true", help=_("keep the folder with the configuration and both messages")
    )
    made.common()
    return made


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Walk through it all; returns the exit code. Raises ``MailerError``."""
    from ..accounts import Accounts
    from ..sandbox import Sandbox  # says by itself which extra is missing
    from .tour import Tour

    settings = {} if arguments.store == "memory" else Accounts().store_settings(arguments.store)
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="oauth-mailer-try-"))
        if arguments.keep:
            output.say(_("The folder kept: {folder}").format(folder=folder))
        else:
            stack.callback(_remove, folder)
        output.say(
            _("Nothing leaves this machine: a stand-in on 127.0.0.1 plays Google and QQ."), style="bold"
        )
        sandbox = stack.enter_context(Sandbox())
        stack.enter_context(_environment(OAUTH_MAILER_GMAIL_ENDPOINT=sandbox.gmail_endpoint))
        tour = Tour(
            sandbox,
            folder,
            output,
            store=arguments.store,
            settings=settings,
            browser=not arguments.no_browser,
        )
        shown = tour.walk()
    if output.json:
        output.record({"status": "passed", "messages": shown})
    output.say()
    output.say(_("All of it works on this machine: consent, token, Gmail API, SMTP."), style="green")
    output.say(_("Next, with your own address, Gmail, QQ, 163 or another: oauth-mailer login ADDRESS"))
    return OK


@contextmanager
def _environment(**wanted: str) -> Iterator[None]:
    """The environment with these values, and without what would lead elsewhere."""
    ours = [name for name in os.environ if name.startswith("OAUTH_MAILER_") and name not in _KEPT]
    before = {name: os.environ.pop(name) for name in ours}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name in wanted:
            del os.environ[name]
        os.environ.update(before)


_KEPT = ("OAUTH_MAILER_LANG", "OAUTH_MAILER_DEBUG", "OAUTH_MAILER_PASSPHRASE", "OAUTH_MAILER_PASSPHRASE_FILE")


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)  # a virus scanner may hold a file: the system clears its folder
