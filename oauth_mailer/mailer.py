"""Routes and fallback: a message goes out by the first route that takes it.

Every attempt ends in *sent*, *not sent* or *unknown*. Only after a proven *not sent* is the next route tried,
and only where the error says that another route may succeed. The mailer neither sleeps nor repeats, unless
its caller gives it time to wait.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from .accounts import Account, Accounts
from .address import Address
from .auth import open_credential
from .errors import Attempt, ConfigError, MailerError, OutcomeUnknown
from .events import Sending, Trying, tell_of_cancelled
from .i18n import _
from .message import Envelope, Message, RawMessage
from .mime import envelope_of, fits, render
from .routes import Receipt, Route, accepted, check, failed, most_hopeful
from .stores import Secret, StoreOptions, TokenStore, open_store, store_kind
from .transports import TIMEOUT, Acceptance, Transport, open_transport
from .values import replace

if TYPE_CHECKING:
    from pathlib import Path

    from .transports.memory import Delivery, MemoryTransport

__all__ = ["Mailer", "Receipt", "Route", "capture", "capturing", "open_mailer", "send"]

_PAUSE = 5.0
"""Seconds until the next try where nobody said when; only for a caller who lets the mailer wait."""


class Mailer:
    """Sends messages by its routes; may be used from several threads at once, and as a context manager.

    ``routes``: one, or several in the order in which they are tried.
    """

    def __init__(self, routes: Route | Iterable[Route]) -> None:
        self.routes = (routes,) if isinstance(routes, Route) else tuple(routes)
        if not self.routes:
            raise ConfigError(
                _("A mailer needs at least one route."),
                code="no-route",
                hint=_("Give it one; open_mailer(ADDRESS) makes it of an account that is set up."),
            )

    def send(
        self,
        message: Message | RawMessage,
        *,
        progress: Callable[[int, int], None] | None = None,
        wait: float = 0.0,
        only: Collection[str] | None = None,
    ) -> Receipt:
        """Send one message; returns once a provider took charge of it.

        ``progress`` is called with the octets handed over so far and in all, from 0 for each try; ``wait``:
        seconds that this call may spend on waiting where every route failed and one of them passes with time.
        Then all are tried again at the earliest time that was named. By default nothing is waited for;
        ``only``: of the recipients, these addresses: those who were refused when others were accepted.

        Raises ``MessageError`` where the message cannot be sent as it is, else a ``SendError`` whose
        ``verdict`` says whether it may have been sent; its ``attempts`` list every try. If every route
        failed and waiting helps one of them, the error is that one's ``TransientError``.
        """
        end = time.monotonic() + wait
        attempts: list[Attempt] = []
        failures: dict[int, MailerError] = {}
        due = dict.fromkeys(range(len(self.routes)), -math.inf)  # when each route may be tried
        with Sending(message.id) as sending:
            while due and (earliest := min(due.values())) <= end:
                if (pause := earliest - time.monotonic()) > 0:
                    time.sleep(pause)
                for number in [one for one, at in due.items() if at <= time.monotonic()]:
                    route = self.routes[number]
                    transport = _captured[-1] if _captured else route.transport
                    try:
                        with sending.attempt(route.account, transport.name) as trying:
                            acceptance = self._try(route, transport, message, progress, only, trying=trying)
                    except MailerError as error:
                        attempts.append(failed(route, transport, error))
                        failures[number] = error
                        if not error.try_next_route:
                            error.attempts = tuple(attempts)
                            raise
                        del due[number]
                        if error.retry_later:
                            due[number] = time.monotonic() + (error.retry_after or _PAUSE)
                    else:
                        return accepted(message, route, transport, acceptance, attempts)
            final = most_hopeful([failures[number] for number in sorted(failures)])
            final.attempts = tuple(attempts)
            raise final

    async def asend(
        self,
        message: Message | RawMessage,
        *,
        progress: Callable[[int, int], None] | None = None,
        wait: float = 0.0,
    ) -> Receipt:
        """The same as ``send``, from asyncio: the work is done in a thread, so the loop is never held up.

        Cancelling the task does not call back a message that is on its way: what became of it is then
        logged as a warning.
        """
        import asyncio  # as heavy as all the rest together, and a plain send never needs it

        loop = asyncio.get_running_loop()
        # In the caller's context: what traces a request sees the send in it.
        run = partial(copy_context().run, self.send, message, progress=progress, wait=wait)
        work = loop.run_in_executor(None, run)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            work.add_done_callback(partial(tell_of_cancelled, message.id))
            raise

    def check(self, message: Message | RawMessage) -> Envelope:
        """Whom it would go to by the first route. Connects to nothing.

        Raises what ``send`` raises before anything is connected: ``MessageError`` or ``RouteError``.
        """
        route = self.routes[0]
        envelope, content = envelope_of(message, route.sender), None
        if not fits(message, math.inf if route.max_size is None else route.max_size):
            _envelope, content = render(message, route.sender)
        check(route, message, envelope, content, None)
        return envelope

    def close(self) -> None:
        """Close what the routes hold open; the mailer may be used again afterwards."""
        for route in self.routes:
            route.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _try(
        self,
        route: Route,
        transport: Transport,
        message: Message | RawMessage,
        progress: Callable[[int, int], None] | None,
        only: Collection[str] | None,
        *,
        trying: Trying,
    ) -> Acceptance:
        first = self.routes[0].sender
        original = None if route.account == first.email else first
        envelope, content = render(message, route.sender, on_behalf_of=original)
        if only is not None:
            envelope = replace(
                envelope, recipients=tuple(one for one in envelope.recipients if one.email in only)
            )
        trying.size, trying.addresses = content.size, [one.email for one in envelope.recipients]
        check(route, message, envelope, content, original)
        if progress is not None:
            progress = trying.watched(progress)
            progress(0, content.size)
            content = content.watched(progress)
        trying.begun = progress is None  # then nobody sees how far it gets
        try:
            acceptance = transport.send(envelope, content)
        except MailerError:
            raise
        except Exception as error:  # a fault of ours proves nothing about what the provider has
            raise OutcomeUnknown(
                _("A fault in the program ended the try ({error}): the message may have been sent.").format(
                    error=type(error).__name__
                ),
                code="internal",
                hint=_("Look into the Sent folder before you send it again, and report the fault."),
            ) from error
        trying.refused = len(acceptance.refused)
        return acceptance


def open_mailer(
    account: str = "",
    *,
    fallback: Sequence[str] | None = None,
    home: Path | str | None = None,
    store: TokenStore | None = None,
    timeout: float = TIMEOUT,
    ask_passphrase: Callable[[str], Secret] | None = None,
) -> Mailer:
    """A mailer for accounts of the configuration. Connects to nothing and reads no secret yet.

    ``account``: its address, by default the default account; ``fallback``: the addresses to try next, or
    ``smtp`` for the same account by SMTP, by default those of its configuration; ``home``: the folder of the
    configuration; ``store``: a token store in place of the configured one; ``timeout``: seconds for one step
    on the network; ``ask_passphrase``: asks a person for the passphrase of a store that needs one, by default
    nobody is.

    Raises ``ConfigError`` where there is no such account.
    """
    if _captured:
        return Mailer(Route(sender=Address(account or "sender@example.com"), transport=_captured[-1]))
    accounts = Accounts(home)
    first = accounts.get(account)
    addresses = first.fallback if fallback is None else fallback
    if isinstance(addresses, str):  # one alone, which is a sequence of letters too
        addresses = (addresses,)
    chosen = [first, *(accounts.stand_in(first, name) for name in addresses)]
    return Mailer(_route(one, accounts, store, timeout, ask_passphrase) for one in chosen)


def send(
    message: Message | RawMessage | None = None,
    /,
    *,
    account: str = "",
    fallback: Sequence[str] | None = None,
    wait: float = 0.0,
    **fields: Any,
) -> Receipt:
    """Send one message by an account, by default the default one. ``wait``: see ``Mailer.send``.

    Takes a ``Message``, or the fields of one: ``send(to="ann@example.com", subject="Done", text="...")``.
    Raises what ``open_mailer`` and ``Mailer.send`` raise.
    """
    if isinstance(message, str):  # as other libraries take the recipient
        raise TypeError("name the fields: send(to=..., subject=..., text=...)")
    if message is not None and fields:
        raise TypeError("give a message or the fields of one, not both")
    finished = Message(**fields) if message is None else message
    with open_mailer(account, fallback=fallback) as mailer:
        return mailer.send(finished, wait=wait)


@contextmanager
def capture() -> Iterator[list[Delivery]]:
    """For tests: while the block runs, nothing leaves this process, whoever sends from whichever thread.

    Gives the list of what was sent, each with its ``envelope`` and ``data``. No account needs to be set up.
    """
    from .transports.memory import MemoryTransport

    transport = MemoryTransport()
    with _capturing:
        _captured.append(transport)
    try:
        yield transport.sent
    finally:
        with _capturing:
            _captured.remove(transport)


def capturing() -> bool:
    """Whether such a block runs."""
    return bool(_captured)


_captured: list[MemoryTransport] = []
_capturing = threading.Lock()


def _route(
    account: Account,
    accounts: Accounts,
    store: TokenStore | None,
    timeout: float,
    ask_passphrase: Callable[[str], Secret] | None,
) -> Route:
    def credential() -> Any:
        kind = store_kind(account.store)
        options = StoreOptions(accounts.folder, accounts.store_settings(kind), ask_passphrase)
        opened = store or open_store(kind, options)
        return open_credential(account, opened, accounts.folder, timeout=timeout)

    return Route(
        sender=Address(account.address, account.name),
        transport=open_transport(account, credential, timeout=timeout),
        max_size=account.preset.max_size,
        max_recipients=account.preset.max_recipients,
        sender_must_match=account.preset.sender_must_match,
    )
