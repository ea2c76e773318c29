"""A head start for a fetch from a repository on this machine, at the price of what is new in it."""

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
"""Bytes of objects, unpacked, that a head start may look at in all."""


class _NoHeadStartError(Exception):
    """This fetch is better done by libgit2 alone."""


def bring(mirror: pygit2.Repository, url: str, branches: Collection[str]) -> bool:
    """Bring what is new on these branches of a `file://` remote into a mirror, as one pack; say whether anything came.

    To leave out what a mirror has already, libgit2 goes through every directory of the last revision, and it brings
    all other branches along. Here the new commits' trees are compared with those of their parents: as in Git, a commit
    that a ref of the mirror reaches is there with all that it names.

    No ref moves and no failure is told: the fetch that follows looks at the remote as ever and does what is left, up
    to the whole of it. That is so for the first fetch, beyond the limits above, and where the remote is not whole.
    The pack shows up complete or not at all, so a kill leaves nothing that could be taken for more than it is.
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
    """What some commits name and their parents do not."""

    def __init__(self, remote: pygit2.Repository) -> None:
        self._remote = remote
        self._odb = remote.odb
        self._found: dict[bytes, None] = {}
        self._bytes = 0

    def add(self, commit: pygit2.Commit) -> None:
        """Take in a commit, and what its tree has that no parent's tree has in the same place."""
        self._take(commit.id.raw, ObjectType.COMMIT)
        pending = [(commit.tree_id.raw, [parent.tree_id.raw for parent in commit.parents])]
        while pending:
            tree, before = pending.pop()
            if tree in self._found or tree in before:
                continue
            self._take(tree, ObjectType.TREE)
            pending.extend(self._open(tree, before))

    def write(self, directory: Path) -> bool:
        """Write everything as one pack. On the way libgit2 checks that each object is what its id says."""
        if not self._found:
            return False
        builder = pygit2.PackBuilder(self._remote)
        for object_id in self._found:
            builder.add(pygit2.Oid(raw=object_id))
        builder.write(str(directory))
        return True

    def _open(self, tree: bytes, before: list[bytes]) -> Iterator[tuple[bytes, list[bytes]]]:
        """Take in a tree's files that are new, and give its directories that are, with what was in their place."""
        entries = self._entries(tree)
        known = [self._entries(each) for each in before]
        replaced = [RawEntry.read(entry) for each in known for entry in each - entries]
        for entry in map(RawEntry.read, entries.difference(*known)):
            if entry.kind is EntryKind.TREE:
                yield entry.id, [was.id for was in replaced if was.name == entry.name and was.kind is entry.kind]
            elif entry.kind is not EntryKind.SUBMODULE:
                self._take(entry.id, ObjectType.BLOB)

    def _entries(self, tree: bytes) -> set[bytes]:
        self._spend(tree, ObjectType.TREE)
        return set(split_tree(self._odb.read(pygit2.Oid(raw=tree))[1]))

    def _take(self, object_id: bytes, kind: ObjectType) -> None:
        if object_id in self._found:
            return
        self._spend(object_id, kind)
        self._found[object_id] = None
        if len(self._found) > MOST_OBJECTS:
            raise _NoHeadStartError

    def _spend(self, object_id: bytes, kind: ObjectType) -> None:
        """Count an object before it is read. A tree that is named as a file would come without what it names."""
        found, size = self._odb.read_header(pygit2.Oid(raw=object_id))
        self._bytes += size
        if found != kind or self._bytes > MOST_BYTES:
            raise _NoHeadStartError
