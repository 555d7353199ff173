"""Messages that are sent later, again, or by another process, and none of them twice in silence.

The outbox is a database: a file by default, PostgreSQL for several machines. ``Outbox.add`` returns once the
message is on disk; ``Outbox.run`` sends what is due. Its correctness rests in the recorded attempts, not in
who runs them.
"""

from __future__ import annotations

from ..errors import ConfigError
from ..i18n import _

try:
    import sqlalchemy  # noqa: F401 - an extra of this package
except ImportError as error:
    raise ConfigError(
        _("The outbox needs SQLAlchemy, which is not installed."),
        code="extra-missing",
        hint=_("Run: pip install 'oauth-mailer[outbox]'"),
    ) from error

from .entry import Entry, Event, Record, Stats
from .outbox import Outbox
from .states import State

__all__ = ["Entry", "Event", "Outbox", "Record", "State", "Stats"]
