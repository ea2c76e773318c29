"""What blueprint instances make of their templates, and what is wrong with it. `blueprints` works it out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from spaces.diagnostics import Position
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.expressions.spans import Path
from spaces.names import Kind, ResourceRef, SpaceName
from spaces.reading.resources import Resource


class Spot(NamedTuple):
    """A value in a document, or an expression in it."""

    resource: Resource
    path: Path
    within: tuple[int, int] | None = None

    def position(self) -> Position:
        """Return where it stands; costs as much as reading the file."""
        return self.resource.position(self.path, self.within)


class ExpansionProblem(NamedTuple):
    """What is wrong with what an instance makes: `path` leads to its cause in the instance that somebody wrote.

    `place` is where else to look: in the template, mostly. `others` are documents that it clashes with.
    """

    code: str
    summary: str
    path: Path = ("spec", "blueprint")
    hint: str | None = None
    place: Spot | None = None
    others: tuple[ResourceRef, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Expansion:
    """What an instance makes, and what is wrong with it. `uses` are the blueprints that were looked up for it."""

    instance: Placed
    documents: tuple[Placed, ...]
    findings: tuple[ExpansionProblem, ...]
    uses: Mapping[str, Placed | None]
    """By the name as looked up from the instance's space."""
    space: Placed | None
    """The space's own document, whose labels a template may ask for."""

    def holds(self, documents: PlacedDocuments) -> bool:
        """Whether the instance makes the same among these documents."""
        ref = self.instance.ref
        return (
            documents.placed(ref) is self.instance
            and documents.placed(space_ref(ref.space)) is self.space
            and all(documents.find(Kind.BLUEPRINT, name, ref.space) is found for name, found in self.uses.items())
        )


def roots(documents: PlacedDocuments, refs: Iterable[ResourceRef]) -> Iterator[ResourceRef]:
    """Return the written documents behind some: an instance for what it makes, every other one for itself."""
    for ref in refs:
        yield from documents.makers.get(ref, ())
        if documents.written(ref) is not None:
            yield ref


def space_ref(space: SpaceName) -> ResourceRef:
    """Return the reference of a space's own document."""
    return ResourceRef(Kind.SPACE, space, space)
