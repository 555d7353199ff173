"""A program for ``BROWSER``: a browser in which somebody presses *Allow* at once."""

from __future__ import annotations

import sys
from pathlib import Path

_PROGRAM = '''#!{python}
"""Opens the page in the background, as starters of real browsers do, and returns."""
import subprocess, sys
subprocess.Popen([{python!r}, {clicker!r}, sys.argv[1]], stdin=subprocess.DEVNULL,
                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
'''

_CLICKER = """
import pathlib, re, sys, urllib.parse, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
with opener.open(sys.argv[1], timeout=30) as page:
    form = page.read().decode()
filled = {{
    "nonce": re.search('name="nonce" value="([^"]*)"', form)[1],
    "account": re.search('name="account" value="([^"]*)"', form)[1],
    "scope": re.search('name="scope" value="([^"]*)"', form)[1],
    "decision": "allow",
}}
target = urllib.parse.urljoin(sys.argv[1], re.search('action="([^"]*)"', form)[1])
with opener.open(target, urllib.parse.urlencode(filled).encode(), timeout=60) as last:
    pathlib.Path({seen!r}).write_bytes(last.read())
"""


def browser_program(folder: Path, *, presses_allow: bool = True) -> tuple[str, Path]:
    """Its path, for ``BROWSER``, and the file in which it leaves the last page that it was shown.

    ``presses_allow``: else it shows nothing and nobody answers.
    """
    seen = folder / "last-page.html"
    clicker = folder / "clicker.py"
    clicker.write_text(_CLICKER.format(seen=str(seen)) if presses_allow else "", "utf-8")
    program = folder / "browser"
    program.write_text(_PROGRAM.format(python=sys.executable, clicker=str(clicker)), "utf-8")
    program.chmod(0o755)
    return str(program), seen
