"""One repository read by revision: entries, files, differences, history.

The loop reads the mirrors through `Trees`, and the command line a working copy. Methods return entries, bytes and
paths; they raise only GitError. Nothing is ever written: a merge preview is made in memory. Content comes from Git's
objects alone, never from the files of a working copy, and a path never leads through a symbolic link.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pygit2
from pygit2.enums import RepositoryOpenFlag, SortMode

from reconciler.git import compare
from reconciler.git.errors import GitError, GitReason, one_line
from reconciler.git.globs import Glob
from reconciler.git.libgit2 import LIBRARY_ERRORS
from reconciler.git.objects import CommitInfo, EntryKind, TreeEntry
from reconciler.git.store import MemoryBackend, ObjectStore, object_directories
from spaces.names import Revision
from spaces.reading.documents import TOO_LARGE_OURS, abridged

YAML = (".yaml", ".yml")
LARGEST_FILE = 16 * 2**20
_LONG_PATH = 400
_LONGEST_PATH = 2600
"""Characters of a path as JSON: what a key of the database can hold."""
MOST_BYTES = 512 * 2**20
"""Of all files that one commit changes, those that hold documents."""
"""The most bytes of a file that `read` returns, unless its caller sets another limit."""
_REMEMBERED = 4096
"""The most directories whose links are remembered."""


@dataclass(frozen=True, slots=True)
class MergePreview:
    """The result of a merge: `revision`, which only `trees` can read, or None and the conflicting paths."""

    trees: Trees
    revision: Revision | None
    conflicts: tuple[str, ...]


class Trees:
    """Reads a repository by revision. Paths are relative to its top; '' and '.' are the top.

    Every method raises GitError: RevisionNotFound for a missing revision, RepositoryCorrupt for damage. Names that are
    not UTF-8 contain surrogate escapes, as from `os.fsdecode`.
    """

    def __init__(self, store: ObjectStore, refs: pygit2.Repository | None = None) -> None:
        """Read from `store`.

        `refs` is the repository in which `resolve` looks up names; without it only full ids resolve.
        """
        self._store = store
        self._refs = refs
        self._special: dict[str, tuple[tuple[str, TreeEntry], ...]] = {}

    @classmethod
    def of_mirror(cls, directory: Path, on_loss: Callable[[], None] | None = None) -> Trees:
        """Return a reader of a mirror."""
        return cls(ObjectStore(object_directories(directory), on_loss))

    @classmethod
    def of_clone(cls, path: Path) -> Trees:
        """Return a reader of the repository that a directory lies in; raise RepositoryNotFound if there is none.

        Worktrees work too.
        """
        try:
            repository = pygit2.Repository(str(path), RepositoryOpenFlag.CROSS_FS)
        except LIBRARY_ERRORS as error:
            message = f"{one_line(str(path))} is not in a Git repository that can be read ({one_line(str(error))})"
            raise GitError(GitReason.REPOSITORY_NOT_FOUND, message) from None
        return cls(ObjectStore(object_directories(Path(repository.path))), repository)

    # Entries and files

    def entry(self, revision: Revision, path: str) -> TreeEntry | None:
        """Return the entry at a path, never through a symlink; None if there is none or the path leaves the tree."""
        entry = TreeEntry(self._store.commit(revision).tree, EntryKind.TREE)
        if path.startswith("/"):
            return None
        for part in path.split("/"):
            if part in ("", "."):
                continue
            if entry.kind is not EntryKind.TREE:
                return None
            below = self._store.tree(entry.id).get(part)
            if below is None:
                return None
            entry = below
        return entry

    def read(self, revision: Revision, path: str, limit: int = LARGEST_FILE) -> bytes:
        """Return a file's content; raise PathNotFound unless it is a regular file, FileTooLarge above `limit` bytes."""
        entry = self.entry(revision, path)
        if entry is None or not entry.kind.is_file:
            raise GitError(GitReason.PATH_NOT_FOUND, f"there is no file {one_line(path)!r} at revision {revision[:12]}")
        if self._store.blob_size(entry.id) > limit:
            raise GitError(GitReason.FILE_TOO_LARGE, f"the file {one_line(path)!r} is larger than {limit} bytes")
        return self._store.blob(entry.id)

    def read_blob(self, blob: str) -> bytes:
        """Return the content of the blob with this id."""
        return self._store.blob(blob)

    def blob_size(self, blob: str) -> int:
        """Return the size in bytes of the blob with this id."""
        return self._store.blob_size(blob)

    def listing(self, revision: Revision, path: str) -> list[tuple[str, TreeEntry]]:
        """Return all files, symlinks and submodules below a path, as (path relative to it, entry), sorted.

        A path that is not a directory is listed itself, at ''.
        """
        entry = self.entry(revision, path)
        if entry is None:
            return []
        if entry.kind is not EntryKind.TREE:
            return [("", entry)]
        return sorted(compare.walk(self._store.tree, entry.id))

    def links_and_submodules(self, tree: str) -> tuple[tuple[str, TreeEntry], ...]:
        """Return the symlinks and submodules below a directory by its id, as (path relative to it, entry), sorted."""
        found = self._special.get(tree)
        if found is None:
            below = compare.walk(self._store.tree, tree)
            found = tuple(sorted((path, entry) for path, entry in below if not entry.kind.is_file))
            if len(self._special) >= _REMEMBERED:
                self._special.clear()
            self._special[tree] = found
        return found

    def children(self, revision: Revision, path: str) -> dict[str, TreeEntry] | None:
        """Return the entries directly in a directory by name; None if there is no such directory."""
        entry = self.entry(revision, path)
        if entry is None or entry.kind is not EntryKind.TREE:
            return None
        return self.children_of(entry.id)

    def children_of(self, tree: str) -> dict[str, TreeEntry]:
        """Return what lies directly in a directory by its id, by name."""
        return dict(self._store.tree(tree))

    def files(self, revision: Revision, under: str = "", suffixes: Collection[str] = YAML) -> dict[str, bytes]:
        """Return the regular files below a directory by path from the top, without symlinks and submodules."""
        return {path: self._content(entry.id) for path, entry in self._files(revision, under, tuple(suffixes))}

    def _content(self, blob: str) -> bytes:
        """Return what documents are read from, without reading what is far too large for that."""
        return TOO_LARGE_OURS if self._store.blob_size(blob) > LARGEST_FILE else abridged(self._store.blob(blob))

    def _files(self, revision: Revision, under: str, suffixes: tuple[str, ...]) -> Iterator[tuple[str, TreeEntry]]:
        entry = self.entry(revision, under)
        if entry is None or entry.kind is not EntryKind.TREE:
            return
        for path, file in compare.walk(self._store.tree, entry.id, _plain(under)):
            if file.kind.is_file and path.endswith(suffixes):
                yield path, file

    def match(self, revision: Revision, globs: Collection[str]) -> list[str]:
        """Return the paths that any glob matches, sorted.

        A glob without wildcards matches everything below its path.
        """
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

    # Differences

    def changed_files(
        self, old: Revision | None, new: Revision, under: str = "", suffixes: Collection[str] = YAML
    ) -> dict[str, bytes | None]:
        """Return the files that differ, by path: their content in `new`, or None if they are gone.

        A path that is no longer a regular file counts as gone. Raise TooManyFiles if they are too large all in all.
        """
        wanted, left = tuple(suffixes), MOST_BYTES
        changed: dict[str, bytes | None] = {}
        # All are listed before the first is read, so too many files are refused early.
        differing = [change for change in self._differences(old, new, under) if change[0].endswith(wanted)]
        for path, before, after in differing:
            if after is not None and after.kind.is_file:
                left -= min(self._store.blob_size(after.id), LARGEST_FILE)
                if left < 0:
                    message = f"files of more than {MOST_BYTES // 2**20} MiB are not read at once"
                    raise GitError(GitReason.TOO_MANY_FILES, message)
                changed[path] = self._content(after.id)
            elif before is not None and before.kind.is_file:
                changed[path] = None
        return changed

    def changed_paths(self, old: Revision | None, new: Revision, under: str = "") -> list[str]:
        """Return the paths of all files, symlinks and submodules that differ, sorted."""
        return sorted(path for path, _, _ in self._differences(old, new, under))

    def changed_blobs(self, old: Revision, new: Revision) -> list[tuple[str, str | None, str | None]]:
        """Return the paths of all files, symlinks and submodules that differ, sorted, each with its ids in both."""
        found = self._differences(old, new, "")
        return sorted((path, before and before.id, after and after.id) for path, before, after in found)

    def _differences(
        self, old: Revision | None, new: Revision, under: str
    ) -> Iterator[tuple[str, TreeEntry | None, TreeEntry | None]]:
        before = self.entry(old, under) if old is not None else None
        for path, was, is_now in compare.differences(self._store.tree, before, self.entry(new, under), _plain(under)):
            if len(path) > _LONG_PATH and len(json.dumps(path)) > _LONGEST_PATH:
                message = f"the path {one_line(path[:80])}… is longer than paths can be stored"
                raise GitError(GitReason.TOO_MANY_FILES, message)
            yield path, was, is_now

    def count_changes(self, old: str, new: str) -> int | None:
        """Return how many files differ between two trees or blobs; None if one is gone, or if there are too many."""
        try:
            before, after = self._object(old), self._object(new)
            return sum(1 for _ in compare.differences(self._store.tree, before, after))
        except GitError:
            return None

    def paths_between(self, old: str | None, new: str | None, under: str) -> Iterator[str]:
        """Return the paths that differ between two trees or blobs at `under`; None stands for an empty place.

        Raise RevisionNotFound if one of them is no longer there.
        """
        before, after = (self._object(side) if side is not None else None for side in (old, new))
        return (path for path, _, _ in compare.differences(self._store.tree, before, after, _plain(under)))

    def _object(self, object_id: str) -> TreeEntry:
        if not self._store.exists(object_id):
            raise GitError(GitReason.REVISION_NOT_FOUND, f"object {one_line(object_id)} is not in this repository")
        return TreeEntry(object_id, EntryKind.TREE if self._store.is_tree(object_id) else EntryKind.BLOB)

    # History

    def commit(self, revision: Revision) -> CommitInfo:
        """Return a commit's headers."""
        return self._store.commit(revision)

    def has(self, revision: Revision) -> bool:
        """Whether a revision's commit and top directory are there."""
        try:
            self._store.check_tree(self._store.commit(revision).tree)
        except GitError:
            return False
        return True

    def is_complete(self, revision: Revision, *, history: bool = False) -> bool:
        """Whether all files of a revision and, with `history`, all commits before it are there."""
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
        """Return the commits that follow `after` on the first-parent chain of `to`, oldest first, `to` last.

        Only `to` if `after` is an ancestor of it beside that chain, as after a plain pull and push. None if `after` is
        no ancestor: the branch was rewound or rewritten.
        """
        if after != to and not self.is_ancestor(after, to):
            return None
        chain: list[Revision] = []
        current = to
        while current != after:
            chain.append(current)
            parents = self._store.commit(current).parents
            if not parents:
                return [to]
            current = parents[0]
        return chain[::-1]

    def commits_since(self, base: Revision | None, tip: Revision, most: int) -> list[CommitInfo]:
        """Return the commits that `tip` builds on and `base` does not, newest first: at most `most` of them.

        Without a base, or with one that is not there, they are all that `tip` builds on, in the order of their times.
        """
        known = base is not None and self.has(base)
        order = SortMode.TOPOLOGICAL | SortMode.TIME if known else SortMode.TIME
        with self._store.guard(tip):
            walker = self._store.repository.walk(pygit2.Oid(hex=tip), order)
            if known and base is not None:
                walker.hide(pygit2.Oid(hex=base))
            found = [Revision(str(each.id)) for each in islice(walker, most)]
        return [self.commit(each) for each in found]

    def is_ancestor(self, ancestor: Revision, of: Revision) -> bool:
        """Whether `ancestor` is `of` itself or one of the commits before it."""
        if not self.has(ancestor):
            return False
        self._store.commit(of)
        if ancestor == of:
            return True
        with self._store.guard(of):
            return bool(self._store.repository.descendant_of(of, ancestor))

    def resolve(self, ref: str) -> Revision | None:
        """Return the commit of a branch, tag, remote branch or (abbreviated) id; None if there is no such commit."""
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

    def find(self, prefix: str) -> Revision | None:
        """Return the commit whose id begins so (hexadecimal digits); None if there is none, or more than one."""
        try:
            found = self._store.repository.get(prefix)
        except LIBRARY_ERRORS:
            return None
        return Revision(str(found.id)) if isinstance(found, pygit2.Commit) else None

    def merged_tree(self, base: Revision, ref: Revision) -> MergePreview:
        """Return the result of merging `ref` into `base`, made in memory; it is `base` if `ref` is merged already."""
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
