"""The statements of every pass, built once: building one takes several times as long as executing it."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Select,
    Table,
    any_,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from reconciler.core.runs import RunKind, RunStatus
from reconciler.store import access_tables, tables
from reconciler.store.selecting import (
    ACTIVE_STATUSES,
    AT_WORK_STATUSES,
    POSTGRES,
    among_ids,
    among_stacks,
    locked,
    select_runs,
)
from reconciler.store.tables import runs, stacks, tfstate_locks, tfstates, tokens
from spaces.names import StackId

REMEMBERED = stacks.c.body.is_not(None)

CONFIGURATION = select(tables.configuration.c.body)
CONFIGURATION_LOCKED = locked(CONFIGURATION)
PUT_CONFIGURATION = update(tables.configuration)
"""Its bound value is `body`."""

DUE_STACKS = (
    select(stacks)
    .where(stacks.c.due_at <= bindparam("now"))
    .order_by(stacks.c.due_at, stacks.c.id)
    .limit(bindparam("most"))
)
NEXT_DUE = select(func.min(stacks.c.due_at))

ANY_DEPENDENCY = select(tables.dependencies.c.child_id).limit(1)

HELD_CHANGES = select(access_tables.held_changes.c.body)
APPROVALS = select(access_tables.approvals).order_by(access_tables.approvals.c.at, access_tables.approvals.c.held)

ANY_NOTICE = select(tables.outbox.c.id).where(tables.outbox.c.due_at <= bindparam("now")).limit(1)

AUDIT_HEAD = select(tables.audit_head).with_for_update()
ADD_AUDIT = tables.audit.insert()
MOVE_AUDIT_HEAD = update(tables.audit_head)
"""Its bound values are `number` and `hash`."""


def insert(dialect: str, table: Any) -> Any:
    """Return an INSERT that supports ON CONFLICT, which SQLAlchemy offers for each database separately."""
    return postgresql.insert(table) if dialect == POSTGRES else sqlite.insert(table)


@cache
def those_stacks(dialect: str, *, lock: bool) -> Select[Any]:
    """Return the query for everything remembered about the stacks bound by `bind_stacks`."""
    query = select(stacks).where(REMEMBERED, among_stacks(dialect, stacks.c.id)).order_by(stacks.c.space, stacks.c.name)
    return locked(query) if lock else query


@cache
def keys_of_stacks(dialect: str) -> Select[Any]:
    """Return the query for the keys of the stacks bound by `bind_stacks`."""
    return select(stacks.c.id, stacks.c.space, stacks.c.name).where(among_stacks(dialect, stacks.c.id))


@cache
def active_runs(dialect: str | None) -> Select[Any]:
    """Return the query for the active runs, oldest first, of all stacks (None), or of those that are bound.

    They are bound by `bind_stacks`, on PostgreSQL by their keys, as `wanted`.
    """
    query = select_runs().where(runs.c.status.in_(ACTIVE_STATUSES)).order_by(runs.c.id)
    if dialect == POSTGRES:
        return query.where(runs.c.stack_id == any_(bindparam("wanted", type_=ARRAY(BigInteger))))
    return query if dialect is None else query.where(among_stacks(dialect, runs.c.stack_id))


@lru_cache(maxsize=64)
def newest_runs(statuses: frozenset[RunStatus] | None, kinds: frozenset[RunKind] | None) -> Select[Any]:
    """Return the query for `most` runs of these statuses and kinds, newest first; None: of all.

    Made once for each: every pass of the loop asks three of them.
    """
    query = select_runs().order_by(runs.c.id.desc()).limit(bindparam("most"))
    if statuses is not None:
        query = query.where(runs.c.status.in_(sorted(statuses)))
    return query if kinds is None else query.where(runs.c.kind.in_(sorted(kinds)))


@cache
def those_runs(dialect: str, *, lock: bool) -> Select[Any]:
    """Return the query for the runs bound by `bind_ids`, oldest first."""
    query = select_runs().where(among_ids(dialect, runs.c.id)).order_by(runs.c.id)
    return locked(query, runs) if lock else query


@cache
def standings(dialect: str) -> Select[Any]:
    """Return the query for the attempts and statuses of the runs bound by `bind_ids`."""
    return select(runs.c.id, runs.c.attempt, runs.c.status).where(among_ids(dialect, runs.c.id))


@cache
def claim_runs(dialect: str) -> Any:
    """Return the statement by which the holder `by` takes the runs bound by `bind_ids`, `now` and `until` a time."""
    return (
        update(runs)
        .where(among_ids(dialect, runs.c.id))
        .values(
            status=RunStatus.PLANNING.value,
            attempt=runs.c.attempt + 1,
            holder=bindparam("by"),
            lease_until=bindparam("until"),
            started_at=func.coalesce(runs.c.started_at, bindparam("now", type_=BigInteger)),
            line=None,
        )
    )


STACK_KEY = select(stacks.c.id).where(stacks.c.space == bindparam("of_space"), stacks.c.name == bindparam("of_name"))
"""The key of one stack."""


def bind_stack(stack: StackId) -> dict[str, str]:
    """Return the bound values for a statement about one stack."""
    return {"of_space": stack.space, "of_name": stack.name}


def of_stack(table: Table, *columns: ColumnElement[Any]) -> Select[Any]:
    """Return the query for the rows of one stack, `of_space` and `of_name`, in a table that refers to stacks."""
    of = stacks.c.space == bindparam("of_space"), stacks.c.name == bindparam("of_name")
    return select(*(columns or table.c)).join_from(table, stacks, stacks.c.id == table.c.stack_id).where(*of)


OUTPUTS = of_stack(tables.outputs).order_by(tables.outputs.c.position)

NEWEST_TFSTATE = (
    of_stack(tfstates).where(tfstates.c.unit == bindparam("of_unit")).order_by(tfstates.c.version.desc()).limit(1)
)
TFSTATE_VERSION = of_stack(tfstates).where(tfstates.c.version == bindparam("of_version"))
LAST_TFSTATE = select(func.max(tfstates.c.version)).where(tfstates.c.stack_id == bindparam("of_key"))
ADD_TFSTATE = tfstates.insert()

TFSTATE_LOCKS = of_stack(tfstate_locks).order_by(tfstate_locks.c.unit)
_OF_UNIT = tfstate_locks.c.stack_id == bindparam("of_key"), tfstate_locks.c.unit == bindparam("of_unit")
LOCK_OF_UNIT = select(tfstate_locks.c.stack_id).where(*_OF_UNIT)
UNLOCK_UNIT = delete(tfstate_locks).where(*_OF_UNIT)
UNLOCK_BY_ID = UNLOCK_UNIT.where(tfstate_locks.c.lock_id == bindparam("of_lock"))


@cache
def take_tfstate_lock(dialect: str) -> Any:
    """Return the statement that inserts a lock unless its unit has one. It returns a row where it did."""
    return insert(dialect, tfstate_locks).on_conflict_do_nothing().returning(tfstate_locks.c.stack_id)


TOKEN_STACK = (
    select(stacks.c.space, stacks.c.name, tokens.c.run_id)
    .join_from(tokens, stacks)
    .join(runs, runs.c.id == tokens.c.run_id)
    .where(tokens.c.hash == bindparam("of_hash"), runs.c.status.in_([*AT_WORK_STATUSES, "unconfirmed"]))
)
"""The stack and the run of the token with the hash `of_hash`, as long as the run is active."""

RUN = select_runs().where(runs.c.id == bindparam("of_run"))
RUN_LOCKED = locked(RUN, runs)
"""One run, `of_run`."""

PUT_RUN = update(runs).where(
    runs.c.id == bindparam("of_run"),
    runs.c.attempt == bindparam("of_attempt"),
    # Written out: a list would be another statement for each number of values, which cannot be executed for many rows.
    or_(*(runs.c.status == status for status in ACTIVE_STATUSES), runs.c.status == bindparam("new_status")),
)
"""Writes runs, with values from `rows.run_to_row`, as long as the attempt holds each."""


@cache
def replace_of_run(dialect: str, table: Table) -> Any:
    """Return the statement that puts the `body` of a run into a table that has one for each."""
    statement = insert(dialect, table)
    return statement.on_conflict_do_update(index_elements=["run_id"], set_={"body": statement.excluded.body})


@cache
def put_stacks(dialect: str) -> Any:
    """Return the statement that inserts or replaces stacks, with values from `rows.stack_to_row`."""
    statement = insert(dialect, stacks)
    kept = {"id", "space", "name", "resources"}
    changed = {column.name: statement.excluded[column.name] for column in stacks.c if column.name not in kept}
    return statement.on_conflict_do_update(index_elements=["space", "name"], set_=changed)


@cache
def add_runs(dialect: str) -> Any:
    """Return the statement that inserts runs, except those whose stack has an active writing run.

    It returns the inserted ids.
    """
    return insert(dialect, runs).on_conflict_do_nothing().returning(runs.c.id)


@cache
def add_to_outbox(dialect: str) -> Any:
    """Insert notices, but none that is there already."""
    return insert(dialect, tables.outbox).on_conflict_do_nothing()


@cache
def add_announcements(dialect: str) -> Any:
    """Insert announcements, but none that is there already."""
    return insert(dialect, tables.announcements).on_conflict_do_nothing()
