"""A template and a table: a message for each row, each kept in the outbox before the first is sent.

    job = MergeJob("invitation.txt", "guests.csv")
    wrong = list(job.check())        # every row, before anything is kept
    with Outbox() as outbox:
        for line in job.add(outbox):
            ...

Rows that were added before are not added again, so an interrupted job is simply begun anew.
"""

from __future__ import annotations

from importlib.util import find_spec

from ..errors import ConfigError
from ..i18n import _

if _missing := [name for name in ("jinja2", "sqlalchemy") if find_spec(name) is None]:
    raise ConfigError(
        _("Merging needs more than is installed: {names}.").format(names=", ".join(_missing)),
        code="extra-missing",
        hint=_("Run: pip install 'oauth-mailer[merge]'"),
    )

from .job import Line, MergeJob, Wrong
from .table import Row, Table
from .template import Template

__all__ = ["Line", "MergeJob", "Row", "Table", "Template", "Wrong"]
