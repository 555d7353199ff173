"""The tables of the outbox, and how those of an older version are brought up to date."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    insert,
    inspect,
    literal_column,
    select,
    text,
)

from ..errors import OutboxError
from ..i18n import _

__all__ = [
    "ENTRIES",
    "HISTORY",
    "LANES",
    "LIMITS",
    "PARTS",
    "QUEUED",
    "SCHEMA",
    "SENDING",
    "USAGE",
    "USES",
    "VERSION",
    "check_version",
    "prepare",
]

VERSION = 2

_PREFIX = "oauth_mailer_"  # they may stand beside an application's own
_META = MetaData()
_KEY = Text().with_variant(
    Text(collation="C"), "postgresql"
)  # in the order of their octets, as SQLite has it
_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by themselves for INTEGER only

ENTRIES = Table(
    f"{_PREFIX}entries",
    _META,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("key", _KEY, unique=True),
    Column("fingerprint", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("fallback", Text),  # JSON; NULL: those of the account when it is sent
    Column("state", Text, nullable=False),
    Column("priority", Integer, nullable=False),  # 0 is the highest
    Column("message_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("recipients", Text, nullable=False),  # JSON
    Column("only", Text),  # JSON: the recipients who are left, after others were accepted
    Column("size", BigInteger, nullable=False),
    Column("document", LargeBinary, nullable=False),
    # Times are seconds since 1970.
    Column("created", Double, nullable=False),
    Column("due", Double, nullable=False),
    Column("not_before", Double),  # as the caller said
    Column("expires", Double),
    Column("changed", Double, nullable=False),
    Column("attempts", Integer, nullable=False),  # the number of the last one is its fencing token
    Column("settled", Integer, nullable=False),  # the attempt whose own result is known
    Column("worker", Text, nullable=False),
    Column("beat", Integer, nullable=False),
    Column("lease", Double, nullable=False),  # when it ends
    Column("span", Double, nullable=False),  # and how long it lasts, in seconds
    Column("sent_as", Text, nullable=False),
    Column("transport", Text, nullable=False),
    Column("remote_id", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("refused", Text, nullable=False),  # JSON
    sqlite_autoincrement=True,  # a number is never given twice
)

# What waits and what is on its way is found at once, however much is settled.
# Written out, not bound: only so do the databases see that these indexes serve.
QUEUED = ENTRIES.c.state == literal_column("'queued'")
SENDING = ENTRIES.c.state == literal_column("'sending'")
Index(
    f"{_PREFIX}due",
    ENTRIES.c.account,
    ENTRIES.c.priority,
    ENTRIES.c.due,
    ENTRIES.c.id,
    sqlite_where=QUEUED,
    postgresql_where=QUEUED,
)
_EXPIRING = QUEUED & ENTRIES.c.expires.is_not(None)
Index(f"{_PREFIX}expiring", ENTRIES.c.expires, sqlite_where=_EXPIRING, postgresql_where=_EXPIRING)
Index(f"{_PREFIX}sending", ENTRIES.c.worker, sqlite_where=SENDING, postgresql_where=SENDING)
Index(f"{_PREFIX}state", ENTRIES.c.state, ENTRIES.c.changed)

PARTS = Table(
    f"{_PREFIX}parts",
    _META,
    Column("digest", Text, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

USES = Table(
    f"{_PREFIX}uses",
    _META,
    Column("entry", _NUMBER, ForeignKey(ENTRIES.c.id, ondelete="CASCADE"), primary_key=True),
    Column("digest", Text, ForeignKey(PARTS.c.digest), primary_key=True, index=True),
)

HISTORY = Table(
    f"{_PREFIX}history",
    _META,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("entry", _NUMBER, ForeignKey(ENTRIES.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("at", Double, nullable=False),
    Column("state", Text, nullable=False),
    Column("worker", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("transport", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("text", Text, nullable=False),
)

LANES = Table(
    f"{_PREFIX}lanes",
    _META,
    Column("account", Text, primary_key=True),
    Column("ready", Double, nullable=False, default=0.0),
    Column("failures", Integer, nullable=False, default=0),  # tries in a row that did not get through
    Column("paused", Text, nullable=False, default=""),  # why it waits for a person
    Column("hint", Text, nullable=False, default=""),
    Column("mark", Text, nullable=False, default=""),  # changes when a person has acted
)
"""One row for each account that sends: when it may send next, and what holds it up."""

LIMITS = Table(
    f"{_PREFIX}limits",
    _META,
    Column("account", Text, primary_key=True),
    Column("seconds", Integer, primary_key=True),
    Column("messages", Integer, nullable=False),
)
"""In any such span of time, an account sends at most so many messages."""

USAGE = Table(
    f"{_PREFIX}usage",
    _META,
    Column("entry", _NUMBER, primary_key=True),  # no foreign key: what was sent counts when it is purged too
    Column("attempt", Integer, primary_key=True),
    Column("account", Text, nullable=False),
    Column("at", Double, nullable=False),
    Index(f"{_PREFIX}usage_at", "account", "at"),
)
"""What counts towards the limits: tries that were, or may have been, accepted."""

SCHEMA = Table(
    f"{_PREFIX}schema",
    _META,
    Column("version", Integer, primary_key=True),
    Column("seen", Double, nullable=False, default=0.0),  # the latest time that a worker saw
)

_PACING = (LANES, LIMITS, USAGE)


def _to_2(connection: Connection) -> None:
    """Pacing across workers: what is queued needs the row of its account to be sent."""
    _META.create_all(connection, tables=_PACING)
    for account in connection.execute(select(ENTRIES.c.account).distinct()).scalars().all():
        connection.execute(insert(LANES).values(account=account))


_STEPS: Mapping[int, Callable[[Connection], None]] = {2: _to_2}
"""What brings the tables from the version before to this one."""


_MADE_BY = select(SCHEMA.c.version)


def check_version(connection: Connection) -> int:
    """The version of the tables. Raises ``OutboxError`` where it is newer than this program, or none."""
    version = connection.execute(_MADE_BY).scalar_one()
    if version < 1:
        raise OutboxError(
            _("The outbox is damaged: it says that its version is {version}.").format(version=version),
            code="outbox-corrupt",
            hint=_("Stop all workers and restore the outbox from a copy."),
        )
    if version > VERSION:
        raise OutboxError(
            _("The outbox was made by a newer version of oauth-mailer.") + f" ({version} > {VERSION})",
            code="outbox-newer",
            hint=_("Upgrade oauth-mailer on this machine."),
        )
    return int(version)


def prepare(connection: Connection) -> None:
    """Make the tables, or bring them up to date; within the transaction of this connection.

    Raises ``OutboxError`` where they are of a newer version than this program.
    """
    if connection.dialect.name == "postgresql":  # two programs may do it at the same moment
        connection.execute(text("SELECT pg_advisory_xact_lock(7031923371)"))
    there = inspect(connection).has_table(SCHEMA.name)
    # In a transaction of a caller's, SQLite may have kept the tables that somebody began to make.
    if not there or connection.execute(_MADE_BY).first() is None:
        _META.create_all(connection)
        connection.execute(SCHEMA.insert().values(version=VERSION))
        return
    version = check_version(connection)
    for step in range(version + 1, VERSION + 1):
        _STEPS[step](connection)
    if version < VERSION:
        connection.execute(SCHEMA.update().values(version=VERSION))
