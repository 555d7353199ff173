"""The table of ``docs/reliability.md``, made of what really happened.

``python -m tests.faults.reliability_table`` writes it there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from oauth_mailer import LoginRequired, MailerError, Receipt
from oauth_mailer.sandbox import known_steps

from .reliability import Case, Outcome, cases, outcomes

PAGE = Path(__file__).parent.parent.parent / "docs" / "reliability.md"
BEGIN = "<!-- made by: python -m tests.faults.reliability_table -->"
END = "<!-- end of the table -->"

_HEAD = ("Plan", "What happens", "Verdict", "Accepted by the server", "What comes next")


def table() -> str:
    """The table in Markdown, a row for each case; the same on either port of SMTP is one row."""
    found = outcomes()
    rows = [_HEAD, ("---",) * len(_HEAD)]
    for _plan, group in groupby(cases(), key=lambda case: (case.server, case.plan, case.letter)):
        by_port = {case: _cells(case, found[case].result()) for case in group}
        if len(set(by_port.values())) == 1:
            # Where only one port shows it, the text says so itself.
            by_port = dict([next(iter(by_port.items()))])
        rows += [_row(case, cells, len(by_port) > 1) for case, cells in by_port.items()]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows)


def _cells(case: Case, outcome: Outcome) -> tuple[str, str, str]:
    end = outcome.first.end
    verdict = outcome.first.verdict.replace("_", " ")
    accepted = str(outcome.first.accepted)
    if isinstance(end, Receipt) and end.refused:
        accepted += f", for {2 - len(end.refused)} of 2 recipients"
    return f"**{verdict}**", accepted, next_step(end)


def _row(case: Case, cells: tuple[str, ...], told_apart: bool) -> tuple[str, ...]:
    steps = known_steps()[case.server]
    plan = f"`--{case.server} {case.plan}`" if case.step != "ok" else f"`--{case.server} ok`"
    text = steps[case.step]
    if case.plan.startswith(f"{case.step},{case.step},"):
        text += ", twice"
    more = [case.letter, case.security if told_apart else ""]
    text += "".join(f" ({one})" for one in more if one)
    return plan, text, *cells


def next_step(end: Receipt | MailerError) -> str:
    """What comes next, by the attributes of the outcome and never by its text."""
    if isinstance(end, Receipt):
        return "nothing; the refused one is named" if end.refused else "nothing"
    if end.verdict == "unknown":
        return "a person decides"
    return ", ".join(_steps(end))


def _steps(end: MailerError) -> Iterator[str]:
    if end.retry_later:
        yield f"retry after {_duration(end.retry_after)}" if end.retry_after else "retry"
    elif isinstance(end, LoginRequired):
        yield "login"
    else:
        yield "mend the setup" if end.try_next_route else "mend the message"
    if end.try_next_route:
        yield "fallback"


def _duration(seconds: float) -> str:
    sizes = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
    size, unit = next((size, unit) for size, unit in sizes if seconds >= size)
    count = round(seconds / size)
    return f"{count} {unit}{'s' if count != 1 else ''}"


def page(text: str) -> str:
    """The page with the table in it as it is now."""
    before, _begin, rest = text.partition(BEGIN)
    _table, _end, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    os.environ["OAUTH_MAILER_LANG"] = "en"
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8", newline="\n")
