"""Secrets kept by another program: ``pass``, ``gopass``, ``op``, ``vault``, or one of your own.

    [stores.command]
    get = ["pass", "show", "oauth-mailer/{account}/{purpose}"]
    set = ["pass", "insert", "--force", "--multiline", "oauth-mailer/{account}/{purpose}"]
    delete = ["pass", "rm", "--force", "oauth-mailer/{account}/{purpose}"]
    missing_exit = [1]
    timeout = 60

Each is a list of arguments, run without a shell; ``{account}`` and ``{purpose}`` stand for the slot. ``get``
writes the secret to its standard output: the first line counts, as ``pass`` has it. ``set`` reads the
secret from its standard input, so that no secret is ever in an argument. ``missing_exit``: the exit
statuses of ``get`` that mean there is no such entry; status 0 with no output means that too. ``timeout``:
seconds, for the program may ask a person to unlock. Without ``set`` the store is read-only:

    [stores.command]
    get = ["op", "read", "op://Private/{account}/code"]

What can be had again (an access token) is not kept here: a program started for it costs more than it saves.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Sequence
from typing import Any

from ..errors import ConfigError, StoreError
from ..i18n import _, system_text
from . import Secret, Slot, StoreOptions, is_seconds, storable
from ._files import without_newline

__all__ = ["CommandStore", "open"]

_TIMEOUT = 60.0
_SHOWN = 300  # characters of what a program said, in an error

logger = logging.getLogger(__name__)


class CommandStore:
    """Runs one program per access; see the module for its settings."""

    kind = "command"

    def __init__(
        self,
        *,
        get: Sequence[str],
        set: Sequence[str] = (),  # noqa: A002 - the name of the setting
        delete: Sequence[str] = (),
        missing_exit: Sequence[int] = (),
        timeout: float = _TIMEOUT,
    ) -> None:
        self._get, self._set, self._delete = get, set, delete
        self._missing_exit = missing_exit
        self._timeout = timeout

    @property
    def writable(self) -> bool:
        """Whether ``set`` is configured."""
        return bool(self._set)

    def get(self, slot: Slot) -> Secret | None:
        """As in ``TokenStore``."""
        if slot.cached:
            return None
        done = self._run(self._get, slot)
        if done.returncode in self._missing_exit:
            return None
        _check(done, "get")
        try:
            first = without_newline(done.stdout.decode().partition("\n")[0])
            if not first and not done.stdout.strip():
                return None
            storable(Secret(first))
        except (UnicodeDecodeError, StoreError):
            raise StoreError(
                _("The first line that {program} wrote is no secret.").format(program=_program(done)),
                code="secret-form",
                hint=_("Put the secret there alone, on one line."),
            ) from None
        return Secret(first)

    def set(self, slot: Slot, secret: Secret) -> None:
        """As in ``TokenStore``; refused where ``set`` is not configured."""
        text = storable(secret)
        if slot.cached or not self._set:
            raise self._read_only("set", slot)
        old = self.get(slot)
        if old == secret:
            return
        try:
            _check(self._run(self._set, slot, text), "set", text)
            if self.get(slot) == secret:
                return
        except StoreError:
            self._restore(slot, old)
            raise
        self._restore(slot, old)
        raise StoreError(
            _("{program} did not give back what it was given to keep.").format(program=self._set[0]),
            code="store-readback",
            hint=_("Check that get and set in [stores.command] name the same entry."),
        )

    def delete(self, slot: Slot) -> None:
        """As in ``TokenStore``; refused where there is a secret and ``delete`` is not configured."""
        if self.get(slot) is None:
            return
        if not self._delete:
            raise self._read_only("delete", slot)
        _check(self._run(self._delete, slot), "delete")
        if self.get(slot) is not None:
            raise StoreError(
                _("{program} did not delete the secret of {account}.").format(
                    program=self._delete[0], account=slot.account
                ),
                code="store-readback",
                hint=_("Check that get and delete in [stores.command] name the same entry."),
            )

    def _restore(self, slot: Slot, old: Secret | None) -> None:
        """Put the old secret back after a failed ``set``, as far as that can be done."""
        command = self._delete if old is None else self._set
        try:
            if command and self.get(slot) != old:
                self._run(command, slot, "" if old is None else old.reveal())
        except StoreError:
            logger.debug("the secret of %s could not be put back", slot.account)

    def _run(self, command: Sequence[str], slot: Slot, text: str = "") -> subprocess.CompletedProcess[bytes]:
        values = {"{account}": slot.account, "{purpose}": slot.purpose}
        arguments = [_filled(argument, values) for argument in command]
        try:
            return subprocess.run(
                arguments,
                input=text.encode() + b"\n" * bool(text),
                capture_output=True,
                timeout=self._timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:  # it holds the output, and with it the secret
            raise StoreError(
                _("{program} did not end within {seconds:g} seconds.").format(
                    program=command[0], seconds=self._timeout
                ),
                code="store-timeout",
                hint=_("Run it by hand: it may wait for a password. Or raise timeout in [stores.command]."),
            ) from None
        except (OSError, ValueError) as error:
            raise StoreError(
                _("{program} cannot be started: {reason}.").format(
                    program=command[0], reason=system_text(getattr(error, "strerror", None)) or error
                ),
                code="command-missing",
                hint=_("Install it, or mend [stores.command] in the configuration."),
            ) from error

    def _read_only(self, setting: str, slot: Slot) -> StoreError:
        return StoreError(
            _("The command store does not keep this secret of {account}.").format(account=slot.account)
            if slot.cached
            else _("The command store is read-only: {setting} is not configured.").format(setting=setting),
            code="store-read-only",
            hint=_(
                "Put {setting} into [stores.command], or choose another store with OAUTH_MAILER_STORE."
            ).format(setting=setting),
        )


def _filled(argument: str, values: dict[str, str]) -> str:
    # One pass and no format(): other braces belong to the program, and a value is never filled in itself.
    parts = argument.split("{account}")
    return values["{account}"].join(part.replace("{purpose}", values["{purpose}"]) for part in parts)


def _program(done: subprocess.CompletedProcess[bytes]) -> str:
    return str(done.args[0])


def _check(done: subprocess.CompletedProcess[bytes], setting: str, secret: str = "") -> None:
    if done.returncode == 0:
        return
    said = done.stderr.decode("utf-8", "replace")
    for known in (secret, *done.stdout.decode("utf-8", "replace").splitlines()):
        if len(known.strip()) > 3:
            said = said.replace(known.strip(), "***")
    raise StoreError(
        _("{program} failed with exit status {status}.").format(
            program=_program(done), status=done.returncode
        ),
        code="command-failed",
        hint=_(
            "If this status means that there is no such entry, add missing_exit = [{status}] to "
            "[stores.command]."
        ).format(status=done.returncode)
        if setting == "get"
        else _("Run it by hand to see what is wrong."),
        text=_printable(said.strip())[:_SHOWN],
    )


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _is_command(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) and item for item in value)


def _is_statuses(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int and item != 0 for item in value)


def open(options: StoreOptions) -> CommandStore:  # noqa: A001 - the name every room has
    """The store; raises ``ConfigError`` for commands that could mix the secrets of two slots."""
    forms: dict[str, Any] = dict.fromkeys(("get", "set", "delete"), _is_command)
    settings = options.checked("command", forms | {"missing_exit": _is_statuses, "timeout": is_seconds})
    if "get" not in settings:
        raise ConfigError(
            _("The command store has no command to get a secret with."),
            code="config-value",
            hint=_(
                'Put get = ["pass", "show", "oauth-mailer/{{account}}/{{purpose}}"] or the like into '
                "[stores.command]."
            ).format(),
        )
    # A fixed entry would give one account's secret to another's server; one without the purpose would let
    # a new secret of one kind overwrite another kind's.
    needed = ("{account}", "{purpose}") if "set" in settings else ("{account}",)
    for name in ("get", "set", "delete"):
        for placeholder in needed:
            if name in settings and not any(placeholder in argument for argument in settings[name][1:]):
                raise ConfigError(
                    _("In [stores.command], {name} does not contain {placeholder}.").format(
                        name=name, placeholder=placeholder
                    ),
                    code="config-value",
                    hint=_("Without it, two secrets would share one entry."),
                )
    return CommandStore(**settings)
