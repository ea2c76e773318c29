"""Directories whose space must stay what it was, so that a broken or missing space file moves nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from posixpath import dirname

from spaces.catalog import SPACE_FILES, Catalog, is_space_file
from spaces.documents.documents import PlacedDocuments
from spaces.model.space import SpaceSpec
from spaces.names import Kind, ResourceRef, SpaceName
from spaces.reading.resources import Resource
from spaces.settling import KeptBecause


@dataclass(frozen=True, slots=True)
class KeptDirectory:
    """A directory that stays with the space that is in force there.

    `users` are the documents that rely on it, `rival` the space that would have the directory and does not work.
    """

    directory: str
    space: SpaceName
    because: KeptBecause
    users: tuple[Resource, ...] = ()
    rival: ResourceRef | None = None

    @property
    def ref(self) -> ResourceRef:
        """The space's document."""
        return ResourceRef(Kind.SPACE, self.space, self.space)


def kept_directories(
    documents: PlacedDocuments,
    settled_from: Catalog,
    proposed: Catalog,
    directories: Iterable[str],
    held: Collection[ResourceRef],
) -> dict[str, KeptDirectory]:
    """Find which of these directories stay with their space: its change is held, its file broken, or it is needed."""
    kept: dict[str, KeptDirectory] = {}
    for directory in directories:
        space = settled_from.claim(directory)
        if space is None or proposed.claims.get(directory) == space:
            continue
        ref = ResourceRef(Kind.SPACE, space, space)
        if documents.placed(ref) is None:
            continue
        if ref in held:
            kept[directory] = KeptDirectory(directory, space, KeptBecause.HELD)
        elif _unreadable(directory, proposed) and not proposed.declares(ref) and directory not in proposed.claims:
            kept[directory] = KeptDirectory(directory, space, KeptBecause.BROKEN)
        elif directory in proposed.claims:
            if proposed.claims[directory] is None:
                kept[directory] = KeptDirectory(directory, space, KeptBecause.BROKEN)
        elif not proposed.declares(ref) and (users := tuple(_relying(proposed, directory))):
            kept[directory] = KeptDirectory(directory, space, KeptBecause.IN_USE, users)
    return kept


def _unreadable(directory: str, proposed: Catalog) -> bool:
    return any((f"{directory}/{name}" if directory else name) in proposed.unreadable for name in SPACE_FILES)


def space_directories(
    documents: PlacedDocuments, changed: Iterable[str], spaces: Iterable[ResourceRef]
) -> frozenset[str]:
    """List the directories of changed space files, and of the given spaces."""
    files = list(changed)
    for ref in spaces:
        placed = documents.placed(ref) if ref.kind is Kind.SPACE else None
        if placed is not None:
            files.append(placed.resource.file)
    return frozenset(dirname(path) for path in files if is_space_file(path))


def lost_directories(
    documents: PlacedDocuments, settled_from: Catalog, proposed: Catalog, settled: PlacedDocuments
) -> dict[str, KeptDirectory]:
    """Find the directories that would go to another space which does not come into force."""
    lost: dict[str, KeptDirectory] = {}
    for directory in proposed.moved_directories(settled_from):
        old, new = settled_from.claim(directory), proposed.claim(directory)
        if old is None or new is None or old == new:
            continue
        was_there = documents.placed(ResourceRef(Kind.SPACE, old, old)) is not None
        rival = ResourceRef(Kind.SPACE, new, new)
        if was_there and settled.placed(rival) is None:
            lost[directory] = KeptDirectory(directory, old, KeptBecause.BROKEN, rival=rival)
    return lost


def _relying(proposed: Catalog, directory: str) -> Iterator[Resource]:
    """List the documents that take their space from the directory, should it have one."""
    for path in sorted(proposed.below((directory,))):
        own = dirname(path)
        for resource in proposed.files[path].parsed.resources:
            here = own
            if isinstance(resource.spec, SpaceSpec):
                if resource.spec.parent is not None:
                    continue
                here = dirname(own) if is_space_file(path) else own
            elif resource.space is not None:
                continue
            while here != directory and here and here not in proposed.claims:
                here = dirname(here)
            if here == directory:
                yield resource
