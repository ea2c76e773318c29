"""The resources that stacks left behind, in SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, case, func, or_, select, tuple_

from reconciler.core.results import Resource
from reconciler.core.state import ConditionStatus
from reconciler.store.bases import ReadingBase
from reconciler.store.listed import ResourceBy, ResourceGroup
from reconciler.store.selecting import POSTGRES, among, is_stack
from reconciler.store.stored import Place, PlacedResource, Provenance, ResourceFilter
from reconciler.store.tables import resources, stacks
from reconciler.store.texts import dump, load
from spaces.names import SpaceName, StackId

MOST_SHARING = 20
"""How many of the stacks that have one thing are told of."""


class InventoryReading(ReadingBase):
    """The questions about resources, for a `Reading`."""

    def resources(self, stack: StackId) -> list[Resource]:
        """Return the resources that the last successful run left behind."""
        found = self._connection.execute(_select_resources().where(is_stack(stack)).order_by(resources.c.position))
        return [_resource(row) for row in found]

    def list_resources(self, wanted: ResourceFilter, after: Place | None, limit: int) -> list[PlacedResource]:
        """Return one page, by space, stack and position, of the resources after the place `after`."""
        order = (stacks.c.space, stacks.c.name, resources.c.position)
        query = _select_resources().order_by(*order).limit(limit)
        if after is not None:
            query = query.where(tuple_(*order) > tuple_(after.stack.space, after.stack.name, after.position))
        query = query.where(*self._conditions(wanted))
        found = self._connection.execute(query)
        return [
            PlacedResource(
                Place(StackId(SpaceName(row.space), row.name), row.position),
                _resource(row),
                Provenance.of(row.made, row.changed),
            )
            for row in found
        ]

    def group_resources(
        self, wanted: ResourceFilter, by: ResourceBy, after: str | None, limit: int
    ) -> list[ResourceGroup]:
        """Return how many resources there are by space, stack, provider or type; those behind the group `after`."""
        name = _GROUPS[by]
        apart = func.count(stacks.c.id.distinct())
        drifted = func.count(case((stacks.c.drifted > 0, stacks.c.id)).distinct())
        unready = func.count(case((stacks.c.ready != ConditionStatus.TRUE, stacks.c.id)).distinct())
        query = select(name, func.count(), apart, drifted, unready).join_from(
            resources, stacks, stacks.c.id == resources.c.stack_id
        )
        query = query.where(*self._conditions(wanted)).group_by(name).order_by(name).limit(limit)
        if after is not None:
            query = query.where(name > after)
        return [ResourceGroup(*row) for row in self._connection.execute(query)]

    def stacks_with(self, wanted: Collection[str], spaces: Collection[SpaceName] | None) -> dict[str, list[StackId]]:
        """Return which stacks of some spaces (None: all) have resources of these identities: the first 20 by name."""
        query = select(resources.c.identity, stacks.c.space, stacks.c.name).join_from(
            resources, stacks, stacks.c.id == resources.c.stack_id
        )
        query = query.where(among(self._connection, resources.c.identity, wanted)).distinct()
        if spaces is not None:
            query = query.where(among(self._connection, stacks.c.space, spaces))
        pairs = query.subquery()
        by_name = func.row_number().over(partition_by=pairs.c.identity, order_by=(pairs.c.space, pairs.c.name))
        numbered = select(pairs, by_name.label("number")).subquery()
        first = select(numbered).where(numbered.c.number <= MOST_SHARING).order_by(numbered.c.number)
        found: dict[str, list[StackId]] = {}
        for known, space, name, _number in self._connection.execute(first):
            found.setdefault(known, []).append(StackId(SpaceName(space), name))
        return found

    def _conditions(self, wanted: ResourceFilter) -> Iterator[ColumnElement[bool]]:
        if wanted.stack is not None:
            yield is_stack(wanted.stack)
        if wanted.spaces is not None:
            yield among(self._connection, stacks.c.space, wanted.spaces)
        if wanted.type is not None:
            yield resources.c.type == wanted.type
        if wanted.provider is not None:
            yield resources.c.provider == wanted.provider
        if wanted.shared_in is not None:
            yield resources.c.identity.in_(self._shared(wanted.shared_in.spaces))
        if wanted.text:
            # In JSON, where other letters than those of ASCII are escaped.
            in_json = dump(wanted.text)[1:-1]
            yield or_(self._has(resources.c.address, wanted.text), self._has(resources.c.attributes, in_json))

    def _shared(self, spaces: Collection[SpaceName] | None) -> Select[Any]:
        there, of = resources.alias(), stacks.alias()
        query = select(there.c.identity).where(there.c.identity.is_not(None)).group_by(there.c.identity)
        query = query.having(func.count(there.c.stack_id.distinct()) > 1)
        if spaces is None:
            return query
        return query.join_from(there, of, of.c.id == there.c.stack_id).where(
            among(self._connection, of.c.space, spaces)
        )

    def _has(self, column: Column[str], part: str) -> ColumnElement[bool]:
        """Return the condition that a text contains a part, in upper or lower case."""
        # SQLite's LIKE makes no difference between them, and without a function over each text it takes half the time.
        sqlite = self._connection.dialect.name != POSTGRES
        return column.contains(part, autoescape=True) if sqlite else column.icontains(part, autoescape=True)

    def count_resources(self) -> dict[StackId, int]:
        """Return the number of resources by stack."""
        query = select(stacks.c.space, stacks.c.name, stacks.c.resources).where(stacks.c.resources > 0)
        found = self._connection.execute(query)
        return {StackId(SpaceName(space), name): count for space, name, count in found}


_GROUPS: Mapping[str, ColumnElement[Any]] = {
    ResourceBy.SPACE: stacks.c.space,
    ResourceBy.STACK: stacks.c.space + "/" + stacks.c.name,
    ResourceBy.PROVIDER: resources.c.provider,
    ResourceBy.TYPE: resources.c.type,
}


def _select_resources() -> Select[Any]:
    return select(resources, stacks.c.space, stacks.c.name).join_from(
        resources, stacks, stacks.c.id == resources.c.stack_id
    )


def _resource(row: Any) -> Resource:
    return Resource(row.address, row.type, row.provider, load(row.attributes))
