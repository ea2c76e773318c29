"""The resources of a tool that cannot list them, but names what it changes; and what identifies one in the world."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.results import Action, JsonValue, Resource, ResourceChange

_LONGEST = 500
_OF_THEIR_OWN = frozenset({"archive", "cloudinit", "external", "http", "local", "null", "random"})
_OF_THEIR_OWN |= {"script", "template", "terraform", "time", "tls"}
"""Providers whose identifiers name nothing outside of the tfstate: equal ones are of equal content, or chance."""
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


def identity(resource: Resource) -> str | None:
    """Return what a provider knows a resource by, the same in every stack that has it; None: nothing that is known.

    An ARN stands alone. Another identifier counts among the resources of its type and provider.
    """
    arn = resource.attributes.get("arn")
    if isinstance(arn, str) and arn.startswith("arn:"):
        return arn[:_LONGEST]
    if resource.provider.rpartition("/")[2] in _OF_THEIR_OWN:
        return None
    found = resource.attributes.get("id")
    if not isinstance(found, str) or not found or found.startswith("("):
        # Such as `(sensitive)`, in place of a value that is not shown.
        return None
    if found.startswith("arn:"):
        return found[:_LONGEST]
    return f"{resource.provider} {resource.type} {found}"[:_LONGEST]


def _attributes(after: JsonValue) -> dict[str, JsonValue]:
    if isinstance(after, dict):
        return after
    return {} if after is None else {"value": after}
