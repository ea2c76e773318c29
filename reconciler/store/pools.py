"""The worker pools that people drained, and how many runs each pool has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, func, select

from reconciler.store import rows
from reconciler.store.bases import ReadingBase, WritingBase
from reconciler.store.selecting import AT_WORK_STATUSES, CHECK_KIND
from reconciler.store.tables import drained, runs
from spaces.model.pool import DEFAULT_POOL

_QUEUED = "queued"
_COUNTS = (
    select(runs.c.pool, runs.c.status, runs.c.kind, func.count())
    .where(runs.c.status.in_((_QUEUED, *AT_WORK_STATUSES)))
    .group_by(runs.c.pool, runs.c.status, runs.c.kind)
)


class Drained(NamedTuple):
    """Who drained a pool, and when."""

    person: str
    at: datetime


class PoolRuns(NamedTuple):
    """How many runs a pool has. `checks` are its drift checks, queued or at work."""

    queued: int = 0
    at_work: int = 0
    checks: int = 0


class PoolReading(ReadingBase):
    """The questions about worker pools, for a `Reading`."""

    def drained_pools(self) -> dict[str, Drained]:
        """Return the pools that are to start nothing."""
        found = self._connection.execute(select(drained))
        return {row.pool: Drained(row.person, rows.instant(row.at)) for row in found}

    def count_by_pool(self) -> dict[str, PoolRuns]:
        """Return how many runs are queued and at work, for each pool that has any."""
        counts: dict[str, PoolRuns] = {}
        for name, status, kind, count in self._connection.execute(_COUNTS):
            pool = name or DEFAULT_POOL
            queued, at_work, checks = counts.get(pool, PoolRuns())
            if status == _QUEUED:
                queued += count
            else:
                at_work += count
            counts[pool] = PoolRuns(queued, at_work, checks + count * (kind == CHECK_KIND))
        return counts


class PoolWriting(PoolReading, WritingBase):
    """The changes of worker pools, for a `Transaction`."""

    def drain_pool(self, pool: str, by: Drained) -> bool:
        """Stop a pool from starting runs; False: somebody has drained it already."""
        values: Mapping[str, object] = {"pool": pool, "person": by.person, "at": rows.micros(by.at)}
        statement = self._insert(drained).values(values).on_conflict_do_nothing().returning(drained.c.pool)
        return self._connection.execute(statement).first() is not None

    def resume_pool(self, pool: str) -> bool:
        """Let a pool start runs again; False: nobody had drained it."""
        return bool(self._connection.execute(delete(drained).where(drained.c.pool == pool)).rowcount)
