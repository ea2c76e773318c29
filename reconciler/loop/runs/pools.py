"""What the worker pools in force allow: read by whoever claims runs, and by whoever queues drift checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping

from reconciler.core.queue import PoolLimits
from reconciler.core.runs import Run
from reconciler.loop.desired.world import World
from reconciler.store.queries import Reading
from spaces.effective.pools import pools
from spaces.model.kubernetes_pool import KubernetesPool
from spaces.model.pool import DEFAULT_POOL, WITH_WORKERS, EngineName, WorkerPoolSpec

PODS = 20
"""How many runs of a pool on Kubernetes are at work at the same time where its document does not say."""


def limits_of(
    world: World, reading: Reading, places: Callable[[str], int] = lambda _: 0, closed: Collection[str] = ()
) -> dict[str, PoolLimits]:
    """Return the limits of every pool in force, the service's own machine among them.

    `places` says how many runs the workers of a pool wait for; in pools that are `closed` nothing starts.
    """
    drained = {*reading.drained_pools(), *closed}
    limits = {
        name: PoolLimits(_most(it), it.drift_parallel, name in drained, _places(name, it, places))
        for name, it in _in_force(world).items()
    }
    return {**limits, DEFAULT_POOL: PoolLimits(drained=DEFAULT_POOL in drained)}


def _most(pool: WorkerPoolSpec) -> int | None:
    return pool.max_parallel or (PODS if pool.engine is EngineName.KUBERNETES else None)


def _places(name: str, pool: WorkerPoolSpec, places: Callable[[str], int]) -> int | None:
    match pool.engine:
        case EngineName.PULL | EngineName.CELERY:
            return places(name)
        case EngineName.KUBERNETES:
            return _most(pool)
        case EngineName.LOCAL:
            return None


def _in_force(world: World) -> dict[str, WorkerPoolSpec]:
    return {} if world.in_force is None else pools(world.in_force.documents)


def pools_elsewhere(world: World) -> list[str]:
    """Return the pools whose runs are not at work on the service's own machine."""
    return [name for name, spec in _in_force(world).items() if spec.engine is not EngineName.LOCAL]


def pools_on_kubernetes(world: World) -> dict[str, KubernetesPool]:
    """Return the pools whose legs are Jobs of a cluster."""
    return {name: spec.kubernetes for name, spec in _in_force(world).items() if spec.kubernetes is not None}


def pools_with_workers(world: World) -> list[str]:
    """Return the pools whose runs workers elsewhere start."""
    return [name for name, spec in _in_force(world).items() if spec.engine in WITH_WORKERS]


def pools_with_messages(world: World) -> frozenset[str]:
    """Return the pools whose workers wait for messages."""
    return frozenset(name for name, spec in _in_force(world).items() if spec.engine is EngineName.CELERY)


def is_in_force(world: World, pool: str) -> bool:
    """Whether a pool of that name is in force."""
    return pool == DEFAULT_POOL or pool in _in_force(world)


class CheckRoom:
    """How many more drift checks each pool takes.

    No more are queued: one that cannot start would only keep those of other pools from being queued.
    """

    def __init__(self, limits: Mapping[str, PoolLimits], active: Iterable[Run]) -> None:
        """`active`: the checks that are queued or at work."""
        self._limits, self._counts = limits, Counter(run.pool for run in active)

    @property
    def closed(self) -> set[str]:
        """The pools that take none."""
        return {name for name in self._limits if not self.is_open(name)}

    def is_open(self, pool: str) -> bool:
        """Whether a pool takes one more."""
        limits = self._limits.get(pool, PoolLimits())
        most = limits.most if limits.most_checks is None else limits.most_checks
        return not limits.drained and (most is None or self._counts[pool] < most)

    def take(self, pool: str) -> None:
        """Count one more."""
        self._counts[pool] += 1
