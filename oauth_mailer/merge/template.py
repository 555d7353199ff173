"""A template: headers in front, then the text or the HTML, in the language of Jinja.

    ---
    to: {{ name }} <{{ email }}>
    subject: Invitation for {{ name }}
    attach: invoices/{{ number }}.pdf
    ---
    Dear {{ name }}, ...

A name that is no column is an error, not an empty place. The template cannot reach anything but the row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ..address import Address
from ..errors import MessageError
from ..i18n import _, system_text
from ..message import Attachment, Message

__all__ = ["Template"]

_FRONT = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*\r?\n", re.DOTALL | re.MULTILINE)
_LINE = re.compile(r"([A-Za-z][A-Za-z0-9-]*)[ \t]*:[ \t]*(.*)")
_PEOPLE = ("to", "cc", "bcc", "reply-to")
_LISTS = (*_PEOPLE, "attach")
_SINGLE = ("subject", "from-name", "text-file", "html-file", "unsubscribe", "one-click")
_LONGEST = 4 << 20  # characters that one row may make of a template

Rendered = Callable[[Mapping[str, str]], str]


class Template:
    """A file ``NAME.txt`` or ``NAME.html``: what is in front says whom it goes to, the rest is the body.

    In front: ``to``, ``cc``, ``bcc``, ``reply-to``, ``attach`` (each may be there more than once),
    ``subject``, ``from-name``, ``unsubscribe``, ``one-click``, ``text-file`` or ``html-file`` (the other
    body, a template too), and any header that begins with ``X-`` or ``List-``. Files are looked for beside
    the template. In HTML, what comes from the table is escaped. ``{{ email | named(name) }}`` quotes a name
    where it needs that. A line with something of the table in it is one mailbox.

    Raises ``MessageError`` for what is no such template.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._folder = self.path.parent
        source = _read(self.path)
        found = _FRONT.match(source)
        self._lines: list[tuple[str, Rendered]] = []
        self._bodies: dict[str, Rendered] = {}
        self._fixed: set[tuple[str, str]] = set()  # lines that are the same for each row
        for line in found[1].splitlines() if found else ():
            if line.strip() and not line.lstrip().startswith("#"):
                self._add(line)
        names = [name for name, _make in self._lines]
        if "to" not in names:
            raise self._wrong(
                _("it does not say whom it goes to"), _("Begin it with: --- to: {{ email }} ---")
            )
        kind = "html" if self.path.suffix.lower() in (".html", ".htm") else "text"
        if kind in self._bodies:
            raise self._wrong(_("it has two bodies of the same kind"), _("Leave one of them out."))
        self._bodies[kind] = self._compiled(source[found.end() :] if found else source, html=kind == "html")

    def message(self, row: Mapping[str, str]) -> Message:
        """The message for this row. Raises ``MessageError``."""
        made = [(name, make(row).strip()) for name, make in self._lines]
        lists = {key: [value for name, value in made if name == key and value] for key in _LISTS}
        for key in _PEOPLE:
            lists[key] = [value for value in lists[key] if self._is_one(key, value)]
        single = {name: value for name, value in made if name in _SINGLE}
        return Message(
            to=lists["to"],
            cc=lists["cc"],
            bcc=lists["bcc"],
            reply_to=lists["reply-to"],
            subject=single.get("subject", ""),
            from_name=single.get("from-name", ""),
            text=self._body("text", row),
            html=self._body("html", row),
            attachments=[Attachment(self._folder / name) for name in lists["attach"]],
            list_unsubscribe=[single["unsubscribe"]] if single.get("unsubscribe") else (),
            one_click=single.get("one-click", "").lower() in ("yes", "true", "1"),
            headers=[(name, value) for name, value in made if name.startswith(("X-", "List-"))],
        )

    def _is_one(self, key: str, value: str) -> bool:
        """A cell must not add recipients of its own: where one may stand, a line is one mailbox."""
        if (key, value) not in self._fixed:
            Address.parse(value)
        return True

    def _body(self, kind: str, row: Mapping[str, str]) -> str | None:
        return self._bodies[kind](row) if kind in self._bodies else None

    def _add(self, line: str) -> None:
        found = _LINE.fullmatch(line.strip())
        name = found[1] if found else ""
        key = name.lower().replace("_", "-")
        if found and name.lower().startswith(("x-", "list-")):
            self._lines.append((name.title(), self._compiled(found[2], html=False)))
        elif found and key in ("text-file", "html-file"):
            other = _read(self._folder / found[2].strip())
            kind = key.removesuffix("-file")
            self._bodies[kind] = self._compiled(other, html=kind == "html")
        elif found and key in (*_LISTS, *_SINGLE):
            self._lines.append((key, self._compiled(found[2], html=False)))
            if "{" not in found[2]:
                self._fixed.add((key, found[2].strip()))
        else:
            raise self._wrong(
                _("it does not know {line!r}").format(line=line.strip()[:60]),
                _("In front may stand: {names}.").format(names=", ".join((*_LISTS, *_SINGLE))),
            )

    def _compiled(self, source: str, *, html: bool) -> Rendered:
        environment = ImmutableSandboxedEnvironment(
            autoescape=html, undefined=StrictUndefined, keep_trailing_newline=True
        )
        environment.filters["named"] = lambda email, name: str(Address(str(email), str(name)))
        try:
            template = environment.from_string(source)
        except TemplateError as error:
            raise self._wrong(str(error), _("See the language of templates: Jinja.")) from error

        def make(row: Mapping[str, str]) -> str:
            try:
                pieces: list[str] = []
                size = 0
                for piece in template.generate(**{"row": row, **_names(row)}):
                    size += len(piece)
                    if size > _LONGEST:
                        raise self._wrong(_("it makes more text than a message can have"), _("Shorten it."))
                    pieces.append(piece)
                return "".join(pieces)
            except MessageError:
                raise
            except Exception as error:
                # Whatever an expression does with a cell may fail in its own way.
                hint = _('Its columns are: {names}. For others, write {{{{ row["name"] }}}}.')
                raise self._wrong(str(error), hint.format(names=", ".join(row))) from error

        return make

    def _wrong(self, reason: str, hint: str) -> MessageError:
        return MessageError(
            _("The template {path} cannot be used: {reason}.").format(
                path=self.path.name, reason=reason.rstrip(".")
            ),
            code="template",
            hint=hint,
        )


def _names(row: Mapping[str, str]) -> dict[str, Any]:
    return {name: cell for name, cell in row.items() if name.isidentifier()}


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = _("it is not UTF-8 text") if isinstance(error, UnicodeDecodeError) else ""
        raise MessageError(
            _("{path} cannot be read: {reason}.").format(
                path=path, reason=reason or system_text(getattr(error, "strerror", None)) or error
            ),
            code="template-unreadable",
            hint=_("Check the path and its permissions."),
        ) from error
