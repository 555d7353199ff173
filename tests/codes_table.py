"""The page of all codes: ``python -m tests.codes_table`` writes it anew."""

from __future__ import annotations

import ast
from pathlib import Path

from oauth_mailer import errors
from oauth_mailer.cli import exits

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "oauth_mailer"

_HEAD = """# Codes

The stable words in `error.code`, and in the JSON of the command line, with the error that carries each,
whether the message may have been sent, and the exit code. This page is made by `python -m tests.codes_table`.

| Code | Error | Sent? | Exit code |
|---|---|---|---|
"""


_ROWS = {"_Trouble": "OutboxError"}
"""Rows of data that stand for one kind of error."""


def _found() -> dict[str, set[str]]:
    """The classes of error that each code stands with, wherever an error is made or is a row of data."""
    kinds = {name for name in dir(errors) if isinstance(getattr(errors, name), type)} | set(exits.__all__)
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if "sandbox" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
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
                        found.setdefault(one.value, set()).add(kind)
    return found


def _is_code(text: str) -> bool:
    return text.replace("-", "").isalnum() and text.islower() and text.isascii() and text[0].isalpha()


def table() -> str:
    """The whole page."""
    lines = []
    for code, names in sorted(_found().items()):
        for name in sorted(names):
            kind = getattr(errors, name, None) or getattr(exits, name)
            if not issubclass(kind, errors.MailerError):
                continue
            error = kind.__new__(kind)
            error.code = code
            sent = {"not_sent": "no", "unknown": "maybe"}[kind.verdict]
            lines.append(f"| `{code}` | `{name}` | {sent} | {exits.exit_code(error)} |\n")
    return _HEAD + "".join(lines)


if __name__ == "__main__":
    (ROOT / "docs" / "codes.md").write_text(table(), "utf-8")
