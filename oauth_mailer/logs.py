"""Loggers of ``logging``, which is imported only where somebody may read what they say.

A program that never imported it has set up no handler, and sees warnings at most. So a record below that is
not made, and a program that sends one mail and ends is spared a tenth of what it imports.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger

__all__ = ["Log"]


class Log:
    """``logging.getLogger(name)``, as soon as it is needed."""

    __slots__ = ("_found", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._found: Logger | None = None

    @property
    def hears_info(self) -> bool:
        """Whether a record at the level INFO goes anywhere."""
        logger = self._wanted()
        return logger is not None and logger.isEnabledFor(20)

    def debug(self, text: str, *values: object) -> None:
        """As ``Logger.debug``."""
        if logger := self._wanted():
            _say(logger.debug, text, values)

    def info(self, text: str, *values: object, extra: Mapping[str, object] | None = None) -> None:
        """As ``Logger.info``."""
        if logger := self._wanted():
            _say(logger.info, text, values, extra)

    def warning(self, text: str, *values: object) -> None:
        """As ``Logger.warning``."""
        _say(self._logger().warning, text, values)

    def exception(self, text: str, *values: object) -> None:
        """As ``Logger.exception``."""
        _say(self._logger().exception, text, values)

    def _wanted(self) -> Logger | None:
        return self._logger() if "logging" in sys.modules else None

    def _logger(self) -> Logger:
        if self._found is None:
            import logging

            self._found = logging.getLogger(self._name)
        return self._found


def _say(
    say: Callable[..., None],
    text: str,
    values: tuple[object, ...],
    extra: Mapping[str, object] | None = None,
) -> None:
    """What the program's own filters, handlers and kinds of records raise changes nothing of what is sent."""
    try:
        try:
            say(text, *values, extra=extra, stacklevel=3)
        except KeyError:  # its records have an attribute of one of these names already
            if extra is None:
                raise
            say(text, *values, stacklevel=3)
    except Exception:  # noqa: BLE001
        import logging
        import traceback

        if logging.raiseExceptions:  # as logging does with what goes wrong in a handler
            traceback.print_exc(chain=False)
