"""Secrets in one file, sealed with a passphrase: for servers and containers without a keyring.

The passphrase comes from ``OAUTH_MAILER_PASSPHRASE``, or from the file named by
``OAUTH_MAILER_PASSPHRASE_FILE``, or from a person who is asked once per process. The first one chosen
creates the file. ``path`` in ``[stores.encrypted_file]`` puts the file elsewhere than in the folder of the
configuration. A process that runs as long as a server keeps the derived key in its memory.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from .. import private_file
from ..errors import LoginRequired, StoreError
from ..i18n import _, system_text
from . import Secret, Slot, StoreOptions, storable
from ._files import read_secret_file
from ._sealed import Damaged, Key, Newer, WrongPassphrase, new_key, seal, unseal

__all__ = ["EncryptedFileStore", "open"]

_VARIABLE = "OAUTH_MAILER_PASSPHRASE"

_ANSWERED: dict[Path, Secret] = {}
_ASKING = Lock()
"""What a person answered in this process, by file: nobody wants to be asked at each access."""


class EncryptedFileStore:
    """One file for all accounts, read anew at each access and replaced as a whole at each change."""

    kind = "encrypted_file"
    writable = True

    def __init__(self, path: Path, ask: Callable[[str], Secret] | None = None) -> None:
        self.path = path
        self._ask = ask

    def get(self, slot: Slot) -> Secret | None:
        """As in ``TokenStore``; where there is no file yet, no passphrase is needed."""
        content = self._read()
        if content is None:
            return None
        text = self._unseal(content)[1].get(str(slot))
        return None if text is None else Secret(text)

    def set(self, slot: Slot, secret: Secret) -> None:
        """As in ``TokenStore``. The first secret creates the file."""
        text = storable(secret)
        self.prepare()  # a person thinks longer than others may wait for the lock
        self._change(lambda texts: texts | {str(slot): text})

    def prepare(self) -> None:
        """Have the passphrase of a file that is not there yet, as ``set`` would. Raises ``StoreError``."""
        if self._read() is None:
            self._passphrase(new=True)

    def delete(self, slot: Slot) -> None:
        """As in ``TokenStore``."""
        if self.get(slot) is not None:
            self._change(lambda texts: {name: text for name, text in texts.items() if name != str(slot)})

    def _change(self, edit: Callable[[dict[str, str]], dict[str, str]]) -> None:
        try:
            with private_file.locked(self.path):
                content = self._read()
                texts: dict[str, str] = {}
                if content is None:
                    key = new_key(self._passphrase(new=True).reveal())
                else:
                    key, texts = self._unseal(content)
                wanted = edit(texts)
                private_file.replace(self.path, seal(key, wanted))
                if self._unseal(self._read() or b"")[1] != wanted:
                    raise OSError(_("it does not hold what was written"))
        except OSError as error:
            raise StoreError(
                _("The file of secrets {path} cannot be written: {reason}.").format(
                    path=self.path, reason=system_text(error.strerror) or error
                ),
                code="store-unwritable",
                hint=_(
                    "Set path in [stores.encrypted_file] to a file that you may write, on a disk with room."
                ),
            ) from error

    def _read(self) -> bytes | None:
        try:
            return private_file.read(self.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(
                _("The file of secrets {path} cannot be read: {reason}.").format(
                    path=self.path, reason=system_text(error.strerror) or error
                ),
                code="store-unreadable",
                hint=_("Check that it belongs to the user who runs this."),
            ) from error

    def _unseal(self, content: bytes) -> tuple[Key, dict[str, str]]:
        try:
            passphrase = self._passphrase()
            try:
                return unseal(content, passphrase.reveal())
            except WrongPassphrase:
                _ANSWERED.pop(self.path, None)
                raise StoreError(
                    _("The passphrase for {path} is wrong. Nothing was changed.").format(path=self.path),
                    code="passphrase-wrong",
                    hint=_(
                        "Give the one it was created with, for example by OAUTH_MAILER_PASSPHRASE_FILE. "
                        "If it is lost, delete the file and log in again."
                    ),
                ) from None
        except Newer:
            raise StoreError(
                _("A newer version of oauth_mailer wrote the file of secrets {path}.").format(path=self.path),
                code="store-newer",
                hint=_("Run: python -m pip install --upgrade oauth-mailer"),
            ) from None
        except Damaged as damage:
            raise StoreError(
                _("The file of secrets {path} is damaged: {reason}.").format(path=self.path, reason=damage),
                code="store-damaged",
                hint=_("Restore it from a backup, or delete it and log in again."),
            ) from None

    def _passphrase(self, *, new: bool = False) -> Secret:
        """The passphrase; ``new``: for a file that is not there yet, so a person has to type it twice."""
        file = os.environ.get(f"{_VARIABLE}_FILE")
        given = os.environ.get(_VARIABLE)
        if given and file:
            raise StoreError(
                _("Both {variable} and {variable}_FILE are set.").format(variable=_VARIABLE),
                code="secret-ambiguous",
                hint=_("Keep one of them and unset the other."),
            )
        if given or file:
            passphrase = Secret(given) if given else _from_file(Path(file or ""))
        else:
            passphrase = self._answer(new=new)
        if not passphrase:
            raise StoreError(
                _("The passphrase is empty."), code="passphrase-empty", hint=_("Choose a long one.")
            )
        return passphrase

    def _answer(self, *, new: bool) -> Secret:
        with _ASKING:
            if self.path in _ANSWERED:
                return _ANSWERED[self.path]
            try:
                answer = self._asked(new=new)
            except LoginRequired:  # what a prompt says where nobody can be asked
                answer = None
            if answer is None:
                raise StoreError(
                    _("The file of secrets {path} needs its passphrase, and nobody can be asked.").format(
                        path=self.path
                    ),
                    code="passphrase-missing",
                    hint=_("Set {variable} or {variable}_FILE, or run this at a terminal.").format(
                        variable=_VARIABLE
                    ),
                )
            if answer:
                _ANSWERED[self.path] = answer
            return answer

    def _asked(self, *, new: bool) -> Secret | None:
        if self._ask is None:
            return None
        if not new:
            return self._ask(_("Passphrase for {path}: ").format(path=self.path))
        answer = self._ask(_("Choose a passphrase for {path}: ").format(path=self.path))
        if answer and answer != self._ask(_("The same passphrase again: ")):
            raise StoreError(
                _("The two passphrases differ. Nothing was changed."),
                code="passphrase-differs",
                hint=_("Run the command again."),
            )
        return answer


def _from_file(path: Path) -> Secret:
    passphrase = read_secret_file(path, f"{_VARIABLE}_FILE")
    if os.name == "posix" and path.stat().st_mode & stat.S_IROTH:
        raise StoreError(
            _("Every user of this host can read the passphrase in {path}.").format(path=path),
            code="passphrase-exposed",
            hint=_("Run: chmod 600 {path} (for a container's secret, set its mode to 0400).").format(
                path=path
            ),
        )
    return passphrase


def open(options: StoreOptions) -> EncryptedFileStore:  # noqa: A001 - the name every room has
    """The store in ``path``, by default ``secrets.sealed`` in the home; a relative path starts there."""
    settings = options.checked(
        "encrypted_file", {"path": lambda value: isinstance(value, str) and bool(value)}
    )
    path = Path(options.home) / Path(settings.get("path", "secrets.sealed")).expanduser()
    return EncryptedFileStore(path.absolute(), options.ask_passphrase)
