"""Worker pools: what they are, and how many runs they have."""

from __future__ import annotations

from datetime import datetime

from reconciler.web.api.schemas.shapes import Shape


class DrainedJson(Shape):
    """Who drained a pool, and when."""

    person: str
    at: datetime


class WorkerJson(Shape):
    """A worker of a pool: how many runs it has, how many it does at once, and whether it asks for more.

    `gone`: it has not been heard of for a while. `tools` are those that it found on its machine, each with its
    versions, and null until it has looked. `version` is empty until it has asked for work.
    """

    name: str
    active: int
    places: int
    idle: bool
    gone: bool
    version: str
    tools: dict[str, list[str]] | None
    heard_at: datetime


class PoolJson(Shape):
    """A worker pool. `id` is `space/name`, or `default` for the service's own machine, which is in the space `root`.

    `labels` are those of its document. `tools` are those that its machines have, as its document says, and null where
    it does not. `max_parallel` and `drift_parallel` are null where only the engine's places limit them. `active` are
    the runs at work; `checks` are the drift checks, queued or at work. `drained` is null while the pool starts runs.
    `workers` are those that this service hears of, for a pool whose workers are on other machines.
    """

    id: str
    space: str
    name: str
    labels: dict[str, str]
    engine: str
    tools: list[str] | None
    max_parallel: int | None
    drift_parallel: int | None
    queued: int
    active: int
    checks: int
    drained: DrainedJson | None
    workers: list[WorkerJson]
