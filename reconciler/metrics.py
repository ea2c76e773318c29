"""Every metric, declared once. Each service has its own `Metrics`; nothing is global.

The loop, the web server and the policies report events, which counters and histograms record. Gauges are read at scrape
time from a `Gauges` snapshot of the store, so every service on one database shows the same values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from reconciler.version import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_PREFIX = "stationkeeper_"
_FETCH_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_RUN_BUCKETS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600, 1800, 3600, 10800)
_WAIT_BUCKETS = (0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200, 28800)
_PASS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 5, 15, 60)
_MERGE_BUCKETS = (1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600, 14400, 86400)


class StackGauge(NamedTuple):
    """The values of one stack; `ready` is True, False or Unknown."""

    space: str
    stack: str
    tool: str
    sync: str
    ready: str
    resources: int | None
    applied_at: datetime | None
    drifted: int | None = None


@dataclass(frozen=True, slots=True)
class Gauges:
    """The values of all gauges, read at once."""

    branch: str | None = None
    revision: str | None = None
    documents: Mapping[str, int] = field(default_factory=dict)
    """Documents in force by kind."""
    diagnostics: Mapping[str, int] = field(default_factory=dict)
    """Diagnostics by severity."""
    stacks: tuple[StackGauge, ...] = ()
    runs_active: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Active runs by (kind, status)."""
    queue_depth: Mapping[str, int] = field(default_factory=dict)
    """Queued runs by pool."""
    held: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Held changes by (space, kind)."""
    halted: bool = False
    """Whether admission is halted."""


class Metrics:
    """The metrics of one service."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        build = Gauge(_PREFIX + "build_info", "The running version.", ["version"], registry=registry)
        build.labels(__version__).set(1)
        self._fetch_seconds = Histogram(
            _PREFIX + "git_fetch_duration_seconds",
            "Duration of a fetch.",
            ["repository"],
            buckets=_FETCH_BUCKETS,
            registry=registry,
        )
        self._fetch_failures = Counter(
            _PREFIX + "git_fetch_failures_total", "Failed fetches.", ["repository"], registry=registry
        )
        self._fetch_success = Gauge(
            _PREFIX + "git_last_fetch_success_timestamp_seconds",
            "Time of the last successful fetch.",
            ["repository"],
            registry=registry,
        )
        self._runs = Counter(
            _PREFIX + "runs_total",
            "Ended runs, by status.",
            ["space", "stack", "kind", "status"],
            registry=registry,
        )
        self._run_seconds = Histogram(
            _PREFIX + "run_duration_seconds",
            "Duration of a phase of a run.",
            ["kind", "phase"],
            buckets=_RUN_BUCKETS,
            registry=registry,
        )
        self._queue_wait = Histogram(
            _PREFIX + "run_queue_wait_seconds",
            "Time from queued to claimed.",
            ["pool"],
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )
        self._merge_to_applied = Histogram(
            _PREFIX + "merge_to_applied_seconds",
            "Time from a commit to its successful apply, per stack.",
            buckets=_MERGE_BUCKETS,
            registry=registry,
        )
        self._decisions = Counter(
            _PREFIX + "access_decisions_total",
            "Decisions about access.",
            ["action", "allowed"],
            registry=registry,
        )
        self._policies = Counter(
            _PREFIX + "policy_decisions_total",
            "Results of policies, and policies that could not be evaluated.",
            ["type", "result"],
            registry=registry,
        )
        self._passes = Counter(
            _PREFIX + "reconcile_total", "Reconciliations, by result.", ["result"], registry=registry
        )
        self._pass_seconds = Histogram(
            _PREFIX + "reconcile_duration_seconds",
            "Duration of a reconciliation.",
            buckets=_PASS_BUCKETS,
            registry=registry,
        )
        self._pass_success = Gauge(
            _PREFIX + "reconcile_last_success_timestamp_seconds",
            "Time of the last successful reconciliation.",
            registry=registry,
        )

    def policy_decided(self, kind: str, result: str) -> None:
        """Count the result of a policy: a `Result` of `core.verdicts`, or `error`."""
        self._policies.labels(kind, result).inc()

    def access_decided(self, action: str, *, allowed: bool) -> None:
        """Count an answer about whether somebody may do something."""
        self._decisions.labels(action, str(allowed).lower()).inc()

    def show(self, gauges: Callable[[], Gauges | None]) -> None:
        """Read the gauges from this function at every scrape; if it returns None, they are left out."""
        self.registry.register(_StoreCollector(gauges))

    def fetched(self, repository: str, seconds: float, now: datetime) -> None:
        """Count a successful fetch."""
        self._fetch_seconds.labels(repository).observe(seconds)
        self._fetch_failures.labels(repository).inc(0)
        self._fetch_success.labels(repository).set(now.timestamp())

    def fetch_failed(self, repository: str, seconds: float) -> None:
        """Count a failed fetch."""
        self._fetch_seconds.labels(repository).observe(seconds)
        self._fetch_failures.labels(repository).inc()

    def run_claimed(self, waited: float, pool: str = "default") -> None:
        """Record that a run was claimed after `waited` seconds in the queue."""
        self._queue_wait.labels(pool).observe(max(0.0, waited))

    def phase_ended(self, kind: str, phase: str, seconds: float) -> None:
        """Record the seconds that a phase of a run took, successful or not."""
        self._run_seconds.labels(kind, phase).observe(max(0.0, seconds))

    def run_ended(self, space: str, stack: str, kind: str, status: str) -> None:
        """Count a run that reached a final status."""
        self._runs.labels(space, stack, kind, status).inc()

    def applied(self, since_merge: float) -> None:
        """Record the seconds from a commit to its apply."""
        self._merge_to_applied.observe(max(0.0, since_merge))

    def pass_ended(self, result: str, seconds: float, now: datetime) -> None:
        """Count a pass of the loop; `result` is `success` or `failure`."""
        self._passes.labels(result).inc()
        self._pass_seconds.observe(seconds)
        if result == "success":
            self._pass_success.set(now.timestamp())

    def expose(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _StoreCollector(Collector):
    def __init__(self, gauges: Callable[[], Gauges | None]) -> None:
        self._gauges = gauges

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Return the metrics without reading the store."""
        return iter(_families(Gauges()))

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the metrics with their values from the store; none while it cannot be read."""
        gauges = self._gauges()
        return iter(()) if gauges is None else iter(_families(gauges))


def _families(gauges: Gauges) -> list[GaugeMetricFamily]:
    config = _family("config_revision_info", "The revision in force.", ["branch", "revision"])
    if gauges.revision is not None:
        config.add_metric([gauges.branch or "", gauges.revision], 1)
    documents = _family("config_documents", "Documents in force.", ["kind"])
    for kind, count in sorted(gauges.documents.items()):
        documents.add_metric([kind], count)
    diagnostics = _family("config_diagnostics", "Errors and warnings in the newest revision.", ["severity"])
    for severity in ("error", "warning"):
        diagnostics.add_metric([severity], gauges.diagnostics.get(severity, 0))
    halted = _family("config_halted", "1 while admission is halted, else 0.", [])
    halted.add_metric([], gauges.halted)
    active = _family("runs_active", "Active runs.", ["kind", "status"])
    for (kind, status), count in sorted(gauges.runs_active.items()):
        active.add_metric([kind, status], count)
    depth = _family("run_queue_depth", "Queued runs.", ["pool"])
    for pool, count in sorted(gauges.queue_depth.items()):
        depth.add_metric([pool], count)
    held = _family("held_changes", "Held changes.", ["space", "kind"])
    for (space, kind), count in sorted(gauges.held.items()):
        held.add_metric([space, kind], count)
    return [config, documents, diagnostics, halted, active, depth, held, *_stack_families(gauges)]


def _stack_families(gauges: Gauges) -> list[GaugeMetricFamily]:
    info = _family("stack_info", "Every stack in force.", ["space", "stack", "tool", "sync", "ready"])
    counts = _family("stacks", "Stacks in force.", ["space", "tool", "sync"])
    resources = _family("stack_resources", "Resources of a stack.", ["space", "stack"])
    drifted = _family(
        "stack_drifted_resources", "Resources of a stack that differ from what was applied.", ["space", "stack"]
    )
    applied = _family("stack_last_applied_timestamp_seconds", "Time of a stack's last apply.", ["space", "stack"])
    by_sync: dict[tuple[str, str, str], int] = {}
    for stack in gauges.stacks:
        info.add_metric([stack.space, stack.stack, stack.tool, stack.sync, stack.ready], 1)
        key = (stack.space, stack.tool, stack.sync)
        by_sync[key] = by_sync.get(key, 0) + 1
        if stack.resources is not None:
            resources.add_metric([stack.space, stack.stack], stack.resources)
        if stack.drifted is not None:
            drifted.add_metric([stack.space, stack.stack], stack.drifted)
        if stack.applied_at is not None:
            applied.add_metric([stack.space, stack.stack], stack.applied_at.timestamp())
    for labels, count in sorted(by_sync.items()):
        counts.add_metric(list(labels), count)
    return [info, counts, resources, drifted, applied]


def _family(name: str, text: str, labels: list[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, text, labels=labels)
