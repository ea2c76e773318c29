"""The statements about dependencies, built once for each database: building one takes longer than executing it.

All of them are about the stacks bound by `bind_stacks`; those that compare times take `now`, in microseconds.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import CTE, Select, Update, and_, bindparam, delete, exists, or_, select, update

from reconciler.core.state import Sync
from reconciler.store import tables
from reconciler.store.selecting import ACTIVE_STATUSES, POSTGRES, among_stacks
from reconciler.store.tables import runs, stacks

_EDGES = tables.dependencies
_NOW: Any = bindparam("now")


@cache
def above(dialect: str) -> Select[Any]:
    """Return the query for the edges from the stacks up to all their ancestors, as child and parent."""
    return _named(_edges_above(dialect))


@cache
def children(dialect: str) -> Select[Any]:
    """Return the query for the edges from the stacks down to their children, as child and parent."""
    return _named(select(_EDGES).where(among_stacks(dialect, _EDGES.c.parent_id)).cte("down"))


@cache
def parents(dialect: str) -> Select[Any]:
    """Return the query for the edges from the stacks up to their parents, as child and parent."""
    return _named(select(_EDGES).where(among_stacks(dialect, _EDGES.c.child_id)).cte("known"))


@cache
def forget_parents(dialect: str) -> Any:
    """Return the statement that deletes the edges from the stacks up to their parents."""
    return delete(_EDGES).where(among_stacks(dialect, _EDGES.c.child_id))


@cache
def outputs(dialect: str) -> Select[Any]:
    """Return the query for the outputs of the stacks."""
    table = tables.outputs
    names = (stacks.c.space, stacks.c.name.label("stack_name"))
    return select(*names, table).join_from(table, stacks).where(among_stacks(dialect, table.c.stack_id))


@cache
def sleeping_below(dialect: str) -> Select[Any]:
    """Return the query that locks what `wake_below` is about to change.

    Always in the same order, so that two services that write the same stacks do not deadlock.
    """
    query = select(stacks.c.id).where(_sleeping_below(dialect)).order_by(stacks.c.space, stacks.c.name)
    return query.with_for_update(key_share=True)


@cache
def wake_below(dialect: str) -> Update:
    """Return the statement that makes due what depends on the stacks, and differs or runs."""
    return update(stacks).where(_sleeping_below(dialect)).values(due_at=_NOW)


@cache
def sleeping_parents(dialect: str) -> Select[Any]:
    """Return the query for the keys of the parents that are due later than now."""
    up = select(_EDGES.c.parent_id).where(among_stacks(dialect, _EDGES.c.child_id))
    query = select(stacks.c.id).where(stacks.c.id.in_(up), stacks.c.due_at > _NOW)
    # Others lock from above to below. Whoever holds one of these now looks at it anyway, or again in a minute.
    return query.with_for_update(skip_locked=True, key_share=True) if dialect == POSTGRES else query


WAKE = update(stacks).where(stacks.c.id == bindparam("key")).values(due_at=_NOW)
"""Makes the stack with the key `key` due."""


def _edges_above(dialect: str) -> CTE:
    up = select(_EDGES).where(among_stacks(dialect, _EDGES.c.child_id)).cte("up", recursive=True)
    return up.union(select(_EDGES).join(up, _EDGES.c.child_id == up.c.parent_id))


def _named(edges: CTE) -> Select[Any]:
    child, parent = stacks.alias("child"), stacks.alias("parent")
    return (
        select(child.c.space, child.c.name, parent.c.space, parent.c.name)
        .join_from(edges, child, child.c.id == edges.c.child_id)
        .join(parent, parent.c.id == edges.c.parent_id)
    )


def _sleeping_below(dialect: str) -> Any:
    down = select(_EDGES.c.child_id).where(among_stacks(dialect, _EDGES.c.parent_id))
    below = down.cte("below", recursive=True)
    below = below.union(select(_EDGES.c.child_id).join(below, _EDGES.c.parent_id == below.c.child_id))
    sleeping = or_(stacks.c.due_at.is_(None), stacks.c.due_at > _NOW)
    running = exists().where(runs.c.stack_id == stacks.c.id, runs.c.status.in_(ACTIVE_STATUSES))
    # What drifted may wait to be put right.
    concerned = or_(stacks.c.sync == Sync.OUT_OF_SYNC.value, stacks.c.drifted > 0, running)
    return and_(stacks.c.id.in_(select(below.c.child_id)), concerned, sleeping)
