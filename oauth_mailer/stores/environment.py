"""Secrets that whoever starts the process hands in; read-only.

For ``me@qq.com`` exactly one of these holds the secret:

- the variable ``OAUTH_MAILER_SECRET_ME_QQ_COM``;
- the file named by ``OAUTH_MAILER_SECRET_ME_QQ_COM_FILE`` (a container's secret);
- the file ``OAUTH_MAILER_SECRET_ME_QQ_COM`` in the folder ``CREDENTIALS_DIRECTORY``: a systemd service has
  it after ``LoadCredential=OAUTH_MAILER_SECRET_ME_QQ_COM:/path`` (or ``LoadCredentialEncrypted=``).

Two at once are an error and not a question of precedence: one of them is old, and nobody can say which.
A newline at the end is not part of the secret. What can be had again (an access token) is never here.
"""

from __future__ import annotations

from ..account import secret_sources, secret_variable
from ..errors import StoreError
from ..i18n import _
from . import Secret, Slot, StoreOptions, storable
from ._files import read_secret_file, without_newline

__all__ = ["EnvironmentStore", "open"]


class EnvironmentStore:
    """Reads variables and files at each call, so that a secret rotated in its file is found."""

    kind = "environment"
    writable = False

    def get(self, slot: Slot) -> Secret | None:
        """As in ``TokenStore``."""
        sources = [] if slot.cached else secret_sources(slot.account)
        if not sources:
            return None
        if len(sources) > 1:
            raise StoreError(
                _("The secret of {account} is given more than once: {sources}.").format(
                    account=slot.account, sources=", ".join(name for name, _value in sources)
                ),
                code="secret-ambiguous",
                hint=_("Keep one of them and unset the others."),
            )
        name, value = sources[0]
        variable = secret_variable(slot.account)
        secret = Secret(without_newline(value)) if name == variable else _of_file(value, name)
        try:
            storable(secret)
        except StoreError:
            raise StoreError(
                _("{source} does not hold a secret alone: it is empty or has several lines.").format(
                    source=name if name == variable else value
                ),
                code="secret-form",
                hint=_("Put the secret there alone, on one line."),
            ) from None
        return secret

    def set(self, slot: Slot, secret: Secret) -> None:
        """Always refused, with the name of the variable to set."""
        raise StoreError(
            _("Secrets in the environment are read only; that of {account} cannot be kept there.").format(
                account=slot.account
            ),
            code="store-read-only",
            hint=_(
                "Set {variable} or {variable}_FILE, or choose another store with OAUTH_MAILER_STORE."
            ).format(variable=secret_variable(slot.account)),
        )

    def delete(self, slot: Slot) -> None:
        """Refused where there is a secret, with the name of what to unset."""
        sources = [] if slot.cached else secret_sources(slot.account)
        if sources:
            raise StoreError(
                _("The secret of {account} stands in the environment and cannot be deleted there.").format(
                    account=slot.account
                ),
                code="store-read-only",
                hint=_("Unset {sources}.").format(sources=", ".join(name for name, _value in sources)),
            )


def _of_file(path: str, source: str) -> Secret:
    from pathlib import Path

    return read_secret_file(Path(path), source)


def open(options: StoreOptions) -> EnvironmentStore:  # noqa: A001 - the name every room has
    """The store; it has no settings."""
    options.checked("environment", {})
    return EnvironmentStore()
