"""The dependencies between stacks, in SQL.

Mixins of `SqlReading` and `SqlTransaction`; `reconciler.store.protocol` describes the methods.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Select

from reconciler.core.state import StackState
from reconciler.store import dependency_statements as about
from reconciler.store import rows, statements, tables
from reconciler.store.bases import ReadingBase, WritingBase
from reconciler.store.selecting import POSTGRES, bind_stacks
from reconciler.store.texts import canonical, load
from spaces.names import SpaceName, StackId


class DependencyReading(ReadingBase):
    """The queries about dependencies, for a `Reading`."""

    _edges_were: bool | None = None
    """Whether there were any; None: nobody has asked in this transaction."""

    def parents(self, wanted: Collection[StackId]) -> dict[StackId, tuple[StackId, ...]]:
        if not wanted or not self._had_edges():
            return {}
        return self._edges(about.above(self._dialect), wanted, lower_first=True)

    def children(self, wanted: Collection[StackId]) -> dict[StackId, tuple[StackId, ...]]:
        if not wanted or not self._had_edges():
            return {}
        return self._edges(about.children(self._dialect), wanted, lower_first=False)

    def peek(self, wanted: Collection[StackId]) -> dict[StackId, StackState]:
        if not wanted:
            return {}
        query = statements.those_stacks(self._dialect, lock=False)
        states = map(rows.stack_from_row, self._connection.execute(query, bind_stacks(self._dialect, wanted)))
        return {state.id: state for state in states}

    def output_marks(self, wanted: Collection[StackId]) -> dict[StackId, dict[str, str]]:
        if not wanted:
            return {}
        marks: dict[StackId, dict[str, str]] = {}
        for row in self._connection.execute(about.outputs(self._dialect), bind_stacks(self._dialect, wanted)):
            stack = StackId(SpaceName(row.space), row.stack_name)
            # An output that was recorded before marks existed gets the mark that it would get now.
            marks.setdefault(stack, {})[row.name] = row.mark or self._mark(row)
        return marks

    def _has_edges(self) -> bool:
        """Whether any stack depends on another.

        Most installations have no dependencies, and the answer spares them a query.
        """
        return self._connection.execute(statements.ANY_DEPENDENCY).first() is not None

    def _had_edges(self) -> bool:
        """Whether any stack depended on another when that was first asked in this transaction."""
        if self._edges_were is None:
            self._edges_were = self._has_edges()
        return self._edges_were

    def _mark(self, row: Any) -> str:
        sealed, name = row.sealed, row.name
        text = row.value if sealed is None else self._keys.open(sealed, "outputs", row.stack_id, name).decode()
        return self._keys.mark(canonical(load(text)))

    def _edges(
        self, query: Select[Any], wanted: Collection[StackId], *, lower_first: bool
    ) -> dict[StackId, tuple[StackId, ...]]:
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
        known = self._edges(about.parents(self._dialect), parents, lower_first=True)
        differing = {child: {*above} for child, above in parents.items() if {*above} != {*known.get(child, ())}}
        if not differing:
            return
        keys = self._keys_of({*differing, *(parent for above in differing.values() for parent in above)})
        self._connection.execute(about.forget_parents(self._dialect), bind_stacks(self._dialect, differing))
        values = [
            {"child_id": keys[child], "parent_id": keys[parent]}
            for child, above in sorted(differing.items())
            for parent in sorted(above)
        ]
        self._edges_were = None
        if values:
            self._connection.execute(tables.dependencies.insert(), values)

    def wake_dependents(self, wanted: Collection[StackId], now: datetime) -> None:
        if not wanted or not self._has_edges():
            return
        values = {**bind_stacks(self._dialect, wanted), "now": rows.micros(now)}
        if self._dialect == POSTGRES:
            self._connection.execute(about.sleeping_below(self._dialect), values).all()
        self._connection.execute(about.wake_below(self._dialect), values)

    def wake_parents(self, wanted: Collection[StackId], now: datetime) -> None:
        if not wanted or not self._has_edges():
            return
        moment = rows.micros(now)
        values = {**bind_stacks(self._dialect, wanted), "now": moment}
        sleeping = self._connection.execute(about.sleeping_parents(self._dialect), values).scalars()
        if woken := [{"key": key, "now": moment} for key in sleeping]:
            self._connection.execute(about.WAKE, woken)
