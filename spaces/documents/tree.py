"""The tree of spaces: who lies above whom, and what flows where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from spaces.names import ROOT, SpaceName, SpacePath, space_path


@dataclass(frozen=True, slots=True)
class SpaceNode:
    """What a space says about its place: the space above it, and whether it takes over that space's goods."""

    parent: SpaceName
    inherit: bool = False


class TreeFault(StrEnum):
    """Why a declared space has no place in the tree."""

    ORPHAN = "orphan"
    """Its parent is not declared."""
    CYCLE = "cycle"
    """Following its parents comes back to it."""
    DETACHED = "detached"
    """Its parent is declared and has no place itself."""


@dataclass(frozen=True, slots=True, eq=False)
class SpaceTree:
    """All spaces that hang together up to the root. One with a fault is known, and does not exist for any question."""

    nodes: Mapping[SpaceName, SpaceNode]
    """Every declared space, the faulty ones too; never the root."""
    faults: Mapping[SpaceName, TreeFault]
    _children: Mapping[SpaceName, tuple[SpaceName, ...]] = field(repr=False)
    _inherited: dict[SpaceName, tuple[SpaceName, ...]] = field(repr=False, default_factory=dict)
    """What `inherited` found so far: every document of a space asks, for every name that it uses."""

    @classmethod
    def build(cls, nodes: Mapping[SpaceName, SpaceNode]) -> Self:
        """Hang up the declared spaces; the root is always there and is not to be among them."""
        below: dict[SpaceName, list[SpaceName]] = {}
        for name, node in nodes.items():
            below.setdefault(node.parent, []).append(name)
        children = {name: tuple(sorted(names)) for name, names in below.items()}
        return cls(dict(nodes), _find_faults(nodes, children), children)

    def exists(self, space: SpaceName) -> bool:
        """Whether the space has a place in the tree."""
        return space == ROOT or (space in self.nodes and space not in self.faults)

    def spaces(self) -> Iterator[SpaceName]:
        """Every space that exists, the root first, parents before children, siblings by name."""
        return iter(self.subtree(ROOT))

    def parent(self, space: SpaceName) -> SpaceName | None:
        """Name the space above; None for the root and for a space that does not exist."""
        return None if space == ROOT or not self.exists(space) else self.nodes[space].parent

    def children(self, space: SpaceName) -> tuple[SpaceName, ...]:
        """Name the spaces right below, by name; those of a missing or faulty space too."""
        return self._children.get(space, ())

    def inherits(self, space: SpaceName) -> bool:
        """Whether goods of the parent flow into this space; the root has nobody to inherit from."""
        node = self.nodes.get(space)
        return node is not None and node.inherit and space not in self.faults

    def lineage(self, space: SpaceName) -> tuple[SpaceName, ...]:
        """List the space and all above it, nearest first, the root last; nothing for a space that does not exist."""
        if not self.exists(space):
            return ()
        line = [space]
        while space != ROOT:
            space = self.nodes[space].parent
            line.append(space)
        return tuple(line)

    def path(self, space: SpaceName) -> SpacePath:
        """Return the path of a space; its bare name if it does not exist."""
        return space_path(self.lineage(space) or (space, ROOT))

    def inherited(self, space: SpaceName) -> tuple[SpaceName, ...]:
        """List the spaces whose goods can be used here: the space itself, then up as far as everyone inherits."""
        known = self._inherited.get(space)
        if known is not None:
            return known
        if not self.exists(space):
            return ()
        line = [space]
        while self.inherits(line[-1]):
            line.append(self.nodes[line[-1]].parent)
        self._inherited[space] = tuple(line)
        return self._inherited[space]

    def flows(self, from_ancestor: SpaceName, to_space: SpaceName) -> bool:
        """Whether goods of the one can be used in the other; a space's own goods always can."""
        return from_ancestor in self.inherited(to_space)

    def inheriting(self, space: SpaceName) -> tuple[SpaceName, ...]:
        """List the spaces that goods of this one can be used in: itself and what inherits below, parents first."""
        found = [space] if self.exists(space) else []
        for here in found:
            found.extend(child for child in self.children(here) if self.inherits(child))
        return tuple(found)

    def subtree(self, space: SpaceName) -> tuple[SpaceName, ...]:
        """List the space and all below it, parents before children.

        Starting from a missing or faulty space it lists what would hang from it, so that a change can be followed.
        """
        return self.subtrees((space,))

    def subtrees(self, spaces: Iterable[SpaceName]) -> tuple[SpaceName, ...]:
        """List several spaces and all below them, each once."""
        seen: dict[SpaceName, None] = {}
        todo = list(spaces)[::-1]
        while todo:
            here = todo.pop()
            if here in seen:
                continue
            seen[here] = None
            todo.extend(reversed(self._children.get(here, ())))
        return tuple(seen)

    def cycle(self, space: SpaceName) -> tuple[SpaceName, ...]:
        """Return the cycle that the space is part of, itself first and last; nothing when it is in none."""
        if self.faults.get(space) is not TreeFault.CYCLE:
            return ()
        path = [space]
        while (above := self.nodes[path[-1]].parent) != space:
            path.append(above)
        return (*path, space)


def _find_faults(
    nodes: Mapping[SpaceName, SpaceNode], children: Mapping[SpaceName, tuple[SpaceName, ...]]
) -> dict[SpaceName, TreeFault]:
    """Everything that cannot be reached from the root has a fault; which one, its chain of parents says."""
    reached: set[SpaceName] = set()
    todo = [ROOT]
    while todo:
        below = children.get(todo.pop(), ())
        reached.update(below)
        todo.extend(below)
    faults: dict[SpaceName, TreeFault] = {}
    for start in nodes:
        chain: dict[SpaceName, int] = {}
        here = start
        while here not in reached and here not in faults and here in nodes and here not in chain:
            chain[here] = len(chain)
            here = nodes[here].parent
        for name, at in chain.items():
            if here in chain and at >= chain[here]:
                faults[name] = TreeFault.CYCLE
            elif nodes[name].parent in nodes:
                faults[name] = TreeFault.DETACHED
            else:
                faults[name] = TreeFault.ORPHAN
    return faults
