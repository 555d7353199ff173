"""What ``oauth-mailer --help`` shows: enough to begin."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from ..i18n import _
from . import COMMANDS
from .columns import padded, width, wrapped

__all__ = ["overview"]

_WIDTH = 100


def overview() -> str:
    """The help of the whole program."""
    commands = [
        (name, import_module(f".{module}", __package__).summary()) for name, module in COMMANDS.items()
    ]
    begin = (
        ("oauth-mailer try", _("the whole job on this machine; needs no account")),
        ("oauth-mailer login me@gmail.com --client-secrets client_secret.json", ""),
        ("oauth-mailer login me@qq.com", ""),
        ('oauth-mailer send --to ann@example.com --subject "Hello" --text "It works."', ""),
        ("oauth-mailer doctor", _("where something does not work: what, why, and what to do")),
    )
    options = (
        ("-q, --quiet", _("show errors only")),
        ("-v, --verbose", _("show what happens, without secrets")),
        ("-V, --version", _("show the version")),
        ("-h, --help", _("show this help")),
    )
    parts = (
        _("Usage: ") + "oauth-mailer COMMAND ...",
        _paragraph(
            _(
                "Sends real mail: Gmail by OAuth2 consent in your browser, QQ, 163 and any other server by "
                "SMTP with an authorization code. Secrets rest in the system's keyring."
            )
        ),
        _("Commands:") + _columns(commands),
        _("Begin with one of these:") + _columns(begin),
        _paragraph(_("Each command has its own help, with examples: oauth-mailer COMMAND --help.")),
        _("Options:") + _columns(options),
        _paragraph(
            _(
                "Exit codes: 0 accepted, 64 usage, 65 the message is bad, 66 an input file is missing, 69 "
                "rejected by the provider, 70 a fault of ours, 75 not sent, try later, 76 unknown: it may "
                "have been sent, 77 login required or not allowed, 78 configuration."
            )
        ),
        _paragraph(
            _(
                "Environment: OAUTH_MAILER_HOME (folder of the configuration and the outbox), "
                "OAUTH_MAILER_OUTBOX_URL (another database for the outbox), OAUTH_MAILER_STORE (keyring, "
                "encrypted_file, environment, command), OAUTH_MAILER_PASSPHRASE_FILE (of the encrypted "
                "file), OAUTH_MAILER_SECRET_ME_QQ_COM (the code of me@qq.com), OAUTH_MAILER_LANG (en, "
                "zh_CN), SSL_CERT_FILE, HTTPS_PROXY, NO_COLOR, BROWSER."
            )
        ),
    )
    return "\n\n".join(parts) + "\n"


def _paragraph(text: str) -> str:
    return "\n".join(wrapped(text, _WIDTH))


def _columns(rows: Iterable[tuple[str, str]]) -> str:
    rows = list(rows)
    cells = max(width(left) for left, right in rows if right) + 3
    return "".join(f"\n  {padded(left, cells)}{right}".rstrip() for left, right in rows)
