"""Documents that were put into the repository by somebody without the right to: which ones they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from spaces.documents.documents import Placed
from spaces.names import Digest, Kind, ResourceRef
from spaces.reading.resources import Resource


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
        named = resource.kind is self.ref.kind and resource.name == self.ref.name
        return named and resource.content == self.content


@dataclass(frozen=True, slots=True, eq=False)
class HeldDocuments:
    """A set of held documents, by their files and by what they are called there."""

    every: frozenset[HeldDocument] = frozenset()
    by_file: Mapping[str, tuple[HeldDocument, ...]] = field(repr=False, default_factory=dict)
    _by_name: Mapping[tuple[str, Kind, str], tuple[HeldDocument, ...]] = field(repr=False, default_factory=dict)

    @classmethod
    def make(cls, documents: Iterable[HeldDocument]) -> Self:
        """Gather them."""
        every = frozenset(documents)
        by_file: dict[str, list[HeldDocument]] = {}
        by_name: dict[tuple[str, Kind, str], list[HeldDocument]] = {}
        for each in sorted(every):
            by_file.setdefault(each.file, []).append(each)
            by_name.setdefault((each.file, each.ref.kind, each.ref.name), []).append(each)
        files = {file: tuple(documents) for file, documents in by_file.items()}
        return cls(every, files, {name: tuple(documents) for name, documents in by_name.items()})

    def meaning(self, resource: Resource) -> Iterator[HeldDocument]:
        """Give those that a document of some file may be."""
        named = self._by_name.get((resource.file, resource.kind, resource.name), ())
        return (each for each in named if each.means(resource))

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
