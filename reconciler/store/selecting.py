"""Queries that reading and writing share."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Connection, Select, Text, and_, any_, func, literal, select, tuple_

from reconciler.core.runs import ACTIVE, AT_WORK, WRITING
from reconciler.store.tables import runs, stacks
from reconciler.store.texts import dump
from spaces.names import StackId

ACTIVE_STATUSES = sorted(status.value for status in ACTIVE)
AT_WORK_STATUSES = sorted(status.value for status in AT_WORK)
WRITING_KINDS = sorted(kind.value for kind in WRITING)

_BATCH = 400
"""Pairs in one statement; far below every database's limit of bound values."""


def among(connection: Connection, column: ColumnElement[str], values: Collection[str]) -> ColumnElement[bool]:
    """Say that a column is one of any number of texts, with one bound value however many there are."""
    texts = [str(value) for value in values]
    if connection.dialect.name == "postgresql":
        return column == any_(literal(texts, ARRAY(Text)))
    each = func.json_each(dump(texts)).table_valued("value")
    return column.in_(select(each.c.value))


def batches(wanted: Collection[StackId]) -> Iterator[ColumnElement[bool]]:
    """Give conditions on `stacks` that together cover all wanted ones, in the order of their names."""
    ordered = sorted(set(wanted))
    for start in range(0, len(ordered), _BATCH):
        batch = ordered[start : start + _BATCH]
        if len(batch) == 1:
            yield is_stack(batch[0])
        else:
            yield tuple_(stacks.c.space, stacks.c.name).in_([(it.space, it.name) for it in batch])


def is_stack(stack: StackId) -> ColumnElement[bool]:
    """Say that a row of `stacks` is this one."""
    return and_(stacks.c.space == stack.space, stacks.c.name == stack.name)


def select_runs() -> Select[Any]:
    """Give all runs, with the names of their stacks."""
    return select(runs, stacks.c.space, stacks.c.name).join(stacks, stacks.c.id == runs.c.stack_id)
