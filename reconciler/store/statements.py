"""The statements of every pass, put together once: to do that takes several times as long as to execute them."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from reconciler.store import tables
from reconciler.store.selecting import ACTIVE_STATUSES, POSTGRES, locked, select_runs, these
from reconciler.store.tables import runs, stacks

REMEMBERED = stacks.c.body.is_not(None)

CONFIGURATION = select(tables.configuration.c.body)
CONFIGURATION_LOCKED = locked(CONFIGURATION)
PUT_CONFIGURATION = update(tables.configuration)
"""Its value is `body`."""

DUE_STACKS = (
    select(stacks)
    .where(stacks.c.due_at <= bindparam("now"))
    .order_by(stacks.c.due_at, stacks.c.id)
    .limit(bindparam("most"))
)
NEXT_DUE = select(func.min(stacks.c.due_at))

ANY_DEPENDENCY = select(tables.dependencies.c.child_id).limit(1)

HELD_CHANGES = select(tables.held_changes.c.body)
FORGET_HELD_CHANGES = delete(tables.held_changes)
APPROVALS = select(tables.approvals).order_by(tables.approvals.c.at, tables.approvals.c.held)

ANY_NOTICE = select(tables.outbox.c.id).where(tables.outbox.c.due_at <= bindparam("now")).limit(1)

AUDIT_HEAD = select(tables.audit_head).with_for_update()
ADD_AUDIT = tables.audit.insert()
MOVE_AUDIT_HEAD = update(tables.audit_head)
"""Its values are `number` and `hash`."""


def insert(dialect: str, table: Any) -> Any:
    """Give an INSERT that knows ON CONFLICT, which both databases have, each under its own name."""
    return postgresql.insert(table) if dialect == POSTGRES else sqlite.insert(table)


@cache
def those_stacks(dialect: str, *, lock: bool) -> Select[Any]:
    """Find all that is remembered of the stacks that `named` gives."""
    query = select(stacks).where(REMEMBERED, these(dialect, stacks.c.id)).order_by(stacks.c.space, stacks.c.name)
    return locked(query) if lock else query


@cache
def keys_of_stacks(dialect: str) -> Select[Any]:
    """Find the keys of the stacks that `named` gives."""
    return select(stacks.c.id, stacks.c.space, stacks.c.name).where(these(dialect, stacks.c.id))


@cache
def active_runs(dialect: str | None) -> Select[Any]:
    """Find the runs on their way, oldest first, of the stacks that `named` gives; None: of all stacks."""
    query = select_runs().where(runs.c.status.in_(ACTIVE_STATUSES)).order_by(runs.c.id)
    return query if dialect is None else query.where(these(dialect, runs.c.stack_id))


@cache
def put_stacks(dialect: str) -> Any:
    """Insert or replace stacks, each with all that `rows.stack_to_row` gives."""
    statement = insert(dialect, stacks)
    named_by = {"id", "space", "name"}
    changed = {each.name: statement.excluded[each.name] for each in stacks.c if each.name not in named_by}
    return statement.on_conflict_do_update(index_elements=["space", "name"], set_=changed)


@cache
def add_runs(dialect: str) -> Any:
    """Insert runs, but none whose stack has one on its way that writes; gives the ids inserted."""
    return insert(dialect, runs).on_conflict_do_nothing().returning(runs.c.id)


@cache
def add_to_outbox(dialect: str) -> Any:
    """Insert notices, but none that is there already."""
    return insert(dialect, tables.outbox).on_conflict_do_nothing()
