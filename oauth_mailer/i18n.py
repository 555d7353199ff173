"""Texts for people, in English and 简体中文.

``_("English text")`` gives the text in the user's language: ``OAUTH_MAILER_LANG``, else the locale of
the environment, else (Windows) that of the system. English is the source and needs no catalogue. Values
are put in afterwards, by name: ``_("No account {address}.").format(address=address)``. A text in a row of
data is marked where it stands, ``N_("English text")``, and translated where it is used, ``_(row.text)``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

__all__ = ["LANGUAGES", "N_", "_", "language", "speaking", "system_text"]

LANGUAGES = ("en", "zh_CN")

_SPOKEN: ContextVar[str] = ContextVar("language", default="")


def _(text: str) -> str:
    """The text in the user's language."""
    lang = language()
    return text if lang == "en" or not text else _catalogue(lang)(text)


def N_(text: str) -> str:  # noqa: N802 - gettext's name for "translated later"
    """The text as it is, marked for the catalogue."""
    return text


def system_text(text: str | None) -> str:
    """What the system or a library says of an error, in the user's language if it is something usual.

    They know no other language than English (Windows, the user's own). ``None`` gives an empty text.
    """
    usual = {
        "No such file or directory": _("No such file or directory"),
        "Permission denied": _("Permission denied"),
        "Operation not permitted": _("Operation not permitted"),
        "Is a directory": _("Is a directory"),
        "Not a directory": _("Not a directory"),
        "No space left on device": _("No space left on device"),
        "Read-only file system": _("Read-only file system"),
        "File name too long": _("File name too long"),
        "Connection refused": _("Connection refused"),
        "Connection reset by peer": _("Connection reset by peer"),
        "Broken pipe": _("Broken pipe"),
        "Network is unreachable": _("Network is unreachable"),
        "No route to host": _("No route to host"),
        "Address already in use": _("Address already in use"),
        "Remote end closed connection without response": _("Remote end closed connection without response"),
        "certificate has expired": _("certificate has expired"),
        "certificate is not yet valid": _("certificate is not yet valid"),
        "self-signed certificate": _("self-signed certificate"),
        "self-signed certificate in certificate chain": _("self-signed certificate in certificate chain"),
        "unable to get local issuer certificate": _("unable to get local issuer certificate"),
    }
    return usual.get(text or "", text or "")


def language() -> str:
    """The language for people, one of ``LANGUAGES``; read anew each time, for a cheap change in tests."""
    if spoken := _SPOKEN.get():
        return spoken
    if value := os.environ.get("OAUTH_MAILER_LANG"):
        return _supported(value)
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            # As in GNU gettext: a list of languages wins over the locale, but not over the plain one.
            plain = value.partition(".")[0] in ("C", "POSIX")
            return _supported(value if plain else os.environ.get("LANGUAGE") or value)
    return _supported(_system_language())


@contextmanager
def speaking(lang: str) -> Iterator[None]:
    """Inside, texts are in this language, one of ``LANGUAGES``: for a page that somebody else reads."""
    token = _SPOKEN.set(lang)
    try:
        yield
    finally:
        _SPOKEN.reset(token)


def _supported(value: str) -> str:
    return "zh_CN" if value.lower().startswith("zh") else "en"


@cache
def _system_language() -> str:
    # POSIX systems, and the terminals of macOS, say it in the environment; Windows has to be asked.
    if sys.platform == "win32":
        import ctypes
        import locale

        return locale.windows_locale.get(ctypes.windll.kernel32.GetUserDefaultUILanguage(), "")
    return ""


@cache
def _catalogue(lang: str) -> Callable[[str], str]:
    import gettext
    from pathlib import Path

    folder = Path(__file__).with_name("locale")
    return gettext.translation("oauth_mailer", folder, languages=[lang], fallback=True).gettext
