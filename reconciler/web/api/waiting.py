"""Why a queued run has not started yet: in words, for the queue and for its stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from reconciler.core.runs import Run, RunId, RunStatus
from reconciler.store.pools import PoolRuns
from reconciler.store.queries import Reading
from reconciler.web.ports import Ports
from spaces.effective.pools import pools
from spaces.model.pool import WITH_WORKERS, EngineName


@dataclass(frozen=True, slots=True)
class Waiting:
    """What keeps queued runs waiting at this moment."""

    first: Mapping[RunId, RunId]
    """The run that each of some runs is behind."""
    closed: Mapping[str, str]
    """The pools of which nothing starts, each with the words for why."""
    free: frozenset[str]
    """The pools that have a free place, or need none, as far as this service knows."""

    @classmethod
    def of(cls, ports: Ports, reading: Reading, runs: Sequence[Run]) -> Self:
        """Find what keeps some runs waiting."""
        queued = [run.id for run in runs if run.status is RunStatus.QUEUED]
        places = ports.workers()
        taken = {pool for (pool, state), count in places.items() if state == "idle" and not count}
        free = frozenset(pool for pool, _ in places if pool not in taken)
        return cls(reading.in_the_way(queued), _closed(ports, reading), free)

    def why(self, run: Run) -> str | None:
        """Return why a run has not started yet; None for one that has, or does not wait for a place."""
        if run.status is not RunStatus.QUEUED:
            return None
        if run.cancel_requested:
            return "it is being canceled"
        if run.id in self.first:
            return f"run {self.first[run.id]} of the same stack goes first"
        if run.pool in self.closed:
            return f"its worker pool {run.pool} {self.closed[run.pool]}"
        return "it starts as soon as the service looks" if run.pool in self.free else "it waits for a free place"


def _closed(ports: Ports, reading: Reading) -> dict[str, str]:
    drained, counts, found = reading.drained_pools(), reading.count_by_pool(), pools(ports.documents())
    limits = {name: spec.max_parallel for name, spec in found.items() if spec.max_parallel is not None}
    full = {name for name, most in limits.items() if counts.get(name, PoolRuns()).at_work >= most}
    alone, carried, trouble = set[str](), set[str](), None
    if ports.runner is not None:
        served = ports.runner.engine.served()
        alone = {name for name, spec in found.items() if spec.engine in WITH_WORKERS and name not in served}
        trouble = ports.runner.unreachable()
        carried = {name for name, spec in found.items() if spec.engine is EngineName.CELERY} if trouble else set()
    return {
        **dict.fromkeys(carried, f"gets no messages: {trouble}"),
        **dict.fromkeys(alone, "has no worker"),
        **dict.fromkeys(full, "is full"),
        **dict.fromkeys(drained, "is drained"),
    }
