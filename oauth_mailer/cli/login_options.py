"""Which options of ``oauth-mailer login`` go with which account."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..i18n import _
from .exits import UsageError

if TYPE_CHECKING:
    from ..accounts import Account

__all__ = ["check", "given"]


def check(arguments: argparse.Namespace, account: Account) -> None:
    """Refuse options that would be ignored: who gives one expects it to have an effect."""
    from ..auth import authorities, authority_named

    authority, words = authority_named(account.preset.auth), given(arguments)
    if authority is not None and arguments.code_stdin:
        error = authority.no_code(account)
        raise UsageError(error.message, code="usage", hint=error.hint)
    if authority is not None and arguments.device and "device" not in authority.takes:
        raise authority.no_device(account)
    alone = "service_account" in words  # nobody is asked, so nothing that is of a consent has an effect
    wrong = [name for name in words if authority is None or name not in authority.takes]
    wrong += [name for name in words if alone and name != "service_account"]
    of_consents = ("no_browser", "check_identity")
    wrong += [name for name in of_consents if getattr(arguments, name) and (alone or authority is None)]
    for name in wrong:
        takers = [one.own_domains for one in authorities() if name in (*one.takes, *of_consents)]
        raise UsageError(
            _("{option} does not go with {address}, which is set up as {provider}.").format(
                option="--" + name.replace("_", "-"),
                address=account.address,
                provider=_(account.preset.title),
            ),
            code="usage",
            hint=_("Leave it out, or name the provider: --provider {name}").format(name=takers[0]),
        )
    if arguments.device and arguments.no_browser:
        raise UsageError(
            _("--device and --no-browser are two ways to log in without a browser here: name one."),
            code="usage",
            hint=_("Leave one of them out."),
        )
    if not 0 <= arguments.port <= 65535 or not 0 < arguments.timeout <= 86_400:
        raise UsageError(
            _("--port or --timeout is out of range."), code="usage", hint=_("Run: oauth-mailer login --help")
        )


def given(arguments: argparse.Namespace) -> list[str]:
    """The options that only some authorities take, and that were given."""
    names = ("client_secrets", "service_account", "client_id", "tenant", "device")
    return [name for name in names if getattr(arguments, name)]
