"""How far revisions got, counted in SQL: one revision may have made thousands of stacks run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import FromClause, Row, Select, case, func, select

from reconciler.core.runs import ACTIVE, RunId, RunStatus
from reconciler.store import rows
from reconciler.store.bases import ReadingBase
from reconciler.store.selecting import POSTGRES, among
from reconciler.store.stored import RevisionProgress, RunFilter
from reconciler.store.tables import runs, stacks
from spaces.names import Revision

_Row = Row[Any, Any, Any, Any, Any, Any]
_BAD = frozenset({RunStatus.FAILED, RunStatus.INTERRUPTED})


class RevisionReading(ReadingBase):
    """The questions about revisions, for a `Reading`."""

    def list_revisions(self, wanted: RunFilter, before: str | None, limit: int) -> list[RevisionProgress]:
        """Return one page, newest first, of the revisions whose newest run is older than the run `before`."""
        newer, stacks_of = runs.alias("newer"), self._stacks_of(wanted)
        same = _of_kinds(select(newer.c.id), newer, wanted)
        same = same.where(newer.c.revision == runs.c.revision, newer.c.id > runs.c.id).correlate(runs)
        query = _of_kinds(select(runs.c.revision), runs, wanted).where(runs.c.revision.is_not(None))
        if stacks_of is not None:
            same = same.where(newer.c.stack_id.in_(stacks_of))
            theirs = runs.alias("theirs")
            # By their ids, SQLite goes through these runs from the newest on, and no further than the page reaches.
            by_id = runs.c.id.in_(select(theirs.c.id).where(theirs.c.stack_id.in_(stacks_of)))
            query = query.where(runs.c.stack_id.in_(stacks_of) if self._dialect == POSTGRES else by_id)
        query = query.where(~same.exists())
        if before is not None:
            query = query.where(runs.c.id < before)
        found = [it.revision for it in self._connection.execute(query.order_by(runs.c.id.desc()).limit(limit))]
        return self._progress(found, wanted) if found else []

    def _progress(self, revisions: list[str], wanted: RunFilter) -> list[RevisionProgress]:
        place = func.row_number().over(partition_by=(runs.c.revision, runs.c.stack_id), order_by=runs.c.id.desc())
        columns = (runs.c.revision, runs.c.id, runs.c.status, runs.c.finished_at, place.label("place"))
        found, stacks_of = _of_kinds(select(*columns), runs, wanted), self._stacks_of(wanted)
        if stacks_of is not None:
            # Not the bare column: SQLite would go through all runs of these stacks, not through those of the revisions.
            stack = runs.c.stack_id if self._dialect == POSTGRES else func.coalesce(runs.c.stack_id, 0)
            found = found.where(stack.in_(stacks_of))
        each = found.where(runs.c.revision.in_(revisions)).subquery()
        last = each.c.place == 1
        query = select(
            each.c.revision,
            each.c.status,
            func.sum(case((last, 1), else_=0)).label("number"),
            func.min(each.c.id).label("oldest"),
            func.max(case((last, each.c.id))).label("newest"),
            func.max(case((last, each.c.finished_at))).label("ended"),
        ).group_by(each.c.revision, each.c.status)
        by_revision: dict[str, list[_Row]] = {revision: [] for revision in revisions}
        for row in self._connection.execute(query):
            by_revision[row.revision].append(row)
        return [_progress(revision, found) for revision, found in by_revision.items()]

    def _stacks_of(self, wanted: RunFilter) -> Select[Any] | None:
        """Return the query for the keys of the stacks in the wanted spaces; None: all are wanted."""
        if wanted.spaces is None:
            return None
        return select(stacks.c.id).where(among(self._connection, stacks.c.space, wanted.spaces))


def _of_kinds(query: Select[Any], table: FromClause, wanted: RunFilter) -> Select[Any]:
    return query if wanted.kinds is None else query.where(table.c.kind.in_(sorted(wanted.kinds)))


def _progress(revision: str, found: list[_Row]) -> RevisionProgress:
    counted = {RunStatus(row.status): row for row in found if row.number}
    bad = _newest(row for status, row in counted.items() if status in _BAD)
    open_ = _newest(row for status, row in counted.items() if status in ACTIVE)
    newest = _newest(counted.values()) or ""
    ends = [row.ended for row in counted.values() if row.ended is not None]
    return RevisionProgress(
        revision=Revision(revision),
        stacks={status: row.number for status, row in counted.items()},
        oldest=RunId(min(row.oldest for row in found)),
        newest=RunId(newest),
        standing=RunId(bad or open_ or newest),
        ended_at=rows.from_micros(max(ends)) if ends and open_ is None else None,
    )


def _newest(found: Iterable[_Row]) -> str | None:
    return max((row.newest for row in found), default=None)
