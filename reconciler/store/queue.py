"""The queue: hands free places to queued runs, in the order of `core.queue`.

However many runs are queued, a claim looks only at the first of each line, and at the runs that it takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    literal,
    literal_column,
    or_,
    select,
    update,
)

from reconciler.core.queue import PoolLimits, QueueLine, WorkLoad, next_line, party_of
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
from spaces.model.pool import DEFAULT_POOL
from spaces.names import StackId

_CLAIM_LOCK = 0x73746174696F6E02
_RANK = 2
"""How many characters of a line's name are its rank."""
NO_LIMITS: Mapping[str, PoolLimits] = {}


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

    def claim(
        self, holder: str, now: datetime, lease: timedelta, limit: int, pools: Mapping[str, PoolLimits] = NO_LIMITS
    ) -> list[Run]:
        """Claim up to `limit` queued runs for `holder`, as `Transaction.claim` says."""
        if self._dialect == POSTGRES:
            # Without the lock, two claims could each take a run of the same stack without seeing the other's.
            self._connection.execute(select(func.pg_advisory_xact_lock(_CLAIM_LOCK)))
        taken = list(self._take_turns(limit, pools))
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

    def put_pools(self, pools: Mapping[StackId, str]) -> None:
        """Let the queued runs of these stacks stand in the lines of these pools."""
        for stack, pool in sorted(pools.items()):
            values = {
                "pool": rows.column_of(pool),
                "line": func.substr(runs.c.line, 1, _RANK) + party_of(stack.space, pool),
            }
            self._connection.execute(update(runs).where(_queued_of(stack)).values(values))

    def _move_in_line(self, stack: StackId) -> None:
        """Let the queued runs of a stack that moved stand in the lines of its space."""
        line = func.substr(runs.c.line, 1, _RANK) + stack.space + func.coalesce(literal(":") + runs.c.pool, "")
        self._connection.execute(update(runs).where(_queued_of(stack)).values(line=line))

    def _take_turns(self, places: int, pools: Mapping[str, PoolLimits]) -> Iterator[str]:
        """Yield the ids of the runs that get the free places."""
        lines = {line.name: line for line in self._lines()}
        work = WorkLoad()
        for space, pool, kind, count in self._connection.execute(_AT_WORK) if lines else ():
            work.add(party_of(space, pool or DEFAULT_POOL), is_check=kind == CHECK_KIND, count=count)
        newest = max((line.turn for line in lines.values()), default=0)
        last: dict[str, str] = {}
        served: dict[str, int] = {}
        left = {name: limits.places for name, limits in pools.items() if limits.places is not None}
        while (line := next_line(lines.values(), work.by_party)) is not None:
            full = line.pool in pools and not work.has_room(line, pools[line.pool])
            if full or left.get(line.pool, places) <= 0:
                del lines[line.name]
                continue
            values = {"line": line.name, "after": last.get(line.name, "")}
            run = self._connection.execute(_first_of_line(self._dialect), values).scalar()
            if run is None:
                del lines[line.name]
                continue
            newest += 1
            if line.pool in left:
                left[line.pool] -= 1
            else:
                places -= 1
            work.add(line.party, is_check=line.checks)
            last[line.name], served[line.party] = run, newest
            lines |= {each.name: replace(each, turn=newest) for each in lines.values() if each.party == line.party}
            yield run
        if served:
            values_of_turns = [{"space": party, "turn": turn} for party, turn in sorted(served.items())]
            self._connection.execute(_put_turns(self._dialect), values_of_turns)

    def _lines(self) -> Iterator[QueueLine]:
        for name, head, turn in self._connection.execute(_LINES):
            yield QueueLine.named(name, head, turn)


def _lines() -> Select[Any]:
    """Return the query for the lines, the oldest run of each, and the last turn of its party.

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
    select(stacks.c.space, runs.c.pool, runs.c.kind, func.count())
    .join(runs, runs.c.stack_id == stacks.c.id)
    .where(runs.c.status.in_(AT_WORK_STATUSES))
    .group_by(stacks.c.space, runs.c.pool, runs.c.kind)
)


def _queued_of(stack: StackId) -> ColumnElement[bool]:
    mine = select(stacks.c.id).where(is_stack(stack)).scalar_subquery()
    return and_(runs.c.stack_id == mine, runs.c.line.is_not(None))


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
