"""All rows of a table as messages: checked first, then kept in the outbox, each once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..address import Address
from ..errors import MailerError, OutboxError
from ..mailer import open_mailer
from ..message import Message
from ..outbox import Entry, Outbox
from .table import Row, Table
from .template import Template

__all__ = ["Line", "MergeJob", "Wrong"]


@dataclass(frozen=True, slots=True)
class Wrong:
    """A row of which no message can be made, and why."""

    row: Row
    error: MailerError


@dataclass(frozen=True, slots=True)
class Line:
    """A row in the outbox. ``added``: now, and not by an earlier run of the same job.

    ``error``: why it is not there: another message stands there for the same row, of the same job.
    """

    row: Row
    entry: Entry | None
    added: bool = False
    error: MailerError | None = None


class MergeJob:
    """A template, a table, and the account that sends.

    ``template``, ``table``: paths; ``account``: its address, by default the default account; ``name``: of the
    job, by default the template's file name: a row goes out once in a job, whatever is done; ``home``: the
    folder of the configuration.
    """

    def __init__(
        self,
        template: Template | Path | str,
        table: Table | Path | str,
        *,
        account: str = "",
        name: str = "",
        home: Path | str | None = None,
    ) -> None:
        self.template = template if isinstance(template, Template) else Template(template)
        self.table = table if isinstance(table, Table) else Table(table)
        self.account = account
        self.name = name or self.template.path.name
        self._mailer = open_mailer(account, fallback=(), home=home)

    def messages(self) -> Iterator[tuple[Row, Message]]:
        """Each row with its message. Raises ``MessageError`` at the first that has none."""
        for row in self.table:
            yield row, self._message(row)

    def check(self) -> Iterator[Wrong]:
        """The rows that no message can be made of, or none that the account may send."""
        for row in self.table:
            try:
                self._message(row)
            except MailerError as error:
                yield Wrong(row, error)

    def add(self, outbox: Outbox, *, leave_out: Collection[int] = ()) -> Iterator[Line]:
        """Keep each row's message in the outbox, if it is not there from an earlier run of this job.

        ``leave_out``: the lines of rows that are not to be sent.

        A row of which another message was kept (the template was changed) is not sent again: its line has the
        error. Raises ``MessageError`` for a row that no message can be made of.
        """
        for row in self.table:
            if row.line in leave_out:
                continue
            message = self._message(row)
            key = self.key(row)
            known = outbox.by_key(key)
            try:
                entry = outbox.add(message, account=self.account, key=key)
            except OutboxError as error:
                if error.code != "outbox-key-conflict":
                    raise
                yield Line(row, known, error=error)
            else:
                yield Line(row, entry, added=known is None)

    def key(self, row: Row) -> str:
        """What stands for this row in the outbox: made of the job and the cells, not of the line."""
        cells = json.dumps(dict(sorted(row.cells.items())), ensure_ascii=False)
        return self.key_prefix + hashlib.sha256(cells.encode()).hexdigest()

    @property
    def key_prefix(self) -> str:
        """What the keys of all rows of this job begin with."""
        return f"merge:{self.name}:"

    def sender(self) -> Address:
        """Who the messages are from."""
        return self._mailer.routes[0].sender

    def _message(self, row: Row) -> Message:
        message = self.template.message(row.cells)
        self._mailer.check(message)
        return message
