"""The dependencies between stacks, in SQL.

Mixins of `SqlReading` and `SqlTransaction`; `reconciler.store.protocol` describes the methods.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, bindparam, delete, exists, or_, select, update

from reconciler.core.state import StackState, Sync
from reconciler.store import rows, statements, tables
from reconciler.store.bases import ReadingBase, WritingBase
from reconciler.store.selecting import ACTIVE_STATUSES, POSTGRES, among_stacks, bind_stacks
from reconciler.store.tables import runs, stacks
from reconciler.store.texts import canonical, load
from spaces.names import SpaceName, StackId

_EDGES = tables.dependencies


class DependencyReading(ReadingBase):
    """The queries about dependencies, for a `Reading`."""

    def parents(self, wanted: Collection[StackId]) -> dict[StackId, tuple[StackId, ...]]:
        if not wanted or not self._has_edges():
            return {}
        up = select(_EDGES).where(among_stacks(self._dialect, _EDGES.c.child_id)).cte("up", recursive=True)
        up = up.union(select(_EDGES).join(up, _EDGES.c.child_id == up.c.parent_id))
        return self._edges(up, wanted, lower_first=True)

    def children(self, wanted: Collection[StackId]) -> dict[StackId, tuple[StackId, ...]]:
        if not wanted or not self._has_edges():
            return {}
        down = select(_EDGES).where(among_stacks(self._dialect, _EDGES.c.parent_id)).cte("down")
        return self._edges(down, wanted, lower_first=False)

    def peek(self, wanted: Collection[StackId]) -> dict[StackId, StackState]:
        if not wanted:
            return {}
        query = statements.those_stacks(self._dialect, lock=False)
        states = map(rows.stack_from_row, self._connection.execute(query, bind_stacks(self._dialect, wanted)))
        return {state.id: state for state in states}

    def output_marks(self, wanted: Collection[StackId]) -> dict[StackId, dict[str, str]]:
        if not wanted:
            return {}
        table = tables.outputs
        names = (stacks.c.space, stacks.c.name.label("stack_name"))
        query = select(*names, table).join_from(table, stacks).where(among_stacks(self._dialect, table.c.stack_id))
        marks: dict[StackId, dict[str, str]] = {}
        for row in self._connection.execute(query, bind_stacks(self._dialect, wanted)):
            stack = StackId(SpaceName(row.space), row.stack_name)
            # An output that was recorded before marks existed gets the mark that it would get now.
            marks.setdefault(stack, {})[row.name] = row.mark or self._mark(row)
        return marks

    def _has_edges(self) -> bool:
        """Whether any stack depends on another.

        Most installations have no dependencies, and the answer spares them a query.
        """
        return self._connection.execute(statements.ANY_DEPENDENCY).first() is not None

    def _mark(self, row: Any) -> str:
        sealed, name = row.sealed, row.name
        text = row.value if sealed is None else self._keys.open(sealed, "outputs", row.stack_id, name).decode()
        return self._keys.mark(canonical(load(text)))

    def _edges(
        self, edges: Any, wanted: Collection[StackId], *, lower_first: bool
    ) -> dict[StackId, tuple[StackId, ...]]:
        child, parent = stacks.alias("child"), stacks.alias("parent")
        query: Select[Any] = (
            select(child.c.space, child.c.name, parent.c.space, parent.c.name)
            .join_from(edges, child, child.c.id == edges.c.child_id)
            .join(parent, parent.c.id == edges.c.parent_id)
        )
        related: dict[StackId, list[StackId]] = {}
        for one, name, other, other_name in self._connection.execute(query, bind_stacks(self._dialect, wanted)):
            below, above = StackId(SpaceName(one), name), StackId(SpaceName(other), other_name)
            stack, other_stack = (below, above) if lower_first else (above, below)
            related.setdefault(stack, []).append(other_stack)
        # Sorted here: with ORDER BY, SQLite would walk all stacks in order to find these few.
        return {stack: tuple(sorted(others)) for stack, others in related.items()}


class DependencyWriting(DependencyReading, WritingBase):
    """The changes of dependencies, for a `Transaction`."""

    def put_dependencies(self, parents: Mapping[StackId, Collection[StackId]]) -> None:
        if not any(parents.values()) and not self._has_edges():
            return
        known = self._find_edges(parents)
        differing = {child: set(above) for child, above in parents.items() if set(above) != known.get(child, set())}
        if not differing:
            return
        keys = self._keys_of({*differing, *(parent for above in differing.values() for parent in above)})
        old = delete(_EDGES).where(among_stacks(self._dialect, _EDGES.c.child_id))
        self._connection.execute(old, bind_stacks(self._dialect, differing))
        values = [
            {"child_id": keys[child], "parent_id": keys[parent]}
            for child, above in sorted(differing.items())
            for parent in sorted(above)
        ]
        if values:
            self._connection.execute(_EDGES.insert(), values)

    def wake_dependents(self, wanted: Collection[StackId], now: datetime) -> None:
        if not wanted or not self._has_edges():
            return
        down = select(_EDGES.c.child_id).where(among_stacks(self._dialect, _EDGES.c.parent_id))
        below = down.cte("below", recursive=True)
        below = below.union(select(_EDGES.c.child_id).join(below, _EDGES.c.parent_id == below.c.child_id))
        sleeping = or_(stacks.c.due_at.is_(None), stacks.c.due_at > rows.micros(now))
        running = exists().where(runs.c.stack_id == stacks.c.id, runs.c.status.in_(ACTIVE_STATUSES))
        # What drifted may wait to be put right.
        concerned = or_(stacks.c.sync == Sync.OUT_OF_SYNC.value, stacks.c.drifted > 0, running)
        waiting = and_(stacks.c.id.in_(select(below.c.child_id)), concerned, sleeping)
        values = bind_stacks(self._dialect, wanted)
        if self._dialect == POSTGRES:
            # Always in the same order, so that two services that write the same stacks do not deadlock.
            query = select(stacks.c.id).where(waiting).order_by(stacks.c.space, stacks.c.name)
            self._connection.execute(query.with_for_update(key_share=True), values).all()
        self._connection.execute(update(stacks).where(waiting).values(due_at=rows.micros(now)), values)

    def wake_parents(self, wanted: Collection[StackId], now: datetime) -> None:
        if not wanted or not self._has_edges():
            return
        above = select(_EDGES.c.parent_id).where(among_stacks(self._dialect, _EDGES.c.child_id))
        query = select(stacks.c.id).where(stacks.c.id.in_(above), stacks.c.due_at > rows.micros(now))
        if self._dialect == POSTGRES:
            # Others lock from above to below. Whoever holds one of these now looks at it anyway, or again in a minute.
            query = query.with_for_update(skip_locked=True, key_share=True)
        woken = [
            {"above": key} for key in self._connection.execute(query, bind_stacks(self._dialect, wanted)).scalars()
        ]
        if woken:
            due_now = update(stacks).where(stacks.c.id == bindparam("above")).values(due_at=rows.micros(now))
            self._connection.execute(due_now, woken)

    def _find_edges(self, wanted: Collection[StackId]) -> dict[StackId, set[StackId]]:
        edges = select(_EDGES).where(among_stacks(self._dialect, _EDGES.c.child_id)).cte("known")
        return {child: set(above) for child, above in self._edges(edges, wanted, lower_first=True).items()}
