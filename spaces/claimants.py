"""Which documents claim which references: one each, when all is well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Self

from spaces.documents.documents import Placed
from spaces.names import ResourceRef, SpaceName


@dataclass(frozen=True, slots=True, eq=False)
class Claimants:
    """Documents by reference. Immutable; `evolve` shares what does not change."""

    _spaces: Mapping[SpaceName, Mapping[ResourceRef, tuple[Placed, ...]]] = field(repr=False, default_factory=dict)
    """By space, so that a change of a document is written down in one space, and not among all of them."""

    def of(self, ref: ResourceRef) -> tuple[Placed, ...]:
        """Give all documents that claim a reference, by file and place in it."""
        here = self._spaces.get(ref.space)
        return here.get(ref, ()) if here is not None else ()

    def refs(self) -> Iterator[ResourceRef]:
        """Every reference that is claimed."""
        return chain.from_iterable(self._spaces.values())

    def evolve(self, gone: Iterable[Placed], come: Iterable[Placed]) -> Self:
        """Take documents out, and put others in."""
        changed: dict[SpaceName, dict[ResourceRef, tuple[Placed, ...]]] = {}
        for placed in gone:
            here = self._copy(placed.ref.space, changed)
            left = tuple(each for each in here[placed.ref] if each is not placed)
            if left:
                here[placed.ref] = left
            else:
                del here[placed.ref]
        for placed in come:
            here = self._copy(placed.ref.space, changed)
            others = here.get(placed.ref, ())
            here[placed.ref] = tuple(sorted((*others, placed), key=_by_place)) if others else (placed,)
        return type(self)({space: here for space, here in {**self._spaces, **changed}.items() if here})

    def _copy(
        self, space: SpaceName, changed: dict[SpaceName, dict[ResourceRef, tuple[Placed, ...]]]
    ) -> dict[ResourceRef, tuple[Placed, ...]]:
        here = changed.get(space)
        if here is None:
            here = changed[space] = dict(self._spaces.get(space, {}))
        return here


def _by_place(placed: Placed) -> tuple[str, int]:
    return placed.resource.file, placed.resource.index
