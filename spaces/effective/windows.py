"""The freeze windows over a stack. They always extend downwards: nothing below their space can shed them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from spaces.documents.documents import PlacedDocuments
from spaces.model.space import SpaceSpec
from spaces.model.windows import Window, spell
from spaces.names import Kind, ResourceRef, SpaceName, StackId


@dataclass(frozen=True, slots=True)
class Freeze:
    """A window of a space, which covers everything below the space."""

    space: SpaceName
    cron: str
    timezone: str
    seconds: int
    override: str | None = None
    """The role in that space which lets a run through; None: nobody can."""

    def until(self, now: datetime) -> datetime | None:
        """Return when the window that is open now ends; None: it is not open."""
        lasts = timedelta(seconds=self.seconds)
        # All stacks ask in the same minute, and windows begin with a minute.
        begins, ends = spell(self.cron, self.timezone, lasts, now.replace(second=0, microsecond=0))
        if ends <= now:
            begins, ends = spell(self.cron, self.timezone, lasts, now)
        return ends if begins <= now else None


def freezes(documents: PlacedDocuments, space: SpaceName) -> tuple[Freeze, ...]:
    """Return the windows over the stacks of a space: its own, and those of all spaces above, the farthest first."""
    return tuple(each for name in documents.tree.lineage(space)[::-1] for each in own_freezes(documents, name))


def own_freezes(documents: PlacedDocuments, space: SpaceName) -> tuple[Freeze, ...]:
    """Return the windows that a space itself says."""
    placed = documents.placed(ResourceRef(Kind.SPACE, space, space))
    spec = placed.resource.spec if placed is not None else None
    return tuple(_freeze(space, window) for window in spec.windows) if isinstance(spec, SpaceSpec) else ()


def refrozen(
    refs: Iterable[ResourceRef], before: PlacedDocuments, after: PlacedDocuments
) -> tuple[frozenset[SpaceName], frozenset[StackId]]:
    """Return the spaces over which these documents may bring other windows or rollouts, and their stacks."""
    changed = {
        ref.space
        for ref in refs
        if ref.kind is Kind.SPACE
        and (
            _own(before, ref.space) != _own(after, ref.space)
            or before.tree.parent(ref.space) != after.tree.parent(ref.space)
        )
    }
    below = {space for documents in (before, after) for space in documents.tree.subtrees(changed)} if changed else set()
    inside = (ref for documents in (before, after) for space in below for ref in documents.in_space(space))
    return frozenset(below), frozenset(StackId(ref.space, ref.name) for ref in inside if ref.kind is Kind.STACK)


def _own(documents: PlacedDocuments, space: SpaceName) -> object:
    """Return what a space says for all stacks below it: its windows, and how revisions go out."""
    placed = documents.placed(ResourceRef(Kind.SPACE, space, space))
    spec = placed.resource.spec if placed is not None else None
    return (spec.windows, spec.rollout) if isinstance(spec, SpaceSpec) else ((), None)


def _freeze(space: SpaceName, window: Window) -> Freeze:
    deny = window.deny
    return Freeze(space, deny.cron, deny.timezone, deny.duration, window.override)
