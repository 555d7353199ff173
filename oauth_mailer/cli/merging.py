"""The sending of a merge: rows into the outbox, workers at it, and what became of each row."""

from __future__ import annotations

import argparse
import csv
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import OutboxError
from ..i18n import _
from . import exits
from .output import Output, is_terminal

if TYPE_CHECKING:
    from ..merge import MergeJob
    from ..outbox import Outbox, State

__all__ = ["send_rows"]

_LOOK = 0.5  # seconds between two looks at how far it is


def send_rows(
    job: MergeJob, rows: int, wrong: set[int], arguments: argparse.Namespace, output: Output
) -> int:
    """Keep the rows, send them, tell what became of them; returns the exit code. Raises ``MailerError``.

    ``rows``: how many there are; ``wrong``: the lines of those that are left out.
    """
    from ..outbox import Outbox

    with Outbox() as outbox:
        kept = _Kept()
        stopped = _keep(job, outbox, wrong, kept, total=rows - len(wrong), output=output)
        output.say(
            _("{added} messages were added to the outbox; {known} were there already.").format(
                added=kept.added, known=kept.known
            )
        )
        try:
            if not arguments.queue and not stopped:
                stopped = _send(job, outbox, arguments.workers, output)
        finally:
            if arguments.report is not None:
                _report(job, outbox, wrong, Path(arguments.report), output)
        counts = _counts(job, outbox)
        told = {str(state): count for state, count in counts.items()}
        if output.json:
            output.record(
                {
                    "job": job.name,
                    "added": kept.added,
                    "wrong": sorted(wrong),
                    "conflicts": kept.others,
                    **told,
                }
            )
        return _end(job, outbox, counts, queued=arguments.queue, stopped=stopped, output=output)


class _Kept:
    """How many were added, how many were there already; the lines that had another message."""

    def __init__(self) -> None:
        self.added = self.known = 0
        self.others: list[int] = []


def _keep(job: MergeJob, outbox: Outbox, wrong: set[int], kept: _Kept, *, total: int, output: Output) -> bool:
    """Add the rows; whether it was stopped before all were there."""
    try:
        with _progress(_("Adding to the outbox"), total, output) as show:
            for line in job.add(outbox, leave_out=wrong):
                if line.error is not None:
                    kept.others.append(line.row.line)
                    output.warn(
                        _("Line {line}: {error}").format(line=line.row.line, error=line.error.message)
                    )
                elif line.added:
                    kept.added += 1
                else:
                    kept.known += 1
                show(kept.added + kept.known + len(kept.others))
    except KeyboardInterrupt:
        return True
    if kept.others:
        output.warn(
            _("These rows had another message in this job and are not sent again; for a new job: --job NAME")
        )
    return False


def _send(job: MergeJob, outbox: Outbox, workers: int, output: Output) -> bool:
    """Until all rows of the job are settled, or their account waits for a person; whether it was stopped."""
    stop = threading.Event()
    counts = _counts(job, outbox)
    total = sum(counts.values())

    def look() -> None:
        while not stop.wait(_LOOK):
            try:
                counts = _counts(job, outbox)
                show(total - _left(counts))
                waits = job.sender().email in outbox.stats().paused
            except OutboxError:  # the workers will say so
                continue
            if waits or not _left(counts):
                stop.set()

    watcher = threading.Thread(target=look, name="merge-watcher", daemon=True)
    try:
        with _progress(_("Sending"), total, output, first=total - _left(counts)) as show:
            watcher.start()
            try:
                outbox.run(workers=workers, stop=stop)
            finally:
                stop.set()
                watcher.join()
                show(total - _left(_counts(job, outbox)))
    except KeyboardInterrupt:
        return True
    return False


def _counts(job: MergeJob, outbox: Outbox) -> Mapping[State, int]:
    return outbox.stats(key_prefix=job.key_prefix).counts


def _left(counts: Mapping[State, int]) -> int:
    return sum(count for state, count in counts.items() if state in ("queued", "sending"))


def _end(
    job: MergeJob, outbox: Outbox, counts: Mapping[State, int], *, queued: bool, stopped: bool, output: Output
) -> int:
    told = {str(state): count for state, count in counts.items()}
    output.say(
        _("{sent} sent, {rejected} rejected, {unknown} unknown, {queued} left.").format(
            sent=told["sent"], rejected=told["rejected"], unknown=told["unknown"], queued=_left(counts)
        ),
        style="green"
        if told["sent"] and not told["rejected"] + told["unknown"] + _left(counts)
        else "yellow",
    )
    if queued and not stopped:
        output.say(_("To send them: oauth-mailer outbox run"), style="cyan")
        return exits.OK
    if reason := outbox.stats().paused.get(job.sender().email):
        output.warn(
            _("{account} waits for you ({reason}).").format(account=job.sender().email, reason=reason)
        )
        output.say(_("Run: oauth-mailer login {address}").format(address=job.sender().email), style="cyan")
        return 77
    if stopped or _left(counts):
        output.say(_("To go on where it stopped, type the same command again."), style="cyan")
        return 130 if stopped else 75
    if told["unknown"]:
        output.say(_("Run: oauth-mailer outbox list --state unknown"), style="cyan")
        return 76
    return 69 if told["rejected"] else exits.OK


def _report(job: MergeJob, outbox: Outbox, wrong: set[int], path: Path, output: Output) -> None:
    try:
        # Excel takes a file for UTF-8 only with a byte order mark.
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("line", "to", "state", "number", "message_id", "code", "text"))
            for row in job.table:
                writer.writerow([row.line, *_told(job, outbox, row, wrong)])
    except OSError as error:
        output.warn(
            _("The report {path} cannot be written: {reason}.").format(path=path, reason=error.strerror)
        )


def _told(job: MergeJob, outbox: Outbox, row: Any, wrong: set[int]) -> list[object]:
    entry = None if row.line in wrong else outbox.by_key(job.key(row))
    if entry is None:  # the job was stopped before this row was added
        return ["", "wrong" if row.line in wrong else "left", "", "", "", ""]
    cells = [
        "; ".join(entry.recipients),
        str(entry.state),
        entry.id,
        entry.message_id,
        entry.code,
        entry.text,
    ]
    # A spreadsheet takes what begins so for a formula.
    return [f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@" and cell else cell for cell in cells]


@contextmanager
def _progress(title: str, total: int, output: Output, *, first: int = 0) -> Iterator[Callable[[int], None]]:
    """A bar with rate and remaining time on a terminal, elsewhere a line now and then.

    ``first``: how many were done before. It is called with how many are done.
    """
    if output.quiet or not is_terminal(sys.stderr):
        yield _Lines(title, total, output)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(title, total=total, completed=first, rate="")
        began = time.monotonic()

        def show(done: int) -> None:
            rate = (done - first) / max(time.monotonic() - began, 0.1) * 60
            bar.update(task, completed=done, rate=_("{rate} a minute").format(rate=round(rate)))

        yield show


class _Lines:
    """Every ten seconds a line, for a log."""

    def __init__(self, title: str, total: int, output: Output) -> None:
        self._title = title
        self._total = total
        self._output = output
        self._told = time.monotonic()

    def __call__(self, done: int) -> None:
        if time.monotonic() - self._told >= 10:
            self._told = time.monotonic()
            self._output.say(
                _("{title}: {done} of {total}").format(title=self._title, done=done, total=self._total)
            )
