"""A head start for a fetch from a repository on this machine, at the cost of only the new objects.

The mirror calls `copy_new_objects` before each fetch. To find out which objects a mirror lacks, libgit2 walks through
every directory of the last revision, and it fetches all other branches along. Here the trees of the new commits are
compared with those of their parents instead: as in Git, a commit that a ref of the mirror reaches is there with
everything that it names.

No ref moves and no failure is reported: the fetch that follows asks the remote as always and does the rest, or
everything. That is so for the first fetch, beyond the limits below, and for a damaged remote. The pack appears complete
or not at all, so a kill leaves nothing that could be taken for more than it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

import pygit2
from pygit2.enums import ObjectType, RepositoryOpenFlag, SortMode

from reconciler.git import refs
from reconciler.git.libgit2 import LIBRARY_ERRORS
from reconciler.git.objects import EntryKind, RawEntry, split_tree
from reconciler.git.remote import local_path

MOST_COMMITS = 1_000
MOST_OBJECTS = 5_000
MOST_BYTES = 16 * 2**20
"""The most bytes of unpacked objects that a head start may read in all."""


class _NoHeadStartError(Exception):
    """This fetch is better done by libgit2 alone."""


def copy_new_objects(mirror: pygit2.Repository, url: str, branches: Collection[str]) -> bool:
    """Copy the new objects of these branches of a `file://` remote into a mirror, as one pack.

    Return whether anything was copied.
    """
    path = local_path(url)
    if path is None:
        return False
    try:
        remote = pygit2.Repository(str(path), RepositoryOpenFlag.NO_SEARCH)
        news = _News(remote)
        for commit in _new_commits(mirror, remote, branches):
            news.add(commit)
        return news.write(Path(mirror.path) / "objects" / "pack")
    except (_NoHeadStartError, *LIBRARY_ERRORS):
        return False


def _new_commits(
    mirror: pygit2.Repository, remote: pygit2.Repository, branches: Collection[str]
) -> Iterator[pygit2.Commit]:
    tips = (refs.target(remote, f"refs/heads/{branch}") for branch in branches)
    wanted = [pygit2.Oid(hex=tip) for tip in tips if tip is not None and tip not in mirror]
    if not wanted:
        return
    held = (refs.target(mirror, name) for prefix in (refs.TIP, refs.KEEP) for name in refs.names(mirror, prefix))
    shared = [pygit2.Oid(hex=revision) for revision in held if revision is not None and revision in remote]
    if not shared:
        raise _NoHeadStartError
    walk = remote.walk(wanted[0], SortMode.TIME)
    for tip in wanted[1:]:
        walk.push(tip)
    for revision in shared:
        walk.hide(revision)
    for number, commit in enumerate(islice(walk, MOST_COMMITS + 1)):
        if number == MOST_COMMITS:
            raise _NoHeadStartError
        yield commit


class _News:
    """The objects that some commits name and their parents do not."""

    def __init__(self, remote: pygit2.Repository) -> None:
        self._remote = remote
        self._odb = remote.odb
        self._objects: dict[bytes, None] = {}
        self._bytes = 0

    def add(self, commit: pygit2.Commit) -> None:
        """Add a commit, and the objects of its tree that no parent's tree has in the same place."""
        self._take(commit.id.raw, ObjectType.COMMIT)
        pending = [(commit.tree_id.raw, [parent.tree_id.raw for parent in commit.parents])]
        while pending:
            tree, before = pending.pop()
            if tree in self._objects or tree in before:
                continue
            self._take(tree, ObjectType.TREE)
            pending.extend(self._open(tree, before))

    def write(self, directory: Path) -> bool:
        """Write all objects as one pack, while libgit2 checks that each has the content of its id.

        Return whether there are any.
        """
        if not self._objects:
            return False
        builder = pygit2.PackBuilder(self._remote)
        for object_id in self._objects:
            builder.add(pygit2.Oid(raw=object_id))
        builder.write(str(directory))
        return True

    def _open(self, tree: bytes, before: list[bytes]) -> Iterator[tuple[bytes, list[bytes]]]:
        """Add the new files of a tree, and yield its new directories, each with the directories that it replaces."""
        entries = self._entries(tree)
        known = [self._entries(parent) for parent in before]
        replaced = [RawEntry.read(entry) for parent in known for entry in parent - entries]
        for entry in map(RawEntry.read, entries.difference(*known)):
            if entry.kind is EntryKind.TREE:
                yield entry.id, [was.id for was in replaced if was.name == entry.name and was.kind is entry.kind]
            elif entry.kind is not EntryKind.SUBMODULE:
                self._take(entry.id, ObjectType.BLOB)

    def _entries(self, tree: bytes) -> set[bytes]:
        self._spend(tree, ObjectType.TREE)
        return set(split_tree(self._odb.read(pygit2.Oid(raw=tree))[1]))

    def _take(self, object_id: bytes, kind: ObjectType) -> None:
        if object_id in self._objects:
            return
        self._spend(object_id, kind)
        self._objects[object_id] = None
        if len(self._objects) > MOST_OBJECTS:
            raise _NoHeadStartError

    def _spend(self, object_id: bytes, kind: ObjectType) -> None:
        """Count an object before it is read.

        A tree that is named as a file is refused: its own entries would not be copied.
        """
        actual, size = self._odb.read_header(pygit2.Oid(raw=object_id))
        self._bytes += size
        if actual != kind or self._bytes > MOST_BYTES:
            raise _NoHeadStartError
