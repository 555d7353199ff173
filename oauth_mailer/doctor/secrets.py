"""Checks of where an account's secret rests, and of the secret itself, which is never shown."""

from __future__ import annotations

import os
import stat
from datetime import datetime
from pathlib import Path

from ..account import secret_sources
from ..auth import asks_consent
from ..auth.code import check_code, where_to_put
from ..errors import LoginRequired, StoreError
from ..i18n import _
from ..logins import login_state
from .finding import Finding, ok, sentences, warning
from .patient import Patient

__all__ = ["known_refused", "login", "secret", "store"]


def store(patient: Patient) -> Finding:
    """Whether the store can be opened and read: its kind, whether it is locked, whether it can be written."""
    if not patient.needs_login:
        return ok(_("This account shows no secret, so it needs no store."))
    opened = patient.store
    if _is_known(patient):
        patient.line  # noqa: B018 - raises where it cannot be read: no keyring, a locked or an unsafe one
    text = {
        "keyring": _("The keyring answers ({what})."),
        "encrypted_file": _("The file of secrets opens ({what})."),
        "environment": _("The secret comes from the environment ({what})."),
        "command": _("The program of [stores.command] answers."),
    }.get(opened.kind, _("The store {kind} answers."))
    shown = text.format(what=_where(patient), kind=opened.kind)
    if not opened.writable:
        return ok(sentences(shown, _("It can be read only.")))
    if (path := getattr(opened, "path", None)) is not None and not _can_change(path):
        raise StoreError(
            _("The file of secrets {path} cannot be changed by this user.").format(path=path),
            code="store-unwritable",
            hint=_("Set path in [stores.encrypted_file] to a file that you may write, on a disk with room."),
        )
    return ok(sentences(shown, _("It can be written.")))


def _is_known(patient: Patient) -> bool:
    """Whether anything can be said of the entry in the store alone."""
    return patient.account.auth == "code" or asks_consent(patient.account) is not None


def _where(patient: Patient) -> str:
    opened = patient.store
    if opened.kind == "keyring":
        import keyring

        return str(keyring.get_keyring().name)
    if opened.kind == "environment":
        return ", ".join(name for name, _value in secret_sources(patient.account.address)) or _("none")
    return str(getattr(opened, "path", opened.kind))


def _can_change(path: Path) -> bool:
    """Whether a new file can take its place."""
    folder = Path(os.path.realpath(path)).parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)


def secret(patient: Patient) -> Finding:
    """Whether there is one, and whether it can be right."""
    account = patient.account
    if not patient.needs_login:
        return ok(_("None is needed."))
    if not _is_known(patient):
        return ok(_("Not looked at: a login by {auth} is proven as a whole.").format(auth=account.auth))
    if not patient.line:
        raise LoginRequired(
            _("The store {store} has no secret for {address}.").format(
                store=patient.store.kind, address=account.address
            ),
            code="secret-missing",
            hint=where_to_put(account.address, patient.store),
        )
    if account.auth == "code":
        check_code(account, patient.line)
    exposed = _exposed(account.address) if patient.store.kind == "environment" else []
    if exposed:
        return warning(
            _("It is there, but every user of this computer can read it in {paths}.").format(
                paths=", ".join(exposed)
            ),
            cause=_("Whoever has it can send as {address}.").format(address=account.address),
            hint=_("Run: chmod 600 {paths}").format(paths=" ".join(exposed)),
        )
    if account.auth == "code":
        return ok(_("It is there, and has the form that it must have."))
    return ok(_("The consent is there."))


def login(patient: Patient) -> Finding:
    """When a person last logged in, and whether the server was found to refuse that since."""
    account = patient.account
    try:
        day = f"{datetime.fromisoformat(account.logged_in):%Y-%m-%d}"
    except ValueError:
        day = ""
    if login_state(account, home=patient.accounts.home) == "required":
        return known_refused(
            patient,
            _("The last login, of {day}, was refused since.").format(day=day or "?"),
            _("Its server is not asked again until somebody acts, or the time that it named is over."),
        )
    return ok(_("Logged in on {day}.").format(day=day) if day else _("Nothing speaks against it."))


def known_refused(patient: Patient, text: str, cause: str) -> Finding:
    """What is known of a login that was refused before; a check that may connect asks the provider later."""
    hint = _("Run: oauth-mailer login {address}").format(address=patient.account.address)
    if patient.settings.offline:
        raise LoginRequired(sentences(text, cause), code="login-required", hint=hint)
    return warning(text, cause=cause, hint=hint)


def _exposed(address: str) -> list[str]:
    sources = secret_sources(address)
    paths = [value for name, value in sources if name.endswith("_FILE") or name == "CREDENTIALS_DIRECTORY"]
    if os.name != "posix":
        return []
    return [path for path in paths if Path(path).stat().st_mode & stat.S_IROTH]
