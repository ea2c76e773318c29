"""Names of spaces that are not free, though no such space exists: what was kept under them belongs to somebody.

The tfstate of retained stacks, their outputs and runs, sealed values and secret files go by the name of a space. Who
makes a space of a name that was used before gets all of it, so that it takes the right to make spaces where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from spaces.documents.tree import SpaceTree
from spaces.names import ROOT, SpaceName

HasSecrets = Callable[[SpaceName], bool]
"""Whether the operator has put secrets there for spaces of a name."""


def no_secrets(_space: SpaceName) -> bool:
    """Say that there are none."""
    return False


@dataclass(frozen=True, slots=True)
class Former:
    """The spaces that have left, each with those that were above it, nearest first."""

    above: Mapping[SpaceName, tuple[SpaceName, ...]] = field(default_factory=dict)
    has_secrets: HasSecrets = field(default=no_secrets, compare=False, repr=False)

    @classmethod
    def unknown(cls, spaces: Iterable[SpaceName]) -> Former:
        """Return these spaces, of which nobody knows where they were: their names are the root's."""
        return cls(dict.fromkeys(spaces, ()))

    def after(self, before: SpaceTree, tree: SpaceTree) -> Former:
        """Return the spaces that have left once one tree has become another."""
        if before is tree:
            return self
        left = {space: before.lineage(space)[1:] for space in before.spaces() if not tree.exists(space)}
        come = {space for space in tree.spaces() if not before.exists(space)}
        if not left and not come:
            return self
        # A space that has come back, elsewhere perhaps, says nothing about what was below the one that left.
        above = {
            space: tuple(each for each in line if each not in come)
            for space, line in {**self.above, **left}.items()
            if not tree.exists(space)
        }
        return replace(self, above=above)

    def returns(self, space: SpaceName, parent: SpaceName) -> bool:
        """Whether a new space is again where it was."""
        return self.above.get(space, ())[:1] == (parent,)

    def keeper(self, space: SpaceName, tree: SpaceTree) -> SpaceName | None:
        """Return the space whose the name of a space that does not exist is; None: the name is free."""
        line = self.above.get(space)
        if line is None:
            return ROOT if self.has_secrets(space) else None
        return next((each for each in line if tree.exists(each)), ROOT)
