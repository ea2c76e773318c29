"""What a commit declares otherwise: names, and the documents that are new under them."""

from __future__ import annotations

from collections.abc import Collection

from spaces.catalog import Catalog
from spaces.documents.documents import Placed
from spaces.names import ResourceRef


def redeclared(before: Catalog, after: Catalog, changed: Collection[str]) -> list[ResourceRef]:
    """List the documents that two catalogs declare or hold otherwise; `changed` are the files that differ."""
    paths = {*changed, *after.moved_files(before)}
    refs: set[ResourceRef] = set()
    for catalog in (before, after):
        for path in paths & catalog.files.keys():
            file = catalog.files[path]
            refs.update(placed.ref for placed in (*file.placed, *file.held))
    return sorted(
        ref
        for ref in refs
        if not same_claims(before.claimants(ref), after.claimants(ref))
        or not same_claims(before.held_at(ref), after.held_at(ref))
    )


def same_claims(one: tuple[Placed, ...], other: tuple[Placed, ...]) -> bool:
    """Say whether the documents of a name are the same ones, in the same files."""
    return len(one) == len(other) and all(map(same_document, one, other))


def same(one: Placed | None, other: Placed | None) -> bool:
    """Say whether both mean the same, or are both not there."""
    return one is other or (one is not None and one.same(other))


def added(before: tuple[Placed, ...], after: tuple[Placed, ...]) -> list[Placed]:
    """List the documents that claim a name now, and did not say the same before, in the same file."""
    left, new = list(before), []
    for placed in after:
        was = next((each for each in left if same_document(each, placed)), None)
        if was is None:
            new.append(placed)
        else:
            left.remove(was)
    return new


def same_document(one: Placed, other: Placed) -> bool:
    """Say whether both mean the same and are in the same file: who renames a file writes all that is in it."""
    return one is other or (one.resource.file == other.resource.file and one.same(other))
