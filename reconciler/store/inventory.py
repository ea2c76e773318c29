"""The resources that stacks left behind, in SQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ColumnElement, Select, func, or_, select, tuple_

from reconciler.core.results import Resource
from reconciler.store.bases import ReadingBase
from reconciler.store.selecting import POSTGRES, among, is_stack
from reconciler.store.stored import Place, ResourceFilter
from reconciler.store.tables import resources, stacks
from reconciler.store.texts import dump, load
from spaces.names import SpaceName, StackId


class InventoryReading(ReadingBase):
    """The questions about resources, for a `Reading`."""

    def resources(self, stack: StackId) -> list[Resource]:
        """Return the resources that the last successful run left behind."""
        found = self._connection.execute(_select_resources().where(is_stack(stack)).order_by(resources.c.position))
        return [_resource(row) for row in found]

    def list_resources(self, wanted: ResourceFilter, after: Place | None, limit: int) -> list[tuple[Place, Resource]]:
        """Return one page, by space, stack and position, of the resources after the place `after`."""
        order = (stacks.c.space, stacks.c.name, resources.c.position)
        query = _select_resources().order_by(*order).limit(limit)
        if after is not None:
            query = query.where(tuple_(*order) > tuple_(after.stack.space, after.stack.name, after.position))
        if wanted.stack is not None:
            query = query.where(is_stack(wanted.stack))
        if wanted.spaces is not None:
            query = query.where(among(self._connection, stacks.c.space, wanted.spaces))
        if wanted.type is not None:
            query = query.where(resources.c.type == wanted.type)
        if wanted.provider is not None:
            query = query.where(resources.c.provider == wanted.provider)
        if wanted.text:
            # In JSON, where other letters than those of ASCII are escaped.
            in_json = dump(wanted.text)[1:-1]
            query = query.where(
                or_(self._has(resources.c.address, wanted.text), self._has(resources.c.attributes, in_json))
            )
        found = self._connection.execute(query)
        return [(Place(StackId(SpaceName(row.space), row.name), row.position), _resource(row)) for row in found]

    def _has(self, column: Column[str], part: str) -> ColumnElement[bool]:
        """Return the condition that a text contains a part, in upper or lower case."""
        # SQLite's LIKE makes no difference between them, and without a function over each text it takes half the time.
        sqlite = self._connection.dialect.name != POSTGRES
        return column.contains(part, autoescape=True) if sqlite else column.icontains(part, autoescape=True)

    def count_resources(self) -> dict[StackId, int]:
        """Return the number of resources by stack."""
        by = (stacks.c.space, stacks.c.name)
        query = select(*by, func.count()).join_from(resources, stacks).group_by(*by)
        found = self._connection.execute(query)
        return {StackId(SpaceName(space), name): count for space, name, count in found}


def _select_resources() -> Select[Any]:
    return select(resources, stacks.c.space, stacks.c.name).join_from(
        resources, stacks, stacks.c.id == resources.c.stack_id
    )


def _resource(row: Any) -> Resource:
    return Resource(row.address, row.type, row.provider, load(row.attributes))
