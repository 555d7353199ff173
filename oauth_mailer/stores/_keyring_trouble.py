"""What is wrong with the keyring, and what to do about it on this platform."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..errors import StoreError
from ..i18n import _

__all__ = [
    "explained",
    "no_keyring",
    "not_kept",
    "old_secret_lost",
    "refused_file",
    "timed_out",
]


def no_keyring(backend: str) -> StoreError:
    """There is none: ``backend`` is the library's stand-in for a keyring that keeps nothing."""
    chosen = os.environ.get("PYTHON_KEYRING_BACKEND")
    if chosen or backend.startswith("keyring.backends.null"):
        return StoreError(
            _("The keyring is switched off: the backend {backend} keeps nothing.").format(backend=backend),
            code="keyring-off",
            hint=_("Unset PYTHON_KEYRING_BACKEND and look into keyringrc.cfg. {otherwise}").format(
                otherwise=_otherwise()
            ),
        )
    if sys.platform in ("win32", "darwin"):
        return StoreError(
            _("The keyring of this system cannot be used."),
            code="keyring-absent",
            hint=_("Run: python -m keyring --list-backends . {otherwise}").format(otherwise=_otherwise()),
        )
    return _no_bus() or _no_service()


def _no_bus() -> StoreError | None:
    import secretstorage

    try:
        secretstorage.dbus_init().close()
    except (secretstorage.SecretStorageException, OSError, ValueError, RuntimeError) as error:
        # A job of cron has no address for the session's bus, though the session may be there.
        usual = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}") / "bus"
        if not os.environ.get("DBUS_SESSION_BUS_ADDRESS") and usual.exists():
            hint = _("Set DBUS_SESSION_BUS_ADDRESS=unix:path={path} for this job. {otherwise}").format(
                path=usual, otherwise=_otherwise()
            )
        else:
            hint = _("Run it in a desktop session, or under dbus-run-session. {otherwise}").format(
                otherwise=_otherwise()
            )
        trouble = StoreError(
            _("There is no keyring here: no D-Bus session bus can be reached."),
            code="keyring-no-bus",
            hint=hint,
        )
        trouble.__cause__ = error
        return trouble
    return None


def _no_service() -> StoreError:
    return StoreError(
        _("There is no keyring here: nothing on the session bus offers the Secret Service."),
        code="keyring-no-service",
        hint=_("Install gnome-keyring, KWallet or KeePassXC. {otherwise}").format(otherwise=_otherwise()),
    )


def refused_file(backend: str) -> StoreError:
    """The library would keep secrets in a file, most likely in plain text."""
    return StoreError(
        _("The only keyring found is {backend}, which keeps secrets in a file that is not safe.").format(
            backend=backend
        ),
        code="keyring-unsafe",
        hint=_("Uninstall it or choose another in PYTHON_KEYRING_BACKEND. {otherwise}").format(
            otherwise=_otherwise()
        ),
    )


def timed_out(seconds: float) -> StoreError:
    """It did not answer."""
    return StoreError(
        _(
            "The keyring did not answer within {seconds:g} seconds: it may be locked, waiting for a person."
        ).format(seconds=seconds),
        code="keyring-timeout",
        hint=_("Unlock it and try again, or raise timeout in [stores.keyring]. {otherwise}").format(
            otherwise=_otherwise()
        ),
    )


def not_kept() -> StoreError:
    """What was written is not there."""
    return StoreError(
        _("The keyring did not keep what it was given. The old secret is still there."),
        code="keyring-readback",
        hint=_otherwise(),
    )


def old_secret_lost() -> StoreError:
    """A write failed, and so did putting the old secret back."""
    return StoreError(
        _("The keyring failed while a secret was replaced, and the old one may be lost."),
        code="keyring-lost",
        hint=_("Run: oauth-mailer login ADDRESS . {otherwise}").format(otherwise=_otherwise()),
    )


def explained(error: Exception, secret: str) -> StoreError:
    """A foreign exception, told in our words; its own are kept as the text, without the secret."""
    from keyring.errors import InitError, KeyringLocked

    said = "".join(char if char.isprintable() else " " for char in str(error))
    said = (said.replace(secret, "***") if secret else said)[:300]
    name = type(error).__name__
    if isinstance(error, KeyringLocked) or name in (
        "LockedException",
        "PromptDismissedException",
        "KeychainDenied",
    ):
        return StoreError(
            _("The keyring is locked, and was not unlocked."),
            code="keyring-locked",
            hint=_unlock(),
            text=said,
        )
    if isinstance(error, InitError):
        return StoreError(
            _("The keyring is not set up yet: a person has to give it a password, once."),
            code="keyring-not-set-up",
            hint=_("Sign in on the desktop, or make a keyring with seahorse. {otherwise}").format(
                otherwise=_otherwise()
            ),
            text=said,
        )
    if isinstance(error, TimeoutError):  # the lock of another process
        return StoreError(
            _("Another process is using the keyring and does not finish."),
            code="keyring-timeout",
            hint=_("Look for a window that asks for a password, or end the other process."),
            text=said,
        )
    return StoreError(
        _("The keyring failed: {name}.").format(name=name),
        code="keyring-failed",
        hint=_("Run: python -m keyring diagnose . {otherwise}").format(otherwise=_otherwise()),
        text=said,
    )


def _unlock() -> str:
    if sys.platform == "darwin":
        return _("Run: security unlock-keychain . {otherwise}").format(otherwise=_otherwise())
    if sys.platform == "win32":
        return _("Sign in to Windows with your own account. {otherwise}").format(otherwise=_otherwise())
    return _("Unlock it in the desktop session (seahorse or kwalletmanager can). {otherwise}").format(
        otherwise=_otherwise()
    )


def _otherwise() -> str:
    return _(
        "Without a keyring: set OAUTH_MAILER_STORE=encrypted_file. At a terminal its passphrase is asked "
        "for; elsewhere OAUTH_MAILER_PASSPHRASE_FILE names the file that has it."
    )
