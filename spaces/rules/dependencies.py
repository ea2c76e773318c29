"""The graph of stacks: who runs before whom, across spaces and tools. Asked edge by edge, and never built whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from spaces.documents.documents import Placed, PlacedDocuments
from spaces.documents.references import moved_from
from spaces.model.dependency import OutputUse
from spaces.model.stack import StackSpec
from spaces.names import Kind, ResourceRef, StackId


@dataclass(frozen=True, slots=True)
class ResolvedDependency:
    """A stack that another one needs. `outputs`: each output in use, with where it goes."""

    parent: StackId
    outputs: Mapping[str, OutputUse]
    index: int
    """Its place in the list of the one that needs it."""
    always: bool = False
    """Whether the one that needs it runs each time it has applied something."""


def dependencies_of(documents: PlacedDocuments, stack: Placed) -> Iterator[ResolvedDependency]:
    """Return what a stack depends on, in the order written; names that mean nothing are left out."""
    spec = stack.resource.spec
    for index, dependency in enumerate(spec.depends_on if isinstance(spec, StackSpec) else ()):
        found = documents.find(Kind.STACK, dependency.stack, stack.ref.space)
        if found is not None:
            parent = StackId(found.ref.space, found.ref.name)
            yield ResolvedDependency(parent, dependency.outputs, index, dependency.always)


def parents_of(documents: PlacedDocuments, stack: StackId) -> list[StackId]:
    """List the stacks that one depends on directly."""
    placed = documents.placed(stack.ref)
    return [] if placed is None else [each.parent for each in dependencies_of(documents, placed)]


def dependents_of(documents: PlacedDocuments, stack: StackId) -> list[StackId]:
    """List the stacks that depend on one directly, by space and name."""
    found = []
    for ref in documents.mentioning(Kind.STACK, stack.name):
        child = StackId(ref.space, ref.name)
        if may_mean(documents, ref, stack.ref) and stack in parents_of(documents, child):
            found.append(child)
    return sorted(found)


def descendants_of(documents: PlacedDocuments, stacks: Iterable[StackId]) -> set[StackId]:
    """Return every stack that depends on one of these, at any distance."""
    found: set[StackId] = set()
    todo = list(stacks)
    while todo:
        fresh = [child for child in dependents_of(documents, todo.pop()) if child not in found]
        found.update(fresh)
        todo += fresh
    return found


def may_mean(documents: PlacedDocuments, user: ResourceRef, stack: ResourceRef) -> bool:
    """Whether a document that mentions the stack's bare name may mean this very stack."""
    placed = documents.placed(user)
    if placed is None:
        return False
    if moved_from(placed.resource) == stack:
        return True
    spec = placed.resource.spec
    if not isinstance(spec, StackSpec):
        return False
    for dependency in spec.depends_on:
        space, slash, name = dependency.stack.rpartition("/")
        if name == stack.name and (space == stack.space if slash else documents.tree.flows(stack.space, user.space)):
            return True
    return False


def waves(stacks: Iterable[StackId], parents: Mapping[StackId, Iterable[StackId]]) -> list[list[StackId]]:
    """Sort stacks into waves: each one stands behind all of its parents among them. ValueError for a cycle."""
    left = sorted(set(stacks))
    needs = {stack: set(parents.get(stack, ())).intersection(left) for stack in left}
    below: dict[StackId, list[StackId]] = {}
    for stack, above in needs.items():
        for parent in above:
            below.setdefault(parent, []).append(stack)
    found: list[list[StackId]] = []
    wave = [stack for stack in left if not needs[stack]]
    count = len(wave)
    while wave:
        found.append(wave)
        following = []
        for stack in wave:
            for child in below.get(stack, ()):
                needs[child].discard(stack)
                if not needs[child]:
                    following.append(child)
        wave = sorted(following)
        count += len(wave)
    if count < len(left):
        raise ValueError("they depend on each other in a circle")
    return found


_LONGEST_PATH = 12


@dataclass(frozen=True, slots=True)
class Cycle:
    """A circle of stacks. `path` begins and ends with the stack asked about; the middle of a long one is left out."""

    path: tuple[str, ...]
    index: int
    """The place of the next stack of the circle in the list of the one asked about."""
    members: tuple[StackId, ...]


@dataclass(slots=True)
class Cycles:
    """Finds the circles among documents. What was looked at once is not looked at again."""

    documents: PlacedDocuments
    _group: dict[StackId, frozenset[StackId]] = field(default_factory=dict)
    """The stacks that each one looked at can be reached from and reaches: itself alone, where all is well."""

    def through(self, stack: StackId) -> Cycle | None:
        """Return a circle that the stack is part of; None if there is none, or only the stack itself."""
        if stack not in self._group:
            self._explore(stack)
        group = self._group[stack]
        if len(group) < 2:
            return None
        return self._cycle(stack, group)

    def _cycle(self, stack: StackId, group: frozenset[StackId]) -> Cycle:
        placed = self.documents.placed(stack.ref)
        assert placed is not None  # noqa: S101 - it is in a circle
        first = next(each for each in dependencies_of(self.documents, placed) if each.parent in group)
        path = [str(stack), str(first.parent), f"… {len(group) - 2} more …", str(stack)]
        if len(group) <= _LONGEST_PATH:
            path = [str(stack), *(str(each) for each in self._way(first.parent, stack, group))]
        return Cycle(tuple(path), first.index, tuple(sorted(group - {stack})))

    def _way(self, start: StackId, end: StackId, group: frozenset[StackId]) -> list[StackId]:
        came: dict[StackId, StackId | None] = {start: None}
        todo = [start]
        while end not in came:
            here = todo.pop(0)
            for parent in parents_of(self.documents, here):
                if parent in group and parent not in came:
                    came[parent] = here
                    todo.append(parent)
        way: list[StackId] = []
        at: StackId | None = end
        while at is not None:
            way.append(at)
            at = came[at]
        return way[::-1]

    def _explore(self, start: StackId) -> None:
        """Group everything above a stack by who can reach whom (Tarjan's algorithm, without recursion)."""
        number: dict[StackId, int] = {}
        lowest: dict[StackId, int] = {}
        open_: list[StackId] = []
        is_open: set[StackId] = set()
        path: list[tuple[StackId, Iterator[StackId]]] = []

        def enter(stack: StackId) -> None:
            number[stack] = lowest[stack] = len(number)
            open_.append(stack)
            is_open.add(stack)
            path.append((stack, iter(parents_of(self.documents, stack))))

        enter(start)
        while path:
            here, above = path[-1]
            parent = next(above, None)
            if parent is None:
                path.pop()
                if path:
                    below = path[-1][0]
                    lowest[below] = min(lowest[below], lowest[here])
                if lowest[here] == number[here]:
                    at = open_.index(here) if open_[-1] != here else len(open_) - 1
                    group = frozenset(open_[at:])
                    del open_[at:]
                    is_open -= group
                    self._group.update(dict.fromkeys(group, group))
            elif parent in self._group:
                continue
            elif parent not in number:
                enter(parent)
            elif parent in is_open:
                lowest[here] = min(lowest[here], number[parent])
