"""Queries that reading and writing share."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Connection, Select, Text, and_, any_, bindparam, func, literal, select

from reconciler.core.runs import ACTIVE, AT_WORK, WRITING
from reconciler.store.tables import runs, stacks
from reconciler.store.texts import dump
from spaces.names import StackId

ACTIVE_STATUSES = sorted(status.value for status in ACTIVE)
AT_WORK_STATUSES = sorted(status.value for status in AT_WORK)
WRITING_KINDS = sorted(kind.value for kind in WRITING)
POSTGRES = "postgresql"
_WANTED = stacks.alias("wanted")
"""Made once: to copy all columns of a table takes longer than most queries."""


def among(connection: Connection, column: ColumnElement[str], values: Collection[str]) -> ColumnElement[bool]:
    """Say that a column is one of any number of texts, with one bound value however many there are."""
    texts = [str(value) for value in values]
    if connection.dialect.name == POSTGRES:
        return column == any_(literal(texts, ARRAY(Text)))
    each = func.json_each(dump(texts)).table_valued("value")
    return column.in_(select(each.c.value))


def these(dialect: str, key: ColumnElement[int]) -> ColumnElement[bool]:
    """Say that a key is that of one of the stacks that `named` gives; found by index, whatever their number."""
    if dialect == POSTGRES:
        spaces, names = (bindparam(name, type_=ARRAY(Text)) for name in ("wanted_spaces", "wanted_names"))
        pairs = func.unnest(spaces, names).table_valued("space", "name").render_derived()
        match = and_(_WANTED.c.space == pairs.c.space, _WANTED.c.name == pairs.c.name)
    else:
        # SQLite finds no index for a list of pairs, but for a join it does.
        pairs = func.json_each(bindparam("wanted_stacks", type_=Text)).table_valued("value")
        match = and_(
            _WANTED.c.space == func.json_extract(pairs.c.value, "$[0]"),
            _WANTED.c.name == func.json_extract(pairs.c.value, "$[1]"),
        )
    return key.in_(select(_WANTED.c.id).select_from(pairs.join(_WANTED, match)))


def named(dialect: str, wanted: Collection[StackId]) -> dict[str, Any]:
    """Give the bound values of a statement with `these` in it, so that the statement need not be made anew."""
    if dialect == POSTGRES:
        return {
            "wanted_spaces": [stack.space for stack in wanted],
            "wanted_names": [stack.name for stack in wanted],
        }
    return {"wanted_stacks": dump([[stack.space, stack.name] for stack in wanted])}


def is_stack(stack: StackId) -> ColumnElement[bool]:
    """Say that a row of `stacks` is this one."""
    return and_(stacks.c.space == stack.space, stacks.c.name == stack.name)


def select_runs() -> Select[Any]:
    """Give all runs, with the names of their stacks."""
    return select(runs, stacks.c.space, stacks.c.name).join(stacks, stacks.c.id == runs.c.stack_id)


def locked(query: Select[Any], of: Any = None) -> Select[Any]:
    """Keep what a query finds from being changed by others until the end of its transaction."""
    # Not FOR UPDATE, for which whoever adds something that points to a locked row would have to wait.
    return query.with_for_update(of=of, key_share=True)
