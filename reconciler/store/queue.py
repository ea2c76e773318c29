"""The queue: hands free places to queued runs, in the order of `core.queue`.

However many runs are queued, a claim looks only at the first of each line, and at the runs that it takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    or_,
    select,
    update,
)

from reconciler.core.queue import Line, next_line
from reconciler.core.runs import Run, RunId
from reconciler.store import rows, statements
from reconciler.store.bases import ReadingBase, WritingBase
from reconciler.store.selecting import (
    AT_WORK_STATUSES,
    CHECK_KIND,
    LEADING_KINDS,
    POSTGRES,
    PROPOSED_KIND,
    WRITING_KINDS,
    among,
    is_stack,
    select_runs,
)
from reconciler.store.tables import runs, stacks, turns
from spaces.names import SpaceName, StackId

_CLAIM_LOCK = 0x73746174696F6E02
_RANK = 2
"""How many characters of a line's name are its rank."""


class QueueReading(ReadingBase):
    """What keeps queued runs waiting, for a `Reading`."""

    def in_the_way(self) -> dict[RunId, RunId]:
        """Return the queued runs that cannot start yet, each with the run of its stack that goes first."""
        other = runs.alias("other")
        query = select(runs.c.id, func.min(other.c.id)).join(other, _in_the_way(other))
        query = query.where(runs.c.line.is_not(None)).group_by(runs.c.id)
        return {RunId(run): RunId(first) for run, first in self._connection.execute(query)}


class QueueWriting(QueueReading, WritingBase):
    """The claim of queued runs, for a `Transaction`."""

    def claim(self, holder: str, now: datetime, lease: timedelta, limit: int) -> list[Run]:
        """Claim up to `limit` queued runs for `holder`, as `Transaction.claim` says."""
        if self._dialect == POSTGRES:
            # Without the lock, two claims could each take a run of the same stack without seeing the other's.
            self._connection.execute(select(func.pg_advisory_xact_lock(_CLAIM_LOCK)))
        taken = list(self._take_turns(limit))
        if not taken:
            return []
        theirs = among(self._connection, runs.c.id, taken)
        claimed = {
            "status": "planning",
            "attempt": runs.c.attempt + 1,
            "holder": holder,
            "lease_until": rows.micros(now + lease),
            "started_at": func.coalesce(runs.c.started_at, rows.micros(now)),
            "line": None,
        }
        self._connection.execute(update(runs).where(theirs).values(claimed))
        query = select_runs().where(theirs).order_by(runs.c.id)
        return [rows.run_from_row(row) for row in self._connection.execute(query)]

    def _move_in_line(self, stack: StackId) -> None:
        """Let the queued runs of a stack that moved stand in the lines of its space."""
        mine = select(stacks.c.id).where(is_stack(stack)).scalar_subquery()
        line = func.substr(runs.c.line, 1, _RANK) + stack.space
        queued = runs.c.line.is_not(None)
        self._connection.execute(update(runs).where(runs.c.stack_id == mine, queued).values(line=line))

    def _take_turns(self, places: int) -> Iterator[str]:
        """Yield the ids of the runs that get the free places."""
        lines = {line.name: line for line in self._lines()}
        at_work: Counter[SpaceName] = Counter()
        if lines:
            at_work.update({SpaceName(space): count for space, count in self._connection.execute(_AT_WORK)})
        newest = max((line.turn for line in lines.values()), default=0)
        last: dict[str, str] = {}
        served: dict[SpaceName, int] = {}
        while places and (line := next_line(lines.values(), at_work)) is not None:
            values = {"line": line.name, "after": last.get(line.name, "")}
            run = self._connection.execute(_first_of_line(self._dialect), values).scalar()
            if run is None:
                del lines[line.name]
                continue
            newest, places = newest + 1, places - 1
            at_work[line.space] += 1
            last[line.name], served[line.space] = run, newest
            lines |= {each.name: replace(each, turn=newest) for each in lines.values() if each.space == line.space}
            yield run
        if served:
            values_of_turns = [{"space": space, "turn": turn} for space, turn in sorted(served.items())]
            self._connection.execute(_put_turns(self._dialect), values_of_turns)

    def _lines(self) -> Iterator[Line]:
        for name, head, turn in self._connection.execute(_LINES):
            yield Line.named(name, head, turn)


def _lines() -> Select[Any]:
    """Return the query for the lines, the oldest run of each, and the last turn of its space.

    It leaps from line to line in the index, and looks at no other run.
    """
    walk = select(func.min(runs.c.line).label("line")).where(runs.c.line.is_not(None)).cte("walk", recursive=True)
    beyond = select(func.min(runs.c.line)).where(runs.c.line > walk.c.line).correlate(walk).scalar_subquery()
    walk = walk.union_all(select(beyond).where(walk.c.line.is_not(None)))
    head = select(func.min(runs.c.id)).where(runs.c.line == walk.c.line).correlate(walk).scalar_subquery()
    theirs = walk.outerjoin(turns, turns.c.space == func.substr(walk.c.line, _RANK + 1))
    turn = func.coalesce(turns.c.turn, literal_column("0"))
    return select(walk.c.line, head, turn).select_from(theirs).where(walk.c.line.is_not(None))


_LINES = _lines()
_AT_WORK = (
    select(stacks.c.space, func.count())
    .join(runs, runs.c.stack_id == stacks.c.id)
    .where(runs.c.status.in_(AT_WORK_STATUSES))
    .group_by(stacks.c.space)
)


@cache
def _first_of_line(dialect: str) -> Select[Any]:
    """Return the query for the oldest run of a line, after another one, that may start."""
    query = select(runs.c.id).where(runs.c.line == bindparam("line"), runs.c.id > bindparam("after"), _claimable())
    query = query.order_by(runs.c.id).limit(1)
    if dialect != POSTGRES:
        return query
    # With its stack, and without waiting: everybody else locks a stack before its run.
    query = query.join(stacks, stacks.c.id == runs.c.stack_id)
    return query.with_for_update(of=[runs, stacks], skip_locked=True, key_share=True)


@cache
def _put_turns(dialect: str) -> Any:
    statement = statements.insert(dialect, turns)
    return statement.on_conflict_do_update(index_elements=["space"], set_={"turn": statement.excluded.turn})


def _claimable() -> ColumnElement[bool]:
    """Return the condition that a run is queued, wanted, and not blocked by another run of its stack."""
    other = runs.alias("other")
    return and_(runs.c.status == "queued", ~runs.c.cancel_requested, ~exists().where(_in_the_way(other)))


def _in_the_way(other: Any) -> ColumnElement[bool]:
    """Return the condition that another run of its stack goes before a queued run."""
    first = and_(other.c.status == "queued", other.c.id < runs.c.id, ~other.c.cancel_requested)
    writes = and_(other.c.kind.in_(WRITING_KINDS), or_(other.c.status.in_(AT_WORK_STATUSES), first))
    # A plan reads what a writing run would change under its eyes, and holds the lock of a tfstate that others need.
    looks = other.c.kind.in_((CHECK_KIND, PROPOSED_KIND))
    plans = and_(looks, other.c.status.in_(AT_WORK_STATUSES), runs.c.kind.in_(LEADING_KINDS))
    coming = other.c.status.in_((*AT_WORK_STATUSES, "queued"))
    gives_way = or_(
        and_(runs.c.kind == CHECK_KIND, other.c.kind.in_(LEADING_KINDS), coming),
        and_(runs.c.kind == PROPOSED_KIND, other.c.kind.in_(WRITING_KINDS), coming),
    )
    return and_(other.c.stack_id == runs.c.stack_id, other.c.id != runs.c.id, or_(writes, plans, gives_way))
