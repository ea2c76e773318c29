"""Trees walked and compared. Only trees that differ are read, and their entries are counted against a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from reconciler.git.errors import GitError, GitReason
from reconciler.git.globs import Glob
from reconciler.git.objects import EntryKind, TreeEntry

ReadTree = Callable[[str], Mapping[str, TreeEntry]]
MOST_ENTRIES = 500_000
"""The most entries that one call may visit.

A few nested trees can name billions of files in a repository of a few bytes.
"""

_NOTHING: Mapping[str, TreeEntry] = {}


def walk(read: ReadTree, tree: str, prefix: str = "") -> Iterator[tuple[str, TreeEntry]]:
    """Yield everything below a tree except directories, as (path, entry), in Git's order within each directory."""
    budget = MOST_ENTRIES
    pending = [(prefix, tree)]
    while pending:
        directory, tree_id = pending.pop()
        entries = read(tree_id)
        budget = _spend(budget, len(entries))
        for name, entry in entries.items():
            path = f"{directory}/{name}" if directory else name
            if entry.kind is EntryKind.TREE:
                pending.append((path, entry.id))
            else:
                yield path, entry


def walk_matching(read: ReadTree, tree: str, glob: Glob) -> Iterator[str]:
    """Yield the paths, except directories, that a glob matches, where `tree` lies at the glob's prefix."""
    budget = MOST_ENTRIES
    pending = [(glob.prefix, tree, glob.start())]
    while pending:
        directory, tree_id, positions = pending.pop()
        entries = read(tree_id)
        budget = _spend(budget, len(entries))
        for name, entry in entries.items():
            after = glob.step(positions, name)
            if not after:
                continue
            path = f"{directory}/{name}" if directory else name
            if entry.kind is EntryKind.TREE:
                pending.append((path, entry.id, after))
            elif glob.is_match(after):
                yield path


def differences(
    read: ReadTree, old: TreeEntry | None, new: TreeEntry | None, prefix: str = ""
) -> Iterator[tuple[str, TreeEntry | None, TreeEntry | None]]:
    """Yield every path whose entry differs, except directories: (path, entry before or None, entry after or None)."""
    budget = MOST_ENTRIES
    pending = [(prefix, old, new)]
    while pending:
        path, before, after = pending.pop()
        if before == after:
            continue
        below_before = read(before.id) if before and before.kind is EntryKind.TREE else _NOTHING
        below_after = read(after.id) if after and after.kind is EntryKind.TREE else _NOTHING
        budget = _spend(budget, len(below_before) + len(below_after))
        leaf_before = before if before and before.kind is not EntryKind.TREE else None
        leaf_after = after if after and after.kind is not EntryKind.TREE else None
        if leaf_before or leaf_after:
            yield path, leaf_before, leaf_after
        # A difference of item views runs in C: a directory of ten thousand entries costs a millisecond.
        names = {name for name, _ in below_before.items() ^ below_after.items()}
        for name in sorted(names, reverse=True):
            below = f"{path}/{name}" if path else name
            pending.append((below, below_before.get(name), below_after.get(name)))


def _spend(budget: int, entries: int) -> int:
    left = budget - entries
    if left < 0:
        raise GitError(GitReason.TOO_MANY_FILES, f"more than {MOST_ENTRIES} files and directories are not read at once")
    return left
