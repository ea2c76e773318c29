"""Documents that were put into the repository by somebody without the right to: which ones they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from spaces.names import Digest, ResourceRef
from spaces.placed import Placed
from spaces.resources import Resource


class HeldDocument(NamedTuple):
    """One document that does not count, for as long as it says what it said when it was held.

    Where a file says the same twice, `copy` tells such documents apart: they are alike, so which is which is all one.
    """

    ref: ResourceRef
    file: str
    content: Digest
    copy: int = 0

    @classmethod
    def of(cls, placed: Placed) -> Self:
        """Name the document."""
        return cls(placed.ref, placed.resource.file, placed.resource.content)

    def means(self, resource: Resource) -> bool:
        """Say whether a document of its file may be it: where that one lies is for the caller to compare."""
        return self.names(resource) and resource.content == self.content

    def names(self, resource: Resource) -> bool:
        """Say whether a document has its kind and name."""
        return resource.kind is self.ref.kind and resource.name == self.ref.name


@dataclass(frozen=True, slots=True, eq=False)
class HeldDocuments:
    """A set of held documents, by their files and by their references."""

    every: frozenset[HeldDocument] = frozenset()
    by_file: Mapping[str, tuple[HeldDocument, ...]] = field(repr=False, default_factory=dict)
    files_of: Mapping[ResourceRef, frozenset[str]] = field(repr=False, default_factory=dict)

    @classmethod
    def make(cls, documents: Iterable[HeldDocument]) -> Self:
        """Gather them."""
        every = frozenset(documents)
        by_file: dict[str, list[HeldDocument]] = {}
        files_of: dict[ResourceRef, set[str]] = {}
        for each in sorted(every):
            by_file.setdefault(each.file, []).append(each)
            files_of.setdefault(each.ref, set()).add(each.file)
        return cls(
            every,
            {file: tuple(documents) for file, documents in by_file.items()},
            {ref: frozenset(files) for ref, files in files_of.items()},
        )

    def meaning(self, resource: Resource) -> Iterator[HeldDocument]:
        """Give those that a document of some file may be."""
        return (each for each in self.by_file.get(resource.file, ()) if each.means(resource))

    def without(self, resources: Iterable[Resource]) -> list[Resource]:
        """Take out the documents that are held, each once."""
        if not self.every:
            return [*resources]
        left, rest = set(self.every), []
        for resource in resources:
            found = next((each for each in self.meaning(resource) if each in left), None)
            if found is not None:
                left.remove(found)
            else:
                rest.append(resource)
        return rest


NOTHING_HELD = HeldDocuments()
