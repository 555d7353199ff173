"""Workers of an outbox without threads, clocks and servers: what they write, at times that a test names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from oauth_mailer.errors import Attempt, Verdict
from oauth_mailer.message import Message
from oauth_mailer.outbox import Entry, Record, State, claims, pacing, queries, results, rows, store
from oauth_mailer.outbox.claims import Claim, Suspect
from oauth_mailer.outbox.database import Database
from oauth_mailer.outbox.letter import pack
from oauth_mailer.outbox.results import Outcome
from oauth_mailer.outbox.states import Cause
from oauth_mailer.outbox.store import New
from oauth_mailer.routes import Receipt
from tests.support.outbox_place import ME, message

START = 1_000_000_000.0
LEASE = 60.0


class Bench:
    """``now``: the time, in seconds, which passes only where the test says so."""

    def __init__(self, home: Path, url: str | None = None) -> None:
        self.database = Database(url or "", home)
        self.now = START

    def add(self, *, account: str = ME, what: Message | None = None, **fields: Any) -> Entry:
        said = what or message()
        values: dict[str, Any] = {"fallback": None, "key": None, "priority": "normal"}
        values |= {"not_before": None, "expires": None, "subject": said.subject, "recipients": []}
        values["recipients"] = [one.email for one in said.to]
        new = New(letter=pack(said), account=account, message_id=said.id, **values | fields)
        with self.database.writing() as connection:
            return store.add(connection, new, self.now)[0]

    def limit(self, limits: Mapping[int, int], account: str = ME) -> None:
        with self.database.writing() as connection:
            pacing.open_lane(connection, account)
            pacing.set_limits(connection, account, limits)

    def claim(
        self, worker: str = "one", number: int | None = None, accounts: Collection[str] = (ME,)
    ) -> tuple[Claim | None, float | None]:
        with self.database.writing() as connection:
            return claims.claim(connection, tuple(accounts), worker, self.now, lease=LEASE, number=number)

    def settle(self, claim: Claim, outcome: Outcome, worker: str = "one", *, resends: bool = False) -> Entry:
        with self.database.writing() as connection:
            return results.settle(connection, claim, outcome, worker, self.now, resends=resends)

    def lapse(self, suspect: Suspect, by: str = "two", *, resends: bool = False) -> Entry | None:
        with self.database.writing() as connection:
            return results.lapse(connection, suspect, self.now, by=by, resends=resends)

    def suspects(self) -> list[Suspect]:
        with self.database.reading() as connection:
            return claims.suspects(connection, self.now)

    def expire(self) -> list[Entry]:
        with self.database.writing() as connection:
            return claims.expire(connection, self.now)

    def change(self, number: int, cause: Cause) -> Entry:
        with self.database.writing() as connection:
            return store.change(connection, number, cause, self.now)

    def purge(self, states: Collection[State]) -> int:
        with self.database.writing() as connection:
            return store.purge(connection, states, self.now)

    def entries(self) -> dict[int, Entry]:
        return {entry.id: entry for entry in queries.find(self.database.reading)}

    def entry(self, number: int) -> Entry:
        with self.database.reading() as connection:
            return rows.entry(connection, number)

    def history(self, number: int) -> tuple[Record, ...]:
        with self.database.reading() as connection:
            return queries.history(connection, number)

    def close(self) -> None:
        self.database.close()


VERDICTS: Mapping[Cause, Verdict] = {
    Cause.SENT: "sent",
    Cause.LATER: "not_sent",
    Cause.REJECTED: "not_sent",
    Cause.UNKNOWN: "unknown",
}


def outcome(cause: Cause, *, said: str = "", account: str = ME, **fields: Any) -> Outcome:
    """What a send by this account came to."""
    attempt = Attempt(account=account, transport="smtp", verdict=VERDICTS[cause], text=said)
    receipt = None
    if cause is Cause.SENT:
        receipt = Receipt(
            message_id="<1@example.org>",
            account=account,
            transport="smtp",
            accepted_at=rows.moment(START),
            attempts=(attempt,),
        )
    return Outcome(cause=cause, attempts=(attempt,), receipt=receipt, **fields)
