"""Names of spaces that are not free, though no such space exists: what was kept under them belongs to somebody.

The tfstate of retained stacks, their outputs and runs, and what clouds trust go by the name of a space. Who makes a
space of a name that was used before gets all of it, so that it takes the right to make spaces where it was. Secrets are
not among it: they go by the space's whole path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from spaces.documents.tree import SpaceTree
from spaces.names import ROOT, SpaceName, SpacePath, space_path


@dataclass(frozen=True, slots=True)
class Former:
    """The spaces that have left, each with those that were above it, nearest first."""

    above: Mapping[SpaceName, tuple[SpaceName, ...]] = field(default_factory=dict)

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
        return Former(above)

    def returns(self, space: SpaceName, parent: SpaceName) -> bool:
        """Whether a new space is again where it was."""
        return self.above.get(space, ())[:1] == (parent,)

    def paths(self) -> Iterable[SpacePath]:
        """Return where the spaces that have left were, as far as that is known."""
        return (space_path((space, *line)) for space, line in self.above.items() if line)

    def keepers(self, tree: SpaceTree) -> dict[SpaceName, SpaceName]:
        """Return each space that has left with its keeper."""
        return {space: self.keeper(space, tree) or ROOT for space in self.above}

    def keeper(self, space: SpaceName, tree: SpaceTree) -> SpaceName | None:
        """Return the space whose the name of a space that does not exist is; None: the name is free."""
        line = self.above.get(space)
        return None if line is None else next((each for each in line if tree.exists(each)), ROOT)
