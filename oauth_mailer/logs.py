"""Loggers of ``logging``, which is imported only where somebody may read what they say.

A program that never imported it has set up no handler, and sees warnings at most. So a record below that is
not made, and a program that sends one mail and ends is spared a tenth of what it imports.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
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
            logger.debug(text, *values, stacklevel=2)

    def info(self, text: str, *values: object, extra: Mapping[str, object] | None = None) -> None:
        """As ``Logger.info``."""
        if logger := self._wanted():
            logger.info(text, *values, extra=extra, stacklevel=2)

    def warning(self, text: str, *values: object) -> None:
        """As ``Logger.warning``."""
        self._logger().warning(text, *values, stacklevel=2)

    def exception(self, text: str, *values: object) -> None:
        """As ``Logger.exception``."""
        self._logger().exception(text, *values, stacklevel=2)

    def _wanted(self) -> Logger | None:
        return self._logger() if "logging" in sys.modules else None

    def _logger(self) -> Logger:
        if self._found is None:
            import logging

            self._found = logging.getLogger(self._name)
        return self._found
