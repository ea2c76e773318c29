"""Copies all rows of a database into another one of the same schema, of either kind: for backups, and to move house.

The source may be in use: it is read in one snapshot. In the target everything happens in the caller's transaction, so
that it has all rows or none. Rows are copied as they are: what is encrypted stays so, and needs the same keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, Table, func, insert, select, text

from reconciler.store.stored import StoreError
from reconciler.store.tables import metadata, stacks

_BATCH = 500

_THERE_FROM_THE_START = frozenset({"configuration", "audit_head", "usable"})
"""Tables with one row that a migration inserts."""

_OF_THE_MOMENT = frozenset({"services", "leases"})
"""Tables about who uses a database: nobody uses the copy yet."""


def has_rows(connection: Connection) -> bool:
    """Whether anything was ever written into a database."""
    return any(
        connection.execute(select(table).limit(1)).first() is not None
        for table in metadata.sorted_tables
        if table.name not in _THERE_FROM_THE_START
    )


def copy_rows(source: Connection, target: Connection) -> Mapping[str, int]:
    """Copy every row into a database without rows, check that all arrived, and return the numbers by table."""
    if has_rows(target):
        raise StoreError("the database to copy to is in use already: name an empty one")
    tables = [table for table in metadata.sorted_tables if table.name not in _OF_THE_MOMENT]
    copied = {table.name: _copy(table, source, target) for table in tables}
    for name, number in copied.items():
        there = target.execute(select(func.count()).select_from(metadata.tables[name])).scalar_one()
        if there != number:
            raise StoreError(f"{number} rows of the table {name} were copied, and {there} are there: nothing is kept")
    if target.dialect.name == "postgresql":
        # The ids came along, so that the sequence does not know them.
        highest = select(func.max(stacks.c.id)).scalar_subquery()
        sequence = func.pg_get_serial_sequence(text("'stacks'"), text("'id'"))
        target.execute(select(func.setval(sequence, func.coalesce(highest, 1), highest.is_not(None))))
    return copied


def _copy(table: Table, source: Connection, target: Connection) -> int:
    if table.name in _THERE_FROM_THE_START:
        target.execute(table.delete())
    number = 0
    for batch in _batches(table, source):
        target.execute(insert(table), batch)
        number += len(batch)
    return number


def _batches(table: Table, source: Connection) -> Iterator[list[dict[str, object]]]:
    found = source.execution_options(yield_per=_BATCH).execute(select(table))
    for rows in found.mappings().partitions(_BATCH):
        yield [dict(row) for row in rows]
