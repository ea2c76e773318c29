"""What is old enough to be forgotten: runs with all that was recorded of them, and versions of tfstates."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, tuple_

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
        """Forget all versions of each tfstate, of each unit, but the newest `keep`; return how many there were."""
        columns = tfstates.c
        place = func.row_number().over(partition_by=(columns.stack_id, columns.unit), order_by=columns.version.desc())
        placed = select(columns.stack_id, columns.version, place.label("place")).subquery()
        old = select(placed.c.stack_id, placed.c.version).where(placed.c.place > keep)
        forgotten = delete(tfstates).where(tuple_(columns.stack_id, columns.version).in_(old))
        return self._connection.execute(forgotten).rowcount
