"""Texts for people: which language, texts that can be translated at all, and their translation."""

from __future__ import annotations

import ast
import gettext
import re
import string
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

import oauth_mailer
from oauth_mailer.cli import COMMANDS
from oauth_mailer.cli.columns import width
from oauth_mailer.i18n import LANGUAGES, _, language
from oauth_mailer.providers import PROVIDERS
from oauth_mailer.replies import ROWS
from tests.cli.mailbox import Mailbox, mailboxes
from tests.cli.program import Ended, run
from tests.support import texts

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
        for call in texts.calls(path.read_text("utf-8")):
            yield f"{path.relative_to(PACKAGE)}:{call.lineno}", call


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


TRANSLATED = LANGUAGES[1:]
FIXED = re.compile(
    r"https?://[!-~]*[/\w]|--[a-z][a-z-]+|\b[A-Z]+(?:_[A-Z]+)+\b|\[stores\.[a-z_]+"
    rf"|\boauth-mailer (?:{'|'.join(COMMANDS)})\b"
)
"""What is to be typed or opened: addresses, options, variables, commands."""


def catalogue(lang: str) -> Catalog:
    with (PACKAGE / "locale" / lang / "LC_MESSAGES" / "oauth_mailer.po").open("rb") as file:
        return read_po(file, locale=lang)


def translations(lang: str) -> dict[str, str]:
    return {str(message.id): str(message.string) for message in catalogue(lang) if message.id}


@pytest.mark.parametrize("lang", TRANSLATED)
def test_every_text_is_translated_and_no_other(lang: str) -> None:
    wanted = {text for _place, call in calls() if (text := texts.text_of(call))}
    found = translations(lang)
    assert wanted - found.keys() == set(), "see docs/translating.md"
    assert found.keys() - wanted == set(), "see docs/translating.md"
    assert [source for source, text in found.items() if not text.strip()] == []
    assert [message.id for message in catalogue(lang) if message.id and message.fuzzy] == []
    assert not catalogue(lang).obsolete


def test_what_a_row_of_data_says_is_translated_too() -> None:
    found = translations("zh_CN")
    for row in [row for rows in ROWS.values() for row in rows]:
        assert row.cause in found
        assert row.remedy in found
    for provider in PROVIDERS:
        assert provider.title in found or provider.secret != "authorization code", provider.title


@pytest.mark.parametrize("lang", TRANSLATED)
def test_a_translation_names_the_same_values_as_its_source_in_the_same_form(lang: str) -> None:
    def fields(text: str) -> set[tuple[str, str | None, str | None]]:
        parsed = string.Formatter().parse(text)
        return {(name, spec, kind) for _literal, name, spec, kind in parsed if name is not None}

    for source, text in translations(lang).items():
        assert fields(text) == fields(source), source


@pytest.mark.parametrize("lang", TRANSLATED)
def test_what_is_to_be_typed_is_the_same_in_every_language(lang: str) -> None:
    for source, text in translations(lang).items():
        assert set(FIXED.findall(text)) == set(FIXED.findall(source)), source


def test_chinese_sentences_have_chinese_punctuation() -> None:
    for source, text in translations("zh_CN").items():
        assert not re.search("[\u4e00-\u9fff][,;:!?.]", text), text
        assert text.endswith("。") or not source.endswith("."), text


@pytest.mark.parametrize("lang", TRANSLATED)
def test_the_compiled_catalogue_is_that_of_the_source(lang: str) -> None:
    compiled = BytesIO()
    write_mo(compiled, catalogue(lang))
    compiled.seek(0)
    shipped = gettext.find("oauth_mailer", PACKAGE / "locale", languages=[lang])
    assert shipped is not None
    with Path(shipped).open("rb") as file:
        assert texts_of(gettext.GNUTranslations(file)) == texts_of(gettext.GNUTranslations(compiled))


def texts_of(found: gettext.GNUTranslations) -> dict[str, str]:
    every: dict[str, str] = found._catalog.copy()  # type: ignore[attr-defined]
    del every[""]  # says with which version of Babel it was made
    return every


@pytest.fixture
def box(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """The account me@corp.example of somebody who reads Chinese, on a server of the test's own."""
    monkeypatch.setenv("OAUTH_MAILER_LANG", "zh_CN")
    with mailboxes(home, monkeypatch, "me@corp.example") as (made,):
        yield made


def send(*words: str) -> Ended:
    return run("send", "--to", "ann@example.com", "--text", "Hi", *words)


def test_a_chinese_user_reads_what_happened_and_what_to_type(box: Mailbox) -> None:
    no_account = send("--from", "nobody@qq.com")
    assert no_account.code == 78
    assert (
        no_account.err == "oauth-mailer: 没有账号 nobody@qq.com。\n  运行：oauth-mailer login nobody@qq.com\n"
    )

    misspelt = send("--subjet", "x")
    assert (misspelt.code, misspelt.out) == (64, "")
    assert "没有选项 --subjet。你是想用 --subject 吗？" in misspelt.err
    assert "运行：oauth-mailer send --help" in misspelt.err

    missing = run("login")
    assert "命令行有误：缺少 ADDRESS。" in missing.err
    assert box.messages == []


def test_a_chinese_user_reads_the_verdict_on_a_message(box: Mailbox) -> None:
    assert "已发送 <" in send().err
    assert "没有发送任何邮件" in send("--dry-run").err

    box.refuse_recipients(b"550 5.1.1 no such user")
    refused = send()
    assert refused.code == 69
    assert "拒绝了收件人：550 5.1.1 no such user" in refused.err
    assert "请检查地址" in refused.err


def test_a_chinese_user_reads_that_nobody_knows_whether_it_was_sent(box: Mailbox) -> None:
    box.hang_up_after_the_message()
    unknown = send("--json")
    assert unknown.code == 76
    assert unknown.json["status"] == "unknown"
    assert "可能已发送，结果未知" in unknown.json["error"]["message"]
    assert "“已发送”文件夹" in unknown.json["error"]["hint"]
    assert unknown.json["error"]["message"] in unknown.err


def test_a_chinese_user_is_told_where_a_login_begins(box: Mailbox) -> None:
    done = run("login", "me@gmail.com", "--code-stdin", stdin=b"x\n")
    assert done.code == 64
    assert "--provider gmail-smtp" in done.err
    unknown = run("login", "me@unknown.example")
    assert unknown.code == 78
    assert "不知道 me@unknown.example 属于哪个服务商" in unknown.err
    assert "oauth-mailer login me@unknown.example --host mail.example.com" in unknown.err


@pytest.mark.parametrize("words", [("--help",), ("send", "--help"), ("login", "--help"), ("try", "--help")])
def test_the_help_is_in_chinese_and_stays_within_its_width(words: tuple[str, ...], box: Mailbox) -> None:
    done = run(*words, env={"COLUMNS": "80"})
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("用法：oauth-mailer ")
    assert "显示本帮助" in done.out
    limit = 100 if words == ("--help",) else 80
    for line in done.out.partition("示例：")[0].splitlines():
        assert width(line) <= limit, line
