"""Metrics for Prometheus: of the tries of a process, and of the outbox."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
import sqlalchemy
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from sqlalchemy import event

from oauth_mailer import (
    Address,
    Mailer,
    MemoryTransport,
    Message,
    OutcomeUnknown,
    Route,
    TransientError,
    __version__,
)
from oauth_mailer.integrations.prometheus import Metrics
from oauth_mailer.outbox import Outbox
from oauth_mailer.outbox.levels import levels
from tests.cli.mailbox import Mailbox, mailboxes
from tests.cli.outbox_worker import Worker, queue
from tests.cli.program import ROOT, run

ME, YOU = "me@corp.example", "you@corp.example"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def boxes(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Mailbox]]:
    with mailboxes(home, monkeypatch, ME, YOU) as made:
        yield made


def hello(**fields: object) -> Message:
    return Message(**{"to": "ann@example.com", "subject": "Canary", "text": "Hello", **fields})  # type: ignore[arg-type]


def test_each_try_is_counted_by_account_transport_verdict_and_code(registry: CollectorRegistry) -> None:
    busy = MemoryTransport([TransientError("Busy.", code="busy"), OutcomeUnknown("Perhaps.", code="lost")])
    good = MemoryTransport()
    mailer = Mailer([Route(sender=Address(ME), transport=busy), Route(sender=Address(YOU), transport=good)])

    def value(name: str, account: str = ME, **labels: str) -> float | None:
        return registry.get_sample_value(name, {"account": account, "transport": "memory", **labels})

    with Metrics(registry):
        mailer.send(hello())
        assert value("oauth_mailer_attempts_total", verdict="not_sent", code="busy") == 1
        assert value("oauth_mailer_attempts_total", YOU, verdict="sent", code="") == 1
        count = "oauth_mailer_attempt_duration_seconds_count"
        assert value(count, verdict="unknown") == 0, "from the start, so that the first one is seen to come"
        with pytest.raises(OutcomeUnknown):
            mailer.send(hello())
        assert value(count, verdict="unknown") == 1
        assert value("oauth_mailer_message_size_bytes_count") == 2
        size = value("oauth_mailer_message_size_bytes_sum", YOU)
        assert size == len(good.sent[0].data)
        sent_at = value("oauth_mailer_last_sent_timestamp_seconds", YOU)
        assert sent_at is not None
        assert datetime.now(UTC) - datetime.fromtimestamp(sent_at, UTC) < timedelta(hours=1)
        assert value("oauth_mailer_last_sent_timestamp_seconds") is None
        python = sys.version.split()[0]
        labels = {"version": __version__, "python": python}
        assert registry.get_sample_value("oauth_mailer_build_info", labels) == 1
        with pytest.raises(ValueError, match="oauth_mailer_attempts"):
            Metrics(registry)
    assert not list(registry.collect())
    mailer.send(hello())
    with Metrics(registry):  # it may begin anew, from 0
        assert value("oauth_mailer_attempts_total", YOU, verdict="sent", code="") is None


def test_the_levels_of_the_outbox_are_those_of_now(boxes: list[Mailbox], registry: CollectorRegistry) -> None:
    mine, yours = boxes
    mine.hang_up_after_the_message()
    with Outbox() as outbox, Metrics(registry, outbox=outbox):
        get = registry.get_sample_value

        def entries() -> dict[str, float | None]:
            states = ("queued", "sending", "rejected", "unknown")
            return {state: get("oauth_mailer_outbox_entries", {"state": state}) for state in states}

        late = "oauth_mailer_outbox_oldest_due_age_seconds"
        assert entries() == {"queued": 0, "sending": 0, "rejected": 0, "unknown": 0}
        assert get("oauth_mailer_outbox_last_sent_timestamp_seconds") is None
        outbox.add(hello(), account=ME)
        outbox.run(once=True)
        assert entries()["unknown"] == 1
        yours.refuse_recipients(b"550 5.1.1 no", only="bob@")
        outbox.add(hello(to="bob@example.com"), account=YOU)
        outbox.add(hello(), account=YOU)
        outbox.run(once=True)
        assert entries() == {"queued": 0, "sending": 0, "rejected": 1, "unknown": 1}
        assert get("oauth_mailer_outbox_last_sent_timestamp_seconds") is not None

        outbox.add(hello(), account=YOU, not_before=datetime.now(UTC) + timedelta(hours=1))
        assert get(late, {"account": YOU}) == 0, "it is not due yet"
        first = outbox.add(hello(), account=YOU)
        between = get(late, {"account": YOU})
        outbox.add(hello(), account=YOU, priority="high")
        found = get(late, {"account": YOU})
        assert between is not None
        assert found is not None
        assert 0 < between <= found <= (datetime.now(UTC) - first.due).total_seconds(), "that of the first"
        assert entries()["queued"] == 3
        paused = "oauth_mailer_outbox_account_paused"
        assert get(paused, {"account": YOU, "reason": ""}) == 0
        yours.answer_logins(b"535 5.7.8 Error: authentication failed")
        outbox.run(once=True)
        [(labels, value)] = [
            (sample.labels, sample.value)
            for metric in registry.collect()
            for sample in metric.samples
            if sample.name == paused and sample.labels["account"] == YOU
        ]
        assert value == 1
        assert labels["reason"]


def test_what_is_settled_costs_a_scrape_nothing(boxes: list[Mailbox]) -> None:
    said: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, statement: str, given: object, *_: object) -> None:
        said.append((statement, given))

    with Outbox() as outbox:
        outbox.add(hello(), account=ME)
        event.listen(sqlalchemy.Engine, "before_cursor_execute", note)
        try:
            levels(outbox)
        finally:
            event.remove(sqlalchemy.Engine, "before_cursor_execute", note)
        queries = [(text, given) for text, given in said if "_entries" in text]
        assert len(queries) == 4 + 3 + 1, "each state, each priority of the account, the last one sent"
        with outbox.begin() as connection:
            for text, given in queries:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", given).all()  # type: ignore[arg-type]
                looks = [row[-1] for row in plan if "_entries" in row[-1]]
                assert looks
                assert all(look.startswith("SEARCH") and "INDEX" in look for look in looks), looks


def test_the_levels_are_those_of_postgresql_too(boxes: list[Mailbox], postgresql_url: str) -> None:
    boxes[0].hang_up_after_the_message()
    with Outbox(postgresql_url) as outbox:
        outbox.add(hello(), account=ME)
        outbox.add(hello(), account=YOU)
        waits = outbox.add(hello(), account=ME, not_before=datetime.now(UTC) + timedelta(hours=1))
        assert levels(outbox).late.keys() == {ME, YOU}
        assert min(levels(outbox).late.values()) > 0
        outbox.run(once=True)
        found = levels(outbox)
    assert waits.state == "queued"
    assert found.entries == {"queued": 1, "sending": 0, "rejected": 0, "unknown": 1}
    assert found.late == {ME: 0.0, YOU: 0.0}
    assert found.paused == {ME: "", YOU: ""}
    assert found.last_sent is not None


def test_an_outbox_that_cannot_be_read_is_told_and_the_rest_is_there(
    boxes: list[Mailbox], home: Path, registry: CollectorRegistry
) -> None:
    with Outbox() as outbox:
        outbox.add(hello(), account=ME)
    (home / "outbox.db").write_bytes(b"no database any more" * 1000)
    with Outbox() as outbox, Metrics(registry, outbox=outbox):
        assert registry.get_sample_value("oauth_mailer_outbox_up") == 0
        assert registry.get_sample_value("oauth_mailer_outbox_entries", {"state": "queued"}) is None
        labels = {"account": ME, "transport": "smtp", "verdict": "sent", "code": ""}
        assert registry.get_sample_value("oauth_mailer_attempts_total", labels) == 0


def url_of(worker: Worker) -> str:
    worker.wait_for("Metrics: ")
    found = re.search(r"Metrics: (http://\S+/metrics)", worker.said)
    assert found
    return found[1]


def fetched(url: str) -> str:
    with urlopen(url, timeout=30) as answer:
        text: str = answer.read().decode()
    return text


def test_a_worker_of_several_threads_serves_what_all_of_them_did(boxes: list[Mailbox]) -> None:
    boxes[1].refuse_recipients(b"550 5.1.1 no")
    numbers = [queue("--from", who, "--to", "ann@example.com", "--text", "Hi") for who in (ME, ME, ME, YOU)]
    with Worker("--workers", "4", "--metrics-port", "0") as worker:
        url = url_of(worker)
        assert urlsplit(url).hostname == "127.0.0.1"
        for _number in numbers:
            worker.wait_for("@")  # a line for each: sent, or rejected
        text = fetched(url)
    sent = f'oauth_mailer_attempts_total{{account="{ME}",code="",transport="smtp",verdict="sent"}} 3.0'
    assert sent in text.splitlines()
    assert 'verdict="not_sent"} 1.0' in text
    assert "process_resident_memory_bytes" in text or not sys.platform.startswith("linux")
    assert "ann@example.com" not in text


def test_a_page_of_another_name_that_points_here_gets_nothing(boxes: list[Mailbox]) -> None:
    with Worker("--metrics-port", "0") as worker:
        place = urlsplit(url_of(worker))
        told = {}
        for name in ("evil.example", f"evil.example:{place.port}", "localhost", f"127.0.0.1:{place.port}"):
            connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=30)
            connection.request("GET", "/metrics", headers={"Host": name})
            answer = connection.getresponse()
            told[name] = answer.status, ME in answer.read().decode()
            connection.close()
    evil = (403, False)
    assert list(told.values()) == [evil, evil, (200, True), (200, True)]


@pytest.mark.parametrize(
    ("words", "code", "exit_code"),
    [
        (("--metrics-port", "70000"), "usage", 64),
        (("--metrics-port", "0", "--metrics-address", "no.such.host.invalid"), "metrics-port", 78),
        (("--metrics-port", "0", "--metrics-address", "192.0.2.1"), "metrics-port", 78),
    ],
)
def test_what_cannot_be_served_is_told_before_anything_is_sent(
    boxes: list[Mailbox], words: tuple[str, ...], code: str, exit_code: int
) -> None:
    queue("--from", ME, "--to", "ann@example.com", "--text", "Hi")
    done = run("outbox", "run", "--once", "--json", *words)
    assert done.code == exit_code, done
    assert f'"code": "{code}"' in done.out
    assert boxes[0].server.connections == 0


def test_a_port_that_is_taken_is_told_with_the_next_step(boxes: list[Mailbox]) -> None:
    with Worker("--metrics-port", "0") as worker:
        port = urlsplit(url_of(worker)).port
        done = run("outbox", "run", "--once", "--metrics-port", str(port))
        assert done.code == 78, done
        assert f"port {port}: " in done.err
        assert "--metrics-port 0 takes any free port" in done.err


def test_the_page_tells_every_metric_with_its_labels(
    boxes: list[Mailbox], registry: CollectorRegistry
) -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
    rows = re.findall(r"^\| `(oauth_mailer_\w+)` \| ([^|]*) ?\|", page, re.M)
    told = {name: {one.strip() for one in labels.split(",") if one.strip()} for name, labels in rows}
    with Outbox() as outbox, Metrics(registry, outbox=outbox):
        outbox.add(hello(), account=ME)
        outbox.run(once=True)
        found = {
            metric.name + "_total" * (metric.type == "counter"): set(metric.samples[0].labels) - {"le"}
            for metric in registry.collect()
        }
    assert told == found


SENDING = """
from oauth_mailer import Address, Mailer, MemoryTransport, Message, Route
from oauth_mailer.integrations.prometheus import Metrics

Metrics()
mailer = Mailer(Route(sender=Address("me@corp.example"), transport=MemoryTransport()))
mailer.send(Message(to="ann@example.com", text="Hi"))
"""


def test_the_processes_of_one_server_are_added_up_by_prometheus_client(
    tmp_path: Path, registry: CollectorRegistry
) -> None:
    for _process in range(2):
        subprocess.run(
            [sys.executable, "-c", SENDING],
            cwd=ROOT,
            env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
            check=True,
            timeout=60,
        )
    MultiProcessCollector(registry, path=str(tmp_path))  # type: ignore[no-untyped-call]
    labels = {"account": ME, "transport": "memory", "verdict": "sent", "code": ""}
    assert registry.get_sample_value("oauth_mailer_attempts_total", labels) == 2
    name = "oauth_mailer_last_sent_timestamp_seconds"
    assert registry.get_sample_value(name, {"account": ME, "transport": "memory"})


def test_without_its_extra_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "from oauth_mailer.cli import main\n"
        "sys.exit(main(['outbox', 'run', '--once', '--metrics-port', '0']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 78, done.stderr
    assert "pip install 'oauth-mailer[metrics]'" in done.stderr
