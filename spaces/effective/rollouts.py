"""How a stack goes out with a revision: by the nearest space, its own or one above, that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spaces.documents.documents import PlacedDocuments
from spaces.model.space import SpaceSpec
from spaces.names import Kind, ResourceRef, SpaceName


@dataclass(frozen=True, slots=True)
class RolloutRule:
    """What a space says of a revision that changes many stacks below it, and whether this stack goes first."""

    space: SpaceName
    most: int | None
    """How many stacks have a run at a time; None: any number."""
    failures: int
    """How many failed stacks pause the rest."""
    canaries: bool
    """Whether some stacks go first."""
    is_canary: bool = False
    """Whether this is one of them."""


def rollout_of(documents: PlacedDocuments, space: SpaceName, labels: Mapping[str, str]) -> RolloutRule | None:
    """Return the rule for a stack in a space with these labels; None: it goes whenever it is due."""
    for name in documents.tree.lineage(space):
        placed = documents.placed(ResourceRef(Kind.SPACE, name, name))
        spec = placed.resource.spec if placed is not None else None
        if isinstance(spec, SpaceSpec) and (rule := spec.rollout) is not None:
            first = rule.canary.match_labels if rule.canary is not None else None
            chosen = first is not None and first.items() <= labels.items()
            return RolloutRule(name, rule.max_parallel, rule.pause_after_failures, first is not None, chosen)
    return None
