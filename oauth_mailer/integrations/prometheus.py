"""Metrics for Prometheus: what becomes of each try in this process, and how full an outbox is.

    from oauth_mailer.integrations.prometheus import Metrics

    Metrics()                      # in prometheus-client's own registry; Metrics(outbox=outbox) for both

The worker serves them itself: ``oauth-mailer outbox run --metrics-port 9464``. docs/monitoring.md lists them.
"""

from __future__ import annotations

import platform
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from .. import __version__
from ..accounts import Accounts
from ..errors import ConfigError, OutboxError
from ..events import Observer, Tried, observe
from ..i18n import _

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
    from prometheus_client.core import GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError as error:
    raise ConfigError(
        _("Metrics need prometheus-client, which is not installed."),
        code="extra-missing",
        hint=_("Run: pip install 'oauth-mailer[metrics]'"),
    ) from error

if TYPE_CHECKING:
    from ..outbox import Outbox
    from ..outbox.levels import Levels

__all__ = ["Metrics"]

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_OCTETS = tuple(float(1 << power) for power in (10, 12, 14, 16, 18, 20, 22, 24, 25))
_VERDICTS = ("sent", "not_sent", "unknown")

_PATIENCE = 5.0
"""Seconds that a scrape waits for the database: Prometheus gives up after 10, and would have no number."""


class Metrics(Observer):
    """Counts the tries of this process from now on, until it is closed; a context manager.

    ``registry``: where the metrics are registered, by default prometheus-client's own; ``outbox``: one whose
    levels are told too, read from its database each time somebody asks. Raises ``ValueError`` where the
    registry has these metrics already.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, *, outbox: Outbox | None = None) -> None:
        self._registry = registry
        self._attempts = Counter(
            "oauth_mailer_attempts",
            "Tries to hand a message over, by what became of them.",
            ("account", "transport", "verdict", "code"),
            registry=registry,
        )
        self._seconds = Histogram(
            "oauth_mailer_attempt_duration_seconds",
            "How long a try took.",
            ("account", "transport", "verdict"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._octets = Histogram(
            "oauth_mailer_message_size_bytes",
            "Octets of the finished messages that were tried.",
            ("account", "transport"),
            buckets=_OCTETS,
            registry=registry,
        )
        self._last = Gauge(
            "oauth_mailer_last_sent_timestamp_seconds",
            "When this process last sent a message, in seconds since 1970.",
            ("account", "transport"),
            registry=registry,
            multiprocess_mode="max",
        )
        self._build = Gauge(
            "oauth_mailer_build_info",
            "The version of oauth_mailer and of Python; the value is always 1.",
            ("version", "python"),
            registry=registry,
            multiprocess_mode="max",
        )
        self._build.labels(__version__, platform.python_version()).set(1)
        self._collectors: list[Collector] = [
            *(self._attempts, self._seconds, self._octets, self._last, self._build)
        ]
        self._known: set[tuple[str, str]] = set()
        if outbox is not None:
            levels = _Levels(outbox)
            registry.register(levels)
            self._collectors.append(levels)
            for account in Accounts(outbox.home):
                self.attempt_begins(account.address, account.transport)
        self._end = observe(self)

    def attempt_begins(self, account: str, transport: str) -> None:
        """A series for each verdict, from the first try on: only what grows from 0 is seen to grow."""
        if (account, transport) in self._known:
            return
        self._known.add((account, transport))
        for verdict in _VERDICTS:
            self._seconds.labels(account, transport, verdict)
        self._attempts.labels(account, transport, "sent", "")
        self._octets.labels(account, transport)

    def attempt_ends(self, begun: object, tried: Tried) -> None:
        """Count it."""
        self._attempts.labels(tried.account, tried.transport, tried.verdict, tried.code).inc()
        self._seconds.labels(tried.account, tried.transport, tried.verdict).observe(tried.duration)
        if tried.size:
            self._octets.labels(tried.account, tried.transport).observe(tried.size)
        if tried.verdict == "sent":
            self._last.labels(tried.account, tried.transport).set_to_current_time()

    def close(self) -> None:
        """Count no more, and take the metrics out of the registry."""
        self._end()
        while self._collectors:
            self._registry.unregister(self._collectors.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Levels(Collector):
    """Reads the database when somebody asks; where that fails it says so, and the other metrics are told."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._looking = threading.Lock()

    def describe(self) -> Iterable[Metric]:
        """What there will be, without a look at the database."""
        return self._families(None)

    def collect(self) -> Iterable[Metric]:
        """The levels now."""
        return self._families(self._look())

    def _look(self) -> Levels | None:
        """In a thread of its own: a database that does not answer must not keep a scrape waiting."""
        from ..outbox.levels import levels

        found: list[Levels] = []
        done = threading.Event()
        if not self._looking.acquire(blocking=False):
            return None  # the look before is not over

        def look() -> None:
            try:
                found.append(levels(self._outbox))
            except OutboxError:
                return  # which the gauge ..._up tells
            finally:
                self._looking.release()
                done.set()

        threading.Thread(target=look, name="outbox-levels", daemon=True).start()
        done.wait(_PATIENCE)
        return found[0] if found else None

    @staticmethod
    def _families(now: Levels | None) -> Iterable[Metric]:
        up = GaugeMetricFamily(
            "oauth_mailer_outbox_up", "Whether the database of the outbox could be read.", labels=()
        )
        entries = GaugeMetricFamily(
            "oauth_mailer_outbox_entries",
            "Messages that are not done with, by state, counted up to 100000; unknown waits for a person.",
            labels=("state",),
        )
        late = GaugeMetricFamily(
            "oauth_mailer_outbox_oldest_due_age_seconds",
            "For how long the message has been due that waits longest, by account; 0 where none is.",
            labels=("account",),
        )
        paused = GaugeMetricFamily(
            "oauth_mailer_outbox_account_paused",
            "1 where the messages of an account wait for a person, and why.",
            labels=("account", "reason"),
        )
        last = GaugeMetricFamily(
            "oauth_mailer_outbox_last_sent_timestamp_seconds",
            "When any worker last sent a message, in seconds since 1970.",
            labels=(),
        )
        up.add_metric((), float(now is not None))
        if now is not None:
            for state, count in now.entries.items():
                entries.add_metric((str(state),), count)
            for account, age in now.late.items():
                late.add_metric((account,), age)
            for account, reason in now.paused.items():
                paused.add_metric((account, reason), float(bool(reason)))
            if now.last_sent is not None:
                last.add_metric((), now.last_sent)
        return (up, entries, late, paused, last)
