"""The files of the configuration at a revision: what differs, and what documents refer to. Links are never followed."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.git.objects import EntryKind
from reconciler.git.trees import LARGEST_FILE, Trees
from spaces.catalog import Catalog
from spaces.names import Revision
from spaces.reading.attachments import MAX_BYTES, NO_FILE, NOT_THERE, THROUGH_LINK, TOO_LARGE, Attach, Unusable
from spaces.reading.documents import TOO_LARGE_OURS


def attach_at(trees: Trees, revision: Revision) -> Attach:
    """Return what reads the files that documents refer to, at a revision."""
    return lambda path: read_attached(trees, revision, path)


def read_attached(trees: Trees, revision: Revision, path: str) -> bytes | Unusable:
    """Return a file's content, or why there is none to be had."""
    entry = trees.entry(revision, path)
    if entry is None:
        return THROUGH_LINK if _through_link(trees, revision, path) else NOT_THERE
    if entry.kind is EntryKind.SYMLINK:
        return THROUGH_LINK
    if not entry.kind.is_file:
        return NO_FILE
    return trees.read_blob(entry.id) if trees.blob_size(entry.id) <= MAX_BYTES else TOO_LARGE


def read_file(trees: Trees, revision: Revision, path: str) -> bytes | None:
    """Return a regular file's content; None if there is none."""
    entry = trees.entry(revision, path)
    if entry is None or not entry.kind.is_file:
        return None
    return trees.read_blob(entry.id) if trees.blob_size(entry.id) <= LARGEST_FILE else TOO_LARGE_OURS


def changed_files(
    trees: Trees, tree: Catalog, held: Iterable[str], revisions: tuple[Revision, Revision], config_path: str
) -> dict[str, bytes | None]:
    """Return the configuration's files that differ between two revisions.

    Those whose documents refer to a file that differs are among them, and the held files that documents refer to.
    """
    at, revision = revisions
    changed = trees.changed_files(at, revision, config_path)
    held = frozenset(held)
    if not tree.attached and not held:
        return changed
    paths = trees.changed_paths(at, revision)
    for path in (tree.attaching(paths) | held.intersection(paths)) - changed.keys():
        changed[path] = read_file(trees, revision, path)
    return changed


def _through_link(trees: Trees, revision: Revision, path: str) -> bool:
    parts = path.split("/")
    above = ("/".join(parts[:end]) for end in range(1, len(parts)))
    found = (trees.entry(revision, each) for each in above)
    return any(entry is not None and entry.kind is EntryKind.SYMLINK for entry in found)
