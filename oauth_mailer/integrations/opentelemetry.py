"""Spans for OpenTelemetry: a send shows inside its caller's trace, also when it waited in an outbox.

    from oauth_mailer.integrations.opentelemetry import instrument

    instrument()                   # once, where the program sets up its tracing

A send is a span ``oauth_mailer.send`` with a child ``oauth_mailer.attempt`` for each try. docs/monitoring.md
lists the attributes.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from .. import __version__
from ..errors import ConfigError, MailerError
from ..events import Observer, Tried, observe
from ..i18n import _

try:
    from opentelemetry import context as contexts
    from opentelemetry import trace
    from opentelemetry.trace import Link, Span, SpanKind, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as error:
    raise ConfigError(
        _("Tracing needs opentelemetry-api, which is not installed."),
        code="extra-missing",
        hint=_("Run: pip install 'oauth-mailer[tracing]'"),
    ) from error

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import TracerProvider

__all__ = ["Tracing", "instrument"]

# Of the caller's context only what names the trace is kept: baggage may hold anything.
_TRACE = TraceContextTextMapPropagator()

_Begun = tuple[Span, "Token[Context]"]


def instrument(*, tracer_provider: TracerProvider | None = None, addresses: bool = False) -> Tracing:
    """Trace all sends of this process from now on; a second call takes the place of the first.

    ``tracer_provider``: by default the one that the program has set; ``addresses``: whether the spans name
    the account and the recipients, too.
    """
    global _active  # noqa: PLW0603 - one for the process
    with _changing:
        if _active is not None:
            _active.close()
        _active = Tracing(tracer_provider, addresses=addresses)
        return _active


class Tracing(Observer):
    """What ``instrument`` gives: ends with ``close``, or with the block of a ``with``."""

    def __init__(self, tracer_provider: TracerProvider | None, *, addresses: bool) -> None:
        self._tracer = trace.get_tracer("oauth_mailer", __version__, tracer_provider)
        self._addresses = addresses
        self._end = observe(self)

    def carry(self) -> Mapping[str, str]:
        """The trace in which a message is added to an outbox."""
        carrier: dict[str, str] = {}
        _TRACE.inject(carrier)
        return carrier

    def send_begins(self, message_id: str, carried: Mapping[str, str]) -> _Begun:
        """A span within the caller's; of a message that waited, within that of whoever added it."""
        parent = contexts.get_current()
        links = []
        if "traceparent" in carried:
            here = trace.get_current_span(parent).get_span_context()
            links = [Link(here)] if here.is_valid else []
            parent = _TRACE.extract(carried, parent)
        attributes = {"oauth_mailer.message.id": message_id}
        span = self._tracer.start_span("oauth_mailer.send", parent, attributes=attributes, links=links)
        return span, contexts.attach(trace.set_span_in_context(span, parent))

    def send_ends(self, begun: _Begun | None, error: BaseException | None) -> None:
        """It was sent, or what it raises tells."""
        if begun is None:
            return
        verdict = error.verdict if isinstance(error, MailerError) else "sent" if error is None else "unknown"
        code = error.code if isinstance(error, MailerError) else type(error).__name__ if error else ""
        _end(begun, verdict, code)

    def attempt_begins(self, account: str, transport: str) -> _Begun:
        """A span within that of the send."""
        attributes = {"oauth_mailer.transport": transport}
        if self._addresses:
            attributes["oauth_mailer.account"] = account
        span = self._tracer.start_span("oauth_mailer.attempt", kind=SpanKind.CLIENT, attributes=attributes)
        return span, contexts.attach(trace.set_span_in_context(span))

    def attempt_ends(self, begun: _Begun | None, tried: Tried) -> None:
        """What became of it."""
        if begun is None:
            return
        span = begun[0]
        if span.is_recording():
            span.set_attribute("oauth_mailer.attempt", tried.attempt)
            span.set_attribute("oauth_mailer.message.size", tried.size)
            span.set_attribute("oauth_mailer.recipients.count", len(tried.addresses))
            span.set_attribute("oauth_mailer.recipients.refused", tried.refused)
            if self._addresses:
                span.set_attribute("oauth_mailer.recipients", tried.addresses)
        _end(begun, tried.verdict, tried.code)

    def close(self) -> None:
        """Trace no more."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_active: Tracing | None = None
_changing = threading.Lock()


def _end(begun: _Begun, verdict: str, code: str) -> None:
    span, token = begun
    contexts.detach(token)
    span.set_attribute("oauth_mailer.verdict", verdict)
    if code:
        # The code, and not the error: its words may quote an address.
        span.set_attribute("error.type", code)
        span.set_status(StatusCode.ERROR, code)
    span.end()
