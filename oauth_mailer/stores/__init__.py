"""Where a secret rests.

One kind of store is one file here, and the file's name is the key used in the configuration and in
``OAUTH_MAILER_STORE``. Each file has a function ``open(options) -> TokenStore``; nothing else needs to
know of a new kind.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from ..errors import ConfigError, StoreError
from ..i18n import _
from ..rooms import room, rooms
from ..values import dataclass, field

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "DEFAULT_KIND",
    "Secret",
    "Slot",
    "StoreOptions",
    "TokenStore",
    "is_seconds",
    "kinds",
    "open_store",
    "storable",
    "store_kind",
]

DEFAULT_KIND = "keyring"


class Secret:
    """A text that is never shown: no repr, no format, no pickle. ``reveal()`` gives it, where it is used."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself. Call it as late as possible and keep no copy."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __format__(self, spec: str) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        import hmac

        return hmac.compare_digest(
            self._text.encode("utf-8", "replace"), other._text.encode("utf-8", "replace")
        )

    def __hash__(self) -> int:
        return hash(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of one secret: the account's address, and what the secret is for.

    ``purpose`` is ``code`` for an authorization code; for tokens it names the client and the scope too,
    so that a token of one client or scope is never taken for another's. A ``cached`` secret can be had
    again at any time (an access token): a store that cannot hold it may say so and nothing is lost.
    The case of the address makes no difference.
    """

    account: str
    purpose: str
    cached: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "account", self.account.lower())

    def __str__(self) -> str:
        return f"{self.account} {self.purpose}"


class TokenStore(Protocol):
    """A place for secrets. Methods raise ``StoreError`` and nothing else, and may be called from threads."""

    @property
    def kind(self) -> str:
        """The name of the kind, as in the configuration."""

    @property
    def writable(self) -> bool:
        """Whether ``set`` and ``delete`` can work at all (environment variables cannot be set)."""

    def get(self, slot: Slot) -> Secret | None:
        """The secret, or None where there is none."""

    def set(self, slot: Slot, secret: Secret) -> None:
        """Keep the secret; on return it is proven to be there. On failure the old one is still there.

        A secret that is empty or has control characters is refused: no store gives such a text back
        unharmed, and no token or code has any.
        """

    def delete(self, slot: Slot) -> None:
        """Forget the secret; it is no error if there is none."""


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """What a store may need to open.

    ``home``: the folder for files; ``settings``: the table ``[stores.KIND]`` of the configuration;
    ``ask_passphrase``: asks a person, with the question as its argument; None where nobody can be asked.
    """

    home: Path | str
    settings: Mapping[str, Any] = field(default_factory=dict)
    ask_passphrase: Callable[[str], Secret] | None = None

    def checked(self, kind: str, forms: Mapping[str, Callable[[Any], bool]]) -> Mapping[str, Any]:
        """The settings, each known by name and of the right form. Raises ``ConfigError``.

        ``kind``: the store's; ``forms``: for each setting there is, what says whether a value is right.
        """
        for key, value in self.settings.items():
            if key not in forms or not forms[key](value):
                raise ConfigError(
                    _("In the configuration, [stores.{kind}] has a wrong value for {key!r}.").format(
                        kind=kind, key=key
                    )
                    if key in forms
                    else _("In the configuration, [stores.{kind}] has no setting {key!r}.").format(
                        kind=kind, key=key
                    ),
                    code="config-value",
                    hint=_("Its settings are: {keys}.").format(keys=", ".join(forms) or _("none")),
                )
        return self.settings


def is_seconds(value: object) -> bool:
    """Whether a setting is a number of seconds to wait for: more than none, and no more than an hour."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 3600


def storable(secret: Secret) -> str:
    """The text of a secret that every store can keep and give back unharmed.

    Raises ``StoreError`` for one that is empty, has control characters or line breaks, or is no Unicode text.
    """
    text = secret.reveal()
    if not text or any(unicodedata.category(char) in _UNFIT for char in text):
        raise StoreError(
            _("The secret is empty, or has a line break or another character that no secret has."),
            code="secret-form",
            hint=_("Copy it again, alone and whole."),
        )
    return text


_UNFIT = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, lone surrogates, line and paragraph separators


def kinds() -> tuple[str, ...]:
    """The kinds of store there are: the names of the files in this folder."""
    return rooms(__name__)


def store_kind(remembered: str = "") -> str:
    """The kind to use for an account: ``OAUTH_MAILER_STORE``, else the one remembered, else the keyring."""
    return os.environ.get("OAUTH_MAILER_STORE", "") or remembered or DEFAULT_KIND


def open_store(kind: str, options: StoreOptions) -> TokenStore:
    """Open the store of this kind.

    Raises ``ConfigError`` for an unknown kind and ``StoreError`` where the store cannot be used.
    """
    if (found := room(__name__, kind)) is None:
        raise ConfigError(
            _("There is no token store {kind!r}.").format(kind=kind),
            code="store-unknown",
            hint=_("Set OAUTH_MAILER_STORE to one of: {kinds}.").format(kinds=", ".join(kinds())),
        )
    store: TokenStore = found.open(options)
    return store
