"""The message that a command line describes, and the account it is from."""

from __future__ import annotations

import argparse
import sys

from ..address import Address
from ..i18n import _
from ..message import Attachment, Message, RawMessage
from .exits import UsageError
from .inputs import read_bytes, read_text, require_readable
from .output import is_terminal

__all__ = ["compose"]


def compose(arguments: argparse.Namespace) -> tuple[Message | RawMessage, str]:
    """The message, and the account's address (empty for the default one).

    Raises ``UsageError``, ``InputMissing``, ``MessageError``.
    """
    named = Address.parse(arguments.sender) if arguments.sender else None
    account = named.email if named else ""
    if arguments.eml is not None:
        raw = _finished(arguments)
        return raw, account or _account_of(raw)
    if not (arguments.to or arguments.cc or arguments.bcc):
        raise _usage(_("The message has no recipient."), _("Add: --to ADDRESS"))
    text, html = _bodies(arguments)
    message = Message(
        to=_addresses(arguments.to),
        cc=_addresses(arguments.cc),
        bcc=_addresses(arguments.bcc),
        reply_to=_addresses(arguments.reply_to),
        subject=arguments.subject or "",
        text=text,
        html=html,
        attachments=[
            *(Attachment(require_readable(name)) for name in arguments.attach),
            *(_inline(word) for word in arguments.inline),
        ],
        headers=[_header(line) for line in arguments.header],
        from_name=arguments.from_name or (named.name if named else ""),
        in_reply_to=arguments.in_reply_to,
        references=arguments.reference,
        list_unsubscribe=arguments.unsubscribe,
        one_click=arguments.one_click,
        priority=arguments.priority,
    )
    return message, account


def _bodies(arguments: argparse.Namespace) -> tuple[str | None, str | None]:
    if arguments.text_file == arguments.html_file == "-":
        raise _usage(_("Only one of the files can be standard input."), _("Name the other file."))
    text = arguments.text if arguments.text_file is None else read_text(arguments.text_file)
    html = arguments.html if arguments.html_file is None else read_text(arguments.html_file)
    if text is None and html is None and not (arguments.attach or arguments.inline):
        # As mail(1) does; but nobody is made to type a mail who only forgot an option.
        if is_terminal(sys.stdin):
            raise _usage(_("The message has no content."), _('Add: --text "...", or --text "" for none.'))
        text = read_text("-")
    return text, html


def _finished(arguments: argparse.Namespace) -> RawMessage:
    """The finished message. Options that would change it are refused: it is sent as it is."""
    changing = {
        "--subject": arguments.subject,
        "--text": arguments.text,
        "--text-file": arguments.text_file,
        "--html": arguments.html,
        "--html-file": arguments.html_file,
        "--attach": arguments.attach,
        "--inline": arguments.inline,
        "--header": arguments.header,
        "--reply-to": arguments.reply_to,
        "--from-name": arguments.from_name,
        "--in-reply-to": arguments.in_reply_to,
        "--reference": arguments.reference,
        "--unsubscribe": arguments.unsubscribe,
        "--one-click": arguments.one_click,
        "--priority": arguments.priority != "normal",
    }
    for option in (option for option, value in changing.items() if value not in (None, [], "", False)):
        raise _usage(
            _("A finished message is sent as it is: {option} does not go with --eml.").format(option=option),
            _("Leave one of them out."),
        )
    recipients = _addresses([*arguments.to, *arguments.cc, *arguments.bcc]) or None
    content = read_bytes("-") if arguments.eml == "-" else require_readable(arguments.eml)
    return RawMessage(content, recipients=recipients)


def _account_of(raw: RawMessage) -> str:
    """The account that a finished message names as its sender, if it is one of ours."""
    from ..accounts import Accounts

    return raw.sender.email if raw.sender is not None and raw.sender.email in Accounts() else ""


def _addresses(words: list[str]) -> list[Address]:
    return [address for word in words for address in Address.parse_list(word)]


def _inline(word: str) -> Attachment:
    name, equals, path = word.partition("=")
    if not (name and equals and path):
        raise _usage(
            _("{word!r} does not name an inline image.").format(word=word),
            _('Write: --inline logo=logo.png, and in the HTML: <img src="cid:logo">'),
        )
    return Attachment(require_readable(path), content_id=name)


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not (name and colon):
        raise _usage(_("{line!r} is no header.").format(line=line), _("Write: --header 'X-Ticket: 42'"))
    return name, value.strip(" \t")


def _usage(message: str, hint: str) -> UsageError:
    return UsageError(message, code="usage", hint=hint)
