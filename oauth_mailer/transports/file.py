"""Writes messages into a folder: an ``.eml`` file each, and its envelope beside it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from ..accounts import Account
from ..auth import Credential
from ..errors import ConfigError, TransientError
from ..i18n import _, system_text
from ..message import Envelope
from ..mime import Content
from . import Acceptance

__all__ = ["FileTransport"]


def open(account: Account, credential: Callable[[], Credential], timeout: float) -> FileTransport:  # noqa: A001
    """The transport of an account with ``transport = "file"`` and a ``folder``."""
    folder = account.options.get("folder")
    if not isinstance(folder, str) or not folder:
        raise ConfigError(
            _("The account {address} writes files, but no folder is set.").format(address=account.address),
            code="config-value",
            hint=_('Add a line to its configuration: folder = "/path/to/folder"'),
        )
    return FileTransport(folder)


class FileTransport:
    """Accepts every message once it is on disk.

    ``folder``: created if it is not there. Each message is ``NAME.eml``, byte for byte, with ``NAME.json``
    for its envelope (a blind recipient is seen nowhere else). Files are private to the user.
    """

    name = "file"

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def send(self, envelope: Envelope, content: Content) -> Acceptance:
        """Send; see ``Transport.send``. The ``.eml`` appears last, whole, when all is on disk."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return Acceptance(remote_id=self._write(envelope, content))
        except OSError as error:
            raise TransientError(
                _("The message cannot be written to {folder}: {reason}.").format(
                    folder=self.folder, reason=system_text(error.strerror) or error
                ),
                code="file-unwritable",
                hint=_("Make room, or set another folder that you may write to."),
            ) from error

    def close(self) -> None:
        """Nothing is held open."""

    def _write(self, envelope: Envelope, content: Content) -> str:
        handle, temporary = tempfile.mkstemp(dir=self.folder, suffix=".part")
        # mkstemp's name is unique in the folder, and the time in front keeps the files in order.
        stem = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{Path(temporary).stem}"
        target = self.folder / f"{stem}.eml"
        try:
            with os.fdopen(handle, "wb") as file:
                for block in content.blocks():
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
            note = {
                "sender": envelope.sender.email,
                "recipients": [recipient.email for recipient in envelope.recipients],
            }
            note_handle = os.open(target.with_suffix(".json"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(note_handle, "w", encoding="utf-8") as file:
                json.dump(note, file, ensure_ascii=False, indent=2)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(target)
        except BaseException:
            for leftover in (Path(temporary), target.with_suffix(".json")):
                with suppress(OSError):
                    leftover.unlink()
            raise
        return target.name
