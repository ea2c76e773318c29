"""Files that documents refer to, read from a repository at one revision."""

from __future__ import annotations

from reconciler.git.objects import EntryKind
from reconciler.git.trees import Trees
from spaces.attachments import MAX_BYTES, NO_FILE, NOT_THERE, THROUGH_LINK, TOO_LARGE, Attach, Unusable
from spaces.catalog import Catalog
from spaces.names import Revision


def attach_at(trees: Trees, revision: Revision) -> Attach:
    """Read the files of a revision, never through a link."""
    return lambda path: read_attached(trees, revision, path)


def read_attached(trees: Trees, revision: Revision, path: str) -> bytes | Unusable:
    """Give a file's content, or why there is none to be had."""
    entry = trees.entry(revision, path)
    if entry is None:
        return THROUGH_LINK if _through_link(trees, revision, path) else NOT_THERE
    if entry.kind is EntryKind.SYMLINK:
        return THROUGH_LINK
    if not entry.kind.is_file:
        return NO_FILE
    return trees.read_blob(entry.id) if trees.blob_size(entry.id) <= MAX_BYTES else TOO_LARGE


def changed_documents(
    trees: Trees, catalog: Catalog, at: Revision, revision: Revision, config_path: str
) -> dict[str, bytes | None]:
    """Give the configuration files that differ, and those whose documents refer to a file that differs."""
    changed = trees.changed_files(at, revision, config_path)
    if catalog.attached:
        for file in catalog.attaching(trees.changed_paths(at, revision, config_path)) - changed.keys():
            changed[file] = trees.read(revision, file)
    return changed


def _through_link(trees: Trees, revision: Revision, path: str) -> bool:
    parts = path.split("/")
    above = ("/".join(parts[:end]) for end in range(1, len(parts)))
    found = (trees.entry(revision, each) for each in above)
    return any(entry is not None and entry.kind is EntryKind.SYMLINK for entry in found)
