"""Rollouts: how many stacks stand where, which may be woken, and what people accepted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update

from reconciler.core.rollouts import CANARY, Accepted, Part, RolloutId, RolloutProgress
from reconciler.store import rows
from reconciler.store.bases import ReadingBase, WritingBase
from reconciler.store.selecting import POSTGRES, among_stacks, bind_stacks
from reconciler.store.tables import rollouts, stacks
from spaces.names import Revision, SpaceName, StackId

WAITING_PARTS = (Part.WAITING.value, CANARY + Part.WAITING.value)
_WAITING_ROLLOUTS = select(stacks.c.rollout).where(stacks.c.rollout_part.in_(WAITING_PARTS)).distinct()
"""Made once: each pass asks."""


class RolloutReading(ReadingBase):
    """The questions about rollouts, for a `Reading`."""

    def waiting_rollouts(self) -> list[RolloutId]:
        """Return the rollouts in which stacks wait for others."""
        return sorted(map(_read, self._connection.execute(_WAITING_ROLLOUTS).scalars()), key=str)

    def rollout_progress(self, rollout: RolloutId) -> RolloutProgress:
        """Return how many stacks of a rollout stand where, and what people accepted."""
        query = select(stacks.c.rollout_part, func.count()).where(stacks.c.rollout == str(rollout))
        every: Counter[Part] = Counter()
        canaries: Counter[Part] = Counter()
        for text, count in self._connection.execute(query.group_by(stacks.c.rollout_part)):
            part = Part(text.removeprefix(CANARY))
            every[part] += count
            if text.startswith(CANARY):
                canaries[part] += count
        found = select(rollouts.c.failures, rollouts.c.canaries).where(rollouts.c.id == str(rollout))
        row = self._connection.execute(found).one_or_none()
        return RolloutProgress(every, canaries, Accepted(row.failures, row.canaries) if row is not None else Accepted())

    def in_rollout(self, rollout: RolloutId, parts: Collection[Part], limit: int, *, canaries: bool) -> list[StackId]:
        """Return stacks of a rollout that stand there, by name; `canaries`: those that go first, or the others."""
        names = [(CANARY if canaries else "") + part.value for part in parts]
        query = select(stacks.c.space, stacks.c.name)
        query = query.where(stacks.c.rollout == str(rollout), stacks.c.rollout_part.in_(names))
        found = self._connection.execute(query.order_by(stacks.c.space, stacks.c.name).limit(limit))
        return [StackId(SpaceName(space), name) for space, name in found]


class RolloutWriting(RolloutReading, WritingBase):
    """The changes of rollouts, for a `Transaction`."""

    def one_at_a_time(self, rollout: RolloutId) -> None:
        """Let no other transaction decide about a rollout until the end of this one."""
        if self._dialect == POSTGRES:
            self._connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(rollout), 0))))

    def wake(self, wanted: Collection[StackId], now: datetime) -> None:
        """Make these stacks due now."""
        if wanted:
            theirs = among_stacks(self._dialect, stacks.c.id)
            statement = update(stacks).where(theirs).values(due_at=rows.micros(now))
            self._connection.execute(statement, bind_stacks(self._dialect, wanted))

    def accept(self, rollout: RolloutId, accepted: Accepted) -> None:
        """Note what people accept of a rollout, in place of what was noted before."""
        values: dict[str, Any] = {"failures": accepted.failures, "canaries": accepted.canaries}
        statement = self._insert(rollouts)
        statement = statement.on_conflict_do_update(index_elements=["id"], set_=values)
        self._connection.execute(statement, {"id": str(rollout), **values})


def _read(text: str) -> RolloutId:
    space, _, revision = text.partition("@")
    return RolloutId(SpaceName(space), Revision(revision))
