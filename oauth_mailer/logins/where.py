"""Where a person finds the authorization code or the password that a provider wants for sending mail."""

from __future__ import annotations

from ..accounts import Account
from ..i18n import _
from ..providers import CUSTOM

__all__ = ["page_of", "where_to_find"]

_PAGES = {
    "qq": "https://mail.qq.com",
    "163": "https://mail.163.com",
    "126": "https://mail.126.com",
    "yeah": "https://www.yeah.net",
    "gmail-smtp": "https://myaccount.google.com/apppasswords",
}


def page_of(account: Account) -> str:
    """The page on which it is found or made; empty where that is not known."""
    return _PAGES.get(account.provider, "")


def where_to_find(account: Account) -> str:
    """What is asked for, and the way to it, in a few lines."""
    by_provider = {
        "qq": _(
            "QQ Mail asks for an authorization code (授权码) of 16 letters, not your password.\n"
            "On mail.qq.com: Settings → Account → POP3/IMAP/SMTP service: turn it on, then generate a code."
        ),
        "163": _netease("mail.163.com"),
        "126": _netease("mail.126.com"),
        "yeah": _netease("www.yeah.net"),
        "gmail-smtp": _(
            "Gmail asks for an app password, 16 letters, not your password. It needs 2-step verification:\n"
            "https://myaccount.google.com/apppasswords"
        ),
    }
    by_kind = {
        "authorization code": _(
            "{title} asks for an authorization code, not your password:\n"
            "it is made in the settings of the mailbox, where SMTP is turned on."
        ),
        "app password": _(
            "{title} asks for an app password, not your password:\n"
            "it is made in the security settings of your account."
        ),
        "client password": _(
            "{title} asks for the password of mail clients:\n"
            "it is made in the settings of the mailbox, where SMTP is turned on."
        ),
        "password": _("Give the password that {title} wants for sending mail."),
    }
    found = by_provider.get(account.provider) or by_kind.get(account.preset.secret, by_kind["password"])
    return found.format(title=account.server.host if account.preset is CUSTOM else _(account.preset.title))


def _netease(site: str) -> str:
    return _(
        "NetEase asks for an authorization code (授权码), not your password. On {site}:\n"
        "Settings → POP3/SMTP/IMAP: turn SMTP on, then add an authorization code."
    ).format(site=site)
