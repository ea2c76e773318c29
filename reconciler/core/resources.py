"""The resources of a tool that cannot list them, but names what it changes."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.results import Action, JsonValue, Resource, ResourceChange

_GONE = frozenset({Action.DELETE, Action.FORGET})


def resources_after(known: Iterable[Resource], changes: Iterable[ResourceChange]) -> tuple[Resource, ...]:
    """Return the resources that are there once the changes were made to those that are known, in their order."""
    there = {resource.address: resource for resource in known}
    for change in changes:
        if change.action is Action.READ:
            continue
        old = there.pop(change.moved_from, None) if change.moved_from is not None else there.get(change.address)
        if change.action in _GONE:
            there.pop(change.address, None)
            continue
        attributes = dict(old.attributes) if change.after is None and old is not None else _attributes(change.after)
        there[change.address] = Resource(change.address, change.type, change.provider, attributes)
    return tuple(there.values())


def _attributes(after: JsonValue) -> dict[str, JsonValue]:
    if isinstance(after, dict):
        return after
    return {} if after is None else {"value": after}
