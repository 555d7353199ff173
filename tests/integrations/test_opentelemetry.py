"""Spans for OpenTelemetry, by its own SDK."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, Tracer, format_trace_id

from oauth_mailer import (
    Address,
    Mailer,
    MemoryTransport,
    Message,
    RejectedError,
    Route,
    TransientError,
    capture,
)
from oauth_mailer.integrations.opentelemetry import instrument
from oauth_mailer.outbox import Outbox

ME, YOU = "me@corp.example", "you@corp.example"
SEND, TRY = "oauth_mailer.send", "oauth_mailer.attempt"


class Traces:
    """What was exported."""

    def __init__(self) -> None:
        self.provider = TracerProvider()
        self._kept = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._kept))

    @property
    def tracer(self) -> Tracer:
        return self.provider.get_tracer("application")

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._kept.get_finished_spans() if span.name == name]


@pytest.fixture
def traces() -> Iterator[Traces]:
    made = Traces()
    yield made
    made.provider.shutdown()


def message() -> Message:
    return Message(to="ann@example.com", bcc="boss@example.com", subject="Canary", text="Hello")


def mailer(*script: TransientError | RejectedError) -> Mailer:
    first, second = MemoryTransport(script), MemoryTransport()
    return Mailer([Route(sender=Address(ME), transport=first), Route(sender=Address(YOU), transport=second)])


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return format_trace_id(span.context.trace_id)


def is_child(child: ReadableSpan, parent: ReadableSpan) -> bool:
    assert child.parent is not None
    assert parent.context is not None
    return child.parent.span_id == parent.context.span_id and trace_of(child) == trace_of(parent)


def test_a_send_is_a_span_in_its_callers_trace_with_a_child_for_each_try(traces: Traces) -> None:
    sent = message()
    busy = TransientError("ann@example.com is busy.", code="busy", text="ann@example.com is busy")
    with instrument(tracer_provider=traces.provider):
        with traces.tracer.start_as_current_span("request"):
            mailer(busy).send(sent)
        mailer().send(message())
    [request] = traces.spans("request")
    first, alone = traces.spans(SEND)
    assert is_child(first, request)
    assert alone.parent is None
    assert first.attributes == {"oauth_mailer.message.id": sent.id, "oauth_mailer.verdict": "sent"}
    assert first.status.status_code is StatusCode.UNSET
    failed, fell_back, _other = traces.spans(TRY)
    assert is_child(failed, first)
    assert is_child(fell_back, first)
    assert failed.kind is SpanKind.CLIENT
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, "busy")
    assert failed.attributes is not None
    size = failed.attributes["oauth_mailer.message.size"]
    assert isinstance(size, int)
    assert size > 100
    assert failed.attributes == {
        "oauth_mailer.transport": "memory",
        "oauth_mailer.attempt": 1,
        "oauth_mailer.message.size": size,
        "oauth_mailer.recipients.count": 2,
        "oauth_mailer.recipients.refused": 0,
        "oauth_mailer.verdict": "not_sent",
        "error.type": "busy",
    }
    told = "".join(span.to_json() for name in (SEND, TRY) for span in traces.spans(name))
    for kept_back in ("ann@", "boss@", ME, YOU, "Canary"):
        assert kept_back not in told


def test_what_fails_is_an_error_of_the_send_too_and_leaves_the_callers_span_current(traces: Traces) -> None:
    with instrument(tracer_provider=traces.provider), traces.tracer.start_as_current_span("request"):
        with pytest.raises(RejectedError):
            mailer(RejectedError("No.", code="rejected")).send(message())
        with traces.tracer.start_as_current_span("after"):
            pass
    [send], [after], [request] = traces.spans(SEND), traces.spans("after"), traces.spans("request")
    assert (send.status.status_code, send.status.description) == (StatusCode.ERROR, "rejected")
    assert not send.events, "an error's words may quote an address"
    assert is_child(after, request)
    assert request.status.status_code is StatusCode.UNSET


def test_addresses_are_there_if_that_is_asked_for(traces: Traces) -> None:
    with instrument(tracer_provider=traces.provider, addresses=True):
        mailer().send(message())
    [tried] = traces.spans(TRY)
    assert tried.attributes is not None
    assert tried.attributes["oauth_mailer.account"] == ME
    assert tried.attributes["oauth_mailer.recipients"] == ("ann@example.com", "boss@example.com")


def test_a_send_from_asyncio_is_in_the_trace_of_its_task(traces: Traces) -> None:
    async def handle(name: str) -> None:
        with traces.tracer.start_as_current_span(name):
            await mailer().asend(message())

    async def serve() -> None:
        await asyncio.gather(handle("one"), handle("other"))

    with instrument(tracer_provider=traces.provider):
        asyncio.run(serve())
    requests = {trace_of(span) for name in ("one", "other") for span in traces.spans(name)}
    assert len(requests) == 2
    assert {trace_of(span) for span in traces.spans(SEND)} == requests


def test_a_message_that_waited_is_in_the_trace_of_whoever_added_it(traces: Traces, home: Path) -> None:
    (home / "config.toml").write_text('[accounts."me@qq.com"]\nprovider = "qq"\n', "utf-8")
    with instrument(tracer_provider=traces.provider), capture(), Outbox() as outbox:
        with traces.tracer.start_as_current_span("order"):
            first = outbox.add(message(), account="me@qq.com")
        outbox.add(message(), account="me@qq.com")  # by nobody's order
        later = outbox.add(message(), account="me@qq.com")
        with traces.tracer.start_as_current_span("job"):  # as an engine of one's own has it
            outbox.deliver(first.id)
            outbox.deliver(later.id)
        outbox.run(once=True)
    [order], [job] = traces.spans("order"), traces.spans("job")
    waited, in_the_job, nobodys = traces.spans(SEND)
    assert is_child(waited, order)
    assert [link.context.span_id for link in waited.links] == [job.context and job.context.span_id]
    assert is_child(in_the_job, job)
    assert nobodys.parent is None
    assert len(traces.spans(TRY)) == 3


def test_instrumenting_anew_takes_the_place_of_what_was_and_closing_ends_it(traces: Traces) -> None:
    instrument(tracer_provider=traces.provider)
    with instrument(tracer_provider=traces.provider):
        mailer().send(message())
    mailer().send(message())
    assert len(traces.spans(SEND)) == 1


def test_what_nobody_traces_imports_nothing_of_it() -> None:
    program = (
        "import sys; from oauth_mailer import Address, Mailer, MemoryTransport, Message, Route\n"
        "Mailer(Route(sender=Address('me@corp.example'), transport=MemoryTransport()))"
        ".send(Message(to='ann@example.com', text='Hi'))\n"
        "import oauth_mailer.integrations\n"
        "print(*[name for name in sys.modules if 'opentelemetry' in name or 'prometheus' in name])\n"
        "sys.modules['opentelemetry'] = None\n"
        "from oauth_mailer import ConfigError\n"
        "try: import oauth_mailer.integrations.opentelemetry\n"
        "except ConfigError as error: print(error.code, error.hint)"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout == "\nextra-missing Run: pip install 'oauth-mailer[tracing]'\n"
