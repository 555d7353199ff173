"""Plans: what a server does with one attempt after another, as in ``503,503,ok``.

Each step answers one attempt; the last one answers all that follow. A step takes effect at its stage (a
refused login before any message), and those behind it wait until it had its turn.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from ..errors import ConfigError
from ..i18n import _

__all__ = ["OK", "Plan"]

OK = "ok"


class Plan:
    """The steps of one server, used up in turn; for use from several threads.

    ``text``: steps with commas between them; ``stages``: the stage at which each step that the server knows
    takes effect, ``ok`` among them. Raises ``ConfigError`` for a step it does not know.
    """

    def __init__(self, name: str, text: str, stages: Mapping[str, str]) -> None:
        self._steps = [step.strip() for step in text.split(",") if step.strip()] or [OK]
        self._stages = stages
        self._lock = threading.Lock()
        for step in self._steps:
            if step not in stages:
                raise ConfigError(
                    _("The sandbox's {name} server knows no step {step!r}.").format(name=name, step=step),
                    code="sandbox-step-unknown",
                    hint=_("It knows: {known}.").format(known=", ".join(stages)),
                )

    def next(self, stage: str) -> str:
        """What to do with this attempt at this stage; ``ok`` where no step says otherwise."""
        with self._lock:
            step = self._steps[0]
            if self._stages[step] != stage:
                return OK
            if len(self._steps) > 1:
                del self._steps[0]
            return step
