"""The policies over a stack. They always extend downwards: nothing below their space can escape them.

A policy selects stacks by their tool and by the labels of their space, which only an admin above can change. A stack's
own labels never matter, and neither does `inherit`. The labels of spaces add up on the way down: a space that sets a
key to another value does not escape what the spaces above are selected by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from spaces.documents.documents import Placed, PlacedDocuments
from spaces.model.policy import PolicySpec
from spaces.model.stack import StackSpec
from spaces.names import Kind, ResourceRef, SpaceName, StackId
from spaces.reading.rego import RegoText, rego_of


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A policy over a stack, and its rule."""

    ref: ResourceRef
    spec: PolicySpec
    rego: RegoText

    @property
    def name(self) -> str:
        """The policy as `space/name`."""
        return f"{self.ref.space}/{self.ref.name}"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A space as policies see it: its labels, including those of the spaces above, and its path from the root."""

    name: SpaceName
    labels: Mapping[str, str]
    path: tuple[SpaceName, ...]


def surroundings(documents: PlacedDocuments, space: SpaceName) -> Surroundings:
    """Return the facts about a space. A label comes from the nearest space, itself included, that has its key."""
    path = documents.tree.lineage(space)[::-1]
    labels: dict[str, str] = {}
    for name in path:
        placed = documents.placed(ResourceRef(Kind.SPACE, name, name))
        if placed is not None:
            labels.update(placed.resource.metadata.labels)
    return Surroundings(space, labels, path)


def guardrails(documents: PlacedDocuments, stack: Placed) -> tuple[Guardrail, ...]:
    """Return the policies over a stack, those of the farthest spaces first, then by name."""
    spec = stack.resource.spec
    by_space = documents.by_space(Kind.POLICY)
    if not by_space or not isinstance(spec, StackSpec):
        return ()
    policies: list[Guardrail] = []
    labels: frozenset[tuple[str, str]] | None = None
    for space in documents.tree.lineage(stack.ref.space)[::-1]:
        for placed in by_space.get(space, ()):
            policy, rego = placed.resource.spec, rego_of(placed.resource)
            if not isinstance(policy, PolicySpec) or rego is None:
                continue
            attach = policy.attach
            if attach is not None and attach.tools is not None and spec.tool not in attach.tools:
                continue
            if attach is not None and attach.match_labels:
                labels = added_up(documents, stack.ref.space) if labels is None else labels
                if not attach.match_labels.items() <= labels:
                    continue
            policies.append(Guardrail(placed.ref, policy, rego))
    return tuple(policies)


def added_up(documents: PlacedDocuments, space: SpaceName) -> frozenset[tuple[str, str]]:
    """Return all labels of a space and of those above it, with every value that a key has."""
    spaces = (documents.placed(ResourceRef(Kind.SPACE, name, name)) for name in documents.tree.lineage(space))
    return frozenset(label for each in spaces if each for label in each.resource.metadata.labels.items())


def guarded(refs: Iterable[ResourceRef], before: PlacedDocuments, after: PlacedDocuments) -> set[StackId]:
    """Return the stacks that a change of these documents may bring under other policies.

    Possibly too many, never too few.
    """
    spaces: set[SpaceName] = set()
    for ref in refs:
        if ref.kind is Kind.POLICY:
            spaces.add(ref.space)
        elif ref.kind is Kind.SPACE and (before.by_space(Kind.POLICY) or after.by_space(Kind.POLICY)):
            old, new = before.placed(ref), after.placed(ref)
            if old is None or new is None or old.resource.metadata.labels != new.resource.metadata.labels:
                spaces.add(ref.space)
    below = {space for documents in (before, after) for space in documents.tree.subtrees(spaces)} if spaces else ()
    inside = (ref for documents in (before, after) for space in below for ref in documents.in_space(space))
    return {StackId(ref.space, ref.name) for ref in inside if ref.kind is Kind.STACK}
