"""A set of documents together with the documents that its instances make, kept in step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from spaces.blueprints.expansion import expand
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.documents.expansions import Expansion, roots
from spaces.names import Kind, ResourceRef


def evolve(documents: PlacedDocuments, delta: Mapping[ResourceRef, Placed | None]) -> PlacedDocuments:
    """Apply a change of written documents, as PlacedDocuments.evolve does, and remake the documents of their instances.

    Only instances that the change can affect are looked at. A written document wins over a made one of the same
    reference; of two made ones, the one of the first instance wins.
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
            makers[ref] = tuple(maker for maker in makers[ref] if maker != instance)
        for ref in _refs(new):
            makers[ref] = tuple(sorted((*makers.get(ref, ()), instance)))
        slots.update(_refs(old), _refs(new))
    made: dict[ResourceRef, Placed | None] = {}
    for ref in slots:
        first = next(iter(makers.get(ref, ())), None)
        if first is None:
            makers.pop(ref, None)
        if after.written(ref) is None:
            made[ref] = (
                next((document for document in expansions[first].documents if document.ref == ref), None)
                if first
                else None
            )
    return replace(after.evolve(made), expansions=expansions, makers=makers)


def remade(before: PlacedDocuments, after: PlacedDocuments) -> frozenset[ResourceRef]:
    """Return the made documents that may differ between two sets: those of instances that were expanded again."""
    if before.expansions is after.expansions:
        return frozenset()
    instances = before.expansions.keys() | after.expansions.keys()
    refs: set[ResourceRef] = set()
    for instance in instances:
        old, new = before.expansions.get(instance), after.expansions.get(instance)
        if old is not new:
            refs.update(_refs(old), _refs(new))
    return frozenset(refs)


def _refs(expansion: Expansion | None) -> tuple[ResourceRef, ...]:
    return tuple(placed.ref for placed in expansion.documents) if expansion is not None else ()


def _reached(
    before: PlacedDocuments, after: PlacedDocuments, delta: Mapping[ResourceRef, Placed | None]
) -> set[ResourceRef]:
    """Return the written instances that the change can affect."""
    instances: set[ResourceRef] = set()
    for ref in delta:
        if ref.kind is Kind.SPACE:
            # The place of a space decides which blueprints its instances can use. An unchanged expansion is kept.
            written = (placed.ref for placed in after.of_kind(Kind.BLUEPRINT_INSTANCE) if placed.resource.made is None)
            return {*written, *before.expansions}
        if ref.kind is Kind.BLUEPRINT_INSTANCE:
            instances.add(ref)
        elif ref.kind is Kind.BLUEPRINT:
            users = before.mentioning(ref.kind, ref.name) | after.mentioning(ref.kind, ref.name)
            instances.update(roots(before, users), roots(after, users))
    return instances
