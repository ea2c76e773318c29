"""Queries that reading and writing share."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Connection, Select, Text, and_, any_, func, literal, select

from reconciler.core.runs import ACTIVE, AT_WORK, WRITING
from reconciler.store.tables import runs, stacks
from reconciler.store.texts import dump
from spaces.names import StackId

ACTIVE_STATUSES = sorted(status.value for status in ACTIVE)
AT_WORK_STATUSES = sorted(status.value for status in AT_WORK)
WRITING_KINDS = sorted(kind.value for kind in WRITING)
_WANTED = stacks.alias("wanted")
"""Made once: to copy all columns of a table takes longer than most queries."""


def among(connection: Connection, column: ColumnElement[str], values: Collection[str]) -> ColumnElement[bool]:
    """Say that a column is one of any number of texts, with one bound value however many there are."""
    texts = [str(value) for value in values]
    if connection.dialect.name == "postgresql":
        return column == any_(literal(texts, ARRAY(Text)))
    each = func.json_each(dump(texts)).table_valued("value")
    return column.in_(select(each.c.value))


def these(connection: Connection, key: ColumnElement[int], wanted: Collection[StackId]) -> ColumnElement[bool]:
    """Say that a key is that of one of any number of stacks; found by index, whatever their number."""
    if connection.dialect.name == "postgresql":
        spaces = literal([stack.space for stack in wanted], ARRAY(Text))
        names = literal([stack.name for stack in wanted], ARRAY(Text))
        pairs = func.unnest(spaces, names).table_valued("space", "name").render_derived()
        match = and_(_WANTED.c.space == pairs.c.space, _WANTED.c.name == pairs.c.name)
    else:
        # SQLite finds no index for a list of pairs, but for a join it does.
        pairs = func.json_each(dump([[stack.space, stack.name] for stack in wanted])).table_valued("value")
        match = and_(
            _WANTED.c.space == func.json_extract(pairs.c.value, "$[0]"),
            _WANTED.c.name == func.json_extract(pairs.c.value, "$[1]"),
        )
    return key.in_(select(_WANTED.c.id).select_from(pairs.join(_WANTED, match)))


def is_stack(stack: StackId) -> ColumnElement[bool]:
    """Say that a row of `stacks` is this one."""
    return and_(stacks.c.space == stack.space, stacks.c.name == stack.name)


def select_runs() -> Select[Any]:
    """Give all runs, with the names of their stacks."""
    return select(runs, stacks.c.space, stacks.c.name).join(stacks, stacks.c.id == runs.c.stack_id)
