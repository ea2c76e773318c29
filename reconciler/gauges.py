"""The gauges that are read from the store at every scrape, and how they become metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from reconciler.exposition import Table, escaped

NAMESPACE = "stationkeeper_"
"""How the name of every metric begins."""


class StackGauge(NamedTuple):
    """The values of one stack; `ready` is True, False or Unknown."""

    space: str
    stack: str
    tool: str
    sync: str
    ready: str
    resources: int | None
    applied_at: float | None
    """When it was applied last, in seconds since 1970."""
    drifted: int | None = None
    """How many of its resources differ from what was applied; None: nobody has looked."""


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
    waiting_since: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    """Since when the run of a stack (space, name) waits for a person."""
    queue_depth: Mapping[str, int] = field(default_factory=dict)
    """Queued runs by pool."""
    held: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Held changes by (space, kind)."""
    held_since: datetime | None = None
    """Since when the change that is held longest is held; None: nothing is held."""
    halted: Mapping[str, bool] = field(default_factory=dict)
    """Whether admission is halted, by reason."""
    paused: Mapping[str, int] = field(default_factory=dict)
    """How many rollouts wait for a person, by the space that says how they go out."""


class GaugesOfStore(Collector):
    """Reads the gauges at every scrape; None: there are none to show here now."""

    def __init__(self, gauges: Callable[[], Gauges | None]) -> None:
        self._gauges = gauges

    def describe(self) -> Iterator[Metric]:
        """Return the metrics without reading the store."""
        return iter(families(Gauges()))

    def collect(self) -> Iterator[Metric]:
        """Return the metrics with their values from the store."""
        gauges = self._gauges()
        return iter(()) if gauges is None else iter(families(gauges))


def families(gauges: Gauges) -> list[Metric]:
    """Return the metrics of a snapshot."""
    return [*_of_configuration(gauges), *_of_runs(gauges), *_of_stacks(gauges)]


def _of_configuration(gauges: Gauges) -> list[GaugeMetricFamily]:
    config = _family("config_revision_info", "The revision in force.", ["branch", "revision"])
    if gauges.revision is not None:
        config.add_metric([gauges.branch or "", gauges.revision], 1)
    documents = _family("config_documents", "Documents in force.", ["kind"])
    for kind, count in sorted(gauges.documents.items()):
        documents.add_metric([kind], count)
    diagnostics = _family("config_diagnostics", "Errors and warnings in the newest revision.", ["severity"])
    for severity in ("error", "warning"):
        diagnostics.add_metric([severity], gauges.diagnostics.get(severity, 0))
    halted = _family("halted", "1 while admission is halted for this reason, else 0.", ["reason"])
    for reason, is_halted in sorted(gauges.halted.items()):
        halted.add_metric([reason], is_halted)
    held = _family("held_changes", "Held changes.", ["space", "kind"])
    for (space, kind), count in sorted(gauges.held.items()):
        held.add_metric([space, kind], count)
    since = _family(
        "held_since_timestamp_seconds", "Since when the oldest held change is held; absent if nothing is held.", []
    )
    if gauges.held_since is not None:
        since.add_metric([], gauges.held_since.timestamp())
    return [config, documents, diagnostics, halted, held, since]


def _of_runs(gauges: Gauges) -> list[GaugeMetricFamily]:
    active = _family("runs_active", "Active runs.", ["kind", "status"])
    for (kind, status), count in sorted(gauges.runs_active.items()):
        active.add_metric([kind, status], count)
    depth = _family("run_queue_depth", "Queued runs.", ["pool"])
    for pool, count in sorted(gauges.queue_depth.items()):
        depth.add_metric([pool], count)
    waiting = _family(
        "runs_waiting_since_timestamp_seconds",
        "Since when a run waits for an approval or a confirmation; absent if none waits.",
        ["space", "stack"],
    )
    for (space, stack), since in sorted(gauges.waiting_since.items()):
        waiting.add_metric([space, stack], since.timestamp())
    paused = _family(
        "rollouts_paused",
        "Rollouts that wait for a person; absent where no stack waits in one.",
        ["space"],
    )
    for space, count in sorted(gauges.paused.items()):
        paused.add_metric([space], count)
    return [active, depth, waiting, paused]


def _of_stacks(gauges: Gauges) -> list[Metric]:
    place = ("space", "stack")
    info = Table(NAMESPACE + "stack_info", "Every stack in force.", (*place, "tool", "sync", "ready"))
    counts = Table(NAMESPACE + "stacks", "Stacks in force.", ("space", "tool", "sync"))
    resources = Table(NAMESPACE + "stack_resources", "Resources of a stack.", place)
    drifted = Table(
        NAMESPACE + "stack_drifted_resources",
        "Resources of a stack that differ from what was applied; absent until a check.",
        place,
    )
    applied = Table(NAMESPACE + "stack_last_applied_timestamp_seconds", "Time of a stack's last apply.", place)
    by_sync: Counter[tuple[str, str, str]] = Counter()
    for stack in gauges.stacks:
        labels = place_of(stack.space, stack.stack)
        # Words of the service's own: nothing in them is escaped.
        info.put(f'ready="{stack.ready}",{labels},sync="{stack.sync}",tool="{stack.tool}"', 1)
        by_sync[stack.space, stack.tool, stack.sync] += 1
        if stack.resources is not None:
            resources.put(labels, stack.resources)
        if stack.drifted is not None:
            drifted.put(labels, stack.drifted)
        if stack.applied_at is not None:
            applied.put(labels, stack.applied_at)
    for key, count in sorted(by_sync.items()):
        counts.add(key, count)
    return [info, counts, resources, drifted, applied]


def place_of(space: str, stack: str) -> str:
    """Return the labels that say which stack a value is of, as they stand between the braces."""
    return f'space="{escaped(space)}",stack="{escaped(stack)}"'


def _family(name: str, text: str, labels: list[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(NAMESPACE + name, text, labels=labels)
