"""The WorkerPool: where the runs of the stacks that name it are started, and how many of them at the same time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from spaces.model.base import Number, Problem, SpecModel, not_empty
from spaces.model.kubernetes_pool import KubernetesPool, overlay_problems
from spaces.model.tools import ToolName

DEFAULT_POOL = "default"
"""The pool of stacks that name none: the service's own machine. No document can have this name."""

MOST_PARALLEL = 10_000


class EngineName(StrEnum):
    """What starts the runs of a pool."""

    LOCAL = "local"
    """The service, on its own machine."""
    PULL = "pull"
    """Workers elsewhere, which ask the service for work."""
    KUBERNETES = "kubernetes"
    """A Job of Kubernetes for each leg."""
    CELERY = "celery"
    """Workers elsewhere, which Celery brings messages about work."""


WITH_WORKERS = frozenset({EngineName.PULL, EngineName.CELERY})
"""The engines whose runs are done by `station worker`."""


class WorkerPoolSpec(SpecModel):
    """Where runs are started, and how many at the same time."""

    engine: EngineName = Field(
        description="What starts the runs. local: the service, on its own machine. pull: workers on other machines, "
        "which ask for work. kubernetes: Jobs of a cluster. celery: workers on other machines, which Celery brings "
        "messages about work."
    )
    max_parallel: Number | None = Field(
        None,
        ge=1,
        le=MOST_PARALLEL,
        description="How many runs of the pool may be at work at the same time, of all services together. Default: "
        "as many as its engine has places for; 20 on Kubernetes.",
    )
    drift_parallel: Number | None = Field(
        None,
        ge=1,
        le=MOST_PARALLEL,
        description="How many of them may be drift checks. Default: as the setting drift_parallelism says.",
    )
    tools: Annotated[tuple[ToolName, ...], AfterValidator(not_empty)] | None = Field(
        None,
        description="The tools that its machines have. Stacks of other tools cannot name the pool. Default: whatever "
        "is installed there.",
    )

    kubernetes: KubernetesPool | None = Field(None, description="Where the pods of the engine kubernetes run, and how.")

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield limits that contradict each other."""
        most, checks = raw.get("maxParallel"), raw.get("driftParallel")
        if isinstance(most, int) and isinstance(checks, int) and checks > most:
            summary = f"spec.driftParallel is {checks}, and spec.maxParallel only {most}"
            yield Problem(("driftParallel",), "invalid-value", summary, "drift checks are runs of the pool, too")
        own, engine = raw.get("kubernetes"), raw.get("engine")
        if engine == EngineName.KUBERNETES and "kubernetes" not in raw:
            yield Problem(
                (), "missing-key", "spec.kubernetes is missing", "it says where the pods run, and their image"
            )
        if "kubernetes" in raw and engine != EngineName.KUBERNETES:
            yield Problem(
                ("kubernetes",), "invalid-value", "spec.kubernetes is only for engine: kubernetes", at_key=True
            )
        if isinstance(own, Mapping):
            yield from overlay_problems(own.get("overlay"), ("kubernetes", "overlay"))
