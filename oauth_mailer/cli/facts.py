"""What holds for the whole program, as rows of data: for the overview and the manual."""

from __future__ import annotations

from dataclasses import dataclass

from ..i18n import N_

__all__ = ["EXIT_CODES", "FILES", "OPTIONS", "VARIABLES", "Fact"]


@dataclass(frozen=True, slots=True)
class Fact:
    """``name``: as it is typed or read; ``text``: what it means, in English."""

    name: str
    text: str


OPTIONS = (
    Fact("-q, --quiet", N_("show errors only")),
    Fact("-v, --verbose", N_("show what happens, without secrets")),
    Fact("-V, --version", N_("show the version")),
    Fact("-h, --help", N_("show this help")),
)
"""Of the program itself; commands have the first two, the last one, and their own."""

EXIT_CODES = (
    Fact("0", N_("accepted, or done")),
    Fact("64", N_("the command line is wrong")),
    Fact("65", N_("the message is bad")),
    Fact("66", N_("an input file is missing")),
    Fact("69", N_("rejected by the provider")),
    Fact("70", N_("a fault of ours")),
    Fact("75", N_("not sent, try later")),
    Fact("76", N_("unknown: it may have been sent")),
    Fact("77", N_("login required, or not allowed")),
    Fact("78", N_("the configuration, or the store of secrets")),
    Fact("130", N_("stopped by Ctrl-C before anything was handed over")),
    Fact("143", N_("stopped by the system before anything was handed over")),
)
"""Those of BSD's sysexits, where it has one."""

VARIABLES = (
    Fact("OAUTH_MAILER_HOME", N_("folder of the configuration and the outbox")),
    Fact("OAUTH_MAILER_OUTBOX_URL", N_("another database for the outbox: sqlite:////FILE or postgresql://…")),
    Fact("OAUTH_MAILER_STORE", N_("where secrets rest: keyring, encrypted_file, environment, command")),
    Fact("OAUTH_MAILER_PASSPHRASE_FILE", N_("a file with the passphrase of the encrypted file")),
    Fact("OAUTH_MAILER_PASSPHRASE", N_("that passphrase itself")),
    Fact(
        "OAUTH_MAILER_SECRET_ME_QQ_COM", N_("the code of me@qq.com; with _FILE added, a file that holds it")
    ),
    Fact("OAUTH_MAILER_LANG", N_("the language: en, zh_CN (by default that of the locale)")),
    Fact("OAUTH_MAILER_GMAIL_ENDPOINT", N_("another root of the Gmail API: https, or http on this machine")),
    Fact("OAUTH_MAILER_MICROSOFT_ENDPOINT", N_("another root of Microsoft's logins, as of a national cloud")),
    Fact("OAUTH_MAILER_DEBUG", N_("1 shows where a fault of ours is")),
    Fact("SSL_CERT_FILE", N_("certificates to trust in place of the system's")),
    Fact("HTTPS_PROXY", N_("the proxy on the way to Google and Microsoft")),
    Fact("NO_COLOR", N_("shows no colours")),
    Fact("BROWSER", N_("the program that opens the pages of a login")),
)

FILES = (
    Fact("config.toml", N_("the accounts, the default one, and settings; holds no secret")),
    Fact("secrets.sealed", N_("the secrets, where they rest in the encrypted file")),
    Fact("outbox.db", N_("the outbox")),
    Fact("refused.json", N_("which codes were refused, by a slow hash, so that none is shown again")),
    Fact("log-salt", N_("what is hashed with the recipients in a log, if that was asked for")),
)
"""In ``OAUTH_MAILER_HOME``."""
