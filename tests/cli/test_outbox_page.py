"""The page on the outbox says what there is; that its examples run is seen with those of the other pages."""

from __future__ import annotations

import re

from oauth_mailer.cli import outbox
from oauth_mailer.outbox import State

from .program import ROOT

PAGE = (ROOT / "docs" / "outbox.md").read_text("utf-8")


def test_the_page_names_every_state_and_exit_code() -> None:
    for state in State:
        assert f"| `{state}` |" in PAGE
    for code in (0, 76, 69, 77, 75):
        assert f"| {code} |" in PAGE
    for name in outbox.SUBCOMMANDS:
        assert f"outbox {name}" in PAGE or f"`{name}`" in PAGE


def test_the_unit_and_the_line_of_cron_start_what_there_is() -> None:
    started = re.findall(r"/bin/oauth-mailer outbox (.*)$", PAGE, re.M)
    assert len(started) == 2
    for words in started:
        assert outbox.parser().parse_args(words.split()).subcommand.summary()
