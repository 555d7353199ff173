"""Logging in by a code that a person types on another device (RFC 8628): for hosts without a browser."""

from __future__ import annotations

from ..accounts import Account
from ..auth import Access, Client, Consent, DeviceRequest, Prompt
from ..i18n import _
from ..replies import readable

__all__ = ["ask_by_code"]


def ask_by_code(account: Account, client: Client, prompt: Prompt, timeout: float) -> tuple[Consent, Access]:
    """Show the code, and wait until the person has consented.

    ``timeout``: seconds to wait at most. Raises ``LoginRequired`` where it was denied or nobody answered in
    time, ``TransientError`` where the authority could not be asked.
    """
    request = DeviceRequest(account, client, timeout=timeout)
    invitation = request.invite()
    prompt.say(_("On any computer or phone, open this page, and type the code there:"))
    prompt.say(f"  {invitation.page}")
    prompt.say("  " + readable(invitation.code.encode("utf-8", "replace")))
    if invitation.page_with_code:
        prompt.say(_("Or open the page with the code in it: {page}").format(page=invitation.page_with_code))
    prompt.say(
        _("Log in there as {address}. It is waited for, {minutes} minutes at most; Ctrl-C ends it.").format(
            address=account.address, minutes=max(round(invitation.life / 60), 1)
        )
    )
    return request.wait()
