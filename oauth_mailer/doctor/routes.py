"""Checks of what an account falls back on, and the message that proves it all."""

from __future__ import annotations

from dataclasses import replace

from ..accounts import Accounts
from ..errors import MailerError
from ..i18n import _
from ..logins import login_state
from ..mailer import open_mailer
from ..message import Message
from .finding import Finding, failed, ok, warning
from .patient import Patient, Settings

__all__ = ["fallback", "send_test"]


def fallback(patient: Patient) -> Finding:
    """Whether the accounts that step in are set up."""
    if not patient.account.fallback:
        return ok(_("None is set."))
    others = [
        patient.accounts.get(address) for address in patient.account.fallback
    ]  # raises for a strange one
    for other in others:
        if login_state(other, home=patient.accounts.home) != "set_up":
            return warning(
                _("The fallback {address} needs a login.").format(address=other.address),
                cause=_("If {address} cannot send, nobody steps in.").format(address=patient.account.address),
                hint=_("Run: oauth-mailer login {address}").format(address=other.address),
            )
    return ok(", ".join(other.address for other in others))


def send_test(address: str, to: str, settings: Settings) -> Finding:
    """One real message by this account alone; its receipt, or what went wrong."""
    try:
        account = Accounts(settings.home).get(address)
        address = account.address
        mailer = open_mailer(
            account.address,
            fallback=(),
            home=settings.home,
            store=settings.store,
            timeout=settings.timeout,
            ask_passphrase=settings.ask_passphrase,
        )
        with mailer:
            receipt = mailer.send(
                Message(
                    to=to or account.address,
                    subject=_("A test by oauth-mailer doctor"),
                    text=_(
                        "This message shows that {address} can send. If it lies in the spam folder, look at "
                        "what oauth-mailer doctor says of SPF and DMARC."
                    ).format(address=account.address)
                    + "\n",
                )
            )
    except MailerError as error:
        found = failed(error)
    else:
        found = ok(_("{receipt}, to {to}").format(receipt=receipt, to=to or account.address))
    return replace(found, check="send-test", account=address)
