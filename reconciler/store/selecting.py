"""The parts of queries that reading and writing share."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    func,
    literal,
    select,
)

from reconciler.core.runs import ACTIVE, AT_WORK, LEADING, RunKind
from reconciler.store.tables import runs, stacks
from reconciler.store.texts import dump
from spaces.names import StackId

ACTIVE_STATUSES = sorted(status.value for status in ACTIVE)
AT_WORK_STATUSES = sorted(status.value for status in AT_WORK)
LEADING_KINDS = sorted(kind.value for kind in LEADING)
CHECK_KIND = RunKind.DRIFT.value
PROPOSED_KIND = RunKind.PROPOSED.value
LOOKING_KINDS = (CHECK_KIND, PROPOSED_KIND)
"""Runs of these kinds only look."""
POSTGRES = "postgresql"
_WANTED = stacks.alias("wanted")
"""Made once: copying all columns of a table takes longer than most queries."""


def among(connection: Connection, column: ColumnElement[str], values: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that a column is one of these texts, with one bound value for any number of them."""
    texts = [str(value) for value in values]
    if connection.dialect.name == POSTGRES:
        return column == any_(literal(texts, ARRAY(Text)))
    items = func.json_each(dump(texts)).table_valued("value")
    return column.in_(select(items.c.value))


def among_ids(dialect: str, column: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the same condition for the texts bound by `bind_ids`, for a statement that is made once."""
    if dialect == POSTGRES:
        return column == any_(bindparam("wanted_ids", type_=ARRAY(Text)))
    items = func.json_each(bindparam("wanted_ids", type_=Text)).table_valued("value")
    return column.in_(select(items.c.value))


def bind_ids(dialect: str, wanted: Collection[str]) -> dict[str, Any]:
    """Return the bound values for a statement with `among_ids`."""
    texts = [str(each) for each in wanted]
    return {"wanted_ids": texts if dialect == POSTGRES else dump(texts)}


def among_keys(dialect: str, column: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the condition that a column is one of the keys bound by `bind_keys`, for a statement that is made once."""
    if dialect == POSTGRES:
        return column == any_(bindparam("wanted_keys", type_=ARRAY(BigInteger)))
    items = func.json_each(bindparam("wanted_keys", type_=Text)).table_valued("value")
    return column.in_(select(items.c.value))


def bind_keys(dialect: str, wanted: Collection[int]) -> dict[str, Any]:
    """Return the bound values for a statement with `among_keys`."""
    return {"wanted_keys": [*wanted] if dialect == POSTGRES else dump([*wanted])}


def among_stacks(dialect: str, key: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the condition that a key belongs to one of the stacks bound by `bind_stacks`.

    It uses an index for any number.
    """
    if dialect == POSTGRES:
        spaces, names = (bindparam(name, type_=ARRAY(Text)) for name in ("wanted_spaces", "wanted_names"))
        pairs = func.unnest(spaces, names).table_valued("space", "name").render_derived()
        match = and_(_WANTED.c.space == pairs.c.space, _WANTED.c.name == pairs.c.name)
    else:
        # SQLite uses an index for a join, but not for a list of pairs.
        pairs = func.json_each(bindparam("wanted_stacks", type_=Text)).table_valued("value")
        match = and_(
            _WANTED.c.space == func.json_extract(pairs.c.value, "$[0]"),
            _WANTED.c.name == func.json_extract(pairs.c.value, "$[1]"),
        )
    return key.in_(select(_WANTED.c.id).select_from(pairs.join(_WANTED, match)))


def bind_stacks(dialect: str, wanted: Collection[StackId]) -> dict[str, Any]:
    """Return the bound values for a statement with `among_stacks`, so that the statement itself can be reused."""
    if dialect == POSTGRES:
        return {
            "wanted_spaces": [stack.space for stack in wanted],
            "wanted_names": [stack.name for stack in wanted],
        }
    return {"wanted_stacks": dump([[stack.space, stack.name] for stack in wanted])}


def is_stack(stack: StackId) -> ColumnElement[bool]:
    """Return the condition that a row of `stacks` is this stack."""
    return and_(stacks.c.space == stack.space, stacks.c.name == stack.name)


def select_runs() -> Select[Any]:
    """Return a query for all runs, with the names of their stacks."""
    return select(runs, stacks.c.space, stacks.c.name).join(stacks, stacks.c.id == runs.c.stack_id)


def locked(query: Select[Any], of: Any = None) -> Select[Any]:
    """Return the query so that other transactions cannot change its rows until the end of this one."""
    # Not FOR UPDATE: it would block whoever adds a row that refers to a locked one.
    return query.with_for_update(of=of, key_share=True)
