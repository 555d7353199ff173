"""The check of the Gmail API: whether it takes the token, and lets the account send."""

from __future__ import annotations

from ..address import Address
from ..errors import ConfigError, OutcomeUnknown, RejectedError, TransientError
from ..i18n import _
from ..message import Envelope
from ..mime import Content
from .finding import Finding, ok
from .patient import Patient

__all__ = ["api"]


def api(patient: Patient) -> Finding:
    """Whether the Gmail API answers, takes the token and lets the account send.

    It is handed a message without a single octet and for nobody, by the very way that messages go. That is
    refused by whoever gets as far as to look at it; nothing can be sent by it.
    """
    account = patient.account
    nothing = Envelope(Address(account.address), (), ())
    try:
        patient.transport.send(nothing, Content(()))
    except RejectedError:
        return ok(_("The Gmail API answers, and lets {address} send.").format(address=account.address))
    except OutcomeUnknown as error:
        raise TransientError(
            _("The Gmail API did not answer as it should ({code}).").format(code=error.code),
            code=error.code,
            hint=_("Try again in a minute; if it stays so, look at https://www.google.com/appsstatus"),
            text=error.text,
        ) from error
    finally:
        patient.transport.close()
    raise ConfigError(
        _("What answers in place of the Gmail API takes messages that are none."),
        code="gmail-endpoint",
        hint=_("Check OAUTH_MAILER_GMAIL_ENDPOINT, and the proxy."),
    )
