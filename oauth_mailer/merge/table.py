"""A table from a CSV file, read a row at a time, as spreadsheets write it."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import MessageError
from ..i18n import _, system_text

__all__ = ["Row", "Table"]

_SAMPLE = 65_536
_SEPARATORS = (",", ";", "\t")
_LONGEST = 1 << 20  # characters of a cell


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its line in the file, as an editor counts, and its cells by the names of the columns."""

    line: int
    cells: Mapping[str, str]


class Table:
    """A CSV file whose first line names the columns (RFC 4180).

    UTF-8 with or without a byte order mark, UTF-16 with one, else GB18030, as Excel writes it in China; the
    separator is the comma, semicolon or tab that the first line has most of. Names are stripped of blanks;
    empty lines are left out; a row may be shorter than the first line, but not longer.

    Raises ``MessageError`` where it cannot be read.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            with self.path.open("rb") as file:
                sample = file.read(_SAMPLE)
        except (OSError, ValueError) as error:
            raise self._unreadable(system_text(getattr(error, "strerror", None)) or str(error)) from error
        self.encoding = _encoding(self.path, sample)
        first = codecs.getincrementaldecoder(self.encoding)("replace").decode(sample).partition("\n")[0]
        self.separator = max(_SEPARATORS, key=first.count)
        self.columns = self._columns()

    def __iter__(self) -> Iterator[Row]:
        with self._open() as file:
            reader = csv.reader(file, delimiter=self.separator)
            next(reader, None)
            for cells in self._records(reader):
                if not any(cell.strip() for cell in cells):
                    continue
                extra = [cell for cell in cells[len(self.columns) :] if cell.strip()]
                if extra:
                    raise self._wrong(
                        _("line {line} has more cells than the first line names columns").format(
                            line=reader.line_num
                        )
                    )
                full = [*cells[: len(self.columns)], *[""] * (len(self.columns) - len(cells))]
                # A column without a name can only be an empty one at the end.
                named = zip(self.columns, full, strict=True)
                yield Row(reader.line_num, {name: cell.strip() for name, cell in named if name})

    def _columns(self) -> list[str]:
        with self._open() as file:
            reader = csv.reader(file, delimiter=self.separator)
            names = [name.strip() for name in next(self._records(reader), [])]
        if not any(names):
            raise self._wrong(_("its first line names no columns"))
        for name, count in Counter(name for name in names if name).items():
            if count > 1:
                raise self._wrong(_("it has two columns {name}").format(name=name))
        return names

    def _records(self, reader: Iterator[list[str]]) -> Iterator[list[str]]:
        csv.field_size_limit(_LONGEST)
        try:
            yield from reader
        except csv.Error as error:
            raise self._wrong(_("it is no CSV ({reason})").format(reason=error)) from error
        except UnicodeDecodeError as error:
            raise self._wrong(_("it is neither UTF-8 nor GB18030")) from error
        except OSError as error:
            raise self._unreadable(system_text(error.strerror)) from error

    def _open(self) -> io.TextIOWrapper:
        try:
            return self.path.open(encoding=self.encoding, newline="")
        except OSError as error:
            raise self._unreadable(system_text(error.strerror)) from error

    def _wrong(self, reason: str) -> MessageError:
        return MessageError(
            _("The table {path} cannot be used: {reason}.").format(path=self.path, reason=reason),
            code="table",
            hint=_("Save it as CSV, the names of the columns in its first line."),
        )

    def _unreadable(self, reason: str) -> MessageError:
        return MessageError(
            _("{path} cannot be read: {reason}.").format(path=self.path, reason=reason),
            code="table-unreadable",
            hint=_("Check the path and its permissions."),
        )


def _encoding(path: Path, sample: bytes) -> str:
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while block := file.read(_SAMPLE):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "gb18030"
    return "utf-8-sig"
