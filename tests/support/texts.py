"""The texts of a module that are for people; Babel's own reader misses those inside of f-strings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import BinaryIO

MARKS = ("_", "N_")


def calls(source: str) -> Iterator[ast.Call]:
    """Every ``_(…)`` and ``N_(…)``, whatever is in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKS:
            yield node


def text_of(call: ast.Call) -> str | None:
    """The text in the call, or None: then it is that of a row of data, which ``N_`` marks elsewhere."""
    match call.args:
        case [ast.Constant(value=str() as text)]:
            return text
        case _:
            return None


def extract(
    fileobj: BinaryIO, keywords: object, comment_tags: object, options: object
) -> Iterator[tuple[int, str, str, list[str]]]:
    """As Babel wants it of an extraction method, its names included."""
    for call in calls(fileobj.read().decode("utf-8")):
        if text := text_of(call):
            yield call.lineno, "_", text, []
