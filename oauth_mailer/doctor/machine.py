"""Checks of this computer: what is installed, what leads elsewhere, and the configuration."""

from __future__ import annotations

import os
import platform
import ssl
import stat
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from .. import __version__
from ..accounts import Accounts
from ..errors import ConfigError
from ..i18n import _
from .finding import Finding, failed, ok, warning
from .patient import Machine

__all__ = ["certificates", "configuration", "permissions", "proxy", "versions"]

_PACKAGES = ("google-auth", "google-api-python-client", "keyring", "cryptography", "sqlalchemy", "dnspython")
_OPTIONS = frozenset({"folder", "helo"})
"""What kinds of transport read in an account's table, besides what all accounts have."""

_PRIVATE = ("config.toml", "refused.json", "secrets.sealed", "outbox.db", "outbox.db-wal")


def versions(machine: Machine) -> Finding:
    """What runs here; for a report of a fault."""
    parts = [f"oauth-mailer {__version__}", f"Python {platform.python_version()}", ssl.OPENSSL_VERSION]
    for name in _PACKAGES:
        try:
            parts.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ok(", ".join([*parts, platform.platform(terse=True)]))


def proxy(machine: Machine) -> Finding:
    """Variables and settings that lead web requests elsewhere."""
    from urllib.request import getproxies

    found = {name: url for name, url in sorted(getproxies().items()) if name in ("http", "https", "all")}
    if not found:
        return ok(_("No proxy is set."))
    shown = ", ".join(f"{name.upper()}_PROXY={_without_user(url)}" for name, url in found.items())
    if "https" not in found:
        return ok(
            _("Not used: {proxies}. Only HTTPS_PROXY counts, and only for Gmail.").format(proxies=shown)
        )
    if _scheme(found["https"]) not in ("", "http"):
        return warning(
            _("Set, and of no use: {proxies}.").format(proxies=shown),
            cause=_("Only a proxy of the kind http:// can be used, so Gmail cannot be reached."),
            hint=_("Give one such as http://127.0.0.1:8080, or unset it."),
        )
    return ok(
        _("{proxies}. HTTPS_PROXY is used for Gmail; SMTP goes straight to its server.").format(proxies=shown)
    )


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower() if "://" in url else ""


def _without_user(url: str) -> str:
    """The address without the name and the password that may stand in it."""
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        host, port = parts.hostname or "?", parts.port
    except ValueError:
        return "***"
    place = f"{host}:{port}" if port else host
    return f"{parts.scheme}://{place}" if parts.scheme else place


def certificates(machine: Machine) -> Finding:
    """Whether there is anything to trust."""
    for name, fits in (("SSL_CERT_FILE", Path.is_file), ("SSL_CERT_DIR", Path.is_dir)):
        if (value := os.environ.get(name)) and not fits(Path(value)):
            return failed(
                ConfigError(
                    _("{name} names {path}, which is not there: no server would be trusted.").format(
                        name=name, path=value
                    ),
                    code="ca-file",
                    hint=_("Correct it, or unset it."),
                )
            )
    known = ssl.create_default_context().cert_store_stats()["x509_ca"]
    folder = ssl.get_default_verify_paths().capath
    if known:
        return ok(_("{count} certificate authorities are trusted.").format(count=known))
    if folder and any(Path(folder).iterdir()):
        return ok(_("The certificate authorities in {folder} are trusted.").format(folder=folder))
    return failed(
        ConfigError(
            _("This Python knows no certificate authority: no server would be trusted."),
            code="ca-file",
            hint=_("Install the system's package ca-certificates, or set SSL_CERT_FILE to a PEM file."),
        )
    )


def configuration(machine: Machine) -> Finding:
    """Whether the file can be read, and makes sense."""
    accounts = Accounts(machine.settings.home)
    count = len(list(accounts))
    if machine.only is not None or not count:
        accounts.get(machine.only or "")
    if not accounts.path.exists():
        return ok(
            _("There is no file {path}; the account stands in the environment.").format(path=accounts.path)
        )
    text = _("{path}: accounts: {count}; the default one: {default}.").format(
        path=accounts.path, count=count, default=accounts.default or _("none")
    )
    options = [f'accounts."{one.address}".{key}' for one in accounts for key in one.options.keys() - _OPTIONS]
    if unknown := [*accounts.unknown(), *sorted(options)]:
        return warning(
            text,
            cause=_("Nobody reads {words}: it has no effect. Is it misspelt?").format(
                words=", ".join(unknown)
            ),
            hint=_("Correct it, or take it out."),
        )
    return ok(text)


def permissions(machine: Machine) -> Iterator[Finding]:
    """Who else may read or change what stands in the folder. On Windows a user's folders are private."""
    home = machine.settings.home
    if os.name != "posix" or not home.is_dir():
        return
    way_in = all(folder.stat().st_mode & stat.S_IXOTH for folder in home.resolve().parents)
    mode = home.stat().st_mode if way_in else 0
    entered = mode & stat.S_IXOTH
    modes = {
        path: path.stat().st_mode for path in (home / name for name in _PRIVATE) if entered and path.exists()
    }
    writable = [str(path) for path, its in {home: mode, **modes}.items() if its & stat.S_IWOTH]
    if writable:
        yield failed(
            ConfigError(
                _("Every user of this computer can change {paths}, and send your mail elsewhere.").format(
                    paths=", ".join(writable)
                ),
                code="permissions",
                hint=_("Run: chmod o-rwx {paths}").format(paths=" ".join(writable)),
            )
        )
        return
    readable = [str(path) for path, its in modes.items() if its & stat.S_IROTH]
    if readable:
        yield warning(
            _("Every user of this computer can read {paths}.").format(paths=", ".join(readable)),
            cause=_("It holds no plain secret, but says which accounts there are and what waits to be sent."),
            hint=_("Run: chmod o-rwx {paths}").format(paths=" ".join(readable)),
        )
        return
    yield ok(_("Other users of this computer cannot read {home}.").format(home=home))
