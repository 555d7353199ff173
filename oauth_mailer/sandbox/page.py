"""How the consent page looks: one file of HTML without scripts, fonts or pictures from elsewhere."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from html import escape

from aiohttp import web

from ..i18n import _, language

__all__ = ["consent_page", "error_page", "html_response"]

_STYLE = """
:root { color-scheme: light dark; --back: #f3f4f8; --card: #fff; --text: #1c2030; --soft: #5a6072;
  --line: #d8dbe6; --main: #3347c4; --on-main: #fff; --note: #fff3d6; --on-note: #5c4300; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --back: #12141b; --card: #1c1f29; --text: #e8eaf2;
  --soft: #a4abbd; --line: #383d4d; --main: #a9b5ff; --on-main: #10163f; --note: #3a2f12; --on-note: #ffe2a0;
  --bad: #ffb4ab; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem 1rem;
  background: var(--back); color: var(--text); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC",
  sans-serif; }
main { width: 100%; max-width: 30rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 1rem; overflow: hidden; box-shadow: 0 .5rem 2rem rgb(0 0 0 / .08); }
.note { margin: 0; padding: .75rem 1.75rem; background: var(--note); color: var(--on-note);
  font-size: .875rem; text-wrap: balance; }
.inside { padding: 1.5rem 1.75rem 1.75rem; }
h1 { margin: 0 0 .5rem; font-size: 1.4rem; line-height: 1.3; text-wrap: balance; }
p { margin: 0 0 1rem; }
.soft { color: var(--soft); font-size: .875rem; overflow-wrap: anywhere; }
fieldset { margin: 0 0 1.25rem; padding: 0; border: 0; min-width: 0; }
legend, .label { display: block; padding: 0; margin-bottom: .4rem; font-weight: 600; }
.scope { display: flex; gap: .75rem; align-items: flex-start; padding: .75rem .9rem;
  border: 1px solid var(--line); border-radius: .6rem; margin-bottom: .5rem; cursor: pointer; }
.scope input { width: 1.15rem; height: 1.15rem; margin: .2rem 0 0; flex: none; accent-color: var(--main); }
.scope span { min-width: 0; }
.scope code { display: block; color: var(--soft); font-size: .78rem; overflow-wrap: anywhere; }
input[type=text] { width: 100%; font: inherit; padding: .6rem .8rem; color: inherit; background: transparent;
  border: 1px solid var(--soft); border-radius: .6rem; }
.field { margin-bottom: 1.25rem; }
.bad { color: var(--bad); font-size: .875rem; margin: .4rem 0 0; }
.buttons { display: flex; gap: .75rem; justify-content: flex-end; flex-wrap: wrap; }
button { font: inherit; font-weight: 600; padding: .6rem 1.5rem; border-radius: 2rem; cursor: pointer;
  min-height: 2.75rem; border: 1px solid var(--main); background: transparent; color: var(--main); }
button.main { background: var(--main); color: var(--on-main); }
:focus-visible { outline: 3px solid var(--main); outline-offset: 2px; }
@media (max-width: 24rem) { .inside { padding: 1.25rem; } .note { padding-inline: 1.25rem; }
  .buttons button { flex: 1; } }
"""
_STYLE_HASH = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def consent_page(
    *, client: str, account: str, scopes: Sequence[str], ticked: Sequence[str], nonce: str, problem: str = ""
) -> str:
    """The page that asks whether ``client`` may do ``scopes``, of which some are ticked, for ``account``.

    For programs: the form has the fields ``nonce``, ``account``, ``scope`` (one a scope, may be left out) and
    ``decision`` (``allow`` or ``deny``); its buttons have the ids ``allow`` and ``deny``.
    """
    described = problem and ' aria-invalid="true" aria-describedby="problem"'
    said = problem and f'<p class="bad" id="problem" role="alert">{escape(problem)}</p>'
    rows = "\n".join(_scope_row(number, scope, scope in ticked) for number, scope in enumerate(scopes))
    body = f"""<h1>{escape(_("An application asks for your permission"))}</h1>
<p class="soft">{escape(_("Client:"))}<br>{_breakable(client)}</p>
<form method="post" action="/o/oauth2/consent" autocomplete="off">
<input type="hidden" name="nonce" value="{escape(nonce)}">
<div class="field"><label class="label" for="account">{escape(_("For the account"))}</label>
<input type="text" inputmode="email" id="account" name="account" value="{escape(account)}" required
 spellcheck="false" autocapitalize="none"{described}>{said}</div>
<fieldset><legend>{escape(_("It wants to"))}</legend>
{rows}</fieldset>
<div class="buttons">
<button type="submit" id="deny" name="decision" value="deny" formnovalidate>{escape(_("Deny"))}</button>
<button type="submit" id="allow" name="decision" value="allow" class="main">{escape(_("Allow"))}</button>
</div></form>"""
    return _frame(_("Permission"), body)


def error_page(code: str, text: str, *, status: int = 400) -> web.Response:
    """The page for a request that is not right; ``code`` is the protocol's word for what is wrong."""
    body = f"""<h1>{escape(_("This request cannot be answered"))}</h1>
<p>{escape(text)}</p>
<p class="soft" id="error">{escape(code)}</p>"""
    return html_response(_frame(_("Bad request"), body), status=status)


def html_response(text: str, *, status: int, form_target: str = "", location: str = "") -> web.Response:
    """A page under a strict policy; its form may lead to this server and on to ``form_target``."""
    policy = [
        "default-src 'none'",
        f"style-src 'sha256-{_STYLE_HASH}'",
        "img-src data:",
        f"form-action 'self' {form_target}".rstrip(),
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ]
    headers = {
        "Content-Security-Policy": "; ".join(policy),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
    if location:
        headers["Location"] = location
    return web.Response(text=text, status=status, content_type="text/html", headers=headers)


def _breakable(client: str) -> str:
    """A client id as HTML that breaks where its parts end."""
    return escape(client).replace("-", "-<wbr>", 1).replace(".apps.", "<wbr>.apps.", 1)


def _scope_row(number: int, scope: str, ticked: bool) -> str:
    meanings = {
        "https://www.googleapis.com/auth/gmail.send": _("Send e-mail on your behalf"),
        "https://mail.google.com/": _("Read, write, send and delete all your e-mail"),
        "openid": _("Know that it is you"),
        "email": _("See your e-mail address"),
        "https://www.googleapis.com/auth/userinfo.email": _("See your e-mail address"),
        "profile": _("See your name and picture"),
        "https://www.googleapis.com/auth/userinfo.profile": _("See your name and picture"),
    }
    meaning = meanings.get(scope, _("Do something else"))
    checked = " checked" if ticked else ""
    return f"""<label class="scope" for="scope-{number}">
<input type="checkbox" id="scope-{number}" name="scope" value="{escape(scope)}"{checked}>
<span>{escape(meaning)} <code>{escape(scope)}</code></span></label>"""


def _frame(title: str, body: str) -> str:
    note = _("A local stand-in for trying things out. This is not Google, and no real account is involved.")
    return f"""<!doctype html>
<html lang="{language().replace("_", "-")}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · oauth_mailer sandbox</title><link rel="icon" href="data:,">
<style>{_STYLE}</style></head><body><main><p class="note" role="note">{escape(note)}</p>
<div class="inside">{body}</div></main></body></html>"""
