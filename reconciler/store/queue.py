"""The queue: hands free places to queued runs, in the order of `core.queue`.

However many runs are queued, a claim looks only at the first of each line, and at the runs that it takes.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Select,
    Text,
    and_,
    bindparam,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    true,
    update,
)

from reconciler.core.queue import PLACE_AT_WORK, PLACE_QUEUED, PoolLimits, QueueLine, Turns, WorkLoad, party_of
from reconciler.core.runs import Run, RunId
from reconciler.store import rows, statements
from reconciler.store.bases import ReadingBase, WritingBase
from reconciler.store.selecting import (
    ACTIVE_STATUSES,
    AT_WORK_STATUSES,
    CHECK_KIND,
    LEADING_KINDS,
    LOOKING_KINDS,
    POSTGRES,
    PROPOSED_KIND,
    among,
    bind_ids,
    is_stack,
    select_runs,
)
from reconciler.store.tables import ACTIVE_WRITING, runs, stacks, turns
from spaces.model.pool import DEFAULT_POOL
from spaces.names import SpaceName, StackId

_CLAIM_LOCK = 0x73746174696F6E02
_RANK = 2
"""How many characters of a line's name are its rank."""
NO_LIMITS: Mapping[str, PoolLimits] = {}


class ActiveCount(NamedTuple):
    """How many runs of a space, pool, kind and status there are."""

    space: SpaceName
    pool: str
    kind: str
    status: str
    runs: int


class QueueReading(ReadingBase):
    """What is queued, and what keeps it waiting, for a `Reading`."""

    def count_active(self) -> list[ActiveCount]:
        """Count the runs that have not ended."""
        return [
            ActiveCount(SpaceName(space), pool or DEFAULT_POOL, kind, status, count)
            for space, pool, kind, status, count in self._connection.execute(_ACTIVE)
        ]

    def queue(self, spaces: Collection[SpaceName] | None, behind: str, limit: int) -> list[Run]:
        """Return one page of the runs at work and those that are queued."""
        found: list[Run] = []
        at_work, queued = runs.c.status.in_(AT_WORK_STATUSES), runs.c.line.is_not(None)
        for these, place in ((at_work, PLACE_AT_WORK + runs.c.id), (queued, _QUEUED_PLACE)):
            query = select_runs().where(these, place > behind).order_by(place).limit(limit - len(found))
            if spaces is not None:
                query = query.where(among(self._connection, stacks.c.space, spaces))
            found += [rows.run_from_row(row) for row in self._connection.execute(query)]
        return found

    def in_the_way(self, of: Collection[RunId]) -> dict[RunId, RunId]:
        """Return those of some queued runs that cannot start yet, each with the run of its stack that goes first."""
        other = runs.alias("other")
        query = select(runs.c.id, func.min(other.c.id)).join(other, _in_the_way(other))
        query = query.where(among(self._connection, runs.c.id, of), runs.c.line.is_not(None)).group_by(runs.c.id)
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
        theirs = bind_ids(self._dialect, taken)
        claimed = {"by": holder, "now": rows.micros(now), "until": rows.micros(now + lease)}
        self._connection.execute(statements.claim_runs(self._dialect), theirs | claimed)
        query = statements.those_runs(self._dialect, lock=False)
        return [rows.run_from_row(row) for row in self._connection.execute(query, theirs)]

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
        lines = list(self._lines())
        work = WorkLoad()
        for space, pool, kind, count in self._connection.execute(_AT_WORK) if lines else ():
            work.add(party_of(space, pool or DEFAULT_POOL), is_check=kind == CHECK_KIND, count=count)
        turns = Turns(lines, work.by_party)
        ready = _Ready(self._connection)
        served: dict[str, int] = {}
        left = {name: limits.places for name, limits in pools.items() if limits.places is not None}
        while (line := turns.next()) is not None:
            full = line.pool in pools and not work.has_room(line, pools[line.pool])
            free = left.get(line.pool, places)
            run = None if full or free <= 0 else ready.take(line, turns, free)
            if run is None:
                turns.close()
                continue
            if line.pool in left:
                left[line.pool] -= 1
            else:
                places -= 1
            work.add(line.party, is_check=line.checks)
            served[line.party] = turns.served(line)
            yield run
        if served:
            values_of_turns = [{"space": party, "turn": turn} for party, turn in sorted(served.items())]
            self._connection.execute(_put_turns(self._dialect), values_of_turns)

    def _lines(self) -> Iterator[QueueLine]:
        for name, head, turn in self._connection.execute(_LINES):
            yield QueueLine.named(name, head, turn)


class _Ready:
    """The first runs of lines that may start, asked for many lines at once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._found: dict[str, deque[str]] = {}
        self._last: dict[str, str] = {}
        self._empty: set[str] = set()

    def take(self, line: QueueLine, turns: Turns, free: int) -> str | None:
        """Return the next run of a line; None: there is none. `free`: how many places there still are."""
        if not self._found.get(line.name) and line.name not in self._empty:
            self._ask([line.name, *(each.name for each in turns.first(free))], free)
        found = self._found.get(line.name)
        return found.popleft() if found else None

    def _ask(self, names: Sequence[str], free: int) -> None:
        """Ask for the first runs of lines, as many as are likely to get a place, so that few are locked in vain."""
        wanted = {it: self._last.get(it, "") for it in names if not self._found.get(it) and it not in self._empty}
        most = -(-free // len(wanted))
        count = Counter[str]()
        for name, run in _first_of_lines(self._connection, wanted, most):
            self._found.setdefault(name, deque()).append(run)
            self._last[name] = run
            count[name] += 1
        self._empty.update(name for name in wanted if count[name] < most)


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


_ACTIVE = (
    select(stacks.c.space, runs.c.pool, runs.c.kind, runs.c.status, func.count())
    .join(runs, runs.c.stack_id == stacks.c.id)
    .where(runs.c.status.in_(ACTIVE_STATUSES))
    .group_by(stacks.c.space, runs.c.pool, runs.c.kind, runs.c.status)
)
_QUEUED_PLACE = PLACE_QUEUED + func.substr(runs.c.line, 1, 1) + runs.c.id


def _queued_of(stack: StackId) -> ColumnElement[bool]:
    mine = select(stacks.c.id).where(is_stack(stack)).scalar_subquery()
    return and_(runs.c.stack_id == mine, runs.c.line.is_not(None))


def _first_of_lines(connection: Connection, lines: Mapping[str, str], most: int) -> Iterator[tuple[str, str]]:
    """Yield the oldest runs of lines that may start, each after another run, with the line: `most` of each."""
    if connection.dialect.name == POSTGRES:
        values = {"lines": list(lines), "after": list(lines.values()), "most": most}
        yield from sorted((name, run) for name, run in connection.execute(_FIRST_OF_LINES, values))
        return
    for name, after in lines.items():
        values = {"line": name, "after": after, "most": most}
        yield from ((name, run) for (run,) in connection.execute(_FIRST_OF_LINE, values))


def _first(line: ColumnElement[str], after: ColumnElement[str]) -> Select[Any]:
    query = select(runs.c.id).where(runs.c.line == line, runs.c.id > after, _claimable())
    return query.order_by(runs.c.id).limit(bindparam("most"))


def _first_of_all() -> Select[Any]:
    """Return the query for the oldest runs of the lines that are bound, where the database can be asked about many."""
    names, after = (bindparam(name, type_=ARRAY(Text)) for name in ("lines", "after"))
    wanted = func.unnest(names, after).table_valued("line", "after").render_derived("wanted")
    query = _first(wanted.c.line, wanted.c.after).join(stacks, stacks.c.id == runs.c.stack_id)
    # With its stack, and without waiting: everybody else locks a stack before its run.
    query = query.with_for_update(of=[runs, stacks], skip_locked=True, key_share=True)
    first = query.correlate(wanted).lateral("first")
    return select(wanted.c.line, first.c.id).select_from(wanted.join(first, true()))


@cache
def _put_turns(dialect: str) -> Any:
    statement = statements.insert(dialect, turns)
    return statement.on_conflict_do_update(index_elements=["space"], set_={"turn": statement.excluded.turn})


def _claimable() -> ColumnElement[bool]:
    """Return the condition that a run is queued, wanted, and not blocked by another run of its stack.

    What other runs there are is asked in ways that have one good plan, also where the database has counted nothing yet.
    """
    writing, look, proposal = runs.alias("writing"), runs.alias("look"), runs.alias("proposal")
    looking = select(look.c.stack_id).where(_looks(look)).correlate(None).scalar_subquery()
    coming = select(proposal.c.stack_id).where(_is_coming_proposal(proposal)).correlate(None).scalar_subquery()
    # That the other one is another one makes it a look into the index for each run, never a walk through all of them.
    written = exists().where(writing.c.stack_id == runs.c.stack_id, writing.c.id != runs.c.id, _writes(writing))
    return and_(
        runs.c.status == "queued",
        ~runs.c.cancel_requested,
        ~and_(runs.c.kind.in_(LEADING_KINDS), runs.c.stack_id.in_(looking)),
        ~and_(runs.c.kind.in_(LOOKING_KINDS), written),
        ~and_(runs.c.kind == CHECK_KIND, runs.c.stack_id.in_(coming)),
    )


def _in_the_way(other: Any) -> ColumnElement[bool]:
    """Return the condition that another run of its stack goes before a queued run.

    A stack has one active writing run at most, so none is in the way of another.
    """
    # A plan reads what a writing run would change under its eyes, and holds the lock of a tfstate that others need.
    waits = or_(
        and_(_looks(other), runs.c.kind.in_(LEADING_KINDS)),
        and_(_writes(other), runs.c.kind.in_(LOOKING_KINDS)),
        and_(_is_coming_proposal(other), runs.c.kind == CHECK_KIND),
    )
    return and_(other.c.stack_id == runs.c.stack_id, other.c.id != runs.c.id, waits)


def _looks(other: Any) -> ColumnElement[bool]:
    """Whether a run at work only looks."""
    return and_(other.c.kind.in_(LOOKING_KINDS), other.c.status.in_(AT_WORK_STATUSES))


def _writes(other: Any) -> ColumnElement[bool]:
    """Whether a run is the active writing one of its stack, in the words of the index, and at work or queued."""
    active = text(ACTIVE_WRITING.replace("status", f"{other.name}.status").replace("kind", f"{other.name}.kind"))
    return and_(active, other.c.status != "unconfirmed")


def _is_coming_proposal(other: Any) -> ColumnElement[bool]:
    return and_(other.c.kind == PROPOSED_KIND, other.c.status.in_(_COMING))


_COMING = (*AT_WORK_STATUSES, "queued")
_FIRST_OF_LINE = _first(bindparam("line"), bindparam("after"))
_FIRST_OF_LINES = _first_of_all()
