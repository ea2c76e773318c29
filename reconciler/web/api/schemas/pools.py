"""Worker pools: what they are, and how many runs they have."""

from __future__ import annotations

from datetime import datetime

from reconciler.web.api.schemas.shapes import Shape


class DrainedJson(Shape):
    """Who drained a pool, and when."""

    person: str
    at: datetime


class WorkerJson(Shape):
    """A worker of a pool: how many runs it has, and whether it asks for more."""

    name: str
    active: int
    idle: bool


class PoolJson(Shape):
    """A worker pool. `id` is `space/name`, or `default` for the service's own machine, which is in the space `root`.

    `max_parallel` and `drift_parallel` are null where only the engine's places limit them. `active` are the runs at
    work; `checks` are the drift checks, queued or at work. `drained` is null while the pool starts runs. `workers` are
    those that this service hears of, for a pool whose engine is `pull`.
    """

    id: str
    space: str
    name: str
    engine: str
    max_parallel: int | None
    drift_parallel: int | None
    queued: int
    active: int
    checks: int
    drained: DrainedJson | None
    workers: list[WorkerJson]
