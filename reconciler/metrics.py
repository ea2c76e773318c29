"""Every metric of what happens in a service, declared once. Each service has its own `Metrics`; nothing is global.

The loop, the web server and the policies report events, which counters and histograms record. What the store knows is
read at every scrape (`reconciler.gauges`). A counter begins at 0, before anything happens, so that its first increase
is one: `expect_decisions`, `expect_verdicts`, `follow` and `show` say what can happen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from reconciler import exposition
from reconciler.gauges import NAMESPACE, Gauges, GaugesOfStore
from reconciler.run_counts import RunsEnded
from reconciler.version import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SUCCESS, FAILURE, HALTED = "success", "failure", "halted"
"""The results of a reconciliation."""

_FETCH_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_RUN_BUCKETS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600, 1800, 3600, 10800)
_WAIT_BUCKETS = (0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200, 28800)
_PASS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 5, 15, 60)
_MERGE_BUCKETS = (1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600, 14400, 86400)

disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The metrics of one service."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        build = Gauge(NAMESPACE + "build_info", "The running version.", ["version"], registry=registry)
        build.labels(__version__).set(1)
        self._fetch_seconds = Histogram(
            NAMESPACE + "git_fetch_duration_seconds",
            "Duration of a fetch.",
            ["repository"],
            buckets=_FETCH_BUCKETS,
            registry=registry,
        )
        self._fetch_failures = Counter(
            NAMESPACE + "git_fetch_failures_total", "Failed fetches.", ["repository"], registry=registry
        )
        self._fetch_success = Gauge(
            NAMESPACE + "git_last_fetch_success_timestamp_seconds",
            "Time of the last successful fetch; 0: none yet. Of several branches, the one that is longest ago.",
            ["repository"],
            registry=registry,
        )
        self._runs = RunsEnded()
        registry.register(self._runs)
        self._run_seconds = Histogram(
            NAMESPACE + "run_duration_seconds",
            "Duration of a phase of a run.",
            ["kind", "phase"],
            buckets=_RUN_BUCKETS,
            registry=registry,
        )
        self._queue_wait = Histogram(
            NAMESPACE + "run_queue_wait_seconds",
            "Time from queued to claimed.",
            ["pool"],
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )
        self._queue_wait.labels("default")
        self._merge_to_applied = Histogram(
            NAMESPACE + "merge_to_applied_seconds",
            "Time from a commit of the configuration or a source to its successful apply, per stack.",
            buckets=_MERGE_BUCKETS,
            registry=registry,
        )
        self._decisions = Counter(
            NAMESPACE + "access_decisions_total",
            "Decisions about access.",
            ["action", "allowed"],
            registry=registry,
        )
        self._policies = Counter(
            NAMESPACE + "policy_decisions_total",
            "Results of policies, and policies that could not be evaluated.",
            ["type", "result"],
            registry=registry,
        )
        self._notifications = Counter(
            NAMESPACE + "notifications_total",
            "Attempts of notifiers to send something: sent, retried (failed, tried again later), or failed (given up).",
            ["type", "result"],
            registry=registry,
        )
        self._passes = Counter(
            NAMESPACE + "reconcile_total", "Reconciliations, by result.", ["result"], registry=registry
        )
        for result in (SUCCESS, FAILURE, HALTED):
            self._passes.labels(result)
        self._pass_seconds = Histogram(
            NAMESPACE + "reconcile_duration_seconds",
            "Duration of a reconciliation.",
            buckets=_PASS_BUCKETS,
            registry=registry,
        )
        self._pass_success = Gauge(
            NAMESPACE + "reconcile_last_success_timestamp_seconds",
            "Time of the last successful reconciliation; 0: none yet.",
            registry=registry,
        )
        self._followed: set[str] = set()
        self._leader = Gauge(
            NAMESPACE + "leader", "1 where this service follows the configuration, else 0.", registry=registry
        )
        self._workers = Workers()
        registry.register(self._workers)

    def expect_decisions(self, actions: Iterable[str]) -> None:
        """Count decisions about these actions from 0."""
        for action in actions:
            for allowed in ("true", "false"):
                self._decisions.labels(action, allowed)

    def expect_verdicts(self, results: Mapping[str, Iterable[str]]) -> None:
        """Count these results of each type of policy from 0."""
        for kind, possible in results.items():
            for result in possible:
                self._policies.labels(kind, result)

    def policy_decided(self, kind: str, result: str) -> None:
        """Count the result of a policy: a `Result` of `core.verdicts`, or `error`."""
        self._policies.labels(kind, result).inc()

    def expect_notifications(self, kinds: Iterable[str], results: Iterable[str]) -> None:
        """Count from 0 what notifiers may send."""
        for kind, result in product(kinds, results):
            self._notifications.labels(kind, result)

    def notified(self, kind: str, result: str) -> None:
        """Count an attempt of a notifier: sent, retried or failed."""
        self._notifications.labels(kind, result).inc()

    def access_decided(self, action: str, *, allowed: bool) -> None:
        """Count an answer about whether somebody may do something."""
        self._decisions.labels(action, str(allowed).lower()).inc()

    def show(
        self, gauges: Callable[[], Gauges | None], stacks: Callable[[], Iterable[tuple[str, str]]] = tuple
    ) -> None:
        """Read the gauges from this function at every scrape; if it returns None, they are left out.

        `stacks` are those in force, as (space, name): their runs are counted from 0.
        """
        self._runs.stacks = stacks
        self.registry.register(GaugesOfStore(gauges))

    def show_leader(self, leads: Callable[[], bool]) -> None:
        """Read from this function whether this service follows the configuration."""
        self._leader.set_function(leads)

    def show_workers(self, workers: Callable[[], Mapping[tuple[str, str], int]]) -> None:
        """Read from this function how many workers of this service there are, by (pool, state)."""
        self._workers.read = workers

    def follow(self, repositories: Iterable[str]) -> None:
        """Say which repositories are fetched. They are counted from 0; of all others nothing is told any more."""
        wanted = set(repositories)
        for metric in (self._fetch_seconds, self._fetch_failures, self._fetch_success):
            for name in wanted - self._followed:
                metric.labels(name)
            for name in self._followed - wanted:
                metric.remove(name)
        self._followed = wanted

    def fetched(self, repository: str, seconds: float, since: datetime | None) -> None:
        """Count a successful fetch. `since`: no branch of the repository was fetched longer ago; None: one never."""
        self._fetch_seconds.labels(repository).observe(seconds)
        if since is not None:
            self._fetch_success.labels(repository).set(since.timestamp())

    def fetch_failed(self, repository: str, seconds: float) -> None:
        """Count a failed fetch."""
        self._fetch_seconds.labels(repository).observe(seconds)
        self._fetch_failures.labels(repository).inc()

    def run_claimed(self, waited: float, pool: str) -> None:
        """Record that a run was claimed after `waited` seconds in the queue."""
        self._queue_wait.labels(pool).observe(max(0.0, waited))

    def phase_ended(self, kind: str, phase: str, seconds: float) -> None:
        """Record the seconds that a phase of a run took, successful or not."""
        self._run_seconds.labels(kind, phase).observe(max(0.0, seconds))

    def run_ended(self, space: str, stack: str, kind: str, status: str) -> None:
        """Count a run that reached a final status."""
        self._runs.add(space, stack, kind, status)

    def applied(self, since_merge: float) -> None:
        """Record the seconds from a commit to its apply."""
        self._merge_to_applied.observe(max(0.0, since_merge))

    def pass_ended(self, result: str, seconds: float, now: datetime) -> None:
        """Count a pass of the loop; `result` is `success`, `failure` or `halted`."""
        self._passes.labels(result).inc()
        self._pass_seconds.observe(seconds)
        if result == SUCCESS:
            self._pass_success.set(now.timestamp())

    def expose(self) -> Iterator[bytes]:
        """Return all metrics in Prometheus' text format, piece by piece."""
        return exposition.expose(self.registry)


class Workers(Collector):
    """The workers of this service."""

    labels = ("pool", "state")

    def __init__(self) -> None:
        self.read: Callable[[], Mapping[tuple[str, str], int]] = dict

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Return the metric without a value."""
        yield GaugeMetricFamily(
            NAMESPACE + "workers", "Runs that this service can work on at once: busy and idle.", labels=self.labels
        )

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the metric with its present values."""
        for family in self.describe():
            for labels, count in sorted(self.read().items()):
                family.add_metric(labels, count)
            yield family
