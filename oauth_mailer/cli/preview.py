"""What ``send --dry-run`` shows: the message as each route would send it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..i18n import _
from ..mime import Content, render
from ..routes import check
from .output import Output

if TYPE_CHECKING:
    from ..mailer import Mailer
    from ..message import Message, RawMessage

__all__ = ["preview"]


def preview(mailer: Mailer, message: Message | RawMessage, output: Output) -> None:
    """Render the message for each route and show it. Connects to nothing. Raises ``MailerError``."""
    shown = [_rendered(mailer, number, message) for number in range(len(mailer.routes))]
    if output.json:
        first = shown[0]
        output.record(
            {
                "status": "not_sent",
                "dry_run": True,
                "message_id": message.id,
                "account": first["account"],
                "transport": first["transport"],
                "remote_id": "",
                "refused": {},
                "attempts": [],
                "routes": shown,
            }
        )
        return
    for number, route in enumerate(shown, 1):
        lines = [
            _("Route {number}: {account} by {transport}").format(number=number, **_words(route)),
            _("From: {sender}").format(sender=route["envelope"]["sender"]),
            _("To: {recipients}").format(recipients=", ".join(route["envelope"]["recipients"])),
            _("Size: {size} octets").format(size=route["size"]),
        ]
        if number == 1:
            lines += ["", *route["headers"]]
        output.result("\n".join(lines) + "\n")
    output.say(_("This was a dry run: nothing was sent."), style="yellow")


def _rendered(mailer: Mailer, number: int, message: Message | RawMessage) -> dict[str, Any]:
    route, first = mailer.routes[number], mailer.routes[0].sender
    original = None if route.account == first.email else first
    envelope, content = render(message, route.sender, on_behalf_of=original)
    check(route, message, envelope, content, original)
    named = {address.email for address in envelope.named}
    recipients = [address.email for address in envelope.recipients]
    return {
        "account": route.account,
        "transport": route.transport.name,
        "envelope": {
            "sender": envelope.sender.email,
            "recipients": recipients,
            "blind": [email for email in recipients if email not in named],
        },
        "size": content.size,
        "headers": _headers(content),
    }


def _headers(content: Content) -> list[str]:
    """The header lines as they go out, a folded one in one piece."""
    data = b""
    for block in content.blocks():
        data += block
        if b"\r\n\r\n" in data:  # what follows may be large
            break
    head = data.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ").replace(b"\r\n\t", b"\t")
    return [line.decode("utf-8", "replace") for line in head.split(b"\r\n")]


def _words(route: dict[str, Any]) -> dict[str, str]:
    return {"account": route["account"], "transport": route["transport"]}
