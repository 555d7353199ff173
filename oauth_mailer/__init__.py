"""Send real mail: Gmail by OAuth2, QQ, 163 and any SMTP server by authorization code, by one interface.

    import oauth_mailer

    oauth_mailer.send(to="ann@example.com", subject="Done", text="All green.")

The names below are loaded when they are first used (PEP 562), so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Acceptance": "transports",
    "AccessToken": "logins.tokens",
    "Account": "accounts",
    "Accounts": "accounts",
    "Address": "address",
    "Attachment": "message",
    "Attempt": "errors",
    "ConfigError": "errors",
    "FileTransport": "transports.file",
    "LoginRequired": "errors",
    "Mailer": "mailer",
    "MailerError": "errors",
    "MemoryTransport": "transports.memory",
    "Message": "message",
    "MessageError": "errors",
    "Outbox": "outbox",
    "OutboxError": "errors",
    "OutcomeUnknown": "errors",
    "RawMessage": "message",
    "Receipt": "routes",
    "RejectedError": "errors",
    "Route": "routes",
    "RouteError": "errors",
    "SendError": "errors",
    "StoreError": "errors",
    "TransientError": "errors",
    "access_token": "logins.tokens",
    "capture": "mailer",
    "login": "logins",
    "logout": "logins",
    "open_mailer": "mailer",
    "send": "mailer",
}

__all__ = sorted([*_HOME, "__version__"])  # noqa: PLE0605 - one table, not two lists to keep alike

if TYPE_CHECKING:
    from .accounts import Account as Account
    from .accounts import Accounts as Accounts
    from .address import Address as Address
    from .errors import Attempt as Attempt
    from .errors import ConfigError as ConfigError
    from .errors import LoginRequired as LoginRequired
    from .errors import MailerError as MailerError
    from .errors import MessageError as MessageError
    from .errors import OutboxError as OutboxError
    from .errors import OutcomeUnknown as OutcomeUnknown
    from .errors import RejectedError as RejectedError
    from .errors import RouteError as RouteError
    from .errors import SendError as SendError
    from .errors import StoreError as StoreError
    from .errors import TransientError as TransientError
    from .logins import login as login
    from .logins import logout as logout
    from .logins.tokens import AccessToken as AccessToken
    from .logins.tokens import access_token as access_token
    from .mailer import Mailer as Mailer
    from .mailer import capture as capture
    from .mailer import open_mailer as open_mailer
    from .mailer import send as send
    from .message import Attachment as Attachment
    from .message import Message as Message
    from .message import RawMessage as RawMessage
    from .outbox import Outbox as Outbox
    from .routes import Receipt as Receipt
    from .routes import Route as Route
    from .transports import Acceptance as Acceptance
    from .transports.file import FileTransport as FileTransport
    from .transports.memory import MemoryTransport as MemoryTransport


def __getattr__(name: str) -> Any:
    if (home := _HOME.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
