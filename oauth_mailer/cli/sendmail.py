"""``oauth-mailer sendmail``: the face of sendmail, for the many programs that know no other."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import MailerError
from ..i18n import _
from . import exits
from .arguments import Parser
from .output import Output

if TYPE_CHECKING:
    from ..message import RawMessage

__all__ = ["failure", "parser", "run", "summary"]

_MODES = {"m": "", "s": "-bs", "p": "-bp", "i": "-bi", "d": "-bd", "t": "-bt", "v": "-bv", "h": "-bh"}


def summary() -> str:
    """What the command does."""
    return _("take a message from programs that call sendmail")


class _Parser(Parser):
    """As sendmail reads its arguments: recipients may stand anywhere, what is not known changes nothing."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in argparse; words that are no options are recipients."""
        # -q15m asks for a daemon, which there is none of here.
        words = [word for word in args if word == "-q" or not word.startswith("-q")]
        values, extra = self.parse_known_args(words, namespace)
        values.recipients += [word for word in extra if not word.startswith("-")]
        # msmtp's -P and -S send nothing; who asks for that must not be sent for.
        if unknown := [word for word in extra if word.startswith(("--", "-P", "-S"))]:
            raise self._usage_error(_("There is no option {option}.").format(option=unknown[0]))
        return values


def parser() -> Parser:
    """The options of the command."""
    made = _Parser(
        "sendmail",
        takes="[ADDRESS ...]",
        summary=_(
            "Takes one finished message from standard input and sends it, as the program sendmail would: for "
            "cron, mail, mutt, git send-email and all that call /usr/sbin/sendmail. Users of this machine "
            "(root) get it by the table [sendmail.aliases] of the configuration, else the account's owner."
        ),
        examples=(
            "oauth-mailer sendmail -t -i < message.eml",
            "git config --global sendemail.sendmailCmd 'oauth-mailer sendmail'",
            'set sendmail="oauth-mailer sendmail -oi"        # in ~/.muttrc',
            "ln -s $(command -v oauth-mailer-sendmail) /usr/sbin/sendmail",
        ),
    )
    made.add_argument("recipients", nargs="*", metavar="ADDRESS", help=_("a recipient"))
    made.add_argument(
        "-t",
        "--read-recipients",
        dest="from_headers",
        action="store_true",
        help=_("also those in To, Cc and Bcc"),
    )
    made.add_argument("-i", dest="dots", action="store_true", help=_("a lone dot does not end the text"))
    made.add_argument(
        "-f",
        "-r",
        "--from",
        dest="sender",
        metavar="ADDRESS",
        default="",
        help=_("the account, if it is one of yours; else that in From, else the default one"),
    )
    made.add_argument(
        "-a", "--account", metavar="ADDRESS", default="", help=_("the account, whatever -f and From say")
    )
    made.add_argument(
        "-F", dest="name", metavar="NAME", default="", help=_("your name, as recipients see it")
    )
    made.add_argument("--queue", action="store_true", help=_("hand it to the outbox, and send it later"))
    made.add_argument("-o", dest="options", action="append", default=[], help=argparse.SUPPRESS)
    made.add_argument("-b", dest="mode", default="m", help=argparse.SUPPRESS)
    for option in "BCLNORVXep":
        made.add_argument(f"-{option}", dest="unused", help=argparse.SUPPRESS)
    for option in "AGUmns":
        made.add_argument(f"-{option}", dest="unused", action="store_true", help=argparse.SUPPRESS)
    made.log_options()
    made.common()
    return made


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Send what stands at standard input; returns the exit code. Raises ``MailerError``."""
    if arguments.mode[:1] == "i":  # newaliases: ours are read each time
        return exits.OK
    if arguments.mode[:1] != "m":
        raise exits.UsageError(
            _("This sendmail takes one message from standard input; it has no mode {mode}.").format(
                mode=_MODES.get(arguments.mode[:1], "-b")
            ),
            code="usage",
            hint=_("Leave it out. What waits is shown by: oauth-mailer outbox list"),
        )
    account, aliases, queue = _account(arguments)
    message, account = _message(arguments, account, aliases)
    if arguments.queue or queue:
        from ..outbox import Outbox

        with Outbox() as outbox:
            entry = outbox.add(message, account=account)
        _report(output, {"status": "queued", "message_id": message.id, "account": account, "entry": entry.id})
        return exits.OK
    from ..mailer import open_mailer

    with open_mailer(account) as mailer:
        receipt = mailer.send(message)
    for address, reason in receipt.refused.items():
        output.warn(_("Not sent to {address}: {reason}").format(address=address, reason=reason))
    _report(
        output,
        {"status": receipt.status, "message_id": receipt.message_id, "account": receipt.account}
        | {"transport": receipt.transport, "remote_id": receipt.remote_id, "refused": dict(receipt.refused)},
    )
    return exits.OK


def failure(error: MailerError) -> dict[str, Any]:
    """What ``--json`` prints where it was not sent."""
    return exits.failure(error)


def _account(arguments: argparse.Namespace) -> tuple[str, Mapping[str, Sequence[str]], bool]:
    """The account that is named, if any; who this machine's users are; whether all goes to the outbox."""
    from ..accounts import Accounts

    accounts = Accounts()
    settings = accounts.settings("sendmail")
    table = settings.get("aliases", {})
    aliases = {
        user: [who] if isinstance(who, str) else [str(one) for one in who] for user, who in table.items()
    }
    sender = arguments.sender.strip("<> ")
    account = arguments.account or (sender if sender in accounts else str(settings.get("account", "")))
    return account, aliases, settings.get("queue") is True


def _message(
    arguments: argparse.Namespace, account: str, aliases: Mapping[str, Sequence[str]]
) -> tuple[RawMessage, str]:
    from ..accounts import Accounts
    from ..local_mail import complete, complete_recipients, without_dot
    from ..message import RawMessage
    from .inputs import read_bytes

    data = read_bytes("-")
    if not arguments.dots and "i" not in arguments.options:
        data = without_dot(data)
    accounts = Accounts()
    own = accounts.get(account).address
    words = arguments.recipients
    if not words and not arguments.from_headers:
        raise exits.UsageError(
            _("The message has no recipient."),
            code="usage",
            hint=_("Name one, or use -t to read the headers."),
        )
    message = RawMessage(
        complete(data, own, aliases, name=arguments.name),
        recipients=None if arguments.from_headers else complete_recipients(words, own, aliases),
    )
    if arguments.from_headers and words:
        everyone = [*message.recipients, *complete_recipients(words, own, aliases)]
        message = RawMessage(complete(data, own, aliases, name=arguments.name), recipients=everyone)
    named = message.sender.email if message.sender is not None else ""
    return message, own if account or named not in accounts else accounts.get(named).address


def _report(output: Output, told: Mapping[str, Any]) -> None:
    """Programs expect silence from sendmail: only ``--json`` prints."""
    if output.json:
        output.record(told)
