"""The objects of a repository, read by id. Its configuration, grafts and replacements are never consulted."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pygit2
from pygit2.enums import ObjectType

from reconciler.git.errors import GitError, GitReason, is_disk_full, one_line
from reconciler.git.libgit2 import LIBRARY_ERRORS
from reconciler.git.objects import CommitInfo, TreeEntry, read_commit, read_tree, split_tree
from spaces.names import Revision

_FULL_ID = re.compile(r"[0-9a-f]{40}")
_CACHED_ENTRIES = 100_000
_CACHED_COMMITS = 1_000
_MOST_ALTERNATES = 10


class ObjectStore:
    """The objects under one or more `objects` directories. Threads may share it."""

    def __init__(self, directories: Sequence[Path], on_loss: Callable[[], None] | None = None) -> None:
        """Read from these directories; call `on_loss` when an object that another one names is missing or damaged."""
        self.directories = tuple(directories)
        self.on_loss = on_loss
        self.odb = pygit2.Odb()
        for directory in self.directories:
            self.odb.add_disk_alternate(str(directory))
        self.repository = pygit2.Repository()
        self.repository.set_odb(self.odb)
        self._lock = threading.Lock()
        self._trees: OrderedDict[str, Mapping[str, TreeEntry]] = OrderedDict()
        self._entries = 0
        self._commits: OrderedDict[str, CommitInfo] = OrderedDict()

    def exists(self, object_id: str) -> bool:
        """Whether an object with this full id is there. The object is not read."""
        try:
            return bool(_FULL_ID.fullmatch(object_id)) and object_id in self.odb
        except LIBRARY_ERRORS:
            return False

    def blob(self, object_id: str) -> bytes:
        """Return the content of a blob."""
        return self._read(object_id, ObjectType.BLOB)

    def blob_size(self, object_id: str) -> int:
        """Return a blob's size in bytes."""
        with self.guard(object_id):
            return int(self.odb.read_header(object_id)[1])

    def is_tree(self, object_id: str) -> bool:
        """Whether an object is a tree."""
        with self.guard(object_id):
            return int(self.odb.read_header(object_id)[0]) == ObjectType.TREE

    def check_tree(self, object_id: str) -> None:
        """Raise GitError unless the object is a readable tree. This is cheaper than reading a large tree."""
        if self._known(object_id) is None:
            with self.guard(object_id):
                split_tree(self._take(object_id, ObjectType.TREE))

    def tree(self, object_id: str) -> Mapping[str, TreeEntry]:
        """Return the entries of a tree by name."""
        if (known := self._known(object_id)) is not None:
            return known
        try:
            entries = read_tree(self._take(object_id, ObjectType.TREE))
        except LIBRARY_ERRORS as error:
            raise self._wrong(object_id, error) from error
        with self._lock:
            if object_id not in self._trees:
                self._trees[object_id] = entries
                self._entries += len(entries)
            while self._entries > _CACHED_ENTRIES and len(self._trees) > 1:
                self._entries -= len(self._trees.popitem(last=False)[1])
        return entries

    def _known(self, object_id: str) -> Mapping[str, TreeEntry] | None:
        with self._lock:
            known = self._trees.get(object_id)
            if known is not None:
                self._trees.move_to_end(object_id)
            return known

    def commit(self, revision: Revision) -> CommitInfo:
        """Return a commit's headers; raise RevisionNotFound if there is no commit with that id."""
        with self._lock:
            known = self._commits.get(revision)
        if known is not None:
            return known
        if not self.exists(revision):
            raise GitError(GitReason.REVISION_NOT_FOUND, f"revision {one_line(revision)} is not in this repository")
        data = self._read(revision, ObjectType.COMMIT)
        with self.guard(revision):
            info = read_commit(revision, data)
        with self._lock:
            self._commits[revision] = info
            if len(self._commits) > _CACHED_COMMITS:
                self._commits.popitem(last=False)
        return info

    def _read(self, object_id: str, kind: ObjectType) -> bytes:
        try:
            return self._take(object_id, kind)
        except LIBRARY_ERRORS as error:
            raise self._wrong(object_id, error) from error

    def _take(self, object_id: str, kind: ObjectType) -> bytes:
        actual, data = self.odb.read(object_id)
        if actual != kind:
            raise GitError(GitReason.REVISION_NOT_FOUND, f"{one_line(object_id)} is not a {kind.name.lower()}")
        return data

    @contextmanager
    def guard(self, object_id: str) -> Iterator[None]:
        """Turn everything that libgit2 raises while it reads an object into a GitError."""
        try:
            yield
        except LIBRARY_ERRORS as error:
            raise self._wrong(object_id, error) from error

    def _wrong(self, object_id: str, error: Exception) -> GitError:
        if is_disk_full(error):
            return GitError(GitReason.DISK_FULL, one_line(str(error)))
        if self.on_loss is not None:
            self.on_loss()
        message = f"object {one_line(object_id)} is missing or damaged in the local copy of the repository"
        return GitError(GitReason.REPOSITORY_CORRUPT, message)


class MemoryBackend(pygit2.OdbBackend):
    """Stores objects in memory, so that a merge can be tried without a trace on disk."""

    def __init__(self) -> None:
        super().__init__()
        self._objects: dict[pygit2.Oid, tuple[int, bytes]] = {}

    def read_cb(self, oid: pygit2.Oid) -> tuple[int, bytes]:
        """Return an object; raise KeyError if there is none."""
        return self._objects[oid]

    def read_header_cb(self, oid: pygit2.Oid) -> tuple[int, int]:
        """Return type and size of an object; raise KeyError if there is none."""
        kind, data = self._objects[oid]
        return kind, len(data)

    def read_prefix_cb(self, oid: pygit2.Oid) -> tuple[int, bytes, pygit2.Oid]:
        """Return an object by its full id, which pygit2 passes here too; raise KeyError if there is none."""
        kind, data = self._objects[oid]
        return kind, data, oid

    def write_cb(self, oid: pygit2.Oid, data: bytes, kind: int) -> None:
        """Store an object."""
        self._objects[oid] = (kind, bytes(data))

    def exists_cb(self, oid: pygit2.Oid) -> bool:
        """Whether the object is stored here."""
        return oid in self._objects

    def exists_prefix_cb(self, oid: pygit2.Oid) -> pygit2.Oid:
        """Raise KeyError: abbreviated ids are not supported."""
        raise KeyError(oid)

    def refresh_cb(self) -> None:
        """Do nothing: no other process adds objects."""

    def __iter__(self) -> Iterator[pygit2.Oid]:
        return iter(self._objects)


def object_directories(git_directory: Path) -> tuple[Path, ...]:
    """Return the `objects` directory of a repository and those that it borrows from, nearest first."""
    common = git_directory / "commondir"
    top = (git_directory / common.read_text().strip()).resolve() if common.is_file() else git_directory
    directories: list[Path] = []
    pending = [top / "objects"]
    while pending and len(directories) < _MOST_ALTERNATES:
        directory = pending.pop(0).resolve()
        if directory in directories or not directory.is_dir():
            continue
        directories.append(directory)
        borrowed = directory / "info" / "alternates"
        if borrowed.is_file():
            lines = borrowed.read_text(errors="surrogateescape").splitlines()
            pending.extend(directory / line for line in lines if line and not line.startswith("#"))
    return tuple(directories)
