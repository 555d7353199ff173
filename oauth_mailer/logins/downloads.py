"""The client file that a browser puts into the downloads folder: found as it lands, and told by its kind."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..auth.google import read_client
from ..errors import ConfigError

__all__ = ["Arrival", "Downloads", "arrival"]

_NAMED = "client_secret"
"""How the names of Google's client files begin. Those of other kinds have names of all sorts."""

_OTHER_KINDS = frozenset({"client-web", "client-service-account", "client-token-file"})
"""Codes of files that are told of whatever their name is: somebody has just downloaded the wrong one."""

_Stamp = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A file that may hold a client.

    ``project``: the id of its project in Google's console, where the file names one; ``error``: why it is not
    of use, or None where it is.
    """

    path: Path
    project: str = ""
    error: ConfigError | None = None


class Downloads:
    """What comes into the folders from now on; files that are there already are looked at by ``ready`` only.

    ``folders``: by default those into which browsers of this system download.
    """

    def __init__(self, folders: tuple[Path, ...] | None = None) -> None:
        self.folders = _folders() if folders is None else folders
        self._known = dict(self._files())
        self._coming: dict[Path, _Stamp] = {}

    def ready(self) -> Arrival | None:
        """The newest client file that is there already, if one is of use."""
        newest_first = sorted(self._known, key=lambda path: self._known[path], reverse=True)
        named = (path for path in newest_first if path.name.startswith(_NAMED))
        return next((found for found in map(arrival, named) if not found.error), None)

    def look(self) -> Iterator[Arrival]:
        """The files that came or changed, each once, as soon as two looks have seen the same of it."""
        for path, stamp in self._files():
            if self._known.get(path) == stamp:
                continue
            if self._coming.get(path) != stamp:  # it may still be written
                self._coming[path] = stamp
                continue
            self._known[path] = stamp
            found = arrival(path)
            if not found.error or found.error.code in _OTHER_KINDS or path.name.startswith(_NAMED):
                yield found

    def _files(self) -> Iterator[tuple[Path, _Stamp]]:
        for folder in self.folders:
            with suppress(OSError), os.scandir(folder) as entries:  # it may come with the first download
                for entry in entries:
                    with suppress(OSError):  # gone since
                        if entry.name.lower().endswith(".json") and entry.is_file():
                            status = entry.stat()
                            yield Path(entry.path), (status.st_mtime_ns, status.st_size)


def arrival(path: Path) -> Arrival:
    """What this file is. Raises nothing: a file that cannot be read is of no use."""
    try:
        read_client(path)
    except ConfigError as error:
        return Arrival(path=path, error=error)
    project = ""
    with suppress(OSError, ValueError, KeyError, TypeError):
        project = str(json.loads(path.read_bytes().decode("utf-8-sig"))["installed"]["project_id"])
    return Arrival(path=path, project=project if re.fullmatch("[a-z0-9.:-]{1,100}", project) else "")


def _folders() -> tuple[Path, ...]:
    from platformdirs import user_downloads_path

    home = Path.home()
    names = [user_downloads_path(), home / "Downloads", home / "下载"]
    if "SSH_CONNECTION" in os.environ:
        names.append(home)  # the browser is on another computer: where scp puts a file
    return tuple(dict.fromkeys(names))
