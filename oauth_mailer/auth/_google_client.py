"""The OAuth client of the user's own Google Cloud project, a *Desktop app*: read from its JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from ..errors import ConfigError
from ..i18n import _, system_text
from ..stores import Secret
from ..wire.endpoint import check_endpoint
from ._oauth_client import Client, client_at

__all__ = ["client_from", "read_client"]

AUTH_URI = "https://accounts.google.com/o/oauth2/auth"
TOKEN_URI = "https://oauth2.googleapis.com/token"

CONSOLE = "https://console.cloud.google.com/auth/clients"

_MAX_SIZE = 65_536  # octets; Google's files have about 400


def client_from(fields: Mapping[str, Any], secret: Secret) -> Client:
    """The client with these fields of the configuration or of a stored token; absent addresses are Google's.

    Raises ``ConfigError`` for an address that a token may not be sent to.
    """
    token_uri = check_endpoint(fields.get("token_uri") or TOKEN_URI, "token_uri")
    # Google's file does not name the address: it lies beside that for tokens. There is none for devices:
    # Google does not let them send mail.
    known = {"auth_uri": AUTH_URI, "token_uri": token_uri}
    known["revocation_uri"] = urljoin(token_uri.rstrip("/"), "revoke")
    return client_at({**fields, "device_uri": ""}, secret, **known)


def read_client(path: Path) -> Client:
    """The client in a file as Google's console gives it out.

    Raises ``ConfigError`` for anything but a whole file of a *Desktop app*, each kind of mistake by its name.
    """
    content = _object(path)
    fields = content.get("installed")
    if not isinstance(fields, dict):
        raise _other_kind(path, content)
    for name in ("client_id", "auth_uri", "token_uri"):
        if not isinstance(fields.get(name), str) or not fields[name]:
            raise _wrong(
                _("The client file {path} has no {name}.").format(path=path, name=name), "client-incomplete"
            )
    secret = fields.get("client_secret", "")
    if not isinstance(secret, str) or not isinstance(fields.get("revocation_uri", ""), str):
        raise _wrong(_("The client file {path} has a wrong value.").format(path=path), "client-incomplete")
    if "REPLACE-ME" in fields["client_id"] + secret:
        raise _wrong(
            _("The client file {path} is the example: its values are not filled in.").format(path=path),
            "client-example",
        )
    return client_from(fields, Secret(secret))


def _object(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_SIZE + 1)
    except FileNotFoundError as error:
        raise _wrong(_("There is no client file {path}.").format(path=path), "client-missing") from error
    except OSError as error:
        raise _wrong(
            _("The client file {path} cannot be read: {reason}.").format(
                path=path, reason=system_text(error.strerror) or type(error).__name__
            ),
            "client-unreadable",
        ) from error
    if len(data) > _MAX_SIZE:
        raise _wrong(
            _("The file {path} is far too large for a client file.").format(path=path), "client-too-large"
        )
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        # Without the cause: its text shows a part of the file, and that could be the secret.
        start = data.removeprefix(b"\xef\xbb\xbf").lstrip()
        if start and not start.startswith((b"{", b"[")):
            raise _wrong(
                _("The file {path} is no client file: it is not in JSON.").format(path=path),
                "client-not-json",
            ) from None
        raise _wrong(
            _("The client file {path} is cut off or damaged: it is no whole JSON.").format(path=path),
            "client-truncated",
        ) from None
    return content if isinstance(content, dict) else {}


def _other_kind(path: Path, content: Mapping[str, Any]) -> ConfigError:
    if "web" in content:
        return _wrong(
            _(
                "The client in {path} is of the type Web application, which has no login on a computer."
            ).format(path=path),
            "client-web",
        )
    if content.get("type") == "service_account":
        return _wrong(
            _(
                "The file {path} is the key of a service account: it stands for a program, not for a person "
                "who consents."
            ).format(path=path),
            "client-service-account",
        )
    if content.get("type") == "authorized_user" or "refresh_token" in content:
        return _wrong(
            _("The file {path} holds somebody's token, not a client.").format(path=path), "client-token-file"
        )
    return _wrong(_("The file {path} is no client file of Google's.").format(path=path), "client-unknown")


def _wrong(message: str, code: str) -> ConfigError:
    return ConfigError(
        message,
        code=code,
        hint=_(
            "Make a client of the type Desktop app and download its JSON: {console}\n"
            "Then: oauth-mailer login ADDRESS --client-secrets FILE"
        ).format(console=CONSOLE),
    )
