"""The page on which a login in the browser ends: no script, nothing from elsewhere, nothing of the token."""

from __future__ import annotations

import re
from html import escape

from ..i18n import _, language

__all__ = ["page"]

_STYLE = """
:root { color-scheme: light dark; --back: #f4f5f9; --card: #fff; --text: #1b1f2e; --soft: #596074;
  --line: #dcdfe9; --mark: #1a7f46; --on-mark: #fff; }
@media (prefers-color-scheme: dark) { :root { --back: #12141b; --card: #1c1f29; --text: #e9ebf3;
  --soft: #a6adbf; --line: #363b4a; --mark: #5fd38d; --on-mark: #08240f; } }
.bad { --mark: #b3261e; }
@media (prefers-color-scheme: dark) { .bad { --mark: #ffb4ab; --on-mark: #450b06; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem;
  background: var(--back); color: var(--text); line-height: 1.6;
  font-family: system-ui, -apple-system, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC",
  sans-serif; }
main { width: 100%; max-width: 32rem; padding: 2.25rem 2rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 1rem; box-shadow: 0 .5rem 2rem rgb(0 0 0 / .08); }
.sign { width: 3rem; height: 3rem; border-radius: 50%; display: grid; place-items: center; font-size: 1.5rem;
  font-weight: 700; background: var(--mark); color: var(--on-mark); }
h1 { margin: 1.1rem 0 .4rem; font-size: 1.45rem; line-height: 1.3; text-wrap: balance; }
p { margin: .5rem 0; overflow-wrap: anywhere; }
code { display: block; margin: .75rem 0; padding: .7rem .9rem; background: var(--back); border-radius: .5rem;
  border: 1px solid var(--line); white-space: pre-wrap; overflow-wrap: anywhere;
  font: .875rem/1.5 ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; }
a { color: inherit; text-underline-offset: .2em; }
a:focus-visible { outline: 3px solid var(--mark); outline-offset: 2px; }
.soft { color: var(--soft); font-size: .9rem; margin-top: 1.25rem; }
"""


_COMMAND = re.compile(r"(.*[:：])\s*(oauth-mailer [^,;，；。]+)")
_LINK = re.compile(r"(https://[^\s<>，；。]*[^\s<>.,;:，；。])")


def page(title: str, text: str, *, good: bool) -> bytes:
    """The page. ``text``: paragraphs, a line each; what is to be typed or opened in them is set off.

    A line that begins with ``$`` is a command as a whole.
    """
    paragraphs = "\n".join(_paragraph(line) for line in text.splitlines() if line.strip())
    ending = _("You can close this page and go back to the terminal.")
    return f"""<!doctype html>
<html lang="{language().replace("_", "-")}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · oauth_mailer</title><link rel="icon" href="data:,">
<style>{_STYLE}</style></head>
<body class="{"good" if good else "bad"}"><main>
<div class="sign" aria-hidden="true">{"✓" if good else "!"}</div>
<h1>{escape(title)}</h1>
{paragraphs}
<p class="soft">{escape(ending)}</p>
</main></body></html>
""".encode()


def _paragraph(line: str) -> str:
    if line.startswith("$"):
        return f"<code>{escape(line[1:].strip())}</code>"
    if found := _COMMAND.fullmatch(line):
        return f"<p>{_linked(found[1])}</p>\n<code>{escape(found[2])}</code>"
    return f"<p>{_linked(line)}</p>"


def _linked(text: str) -> str:
    parts = [escape(part) for part in _LINK.split(text)]
    parts[1::2] = [f'<a href="{url}" rel="noreferrer">{url}</a>' for url in parts[1::2]]
    return "".join(parts)
