"""Texts for people: which language, and texts that can be translated at all."""

from __future__ import annotations

import ast
import gettext
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

import oauth_mailer
from oauth_mailer.i18n import LANGUAGES, _, language

PACKAGE = Path(oauth_mailer.__file__).parent
VARIABLES = ("OAUTH_MAILER_LANG", "LC_ALL", "LC_MESSAGES", "LANG", "LANGUAGE")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "en_GB.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh_CN"),
        ({"LANG": "zh_CN.GBK"}, "zh_CN"),
        ({"LANG": "zh-Hans-CN"}, "zh_CN"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, "zh_CN"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "zh_CN:en"}, "zh_CN"),
        ({"LANG": "C.UTF-8", "LANGUAGE": "zh_CN:en"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "OAUTH_MAILER_LANG": "en"}, "en"),
        ({"LANG": "en_US.UTF-8", "OAUTH_MAILER_LANG": "zh"}, "zh_CN"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "", "OAUTH_MAILER_LANG": ""}, "zh_CN"),
    ],
)
def test_the_language_is_that_of_the_variable_else_of_the_locale(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert language() == expected
    assert language() in LANGUAGES


def test_a_text_without_a_translation_is_shown_in_english(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LANGUAGES:
        monkeypatch.setenv("OAUTH_MAILER_LANG", name)
        assert _("A text that nobody ever translates, number {number}.") == (
            "A text that nobody ever translates, number {number}."
        )
        assert not _("")  # gettext would give the catalogue's own header


def calls() -> Iterator[tuple[str, ast.Call]]:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node


def values_named_in(text: str) -> set[str]:
    return {name for _literal, name, _spec, _conversion in string.Formatter().parse(text) if name is not None}


def test_every_text_is_written_out_where_it_is_used_so_that_it_can_be_translated() -> None:
    found = list(calls())
    assert len(found) > 50
    for place, call in found:
        assert len(call.args) == 1, place
        assert not call.keywords, place
        if isinstance(call.args[0], ast.Attribute):
            continue  # the text of a row of data
        assert isinstance(call.args[0], ast.Constant), f"{place}: no f-string, no variable, no sum"
        assert isinstance(call.args[0].value, str), place
        names = values_named_in(call.args[0].value)
        assert all(name.isidentifier() for name in names), f"{place}: values are put in by name"


def test_every_value_named_in_a_text_is_given_by_that_name() -> None:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(
                        attr="format",
                        value=ast.Call(func=ast.Name(id="_"), args=[ast.Constant(value=str() as text)]),
                    ),
                    keywords=keywords,
                    args=positional,
                ):
                    place = f"{path.relative_to(PACKAGE)}:{node.lineno}"
                    assert not positional, place
                    if all(keyword.arg for keyword in keywords):
                        assert {keyword.arg for keyword in keywords} == values_named_in(text), place


def test_a_translation_names_the_same_values_as_its_source() -> None:
    for name in LANGUAGES[1:]:
        catalogue = gettext.find("oauth_mailer", PACKAGE / "locale", languages=[name])
        if catalogue is None:
            continue  # nothing translated yet: English is shown
        with Path(catalogue).open("rb") as file:
            translations = gettext.GNUTranslations(file)
        for _place, call in calls():
            if not isinstance(call.args[0], ast.Constant):
                continue
            source = str(call.args[0].value)
            assert values_named_in(translations.gettext(source)) == values_named_in(source), source
