"""The page of all codes: ``python -m tests.codes_table`` writes it anew."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from oauth_mailer import errors, replies
from oauth_mailer.cli import exits
from oauth_mailer.transports import _gmail_errors

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "oauth_mailer"

_HEAD = """# Codes

The stable words in `error.code`, and in the JSON of the command line, with the error that carries each,
whether the message may have been sent, the exit code, and how it says what happened, where `{…}` stands for a
value. What to do is in `error.hint`. This page is made by `python -m tests.codes_table`.

A refusal by the Gmail API has `gmail-` before Google's own word or the status: `gmail-rate-limit-exceeded`,
`gmail-503`; see [below](#what-the-gmail-api-answers).

| Code | Error | Sent? | Exit code | What it says |
|---|---|---|---|---|
"""

_SMTP = """
## What SMTP servers answer

When a reply begins so, at this stage of the session, it means this. A provider's own rows come before
those for all, and the first that fits counts. *Not before* is the earliest time of another try.

| Provider | Stage and reply | Code | Error | Not before | What it says |
|---|---|---|---|---|---|
"""

_GMAIL = """
## What the Gmail API answers

| Google's word, or the status | Error | Not before | What it says |
|---|---|---|---|
"""


_SEVERAL = "*several things; each says what is wrong*"

_ROWS = {"_Trouble": "OutboxError"}
"""Rows of data that stand for one kind of error."""


def _found() -> dict[str, dict[str, set[str]]]:
    """The classes of error that each code stands with, wherever an error is made or is a row of data; and
    what each says, where that can be read there."""
    kinds = {name for name in dir(errors) if isinstance(getattr(errors, name), type)} | set(exits.__all__)
    found: dict[str, dict[str, set[str]]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if "sandbox" in path.parts:
            continue
        tree = ast.parse(path.read_text("utf-8"))
        constants = _constants(tree)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            named = (arg.id for arg in node.args if isinstance(arg, ast.Name))
            names = [_ROWS.get(node.func.id, node.func.id), *named]
            kind = next((name for name in names if name in kinds), "")
            if not kind:
                continue
            words = [keyword.value for keyword in node.keywords if keyword.arg in ("code", "word")]
            if not words and node.func.id in ("Row", "_Row", *_ROWS):
                words = node.args
            for word in words:
                for one in ast.walk(word):
                    if isinstance(one, ast.Constant) and isinstance(one.value, str) and _is_code(one.value):
                        said = found.setdefault(one.value, {}).setdefault(kind, set())
                        said |= {_said(node, constants)} - {""}
    return found


def _constants(tree: ast.Module) -> dict[str, str]:
    """The texts that have a name in this module."""
    return {
        target.id: text
        for node in tree.body
        if isinstance(node, ast.Assign) and (text := _marked(node.value))
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _marked(node: ast.AST) -> str:
    """The text that is marked for translation here."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("_", "N_"):
        (argument, *_rest) = node.args
        if isinstance(argument, ast.Constant):
            return str(argument.value)
    return ""


def _said(call: ast.Call, constants: dict[str, str]) -> str:
    """The first text among the arguments, which is the message."""
    for argument in call.args:
        for one in ast.walk(argument):
            text = _marked(one) or (constants.get(one.id, "") if isinstance(one, ast.Name) else "")
            if text:
                return text
    return ""


def _cell(text: str) -> str:
    text = re.sub(r"\{(\w+)(![a-z])?(:\w+)?\}", r"{\1}", text)
    return text.replace("{{", "{").replace("}}", "}").replace("|", r"\|")


def _span(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit:
            return f"{seconds / unit:g} {name}{'s' if seconds > unit else ''}"
    return f"{seconds:g} seconds"


def _pattern(text: str) -> str:
    """A pattern as people read it."""
    text = re.sub(r"\(\?<?[!=](?:[^()]|\([^()]*\))*\)", "", text)  # what may not stand beside it
    for old, new in ((r"\w+ ", "any "), (r"\d", "x"), (r"\W+", " "), (r"\b", ""), (r"\.", ".")):
        text = text.replace(old, new)
    text = re.sub(r" ([245])$", r" \1xx", re.sub(r" (\d\d)$", r" \1x", text))
    return re.sub(r"\.\*|\.\{0,\d+\}", "…", text).replace("|", " or ").replace(")?", ")") or "anything else"


def _is_code(text: str) -> bool:
    return text.replace("-", "").isalnum() and text.islower() and text.isascii() and text[0].isalpha()


def table() -> str:
    """The whole page."""
    lines = [_HEAD]
    for code, said in sorted(_found().items()):
        if code.endswith("-"):  # the beginning of several
            continue
        for name in sorted(said):
            kind = getattr(errors, name, None) or getattr(exits, name)
            if not issubclass(kind, errors.MailerError):
                continue
            error = kind.__new__(kind)
            error.code = code
            sent = {"not_sent": "no", "unknown": "maybe"}[kind.verdict]
            text = _cell(" *or:* ".join(sorted(said[name])) if len(said[name]) <= 3 else _SEVERAL)
            lines.append(f"| `{code}` | `{name}` | {sent} | {exits.exit_code(error)} | {text} |\n")
    lines.append(_SMTP)
    for provider, rows in [*replies.ROWS.items(), ("", replies._GENERAL)]:
        lines += [
            f"| {provider or 'all'} | `{_pattern(row.pattern)}` | `{row.word}` | `{row.kind.__name__}` "
            f"| {_span(row.wait)} | {_cell(row.cause)} |\n"
            for row in rows
        ]
    lines.append(_GMAIL)
    for word, row in (*_gmail_errors._REASONS.items(), *_gmail_errors._STATUSES.items()):
        lines.append(f"| `{word}` | `{row.kind.__name__}` | {_span(row.wait)} | {_cell(row.cause)} |\n")
    return "".join(lines)


if __name__ == "__main__":
    (ROOT / "docs" / "codes.md").write_text(table(), "utf-8")
