"""One repository read by revision: entries, files, differences, history."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pygit2
from pygit2.enums import RepositoryOpenFlag

from reconciler.git import compare
from reconciler.git.errors import GitError, GitReason, one_line
from reconciler.git.globs import Glob
from reconciler.git.libgit2 import LIBRARY_ERRORS
from reconciler.git.objects import CommitInfo, Entry, EntryKind
from reconciler.git.store import MemoryBackend, ObjectStore, object_directories
from spaces.names import Revision

YAML = (".yaml", ".yml")
LARGEST_FILE = 16 * 2**20
"""Bytes that `read` gives unless told otherwise."""
_REMEMBERED = 4096
"""Directories whose links are remembered."""


@dataclass(frozen=True, slots=True)
class MergePreview:
    """What merging would give: `revision`, readable in `trees` only, or None and the paths that conflict."""

    trees: Trees
    revision: Revision | None
    conflicts: tuple[str, ...]


class Trees:
    """Reads a repository by revision; writes nothing to it. Paths are relative to its top, '' and '.' are the top.

    Every method raises GitError: RevisionNotFound for a revision that is not there, RepositoryCorrupt for damage.
    Names that are not UTF-8 appear with surrogate escapes, as `os.fsdecode` gives them.
    """

    def __init__(self, store: ObjectStore, refs: pygit2.Repository | None = None) -> None:
        """`refs` answers `resolve`; without it only full ids resolve."""
        self._store = store
        self._refs = refs
        self._special: dict[str, tuple[tuple[str, Entry], ...]] = {}

    @classmethod
    def of_mirror(cls, directory: Path, on_loss: Callable[[], None] | None = None) -> Trees:
        """Read a bare repository of our own."""
        return cls(ObjectStore(object_directories(directory), on_loss))

    @classmethod
    def of_clone(cls, path: Path) -> Trees:
        """Read the repository that a directory lies in, worktrees included; RepositoryNotFound where there is none."""
        try:
            repository = pygit2.Repository(str(path), RepositoryOpenFlag.CROSS_FS)
        except LIBRARY_ERRORS as error:
            message = f"{one_line(str(path))} is not in a Git repository that can be read ({one_line(str(error))})"
            raise GitError(GitReason.REPOSITORY_NOT_FOUND, message) from None
        return cls(ObjectStore(object_directories(Path(repository.path))), repository)

    # What lies where

    def entry(self, revision: Revision, path: str) -> Entry | None:
        """Give what lies at a path, never through a symlink; None for nothing, and for paths that leave the tree."""
        entry = Entry(self._store.commit(revision).tree, EntryKind.TREE)
        if path.startswith("/"):
            return None
        for part in path.split("/"):
            if part in ("", "."):
                continue
            if entry.kind is not EntryKind.TREE:
                return None
            found = self._store.tree(entry.id).get(part)
            if found is None:
                return None
            entry = found
        return entry

    def read(self, revision: Revision, path: str, limit: int = LARGEST_FILE) -> bytes:
        """Give a file's content; PathNotFound unless a regular file lies there, FileTooLarge beyond `limit` bytes."""
        entry = self.entry(revision, path)
        if entry is None or not entry.kind.is_file:
            raise GitError(GitReason.PATH_NOT_FOUND, f"there is no file {one_line(path)!r} at revision {revision[:12]}")
        if self._store.blob_size(entry.id) > limit:
            raise GitError(GitReason.FILE_TOO_LARGE, f"the file {one_line(path)!r} is larger than {limit} bytes")
        return self._store.blob(entry.id)

    def read_blob(self, blob: str) -> bytes:
        """Give a blob's content by its id."""
        return self._store.blob(blob)

    def blob_size(self, blob: str) -> int:
        """Give a blob's size in bytes by its id."""
        return self._store.blob_size(blob)

    def listing(self, revision: Revision, path: str) -> list[tuple[str, Entry]]:
        """Give all files, symlinks and submodules below a path, as (path relative to it, entry), sorted.

        What is not a directory is itself, at ''.
        """
        entry = self.entry(revision, path)
        if entry is None:
            return []
        if entry.kind is not EntryKind.TREE:
            return [("", entry)]
        return sorted(compare.walk(self._store.tree, entry.id))

    def links_and_submodules(self, tree: str) -> tuple[tuple[str, Entry], ...]:
        """Return the symlinks and submodules below a directory by its id, as (path relative to it, entry), sorted."""
        found = self._special.get(tree)
        if found is None:
            below = compare.walk(self._store.tree, tree)
            found = tuple(sorted((path, entry) for path, entry in below if not entry.kind.is_file))
            if len(self._special) >= _REMEMBERED:
                self._special.clear()
            self._special[tree] = found
        return found

    def children(self, revision: Revision, path: str) -> dict[str, Entry] | None:
        """Give what lies directly in a directory, by name; None where there is no directory."""
        entry = self.entry(revision, path)
        if entry is None or entry.kind is not EntryKind.TREE:
            return None
        return self.children_of(entry.id)

    def children_of(self, tree: str) -> dict[str, Entry]:
        """Return what lies directly in a directory by its id, by name."""
        return dict(self._store.tree(tree))

    def files(self, revision: Revision, under: str = "", suffixes: Collection[str] = YAML) -> dict[str, bytes]:
        """Give the regular files below a directory by path from the top; symlinks and submodules are left out."""
        return {path: self._store.blob(entry.id) for path, entry in self._files(revision, under, tuple(suffixes))}

    def _files(self, revision: Revision, under: str, suffixes: tuple[str, ...]) -> Iterator[tuple[str, Entry]]:
        entry = self.entry(revision, under)
        if entry is None or entry.kind is not EntryKind.TREE:
            return
        for path, found in compare.walk(self._store.tree, entry.id, _plain(under)):
            if found.kind.is_file and path.endswith(suffixes):
                yield path, found

    def match(self, revision: Revision, globs: Collection[str]) -> list[str]:
        """Give the paths that any glob matches, sorted. A glob that is just a directory's path means all below it."""
        return sorted({path for glob in globs for path in self._match(revision, Glob.parse(glob))})

    def _match(self, revision: Revision, glob: Glob) -> Iterator[str]:
        entry = self.entry(revision, glob.prefix)
        if entry is None:
            return
        if entry.kind is not EntryKind.TREE:
            if not glob.parts:
                yield glob.prefix
            return
        if not glob.parts:
            yield from (path for path, _ in compare.walk(self._store.tree, entry.id, glob.prefix))
            return
        yield from compare.walk_matching(self._store.tree, entry.id, glob)

    # What differs

    def changed_files(
        self, old: Revision | None, new: Revision, under: str = "", suffixes: Collection[str] = YAML
    ) -> dict[str, bytes | None]:
        """Give the files that differ, by path: content in `new`, or None where it has no such regular file any more."""
        wanted = tuple(suffixes)
        changed: dict[str, bytes | None] = {}
        # All are listed before the first is read: what is too much is refused before it has cost much.
        found = [each for each in self._differences(old, new, under) if each[0].endswith(wanted)]
        for path, before, after in found:
            if after is not None and after.kind.is_file:
                changed[path] = self._store.blob(after.id)
            elif before is not None and before.kind.is_file:
                changed[path] = None
        return changed

    def changed_paths(self, old: Revision | None, new: Revision, under: str = "") -> list[str]:
        """Give the paths of all files, symlinks and submodules that differ, sorted."""
        return sorted(path for path, _, _ in self._differences(old, new, under))

    def _differences(
        self, old: Revision | None, new: Revision, under: str
    ) -> Iterator[tuple[str, Entry | None, Entry | None]]:
        before = self.entry(old, under) if old is not None else None
        return compare.differences(self._store.tree, before, self.entry(new, under), _plain(under))

    def count_changes(self, old: str, new: str) -> int | None:
        """Count the files that differ between two trees or blobs by id; None when one is gone, or for too many."""
        try:
            before, after = self._object(old), self._object(new)
            return sum(1 for _ in compare.differences(self._store.tree, before, after))
        except GitError:
            return None

    def paths_between(self, old: str | None, new: str | None, under: str) -> Iterator[str]:
        """Give the paths that differ between two trees or blobs that lie at `under`, by id; None: nothing lies there.

        RevisionNotFound where one of them is no longer there.
        """
        before, after = (self._object(each) if each is not None else None for each in (old, new))
        return (path for path, _, _ in compare.differences(self._store.tree, before, after, _plain(under)))

    def _object(self, object_id: str) -> Entry:
        if not self._store.exists(object_id):
            raise GitError(GitReason.REVISION_NOT_FOUND, f"object {one_line(object_id)} is not in this repository")
        return Entry(object_id, EntryKind.TREE if self._store.is_tree(object_id) else EntryKind.BLOB)

    # What came after what

    def commit(self, revision: Revision) -> CommitInfo:
        """Give a commit's headers."""
        return self._store.commit(revision)

    def has(self, revision: Revision) -> bool:
        """Say whether a revision's commit and its top directory are there."""
        try:
            self._store.check_tree(self._store.commit(revision).tree)
        except GitError:
            return False
        return True

    def is_complete(self, revision: Revision, *, history: bool = False) -> bool:
        """Say whether all files of a revision are there and, if asked, all commits that it builds on."""
        try:
            for _, entry in compare.walk(self._store.tree, self._store.commit(revision).tree):
                if entry.kind is not EntryKind.SUBMODULE and not self._store.exists(entry.id):
                    return False
            if history:
                with self._store.guard(revision):
                    for _ in self._store.repository.walk(revision):
                        pass
        except GitError:
            return False
        return True

    def first_parent_chain(self, after: Revision, to: Revision) -> list[Revision] | None:
        """Give the commits on `to`'s first-parent chain that follow `after`, oldest first, `to` last.

        None if `after` is not on that chain: the branch was rewound or rewritten.
        """
        if after != to and not self.is_ancestor(after, to):
            return None
        chain: list[Revision] = []
        at = to
        while at != after:
            chain.append(at)
            parents = self._store.commit(at).parents
            if not parents:
                return None
            at = parents[0]
        return chain[::-1]

    def is_ancestor(self, ancestor: Revision, of: Revision) -> bool:
        """Say whether `ancestor` is `of` itself or one of the commits it builds on."""
        if not self.has(ancestor):
            return False
        self._store.commit(of)
        if ancestor == of:
            return True
        with self._store.guard(of):
            return bool(self._store.repository.descendant_of(of, ancestor))

    def resolve(self, ref: str) -> Revision | None:
        """Give the commit that a branch, tag, remote branch or (abbreviated) id means; None where it means none."""
        if not ref or ref.startswith("-") or not ref.isprintable():
            return None
        if self._refs is None:
            revision = Revision(ref)
            return revision if self.has(revision) else None
        try:
            commit = self._refs.revparse_single(ref).peel(pygit2.Commit)
        except LIBRARY_ERRORS:
            return None
        return Revision(str(commit.id))

    def merged_tree(self, base: Revision, ref: Revision) -> MergePreview:
        """Merge `ref` into `base` in memory. A `ref` that is merged already gives `base` itself."""
        if self.is_ancestor(ref, base):
            return MergePreview(self, base, ())
        store = ObjectStore(self._store.directories)
        store.odb.add_backend(MemoryBackend(), 1)
        repository = store.repository
        with store.guard(ref):
            if repository.merge_base(base, ref) is None:
                message = f"{base[:12]} and {ref[:12]} have no commit in common: they cannot be merged"
                raise GitError(GitReason.UNRELATED_HISTORIES, message)
            index = repository.merge_commits(pygit2.Oid(hex=base), pygit2.Oid(hex=ref))
            conflicts = _conflicts(index)
            if conflicts:
                return MergePreview(Trees(store), None, conflicts)
            tree = index.write_tree(repository)
            who = pygit2.Signature("merge preview", "preview@invalid", self.commit(ref).time, 0)
            merged = repository.create_commit(
                None, who, who, "Merge preview\n", tree, [pygit2.Oid(hex=base), pygit2.Oid(hex=ref)]
            )
        return MergePreview(Trees(store, self._refs), Revision(str(merged)), ())


def _conflicts(index: pygit2.index.Index) -> tuple[str, ...]:
    sides: Sequence[tuple[pygit2.IndexEntry | None, ...]] = list(index.conflicts) if index.conflicts else []
    return tuple(sorted({str(side.path) for entry in sides for side in entry if side is not None}))


def _plain(path: str) -> str:
    return "/".join(part for part in path.split("/") if part not in ("", "."))
