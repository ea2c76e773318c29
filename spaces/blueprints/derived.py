"""A set of documents and what its instances make, kept in step with each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from spaces.blueprints.expansion import expand
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.documents.expansions import Expansion, roots
from spaces.names import Kind, ResourceRef


def evolve(documents: PlacedDocuments, delta: Mapping[ResourceRef, Placed | None]) -> PlacedDocuments:
    """Put written documents in, as PlacedDocuments.evolve does, and make anew what instances make of them.

    Only instances for which something changed are looked at. A written document comes before a made one of the same
    reference; of two made ones that of the first instance counts.
    """
    after = documents.evolve(delta)
    if not documents.expansions and not after.of_kind(Kind.BLUEPRINT_INSTANCE):
        return after
    looked_at = _reached(documents, after, delta)
    expansions = dict(documents.expansions)
    slots = {ref for ref in delta if ref in documents.makers}
    makers = dict(documents.makers)
    for instance in sorted(looked_at):
        old = expansions.get(instance)
        placed = after.written(instance)
        if placed is None:
            expansions.pop(instance, None)
            new = None
        elif old is not None and old.holds(after):
            continue
        else:
            new = expansions[instance] = expand(after, placed)
        for ref in _refs(old):
            makers[ref] = tuple(each for each in makers[ref] if each != instance)
        for ref in _refs(new):
            makers[ref] = tuple(sorted((*makers.get(ref, ()), instance)))
        slots.update(_refs(old), _refs(new))
    made: dict[ResourceRef, Placed | None] = {}
    for ref in slots:
        first = next(iter(makers.get(ref, ())), None)
        if first is None:
            makers.pop(ref, None)
        if after.written(ref) is None:
            made[ref] = next((each for each in expansions[first].documents if each.ref == ref), None) if first else None
    return replace(after.evolve(made), expansions=expansions, makers=makers)


def remade(before: PlacedDocuments, after: PlacedDocuments) -> frozenset[ResourceRef]:
    """List the made documents that may differ between two sets: those of instances that were looked at anew."""
    if before.expansions is after.expansions:
        return frozenset()
    instances = before.expansions.keys() | after.expansions.keys()
    found: set[ResourceRef] = set()
    for instance in instances:
        old, new = before.expansions.get(instance), after.expansions.get(instance)
        if old is not new:
            found.update(_refs(old), _refs(new))
    return frozenset(found)


def _refs(expansion: Expansion | None) -> tuple[ResourceRef, ...]:
    return tuple(placed.ref for placed in expansion.documents) if expansion is not None else ()


def _reached(
    before: PlacedDocuments, after: PlacedDocuments, delta: Mapping[ResourceRef, Placed | None]
) -> set[ResourceRef]:
    """Find the written instances for which the change may mean something."""
    found: set[ResourceRef] = set()
    for ref in delta:
        if ref.kind is Kind.SPACE:
            # Where something hangs decides which blueprints it can use. What stays the same is not made anew.
            written = (placed.ref for placed in after.of_kind(Kind.BLUEPRINT_INSTANCE) if placed.resource.made is None)
            return {*written, *before.expansions}
        if ref.kind is Kind.BLUEPRINT_INSTANCE:
            found.add(ref)
        elif ref.kind is Kind.BLUEPRINT:
            users = before.mentioning(ref.kind, ref.name) | after.mentioning(ref.kind, ref.name)
            found.update(roots(before, users), roots(after, users))
    return found
