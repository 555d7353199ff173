"""Plans: what a server does with one attempt after another, as in ``503,503,ok``.

Each step answers one attempt; the last one answers all that follow. A step takes effect at its stage (a
refused login before any message), and those behind it wait until it had its turn.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from ..errors import ConfigError
from ..i18n import _

__all__ = ["OK", "Plan", "change_plans"]

OK = "ok"
"""The step at which all is well."""


class Plan:
    """The steps of one server, used up in turn; for use from several threads.

    ``name``: the server's, for the error; ``text``: steps with commas between them; ``stages``: the stage at
    which each step that the server knows takes effect; ``end``: the stage at which an attempt that went well
    ends, so that ``ok`` had its turn. Raises ``ConfigError`` for a step it does not know.
    """

    def __init__(self, name: str, text: str, stages: Mapping[str, str], *, end: str) -> None:
        self._name = name
        self._stages = {OK: end, **stages}
        self._lock = threading.Lock()
        self._steps = self.read(text)

    @property
    def text(self) -> str:
        """The steps that are left, with commas between them."""
        with self._lock:
            return ",".join(self._steps)

    def read(self, text: str) -> list[str]:
        """The steps in this text. Raises ``ConfigError``."""
        steps = [step.strip() for step in text.split(",") if step.strip()] or [OK]
        for step in steps:
            if step not in self._stages:
                raise ConfigError(
                    _("The sandbox's {name} server knows no step {step!r}.").format(
                        name=self._name, step=step
                    ),
                    code="sandbox-step-unknown",
                    hint=_("It knows: {known}.").format(known=", ".join(self._stages)),
                )
        return steps

    def change(self, text: str) -> None:
        """From now on, these steps. Raises ``ConfigError``."""
        steps = self.read(text)
        with self._lock:
            self._steps = steps

    def next(self, stage: str) -> str | None:
        """The step that this attempt meets at this stage, or None where all is well."""
        with self._lock:
            step = self._steps[0]
            if self._stages[step] != stage:
                return None
            if len(self._steps) > 1:
                del self._steps[0]
            return None if step == OK else step


def change_plans(plans: Mapping[str, Plan], wanted: Mapping[str, str]) -> None:
    """From now on, these steps; an empty text leaves a plan as it is.

    Raises ``ConfigError`` for a step that is not known: then nothing changes.
    """
    for name, text in wanted.items():
        plans[name].read(text)
    for name, text in wanted.items():
        if text:
            plans[name].change(text)
