"""A local stand-in for Google and for an SMTP provider, to try and to test sending without any account.

    with Sandbox() as sandbox:
        sandbox.write_client_secrets(folder)      # a client whose consent page is on this machine
        ...                                       # OAUTH_MAILER_GMAIL_ENDPOINT=sandbox.gmail_endpoint
        [received] = sandbox.wait_for(1)

    Sandbox(smtp="drop-after-dot,ok", gmail="accept-close,ok", token="503,ok")        # servers that fail

Each server follows its plan, a step for each attempt; ``known_steps()`` says what there is.
It imports nothing of the sending side, so that it cannot inherit a mistake from what it judges. It needs the
extra ``sandbox``; importing it without raises ``ConfigError``.
"""

from __future__ import annotations

from importlib.util import find_spec

from ..errors import ConfigError
from ..i18n import _

if _missing := [name for name in ("aiohttp", "aiosmtpd", "trustme") if find_spec(name) is None]:
    raise ConfigError(
        _("The sandbox needs more than is installed: {names}.").format(names=", ".join(_missing)),
        code="sandbox-not-installed",
        hint=_("Run: pip install 'oauth-mailer[sandbox]'"),
    )

from .inbox import Event, Received
from .server import Sandbox
from .steps import known_steps

__all__ = ["Event", "Received", "Sandbox", "known_steps"]
