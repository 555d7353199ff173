"""Lines and columns that hold Chinese."""

from __future__ import annotations

import textwrap

from hypothesis import given
from hypothesis import strategies as st

from oauth_mailer.cli.columns import padded, width, wrapped

WORDS = st.text(alphabet="ab-= 邮件发送（）《》，。：“”1é👍", max_size=80)


def test_a_chinese_character_takes_two_cells_and_a_mark_on_a_letter_none() -> None:
    assert width("abc") == 3
    assert width("邮件") == 4
    assert width("（，）") == 6
    assert width("e\u0301") == 1
    assert padded("邮件", 6) + "|" == "邮件  |"
    assert padded("邮件", 2) == "邮件"


def test_chinese_breaks_between_characters_but_not_before_a_comma() -> None:
    assert wrapped("发送一封邮件", 6) == ["发送一", "封邮件"]
    assert wrapped("发送一，封邮件", 6) == ["发送", "一，封", "邮件"]
    assert wrapped("发送（一）", 6) == ["发送", "（一）"]


def test_what_is_to_be_typed_stays_whole() -> None:
    command = "--client-secrets"
    assert wrapped(f"请加上 {command}", 8) == ["请加上", command]
    assert wrapped(f"请加上{command}。", 8) == ["请加上", f"{command}。"]


@given(WORDS, st.integers(1, 40))
def test_nothing_is_lost_and_only_what_cannot_be_broken_is_longer(text: str, cells: int) -> None:
    lines = wrapped(text, cells)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    for line in lines:
        assert line == line.strip()
        assert width(line) <= cells or len(wrapped(line, 1)) == 1


@given(st.text(alphabet="ab-= 1", max_size=80), st.integers(1, 40))
def test_english_is_wrapped_as_it_always_was(text: str, cells: int) -> None:
    text = " ".join(text.split())
    assert wrapped(text, cells) == textwrap.wrap(text, cells, break_long_words=False, break_on_hyphens=False)
