"""What is old enough to be forgotten: runs with all that was recorded of them, and versions of tfstates."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select

from reconciler.core.runs import RunId
from reconciler.store import rows
from reconciler.store.bases import ReadingBase, WritingBase
from reconciler.store.selecting import ACTIVE_STATUSES
from reconciler.store.tables import judgements, logs, outbox, plans, reviews, runs, stacks, tfstates, tokens
from spaces.names import SpaceName, StackId


class RetentionReading(ReadingBase):
    """The questions about what is old, for a `Reading`."""

    def ended_runs(self, before: datetime, after: str, limit: int) -> list[tuple[RunId, StackId]]:
        """Return one page, oldest first, of the runs that ended before a time and are newer than the run `after`."""
        ended = (runs.c.finished_at < rows.micros(before)) & runs.c.status.not_in(ACTIVE_STATUSES)
        query = select(runs.c.id, stacks.c.space, stacks.c.name).join(stacks).where(ended, runs.c.id > after)
        found = self._connection.execute(query.order_by(runs.c.id).limit(limit))
        return [(RunId(row.id), StackId(SpaceName(row.space), row.name)) for row in found]


class RetentionWriting(WritingBase):
    """The changes of what is kept, for a `Transaction`."""

    def forget_runs(self, wanted: Collection[RunId]) -> None:
        """Forget runs that have ended: their logs, plans, verdicts, reviews, and notices that were not sent."""
        for table in (logs, plans, judgements, reviews, outbox, tokens):
            column: Any = table.c.run_id
            self._connection.execute(delete(table).where(column.in_(wanted)))
        self._connection.execute(delete(runs).where(runs.c.id.in_(wanted), runs.c.status.not_in(ACTIVE_STATUSES)))

    def forget_tfstates(self, keep: int) -> int:
        """Forget all versions of each tfstate but the newest `keep`; return how many there were."""
        newest = select(tfstates.c.stack_id, func.max(tfstates.c.version).label("version"))
        newer = newest.group_by(tfstates.c.stack_id).subquery()
        last = select(newer.c.version).where(newer.c.stack_id == tfstates.c.stack_id).scalar_subquery()
        return self._connection.execute(delete(tfstates).where(tfstates.c.version <= last - keep)).rowcount
