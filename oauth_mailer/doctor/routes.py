"""Checks of what an account falls back on, and the message that proves it all."""

from __future__ import annotations

from dataclasses import replace

from ..accounts import Accounts
from ..auth.google import check_scopes
from ..errors import LoginRequired, MailerError
from ..i18n import _
from ..logins import login_state
from ..mailer import open_mailer
from ..message import Message
from .finding import Finding, failed, ok, warning
from .patient import Patient, Settings

__all__ = ["fallback", "send_test"]


def fallback(patient: Patient) -> Finding:
    """Whether the accounts that step in are set up, and whether the account itself can by another way."""
    account = patient.account
    if not account.fallback:
        return ok(_("None is set."))
    # raises for a strange one
    others = [patient.accounts.stand_in(account, name) for name in account.fallback]
    for other in others:
        if other.address == account.address:
            try:
                check_scopes(other)
            except LoginRequired as error:
                return warning(
                    error.message,
                    cause=_("If {address} cannot send, nobody steps in.").format(address=account.address),
                    hint=error.hint,
                )
        elif login_state(other, home=patient.accounts.home) != "set_up":
            return warning(
                _("The fallback {address} needs a login.").format(address=other.address),
                cause=_("If {address} cannot send, nobody steps in.").format(address=account.address),
                hint=_("Run: oauth-mailer login {address}").format(address=other.address),
            )
    by = _("{address} by {transport}")
    return ok(
        ", ".join(
            by.format(address=other.address, transport=other.transport)
            if other.address == account.address
            else other.address
            for other in others
        )
    )


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
